//! The main job: a login with password and code becomes a session that is tracked and ended.

use std::time::Duration;

use authflow_tests::{Authenticator, Machine, Person, Plan, wait};
use serde_json::Value;

const TWO_FACTORS: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_login_with_password_and_code_is_a_session_until_exit() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, "alice", &mut phone);
    assert!(alice.screen().contains("authflow: session "), "no notice: {}", alice.screen());

    let tty = alice.shell("tty").trim_start_matches("/dev/").to_owned();
    let session = only_session(&machine);
    for (key, value) in [("user", "alice"), ("service", "sshd"), ("remote_host", "127.0.0.1"), ("class", "user")] {
        assert_eq!(session[key], value, "{session}");
    }
    assert_eq!(session["factors"], serde_json::json!(["password", "totp"]));
    assert_eq!(session["aal"], 2);
    assert_eq!(session["rule"], "ssh");
    assert_eq!(session["state"], "active");
    wait::until_true("the pty to be seen", || only_session(&machine)["ttys"] == serde_json::json!([tty]));

    let status: Value = serde_json::from_str(&alice.shell("authflow status --json")).expect("JSON");
    assert_eq!(status["id"], session["id"]);
    assert!(alice.shell("authflow status").contains("password+totp (AAL 2)"));

    alice.type_line("exit");
    assert_eq!(alice.end().code(), Some(0));
    assert_eq!(end_reason(&machine, "alice"), "logout");
    assert_eq!(sessions(&machine).len(), 0);
}

#[test]
fn a_code_is_accepted_once() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    let mut first = answer(&machine, "alice", machine.password(), &code);
    first.expect("$ ");
    let mut second = answer(&machine, "alice", machine.password(), &code);
    second.expect("Permission denied");
    assert_eq!(second.end().code(), Some(255));
    let mut third = answer(&machine, "alice", machine.password(), &phone.code());
    third.expect("$ ");
}

#[test]
fn which_answer_was_wrong_is_not_told() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    let _ = machine.enroll("bob");
    let wrong = phone.wrong_code();
    let wrong_code = refused(answer(&machine, "alice", machine.password(), &wrong));
    let wrong_password = refused(answer(&machine, "alice", "wrong horse battery!!", &phone.code()));
    assert_eq!(wrong_code, wrong_password);
    // Neither is who does not exist or has no record.
    let unknown = refused(answer(&machine, "mallo", machine.password(), &wrong));
    assert_eq!(wrong_code.replace("alice@", "mallo@"), unknown);
    let without_record = refused(answer(&machine, "carol", machine.password(), &wrong));
    assert_eq!(wrong_code.replace("alice@", "carol@"), without_record);
    machine.logged(&["user=alice", "reason=\"wrong code\""]);
    machine.logged(&["user=alice", "reason=\"wrong password\""]);
}

#[test]
fn an_idle_session_is_warned_and_ended_while_a_busy_one_lives() {
    let limits = r#"session = { idle = "40s", warn = "8s" }"#;
    let Some(machine) = machine(&format!("{TWO_FACTORS}{limits}\n")) else { return };
    let mut phone = machine.enroll("alice");
    let mut idle = log_in(&machine, "alice", &mut phone);
    let mut busy = log_in(&machine, "bob", &mut machine.enroll("bob"));
    while idle.is_there() {
        // Somebody who types now and then.
        assert_eq!(busy.shell("echo here"), "here");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(idle.sees("authflow: nobody is using this session"), "not warned: {}", idle.screen());
    assert_eq!(end_reason(&machine, "alice"), "idle");
    assert_eq!(busy.shell("echo still here"), "still here");
    assert!(!busy.screen().contains("nobody is using"), "warned: {}", busy.screen());
}

#[test]
fn a_revoked_session_ends_at_once_with_its_children_and_is_told_why() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    alice.type_line("(sleep 4711 & setsid sleep 4712 & wait)");
    wait::until_true("alice's children", || running(&machine, "sleep 471").len() == 2);
    let id = session_of(&machine, "alice")["id"].as_str().expect("an id").to_owned();
    let revoked = machine.run(["authflow", "revoke", &id[..8], "--message", "the laptop is lost", "--json"]).json();
    assert_eq!(revoked["changed"], true);
    alice.expect("authflow: this session ends now: it was revoked (the laptop is lost).");
    let _ = alice.end();
    wait::until_true("the end of alice's children", || running(&machine, "sleep 471").is_empty());
    assert_eq!(end_reason(&machine, "alice"), "revoked");
    let history = machine.run(["authflow", "history", "--user", "alice", "--json"]).json();
    assert_eq!(history[0]["message"], "the laptop is lost");
    assert_eq!(bob.shell("echo still here"), "still here");
    assert_eq!(machine.run(["authflow", "revoke", &id]).status.code(), Some(3));
}

