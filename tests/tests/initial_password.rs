//! An initial password: it lets its user in once, by way of a password of the user's own, and not at all after its time.

use authflow_tests::{Authenticator, Machine, Person};

const RULE: &str = r#"
[throttle]
attempts = 50
[[rule]]
name = "all"
service = ["sshd", "login", "su", "sudo"]
methods = [["password", "totp"]]
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
const NEW: &str = "quiet rivers turn blue";

/// A machine on which alice has an authenticator and an initial password, which is returned.
fn machine() -> Option<(Machine, Authenticator, String)> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(RULE).sshd(SSHD).shipped_pam("login");
    let plan = plan.shipped_pam("su").shipped_pam("sudo").file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    let machine = plan.start();
    let phone = machine.enroll("alice");
    let set = machine.run(["authflow", "passwd", "--user", "alice", "--initial", "--for", "2h", "--json"]).json();
    let initial = set["password"].as_str().expect("a password").to_owned();
    Some((machine, phone, initial))
}

/// Answers the flow's two questions.
#[track_caller]
fn prove(person: &mut Person, password: &str, code: &str) {
    person.expect("assword");
    person.expect(": ");
    person.type_line(password);
    person.expect("Verification code: ");
    person.type_line(code);
}

/// Sets the new password; the old one is not asked for again.
#[track_caller]
fn choose(person: &mut Person, password: &str) {
    person.expect("New password: ");
    person.type_line(password);
    person.expect("etype new password: ");
    person.type_line(password);
}

#[test]
fn sshd_has_it_changed_before_the_session_opens() {
    let Some((machine, mut phone, initial)) = machine() else { return };
    let mut alice = machine.ssh("alice", &[]);
    prove(&mut alice, &initial, &phone.code());
    choose(&mut alice, NEW);
    alice.expect("$ ");
    assert!(!alice.sees("Current password"), "{}", alice.screen());
    assert_eq!(machine.sessions().len(), 1);
    let log = machine.logged(&["event=password-changed", "user=alice", "by=user"]);
    assert!(!log.contains(NEW), "{log}");
    let mut again = machine.answer("alice", NEW, &phone.code());
    again.expect("$ ");
    assert!(!again.sees("New password"), "{}", again.screen());
    machine.is_refused("alice", &initial, &phone.code());
}

#[test]
fn a_change_that_is_broken_off_opens_nothing() {
    let Some((machine, mut phone, initial)) = machine() else { return };
    let mut alice = machine.ssh("alice", &[]);
    prove(&mut alice, &initial, &phone.code());
    alice.expect("New password: ");
    alice.type_line("");
    let _ = alice.end();
    assert!(!alice.sees("$ "), "{}", alice.screen());
    let mut alice = machine.ssh("alice", &[]);
    prove(&mut alice, &initial, &phone.code());
    alice.expect("New password: ");
    alice.hang_up();
    assert!(machine.sessions().is_empty());
    let flows = machine.shell("ls /run/authflow/flows 2>/dev/null | wc -l").success();
    assert_eq!(flows.trim(), "0", "no receipt was left for a later connection");
}

#[test]
fn login_has_it_changed_before_the_shell() {
    let Some((machine, mut phone, initial)) = machine() else { return };
    let mut alice = machine.person(["login", "alice"]);
    prove(&mut alice, &initial, &phone.code());
    alice.expect("New password: ");
    alice.type_line(&initial);
    alice.expect("This is the password already.");
    choose(&mut alice, NEW);
    alice.expect("$ ");
    assert_eq!(machine.sessions().len(), 1);
}

#[test]
fn su_and_sudo_have_it_changed_as_well() {
    let Some((machine, mut phone, initial)) = machine() else { return };
    let mut bob =
        machine.person(["setpriv", "--reuid=bob", "--regid=bob", "--init-groups", "su", "alice", "-c", "id -un"]);
    prove(&mut bob, &initial, &phone.code());
    choose(&mut bob, NEW);
    assert!(bob.end().success() && bob.sees("alice\r\n"), "{}", bob.screen());
    let _ =
        machine.feed(["authflow", "passwd", "--user", "alice", "--initial", "--stdin"], initial.as_bytes()).success();
    let sudo = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "id", "-un"];
    let mut alice = machine.person(sudo);
    prove(&mut alice, &initial, &phone.code());
    choose(&mut alice, NEW);
    assert!(alice.end().success() && alice.sees("root\r\n"), "{}", alice.screen());
}

#[test]
fn past_its_time_it_is_refused_like_any_wrong_password() {
    let Some((machine, mut phone, initial)) = machine() else { return };
    let run_out = r#"sed -i 's/^expires = .*/expires = "2020-01-01T00:00:00Z"/' /var/lib/authflow/users/alice.toml"#;
    let _ = machine.shell(run_out).success();
    machine.is_refused("alice", &initial, &phone.code());
    let _ = machine.logged(&["event=refused", "the initial password has run out"]);
    let mut passwd = machine.person(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "passwd"]);
    passwd.expect("urrent password: ");
    passwd.type_line(&initial);
    assert!(!passwd.end().success(), "{}", passwd.screen());
}

/// Our line is missing from the password stack: pam_unix has nothing to change, and an application that goes on gets no session.
#[test]
fn without_our_line_to_change_it_nobody_gets_in_by_it() {
    let Some((machine, mut phone, initial)) = machine() else { return };
    let stack = machine.read("/etc/pam.d/login");
    let (front, _) = stack.split_once("password   [").expect("our line");
    machine.write("/etc/pam.d/login", &format!("{front}password required pam_permit.so\n"));
    let mut alice = machine.person(["login", "alice"]);
    prove(&mut alice, &initial, &phone.code());
    let _ = alice.end();
    assert!(!alice.sees("$ ") && machine.sessions().is_empty(), "{}", alice.screen());
}
