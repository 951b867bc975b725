//! `authflow setup` on a machine that is held to a standard: whichever comes first, both go together, and nobody is locked out.

use authflow_tests::{Authenticator, Machine, Output, Person, wait};
use serde_json::Value;

const LIVE: &str = "/etc/authflow/authflow.toml";
const SSHD_RULES: &str = "/etc/authflow/authflow.toml.d/50-setup-sshd.toml";
const PRESETS: [&str; 4] = ["pci-dss-4", "nist-aal2", "stig-rhel9", "cis"];

/// alice may use sudo, and has a key, an authenticator and ten codes that stand in for it; bob is there to go on as before.
fn machine() -> Option<(Machine, std::vec::IntoIter<String>)> {
    let machine = Machine::booted()?.user("alice").user("bob").start();
    let passwords = format!("alice:{0}\nbob:{0}\nroot:{0}\n", machine.password());
    let _ = machine.feed(["chpasswd"], passwords.as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    let key = "ssh-keygen -q -t ed25519 -N '' -f /root/key; install -d -o alice -m 700 /home/alice/.ssh; \
               install -o alice -m 600 /root/key.pub /home/alice/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").success();
    let made = machine.run(["authflow", "factor", "recovery-codes", "--user", "alice", "--json"]).json();
    let codes = made["codes"].as_array().expect("a list").iter().filter_map(Value::as_str).map(str::to_owned);
    let codes: Vec<String> = codes.collect();
    Some((machine, codes.into_iter()))
}

fn by_password(machine: &Machine, user: &str) -> Person {
    let mut person = machine.ssh(user, &[]);
    person.expect("assword: ");
    person.type_line(machine.password());
    person
}

fn by_code(mut person: Person, code: Option<String>) -> Person {
    person.expect("Verification code: ");
    person.type_line(&code.expect("a code is left"));
    person.expect("$ ");
    person
}