#[test]
fn a_daemon_that_was_killed_finds_its_sessions_again() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    let (before, bobs) = (session_of(&machine, "alice"), session_of(&machine, "bob"));
    machine.kill_daemon();
    assert_eq!(alice.shell("echo still here"), "still here");
    assert_eq!(machine.run(["authflow", "sessions"]).status.code(), Some(5));
    // This one ends while nobody watches, so it is not known to have been a logout.
    let leader = format!("/proc/{}", bobs["leader"]);
    bob.type_line("exit");
    let _ = bob.end();
    wait::until_true("the end of bob's sshd", || !machine.path(&leader).exists());
    machine.start_daemon();
    let after = session_of(&machine, "alice");
    for key in ["id", "opened_at", "authenticated_at", "leader", "factors", "rule"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(end_reason(&machine, "bob"), "leader-exited");
    alice.type_line("exit");
    assert_eq!(alice.end().code(), Some(0));
    assert_eq!(end_reason(&machine, "alice"), "logout");
}

#[test]
fn a_login_while_the_daemon_is_away_is_adopted_when_it_comes() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    machine.kill_daemon();
    let mut alice = log_in(&machine, "alice", &mut phone);
    machine.start_daemon();
    let session = wait::until("the adopted session", || sessions(&machine).pop());
    assert_eq!(session["user"], "alice");
    assert_eq!(session["factors"], serde_json::json!(["password", "totp"]));
    alice.type_line("exit");
    assert_eq!(alice.end().code(), Some(0));
    assert_eq!(end_reason(&machine, "alice"), "logout");
}

#[test]
fn a_user_sees_and_ends_only_own_sessions() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let _bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    let other = session_of(&machine, "bob")["id"].as_str().expect("an id").to_owned();
    let seen: Value = serde_json::from_str(&alice.shell("authflow sessions --json")).expect("JSON");
    assert_eq!(seen.as_array().map(Vec::len), Some(1));
    assert!(alice.shell(&format!("authflow show {other}; echo code=$?")).contains("code=3"));
    assert!(alice.shell(&format!("authflow revoke {other}; echo code=$?")).contains("code=3"));
    assert_eq!(session_of(&machine, "bob")["state"], "active");
    alice.type_line("authflow logout");
    let _ = alice.end();
    assert_eq!(end_reason(&machine, "alice"), "logout");
}

fn machine(config: &str) -> Option<Machine> {
    let plan = Machine::overlay()?;
    let users = ["alice", "bob", "carol"].into_iter().fold(plan, Plan::user);
    Some(users.config(config).sshd(SSHD).start())
}

/// Answers both prompts of a login by ssh.
fn answer(machine: &Machine, user: &str, password: &str, code: &str) -> Person {
    let mut person = machine.ssh(user, &[]);
    person.expect("Password: ");
    person.type_line(password);
    person.expect("Verification code: ");
    person.type_line(code);
    person
}

fn log_in(machine: &Machine, user: &str, phone: &mut Authenticator) -> Person {
    let mut person = answer(machine, user, machine.password(), &phone.code());
    person.expect("$ ");
    person
}

/// What a refused client showed.
fn refused(mut person: Person) -> String {
    person.expect("Permission denied");
    assert_eq!(person.end().code(), Some(255));
    person.screen()
}

fn sessions(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
}

#[track_caller]
fn only_session(machine: &Machine) -> Value {
    let mut sessions = sessions(machine);
    assert_eq!(sessions.len(), 1, "{sessions:#?}\n{}", machine.log());
    sessions.remove(0)
}

#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = sessions(machine);
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}

/// Why the only session of that user that has ended did so.
#[track_caller]
fn end_reason(machine: &Machine, user: &str) -> String {
    let history = ["authflow", "history", "--user", user, "--json"];
    let ended = wait::until("the end in the history", || {
        let history = machine.run(history).json();
        history.as_array().filter(|list| !list.is_empty()).cloned()
    });
    assert_eq!(ended.len(), 1, "{ended:#?}");
    ended[0]["end_reason"].as_str().expect("a word").to_owned()
}

fn running(machine: &Machine, command: &str) -> Vec<String> {
    machine.run(["pgrep", "-f", &format!("^{command}")]).stdout.lines().map(str::to_owned).collect()
}
