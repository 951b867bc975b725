//! Guessing is stopped at the source it comes from; the user gets in from elsewhere, and an administrator lifts the lock.

use authflow_tests::{Authenticator, Machine, Person, Plan};

const RULE: &str = r#"
[throttle]
attempts = 2
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn failures_lock_their_source_alone_until_an_admin_unlocks() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(RULE).sshd(SSHD).start();
    let mut phone = machine.enroll("alice");
    for _ in 0..2 {
        assert!(!login(&machine, "10.77.0.1", "a guess", &phone.wrong_code()));
    }
    // The right answers from there are too late, and burn no code.
    let code = phone.code();
    assert!(!login(&machine, "10.77.0.1", machine.password(), &code));
    machine.logged(&["user=alice", "locked for this source until"]);
    assert!(login(&machine, "10.77.0.2", machine.password(), &code));
    let _ = machine.run(["authflow", "user", "unlock", "alice"]).success();
    assert!(login(&machine, "10.77.0.1", machine.password(), &phone.code()));
}

#[test]
fn who_guesses_over_loopback_is_one_source_whatever_address_he_takes() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(RULE).sshd(&format!("{SSHD}\nListenAddress ::1")).start();
    let mut phone = machine.enroll("alice");
    for address in ["127.0.0.2", "127.0.7.3"] {
        assert!(!login(&machine, address, "a guess", &phone.wrong_code()));
    }
    let code = phone.code();
    for address in ["127.0.0.1", "127.5.5.5"] {
        assert!(!login(&machine, address, machine.password(), &code), "{address}");
        machine.logged(&["user=alice", &format!("rhost={address}"), "locked for this source until"]);
    }
    let mut over_ipv6 = machine.ssh("alice", &["-o", "Hostname=::1", "true"]);
    let answers = [("Password: ", machine.password()), ("Verification code: ", code.as_str())];
    assert!(!over_ipv6.answer_all(&answers).success());
    machine.logged(&["user=alice", "rhost=::1", "locked for this source until"]);
    let told = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
    assert_eq!(told["throttle"]["consecutive_failures"], 0, "it brings no stranger nearer to the ceiling: {told:#}");
    assert_eq!(told["throttle"]["sources"].as_array().map(Vec::len), Some(1), "{told:#}");
    assert!(login(&machine, "10.77.0.1", machine.password(), &code));
}

#[test]
fn junk_that_sshd_sends_for_a_refused_user_counts_for_nothing() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(RULE).sshd(&format!("{SSHD}\nDenyUsers alice")).start();
    let mut phone = machine.enroll("alice");
    for _ in 0..3 {
        assert!(!login(&machine, "127.0.0.1", machine.password(), &phone.wrong_code()));
    }
    machine.restart_sshd(SSHD);
    assert!(login(&machine, "127.0.0.1", machine.password(), &phone.code()));
}

#[test]
fn the_user_of_a_locked_account_is_told_the_wait_at_sudo_and_nobody_else_is() {
    let Some(plan) = Machine::overlay() else { return };
    let rules = RULE.replace("[\"sshd\"]", "[\"sudo\", \"su\", \"sshd\"]");
    let machine = plan
        .user("alice")
        .user("bob")
        .file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\nDefaults passwd_tries=1\n")
        .shipped_pam("sudo")
        .shipped_pam("su")
        .config(&rules)
        .sshd(SSHD)
        .start();
    let phone = machine.enroll("alice");
    let refusal = |argv: &[&str]| {
        let mut person = machine.person(argv);
        person.expect("assword");
        person.expect(": ");
        person.type_line("a guess");
        person.expect("Verification code: ");
        person.type_line(&phone.wrong_code());
        let _ = person.end();
        person.screen()
    };
    let sudo = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "true"];
    for _ in 0..2 {
        assert!(!refusal(&sudo).contains("try again in"));
    }
    assert!(refusal(&sudo).contains("authflow: too many failed attempts; try again in 15 min."));
    let by_bob = ["setpriv", "--reuid=bob", "--regid=bob", "--init-groups", "su", "alice"];
    assert!(!refusal(&by_bob).contains("try again in"), "bob learns nothing of alice");
    let mut remote = machine.ssh("alice", &["true"]);
    let _ = remote.answer_all(&[("Password: ", "a guess"), ("Verification code: ", &phone.wrong_code())]);
    assert!(!remote.screen().contains("try again in"), "{}", remote.screen());
}

