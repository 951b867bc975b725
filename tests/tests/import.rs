//! Moving from pam_google_authenticator and pam_oath: the secrets that their own programs made, and codes from `oathtool`.

use authflow_tests::{Authenticator, Machine, Person};
use serde_json::Value;

const RULES: &str = r#"
[throttle]
attempts = 20
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
const GOOGLE_STACK: &str = "auth required pam_google_authenticator.so\naccount required pam_permit.so\n";

fn machine(users: &[&str]) -> Option<Machine> {
    let plan = users.iter().fold(Machine::overlay()?, |plan, user| plan.user(user));
    Some(plan.pam("google", GOOGLE_STACK).config(RULES).sshd(SSHD).start())
}

/// Has `google-authenticator` make a file for the user, as the user would.
fn make_file(machine: &Machine, user: &str, options: &str) {
    let make = format!("runuser -u {user} -- env HOME=/home/{user} google-authenticator -t -f -q {options}");
    let _ = machine.shell(&make).success();
}

fn file_of(user: &str) -> String {
    format!("/home/{user}/.google_authenticator")
}

/// The phone that has the secret of that user's file.
fn phone_of(machine: &Machine, user: &str) -> Authenticator {
    Authenticator::new(machine.read(&file_of(user)).lines().next().expect("a secret"))
}

/// Somebody who is asked for a code by the real pam_google_authenticator.
fn ask_google(machine: &Machine, user: &str, code: &str) -> Person {
    let mut person = machine.person(["pamtester", "google", user, "authenticate"]);
    person.expect("Verification code: ");
    person.type_line(code);
    person
}

fn part<'a>(report: &'a Value, user: &str) -> &'a Value {
    let parts = report["users"].as_array().expect("a list");
    parts.iter().find(|part| part["user"] == user).unwrap_or_else(|| panic!("no {user} in {report}"))
}

