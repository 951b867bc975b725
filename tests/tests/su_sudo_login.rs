//! The shipped stacks of su, sudo and login, each at the real program: whose factors are asked for, what a wrong answer opens, and
//! that what was opened is a session which ends with the program.

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

const RULE: &str = r#"
[throttle]
attempts = 10
[[rule]]
name = "all"
service = ["su", "su-l", "sudo", "login"]
methods = [["password", "totp"]]
"#;

#[test]
fn root_becomes_anybody_unasked() {
    let Some(machine) = machine() else { return };
    // Nobody is enrolled: there is nothing that could be asked.
    for shape in [&["su", "alice", "-c", "id -un"][..], &["su", "-", "alice", "-c", "id -un"]] {
        assert_eq!(machine.run(shape).success(), "alice\n", "{shape:?}");
    }
    assert_eq!(machine.run(["sudo", "-u", "alice", "id", "-un"]).success(), "alice\n");
}

#[test]
fn su_asks_for_the_factors_of_whom_one_becomes() {
    let Some(machine) = machine() else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let become_bob = ["su", "-", "bob", "-c", "id -un"];
    let mut alice = by(&machine, "alice", &become_bob);
    assert!(!answer(&machine, &mut alice, &alices.code()), "{}", alice.screen());
    assert!(!alice.sees("bob\r\n"), "{}", alice.screen());
    let code = bobs.code();
    let mut alice = by(&machine, "alice", &become_bob);
    assert!(answer(&machine, &mut alice, &code) && alice.sees("bob\r\n"), "{}", alice.screen());
    let mut again = by(&machine, "alice", &become_bob);
    assert!(!answer(&machine, &mut again, &code), "a code is accepted once: {}", again.screen());
}

#[test]
fn sudo_asks_for_the_factors_of_who_calls() {
    let Some(machine) = machine() else { return };
    let (mut alices, _) = (machine.enroll("alice"), machine.enroll("root"));
    let mut alice = by(&machine, "alice", &["sudo", "sh"]);
    // sudo asks anew after a wrong answer. It takes our first prompt for the usual one and puts its own words there.
    for code in [alices.wrong_code(), alices.code()] {
        alice.expect("assword");
        alice.expect(": ");
        alice.type_line(machine.password());
        alice.expect("Verification code: ");
        alice.type_line(&code);
    }
    alice.expect("# ");
    let session = only_session(&machine);
    let told = ["user", "target", "service", "rule"].map(|key| session[key].as_str().unwrap_or_default());
    assert_eq!(told, ["alice", "root", "sudo", "all"], "{session}");
    alice.type_line("exit");
    assert!(alice.end().success());
    wait::until_true("the end of sudo's session", || sessions(&machine).is_empty());
}

#[test]
fn login_asks_again_and_revoking_it_ends_the_terminal() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = machine.person(["login", "alice"]);
    for (round, code) in [phone.wrong_code(), phone.code()].iter().enumerate() {
        if round > 0 {
            alice.expect("Login incorrect");
            alice.expect("login: ");
            alice.type_line("alice");
        }
        alice.expect("Password: ");
        alice.type_line(machine.password());
        alice.expect("Verification code: ");
        alice.type_line(code);
    }
    alice.expect("$ ");
    let tty = alice.shell("tty").trim_start_matches("/dev/").to_owned();
    let session = only_session(&machine);
    assert_eq!((session["service"].as_str(), session["user"].as_str()), (Some("login"), Some("alice")), "{session}");
    assert_eq!(session["ttys"], serde_json::json!([tty]), "{session}");
    let _ = machine.run(["authflow", "revoke", session["id"].as_str().expect("an id")]).success();
    let _ = alice.end();
    wait::until_true("the end of the login", || sessions(&machine).is_empty());
}

/// What root's programs start by su is work: it must not end for being quiet, whatever else the stack lets in.
#[test]
fn what_the_stack_let_in_has_no_idle_timer_of_its_own() {
    let Some(machine) = machine() else { return };
    machine.write("/etc/authflow/authflow.toml", &RULE.replace(r#"[["password", "totp"]]"#, r#"[["stack"]]"#));
    let _work = machine.start(["su", "alice", "-c", "sleep 4711"]);
    wait::until_true("the session", || !sessions(&machine).is_empty());
    let session = only_session(&machine);
    assert_eq!((&session["class"], &session["factors"][0]), (&"nested".into(), &"stack".into()), "{session}");
    assert!(session["idle_deadline"].is_null(), "{session}");
}

fn machine() -> Option<Machine> {
    let plan = Machine::overlay()?
        .user("alice")
        .user("bob")
        .config(RULE)
        .file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    // `su -` has a stack of its own, which is su's.
    Some(plan.shipped_pam("su").pam("su-l", "@include su\n").shipped_pam("sudo").shipped_pam("login").start())
}

/// A program that this user runs on a terminal.
fn by(machine: &Machine, user: &str, program: &[&str]) -> Person {
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let argv = ["setpriv", &uid, &gid, "--init-groups"];
    machine.person(argv.into_iter().chain(program.iter().copied()))
}

/// Whether a program with one attempt lets one through with this code.
fn answer(machine: &Machine, person: &mut Person, code: &str) -> bool {
    person.answer_all(&[("assword: ", machine.password()), ("Verification code: ", code)]).success()
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