fn confirm(machine: &Machine, alice: &mut Person) {
    alice.type_line("sudo -k authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect(" stays");
}

/// The exit code of `authflow config check`, and the ids of what it calls an error or a warning. That sudo has a ticket of its own is not the
/// standard's.
fn checked(machine: &Machine) -> (Option<i32>, Vec<String>) {
    let said = machine.run(["authflow", "config", "check", "--json"]);
    let found: Value = serde_json::from_str(&said.stdout).expect("a list");
    let is_told = |finding: &&Value| finding["severity"] != "note" && finding["id"] != "sudo-ticket-hides";
    let id = |finding: &Value| finding["id"].as_str().expect("an id").to_owned();
    (said.status.code(), found.as_array().expect("a list").iter().filter(is_told).map(id).collect())
}

fn choose(machine: &Machine, preset: &str) {
    machine.write("/root/new.toml", &format!("preset = \"{preset}\"\n"));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
}

#[test]
fn whichever_standard_is_chosen_setup_goes_live_and_is_confirmed_by_password_and_code() {
    let Some((machine, mut codes)) = machine() else { return };
    let setup = ["authflow", "setup", "sshd", "--user", "alice"];
    for preset in PRESETS {
        choose(&machine, preset);
        let asks_for_two_kinds = ["pci-dss-4", "nist-aal2"].contains(&preset);
        let shown = machine.run([&setup[..], &["--dry-run"]].concat());
        assert!(shown.status.success(), "{preset}: {shown:#?}");
        let told = |rule: &str| shown.stderr.contains(&format!("under {preset} the rule \"{rule}\" is weaker"));
        assert_eq!([told("setup-sshd"), told("setup-sshd-others")], [asks_for_two_kinds, true], "{preset}: {shown:#?}");

        let is_bounded = shown.stderr.contains("whoever is left as before has 10 sessions at most");
        assert_eq!(is_bounded, preset == "stig-rhel9", "{preset}: {shown:#?}");

        // The same before the question.
        let mut root = machine.person(setup);
        let before = root.expect("back again in");
        assert!(before.contains(&format!("under {preset} the rule \"setup-sshd-others\"")), "{before}");
        root.type_line("y");
        root.expect("is live");
        let mut alice = by_code(by_password(&machine, "alice"), codes.next());
        by_password(&machine, "bob").expect("$ ");
        confirm(&machine, &mut alice);
        if asks_for_two_kinds {
            drop(by_code(machine.ssh("alice", &["-i", "/root/key"]), codes.next()));
        }
        // The lock of the STIG's is long whether there are rules or not.
        let expected = if preset == "stig-rhel9" { vec!["throttle-long-lock"] } else { Vec::new() };
        assert_eq!(checked(&machine), (Some(0), expected.into_iter().map(str::to_owned).collect()), "{preset}");
        let report = machine.run(["authflow", "report", "--json"]).json();
        let weaker = report["weaker_than_preset"].as_array().expect("a list");
        let is_explained = |weaker: &Value| weaker["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        assert!(!weaker.is_empty() && weaker.iter().all(is_explained), "{preset}: {report}");
        let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
        by_password(&machine, "alice").expect("$ ");
        assert_eq!(machine.read(SSHD_RULES), "");
    }
}

#[test]
fn a_standard_that_is_chosen_after_the_setup_is_met_by_the_same_setup_again() {
    let Some((machine, mut codes)) = machine() else { return };
    let setup = "authflow setup sshd --user alice --yes";
    let run = |line: &str| machine.run(line.split(' '));
    let _ = run("authflow setup sshd sudo --user alice --yes").success();
    confirm(&machine, &mut by_code(by_password(&machine, "alice"), codes.next()));
    let without = machine.read(SSHD_RULES);
    assert!(!without.contains("weaker_than_preset"), "{without}");

    machine.write("/root/new.toml", "preset = \"pci-dss-4\"\n");
    let advice = "`authflow setup sshd --user alice` writes these rules of setup's anew for the preset";
    let refused = run("authflow config apply /root/new.toml").failure(1);
    assert!(refused.contains(&format!("{advice}, once the file is in the place of {LIVE}")), "{refused}");
    assert!(!refused.contains("first"), "there is a last good one: {refused}");

    let _ = run(&format!("cp /root/new.toml {LIVE}")).success();
    for command in ["authflow config check", &format!("authflow config apply {LIVE}"), "authflow check"] {
        let said = run(command);
        assert!(
            said.status.code() == Some(1) && format!("{}{}", said.stdout, said.stderr).contains(advice),
            "{said:#?}"
        );
    }
    // The last good one goes on meanwhile.
    drop(by_code(by_password(&machine, "alice"), codes.next()));
    let planned = run(&format!("{setup} --dry-run --json")).json();
    let files = planned["files"].as_array().expect("a list");
    assert_eq!(files.len(), 2, "the rules of both services, and no stack: {planned}");
    let told_once = |said: &Output| {
        let is_once = |words: &str| said.stderr.matches(words).count() == 1;
        assert!(
            said.status.success() && is_once(advice) && is_once("weaker than") && is_once("last good"),
            "{said:#?}"
        );
    };
    let _ = run(setup).success();
    told_once(&run("authflow setup rollback --yes"));
    let live = run(setup).success();
    assert!(live.contains("sshd for alice, with the rules of sudo written anew is live"), "{live}");
    let waits = run("authflow setup status").success();
    assert!(waits.contains("with the rules of sudo written anew waits"), "{waits}");
    let mut alice = by_code(by_password(&machine, "alice"), codes.next());
    alice.type_line("sudo -k authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect("with the rules of sudo written anew stays");
    assert_eq!(checked(&machine), (Some(0), Vec::new()));
    assert!(run(setup).success().contains("nothing to do"));
    let status = run("authflow setup status").success();
    assert_eq!(status.matches("--user alice").count(), 2, "{status}");

    // Taken back, the rules are those from before, and what mends it is the same again.
    told_once(&run("authflow setup rollback --yes"));
    assert_eq!(machine.read(SSHD_RULES), without);
    assert!(run("authflow config check").stdout.contains(advice));
    let _ = run(setup).success();
    confirm(&machine, &mut by_code(by_password(&machine, "alice"), codes.next()));

    // Another standard, and none.
    choose(&machine, "nist-aal2");
    assert!(run(setup).success().contains("nothing to do"), "it asks the same of these rules");
    machine.write("/root/new.toml", "");
    let told = run("authflow config apply /root/new.toml");
    assert!(told.status.success() && told.stderr.contains("writes these rules of setup's anew"), "{told:#?}");
    let _ = run(setup).success();
    assert_eq!(machine.read(SSHD_RULES), without);
    confirm(&machine, &mut by_code(by_password(&machine, "alice"), codes.next()));
    assert_eq!(checked(&machine), (Some(0), Vec::new()));
}

#[test]
fn under_a_standard_that_lets_nobody_put_enrolment_off_everybody_enrols_in_the_login() {
    let Some((machine, mut codes)) = machine() else { return };
    choose(&machine, "pci-dss-4");
    let key = "install -D -m 600 /root/key.pub /root/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    let said = machine.run("authflow setup sshd --everybody --yes".split(' '));
    assert!(said.status.success() && said.stderr.contains("under pci-dss-4 nobody puts enrolment off"), "{said:#?}");
    let mut bob = by_password(&machine, "bob");
    bob.expect("Verification code: ");
    bob.type_line("");
    bob.expect("Secret: ");
    let page = bob.expect("Code from the app: ");
    assert!(!page.contains("Enter"), "nothing that would put it off: {page}");
    bob.type_line(&Authenticator::new(page.trim()).code());
    bob.expect("Press Enter");
    bob.type_line("");
    bob.expect("$ ");
    machine.ssh("root", &["-i", "/root/key"]).expect("# ");
    confirm(&machine, &mut by_code(by_password(&machine, "alice"), codes.next()));
    assert_eq!(checked(&machine), (Some(0), Vec::new()));
}