fn refusal(report: &Value, user: &str) -> String {
    let part = part(report, user);
    assert_eq!(part["outcome"], "refused", "{report}");
    part["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_secret_moves_with_its_scratch_codes_and_what_was_used_stays_used() {
    let Some(machine) = machine(&["alice"]) else { return };
    make_file(&machine, "alice", "-d -r 3 -R 30 -w 17");
    machine.give_password("alice");
    let mut phone = phone_of(&machine, "alice");
    let used = phone.code();
    ask_google(&machine, "alice", &used).expect("successfully authenticated");
    let scratch = machine.read(&file_of("alice")).lines().last().expect("a scratch code").to_owned();
    ask_google(&machine, "alice", &scratch).expect("successfully authenticated");
    let text = machine.read(&file_of("alice"));
    let codes: Vec<_> = text.lines().filter(|line| line.len() == 8 && line.parse::<u32>().is_ok()).collect();

    let import = ["authflow", "import", "google-authenticator", "--all", "--json"];
    let dry = machine.run(import.into_iter().chain(["--dry-run"])).json();
    assert_eq!((&dry["changed"], &part(&dry, "alice")["outcome"]), (&false.into(), &"imported".into()));
    assert!(machine.read("/var/lib/authflow/users/alice.toml").find("totp").is_none(), "nothing was done");
    let report = machine.run(import).json();
    let alice = part(&report, "alice");
    assert_eq!((&alice["name"], &alice["recovery_codes"]), (&"google-authenticator".into(), &codes.len().into()));
    let notes = alice["notes"].to_string();
    for told in ["WINDOW_SIZE 17", "`skew = 8` under [totp]", "RATE_LIMIT 3 30", "`attempts = 3` and"] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    machine.logged(&["event=factor-added", "user=alice", "name=google-authenticator"]);
    assert_eq!(machine.run(import).json()["changed"], false, "once is enough");
    assert_eq!(machine.read(&file_of("alice")), text, "the source stays");

    machine.is_refused("alice", machine.password(), &used);
    machine.is_refused("alice", machine.password(), &scratch);
    let alice = machine.log_in("alice", &mut phone);
    assert!(alice.screen().contains("google-authenticator"), "its user is told: {}", alice.screen());
    let by_code = machine.log_in_by("alice", codes[0]);
    assert!(by_code.screen().contains("recovery code"), "{}", by_code.screen());
    machine.is_refused("alice", machine.password(), codes[0]);
    let kept = machine.shell("cat /var/lib/authflow/users/alice.toml").success() + &machine.log();
    assert!(codes.iter().all(|code| !kept.contains(code)), "{kept}");
}

#[test]
fn a_phone_whose_clock_was_learned_to_be_off_logs_in_here_as_it_did_there() {
    let users = [("alice", 20, "ahead"), ("bob", -20, "behind")];
    let Some(machine) = machine(&users.map(|(user, ..)| user)) else { return };
    let phones = users.map(|(user, skew, _)| {
        make_file(&machine, user, "-d -u -w 3");
        machine.give_password(user);
        let _ = machine.shell(&format!("sed -i '1a \" TIME_SKEW {skew}' {}", file_of(user))).success();
        let phone = phone_of(&machine, user);
        let used = phone.code_at(skew);
        ask_google(&machine, user, &used).expect("successfully authenticated");
        (phone, used)
    });
    let report = machine.run(["authflow", "import", "google-authenticator", "--all", "--json"]).json();
    for ((user, skew, way), (phone, used)) in users.into_iter().zip(&phones) {
        let told = part(&report, user)["notes"].to_string();
        assert!(told.contains(&format!("20 steps of 30 s {way}")), "{told}");
        let list = machine.run(["authflow", "factor", "list", "--user", user]).success();
        let clock = format!("the clock of google-authenticator is taken to be 600 s (20 steps) {way}");
        assert!(list.contains(&clock), "{list}");
        machine.is_refused(user, machine.password(), used);
        machine.is_refused(user, machine.password(), &phone.code_at(0));
        let code = phone.code_at(skew + 1);
        drop(machine.log_in_by(user, &code));
        machine.is_refused(user, machine.password(), &code);
        let listed = machine.run(["authflow", "factor", "list", "--user", user, "--json"]).json();
        let one = listed["factors"].as_array().and_then(|factors| factors.iter().find(|one| one["kind"] == "totp"));
        assert_eq!(one.expect("the authenticator")["drift_seconds"], skew * 30, "{listed}");
    }
}

#[test]
fn a_planted_secret_and_a_removed_one_stay_out_until_root_adds_them() {
    let Some(machine) = machine(&["alice", "bob", "dora"]) else { return };
    make_file(&machine, "alice", "-d -u -w 3");
    let enrol = "authflow factor add totp --user bob --no-confirm --json";
    let _ = machine.shell(enrol).success();
    let own_codes = "authflow factor recovery-codes --user bob --json";
    let _ = machine.shell(own_codes).success();
    let bobs = machine.read("/var/lib/authflow/users/bob.toml");
    make_file(&machine, "bob", "-d -u -w 3");

    let import = ["authflow", "import", "google-authenticator", "--all", "--json"];
    let report = machine.run(import).json();
    assert_eq!(part(&report, "alice")["outcome"], "imported");
    let left = |report: &Value, user: &str, why: &str| {
        let part = part(report, user);
        assert_eq!(part["outcome"], "unchanged", "{report}");
        assert!(part["reason"].as_str().is_some_and(|reason| reason.starts_with(why)), "{report}");
    };
    left(&report, "bob", "has an authenticator already");
    assert_eq!(machine.read("/var/lib/authflow/users/bob.toml"), bobs, "neither secret nor scratch codes came in");

    // dora's was never used, and is gone.
    let enrol = "authflow factor add totp --user dora --no-confirm && authflow factor remove totp --user dora --yes";
    let _ = machine.shell(enrol).success();
    make_file(&machine, "dora", "-d -u -w 3");
    left(&machine.run(import).json(), "dora", "had an authenticator before");

    let remove = ["authflow", "factor", "remove", "google-authenticator", "--user", "alice", "--yes"];
    let _ = machine.run(remove).success();
    let again = machine.run(import).json();
    left(&again, "alice", "had an authenticator before");
    make_file(&machine, "alice", "-d -u -w 3");
    let planted = machine.run(import).json();
    left(&planted, "alice", "had an authenticator before");
    assert_eq!(planted["changed"], false);

    let all = machine.run(["authflow", "import", "google-authenticator", "--all", "--add"]).failure(2);
    assert!(all.contains("--user"), "{all}");
    for (user, codes) in [("alice", 0), ("bob", 0)] {
        let add = ["authflow", "import", "google-authenticator", "--user", user, "--add", "--json"];
        let report = machine.run(add).json();
        let part = part(&report, user);
        assert_eq!((&part["outcome"], &part["recovery_codes"]), (&"imported".into(), &codes.into()), "{report}");
        assert!(!part["notes"].to_string().contains("26 bits"), "no such code came in: {report}");
    }
}

#[test]
fn root_reads_a_users_file_as_that_user_and_takes_nothing_odd() {
    let odd = ["link", "fifo", "huge", "foreign", "open", "through", "counter", "fine"];
    let Some(machine) = machine(&odd) else { return };
    make_file(&machine, "fine", "-D -u -w 3");
    let _ = machine
        .shell(
            "set -e; cd /home
            ln -s /etc/shadow link/.google_authenticator
            mkfifo -m 600 fifo/.google_authenticator; chown fifo fifo/.google_authenticator
            truncate -s 100M huge/.google_authenticator; chown huge huge/.google_authenticator; chmod 600 huge/.google_authenticator
            cp fine/.google_authenticator foreign/; chmod 444 foreign/.google_authenticator
            cp fine/.google_authenticator open/; chown open open/.google_authenticator; chmod 644 open/.google_authenticator
            ln -s /home/fine through/home; usermod -d /home/through/home through
            sed 's/TOTP_AUTH/HOTP_COUNTER 1/' fine/.google_authenticator > counter/.google_authenticator
            chown counter counter/.google_authenticator; chmod 400 counter/.google_authenticator",
        )
        .success();
    let import =
        "strace -f -e trace=openat,setsid,setresuid -o /tmp/trace authflow import google-authenticator --all --json";
    let run = machine.shell(import);
    assert_eq!(run.status.code(), Some(1), "{run:#?}");
    assert!(!run.stdout.contains('$') && run.stderr.is_empty(), "no word of what /etc/shadow says: {run:#?}");
    let report: Value = serde_json::from_str(&run.stdout).expect("a report");
    for (user, expected) in [
        ("link", "ELOOP"),
        ("fifo", "no regular file"),
        ("huge", "its size is 104857600 bytes"),
        ("foreign", "its owner is uid 0, not foreign"),
        ("open", "its mode is 0644"),
        ("through", "ermission denied"),
        ("counter", "HOTP_COUNTER"),
    ] {
        let reason = refusal(&report, user);
        let is_loop = expected == "ELOOP" && reason.contains("symbolic link");
        assert!(is_loop || reason.contains(expected), "{user}: {reason}");
    }
    assert_eq!(part(&report, "fine")["outcome"], "imported");
    assert!(part(&report, "fine")["notes"].to_string().contains("no DISALLOW_REUSE"));

    let trace = machine.read("/tmp/trace");
    let lines: Vec<_> = trace.lines().collect();
    let opened = lines.iter().enumerate().filter(|(_, line)| line.contains(".google_authenticator\""));
    let mut readers = 0;
    for (place, line) in opened {
        let pid = line.split(' ').next().expect("a pid");
        let before = || lines[..place].iter().filter(|line| line.starts_with(&format!("{pid} ")));
        let rest =
            before().skip_while(|line| !line.contains("setsid()")).skip_while(|line| !line.contains("setresuid("));
        assert!(rest.count() > 0 && line.contains("O_NOFOLLOW"), "{line}");
        readers += 1;
    }
    assert!(readers >= odd.len(), "{trace}");
}

#[test]
fn lines_of_pam_oath_become_authenticators_and_its_last_code_stays_used() {
    const HEX: &str = "3132333435363738393031323334353637383930";
    const OTHER: &str = "3132333435363738393031323334353637383931";
    let Some(machine) = machine(&["alice", "bob", "carol"]) else { return };
    for user in ["alice", "carol"] {
        machine.give_password(user);
    }
    let code = |secret: &str, options: &str| {
        machine.shell(&format!("oathtool --totp {options} {secret}")).success().trim().to_owned()
    };
    let last = code(HEX, "--digits=8");
    machine.write(
        "/etc/users.oath",
        &format!(
            "# users\nHOTP/T30/8 alice - {HEX} 1 {last} 2026-01-01T00:00:00L\nHOTP/E/6 bob - {HEX}\nHOTP/T30 carol 1234 {OTHER}\n\
             HOTP/T30 nobody-here - {OTHER}\nHOTP/T30 carol - {HEX}\n"
        ),
    );
    let run = machine.run(["authflow", "import", "pam_oath", "--json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("a report");
    assert_eq!(run.status.code(), Some(1), "bob's line stays out");
    assert!(refusal(&report, "bob").starts_with("/etc/users.oath:3: it counts codes (HOTP/E/6)"), "{report}");
    assert!(refusal(&report, "nobody-here").contains("no user"), "{report}");
    assert!(part(&report, "carol")["notes"].to_string().contains("PIN"), "{report}");
    let names: Vec<_> = report["users"].as_array().expect("a list").iter().map(|part| part["name"].as_str()).collect();
    assert_eq!(names, [Some("pam_oath"), None, Some("pam_oath"), None, Some("pam_oath-2")]);

    machine.is_refused("alice", machine.password(), &last);
    drop(machine.log_in_by("alice", &code(HEX, "--digits=8 --now='30 seconds'")));
    drop(machine.log_in_by("carol", &code(OTHER, "")));
    drop(machine.log_in_by("carol", &code(HEX, "")));
    let again = machine.run(["authflow", "import", "pam_oath", "--user", "alice", "--json"]).json();
    assert_eq!((&again["changed"], &part(&again, "alice")["outcome"]), (&false.into(), &"unchanged".into()));

    let remove = ["authflow", "factor", "remove", "pam_oath", "--user", "alice", "--yes"];
    let _ = machine.run(remove).success();
    let removed = ["authflow", "import", "pam_oath", "--user", "alice", "--json"];
    let report = machine.run(removed).json();
    assert!(part(&report, "alice")["reason"].to_string().contains("had an authenticator before"), "{report}");
    assert_eq!(machine.run(removed.into_iter().chain(["--add"])).json()["changed"], true);

    let _ = machine.shell("chmod 666 /etc/users.oath").success();
    let said = machine.run(["authflow", "import", "pam_oath"]).failure(1);
    assert!(said.contains("mode is 0666"), "{said}");
}