#[test]
fn who_fails_at_su_is_locked_himself_and_neither_the_user_nor_the_console() {
    let Some(plan) = Machine::overlay() else { return };
    let rules = RULE.replace("[\"sshd\"]", "[\"sudo\", \"su\", \"login\"]");
    let machine = plan
        .user("alice")
        .user("bob")
        .file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\nDefaults passwd_tries=1\n")
        .shipped_pam("sudo")
        .shipped_pam("su")
        .shipped_pam("login")
        .config(&rules)
        .start();
    let mut phone = machine.enroll("alice");
    // Of one authenticator a third code would have to be waited for.
    let mut tablet = Authenticator::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let add = ["factor", "add", "totp", "--user", "alice", "--name", "tablet", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(["authflow"].into_iter().chain(add), tablet.secret.as_bytes()).success();
    // Uids of no account, as a range of subordinate uids lends them, are one source.
    let su = |uid: &str| machine.person(["setpriv", "--reuid", uid, "--clear-groups", "su", "alice", "-c", "id -un"]);
    for uid in ["bob", "bob", "200001", "200002"] {
        assert!(!answer(&mut su(uid), "a guess", &phone.wrong_code()).contains("alice\r"));
    }
    let code = phone.code();
    for uid in ["bob", "200003"] {
        assert!(!answer(&mut su(uid), machine.password(), &code).contains("alice\r"), "{uid} is locked");
    }
    machine.logged(&["user=alice", "locked for this source until"]);
    let mut sudo = machine.person(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "id", "-un"]);
    assert!(answer(&mut sudo, machine.password(), &code).contains("root\r"), "alice's own sudo");
    assert!(answer(&mut su("alice"), machine.password(), &phone.code()).contains("alice\r"), "alice's own su");
    let mut console = machine.person(["login", "alice"]);
    console.expect("Password: ");
    console.type_line(machine.password());
    console.expect("Verification code: ");
    console.type_line(&tablet.code());
    console.expect("$ ");
    assert!(!answer(&mut su("bob"), machine.password(), &tablet.code()).contains("alice\r"), "bob stays locked");
}

#[test]
fn who_fails_at_su_to_root_waits_as_for_anybody_and_root_at_the_console_does_not() {
    let Some(plan) = Machine::overlay() else { return };
    let rules = RULE.replace("[\"sshd\"]", "[\"su\", \"login\"]");
    let machine = plan.user("bob").shipped_pam("su").shipped_pam("login").config(&rules).without_daemon().start();
    let mut phone = machine.enroll("root");
    for _ in 0..2 {
        let mut su = machine.person(["setpriv", "--reuid=bob", "--regid=bob", "--clear-groups", "su"]);
        let _ = answer(&mut su, "a guess", &phone.wrong_code());
    }
    let bobs = machine.run(["authflow", "factor", "list", "--user", "root", "--json"]).json()["throttle"]["sources"][0]
        .clone();
    let until = bobs["locked_until"].as_str().expect("a lock");
    assert!(bobs["source"].as_str().is_some_and(|source| source.starts_with("local:")), "{bobs}");
    let _ = machine.shell(&format!("test $(($(date -d {until} +%s) - $(date +%s))) -gt 300")).success();
    let mut console = machine.person(["login", "root"]);
    machine.give_answers(&mut console, &phone.code());
    console.expect("# ");
}

/// What a mail server or a web panel has: root asks, and PAM is told neither a host nor a terminal.
const UNTOLD: &str =
    "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_authflow.so\n";

#[test]
fn whoever_guesses_at_a_service_that_tells_no_place_locks_that_service_and_no_console() {
    let Some(plan) = Machine::overlay() else { return };
    let rules = "[[rule]]\nname = \"all\"\nservice = [\"smtp\", \"imap\", \"login\"]\nmethods = [[\"password\"]]\n";
    let services = |plan: Plan| ["smtp", "imap", "login"].into_iter().fold(plan, |plan, name| plan.pam(name, UNTOLD));
    let machine = services(plan.user("alice").config(rules)).without_daemon().start();
    machine.give_password("root");
    machine.give_password("alice");
    let knock = |service: &[&str], user: &str, password: &str| {
        let argv = [&["pamtester"], service, &[user, "authenticate"]].concat();
        machine.person(argv).answer_all(&[("Password: ", password)]).success()
    };
    for user in ["alice", "root"] {
        for _ in 0..5 {
            assert!(!knock(&["smtp"], user, "a guess"), "{user}");
        }
        assert!(!knock(&["smtp"], user, machine.password()), "{user}");
        machine.logged(&["service=smtp", &format!("user={user}"), "locked for this source until"]);
        for elsewhere in [&["-I", "tty=/dev/tty1", "login"][..], &["-I", "tty=pts/3", "login"], &["imap"]] {
            assert!(knock(elsewhere, user, machine.password()), "{user} at {elsewhere:?}");
        }
        let told = machine.run(["authflow", "factor", "list", "--user", user, "--json"]).json();
        let sources = told["throttle"]["sources"].as_array().expect("sources").iter();
        let sources: Vec<_> = sources.map(|source| source["source"].as_str().unwrap_or_default()).collect();
        assert_eq!(sources, ["local", "service:imap", "service:login", "service:smtp"], "{told:#}");
    }
    // Nor is it of this machine for rules.
    machine.write("/etc/authflow/authflow.toml", &rules.replace("methods", "from = [\"local\"]\nmethods"));
    assert!(!knock(&["imap"], "alice", machine.password()));
    assert!(!knock(&["-I", "tty=pts/3", "login"], "alice", machine.password()));
    assert!(knock(&["-I", "tty=/dev/tty1", "login"], "alice", machine.password()));
}

fn login(machine: &Machine, from: &str, password: &str, code: &str) -> bool {
    let mut client = machine.ssh_from(from, "alice", &["true"]);
    client.answer_all(&[("Password: ", password), ("Verification code: ", code)]).success()
}

/// Gives both answers, waits for the end, and tells what was on the screen.
fn answer(person: &mut Person, password: &str, code: &str) -> String {
    person.expect("assword");
    person.expect(": ");
    person.type_line(password);
    person.expect("Verification code: ");
    person.type_line(code);
    let _ = person.end();
    person.screen()
}
