//! What must be true on a real machine with systemd: a login at a terminal and the su in it, and a daemon that comes back whoever
//! ended it. booted.rs has what everybody's PAM stacks do.

use authflow_tests::{Authenticator, Machine, Person, Plan, wait};
use serde_json::Value;

const EVERYTHING: &str = r#"
[[rule]]
name = "everything"
service = ["*"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_login_at_a_terminal_is_a_session_and_su_in_it_is_nested() {
    let Some(plan) = plan() else { return };
    let machine = plan.shipped_pam("login").shipped_pam("su").start();
    let mut phone = machine.enroll("alice");
    let mut bobs = machine.enroll("bob");
    let mut alice = machine.person(["login", "alice"]);
    answer(&machine, &mut alice, &phone.code());
    alice.expect("$ ");
    let tty = alice.shell("tty").trim_start_matches("/dev/").to_owned();
    let login = only_session(&machine);
    assert_eq!((login["service"].as_str(), login["class"].as_str()), (Some("login"), Some("user")), "{login}");
    assert_eq!(login["ttys"], serde_json::json!([tty]), "{login}");
    assert!(!machine.run(["authflow", "status"]).status.success(), "root is in no session");

    alice.type_line("su - bob");
    answer(&machine, &mut alice, &bobs.code());
    alice.expect("bob@");
    let nested = wait::until("the nested session", || {
        sessions(&machine).into_iter().find(|session| session["class"] == "nested")
    });
    assert_eq!((&nested["parent"], nested["target"].as_str()), (&login["id"], Some("bob")), "{nested}");

    let _ = machine.run(["authflow", "revoke", login["id"].as_str().expect("an id")]).success();
    let _ = alice.end();
    wait::until_true("the end of both", || sessions(&machine).is_empty());
    assert!(phone.code() != bobs.code());
}

#[test]
fn a_daemon_that_dies_is_started_again_and_by_a_login_too() {
    let Some(plan) = plan() else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    assert_eq!(machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout.trim(), "inactive");
    let mut alice = log_in(&machine, "alice", &mut phone);
    assert_eq!(machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout.trim(), "active");
    let before = only_session(&machine);
    machine.kill_daemon();
    let after = wait::until("the daemon to be back", || {
        let listed = machine.run(["authflow", "sessions", "--json"]);
        listed.status.success().then(|| listed.json()[0].clone())
    });
    assert_eq!(before["id"], after["id"]);
    let _ = machine.run(["systemctl", "restart", "authflow-sessiond"]).success();
    assert_eq!(alice.shell("echo here"), "here", "a restart ends nothing");
    alice.type_line("exit");
    assert_eq!(alice.end().code(), Some(0));
    wait::until_true("the logout", || sessions(&machine).is_empty());
}

fn plan() -> Option<Plan> {
    Some(Machine::booted()?.user("alice").user("bob").config(EVERYTHING).sshd(SSHD))
}

fn answer(machine: &Machine, person: &mut Person, code: &str) {
    // sudo takes our first prompt for the usual one and puts its own words there.
    person.expect("assword");
    person.expect(": ");
    person.type_line(machine.password());
    person.expect("Verification code: ");
    person.type_line(code);
}

fn log_in(machine: &Machine, user: &str, phone: &mut Authenticator) -> Person {
    let mut person = machine.ssh(user, &[]);
    answer(machine, &mut person, &phone.code());
    person.expect("$ ");
    person
}

fn sessions(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
}

#[track_caller]
fn only_session(machine: &Machine) -> Value {
    let mut sessions = sessions(machine);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    sessions.remove(0)
}
