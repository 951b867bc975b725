//! `authflow run`: a session is not idle while its command runs, as far as the rule goes, and nobody else's is.

use authflow_tests::{Machine, wait};
use serde_json::{Value, json};

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_command_keeps_its_session_until_it_ends_and_the_history_says_so() {
    let Some(machine) = machine(r#"idle = "30s", warn = "2s", inhibit_max = "1h""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let mut alone = machine.log_in("bob", &mut machine.enroll("bob"));
    alice.type_line("authflow run --why 'the nightly build' -- sh -c 'while ! test -e /tmp/built; do sleep 0.1; done; exit 7'; echo code=$?");
    wait::until_true("the command", || only(&machine, "alice")["inhibited_by"] == json!(["the nightly build"]));
    let table = machine.run(["authflow", "sessions"]).success();
    assert!(table.contains("(kept by the nightly build)"), "{table}");
    let _ = alone.end();
    // A daemon that starts anew knows the command.
    machine.kill_daemon();
    machine.start_daemon();
    assert_eq!(only(&machine, "alice")["inhibited_by"], json!(["the nightly build"]));
    assert!(alice.is_there());
    machine.write("/tmp/built", "");
    alice.expect("code=7");
    wait::until_true("the command's end", || only(&machine, "alice")["inhibited_by"] == json!([]));
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    assert_eq!(machine.history("alice")[0]["inhibited_by"], json!(["the nightly build"]));
    assert!(machine.run(["authflow", "history", "--user", "alice"]).success().contains("the nightly build"));
}

#[test]
fn commands_one_after_another_keep_a_session_no_longer_than_the_rule_says() {
    let Some(machine) = machine(r#"idle = "16s", warn = "2s", inhibit_max = "4s""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.type_line("while authflow run -- sleep 1; do :; done");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    assert_eq!(machine.history("alice")[0]["inhibited_by"], json!(["sleep"]), "its name, and not its arguments");
}

#[test]
fn a_command_that_cannot_be_run_is_told_from_one_that_failed() {
    let Some(machine) = machine(r#"idle = "15m", inhibit_max = "1h""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    for (command, code) in [("/no/such", "code=127"), ("/etc/passwd", "code=126")] {
        let said = alice.shell(&format!("authflow run -- {command}; echo code=$?"));
        assert!(said.contains(code), "{said}");
    }
}

#[test]
fn a_command_that_may_not_keep_its_session_is_not_run() {
    let Some(machine) = machine(r#"idle = "15m""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let said = alice.shell("authflow run -- touch /tmp/ran; echo code=$?");
    assert!(said.contains("inhibit_max") && said.contains("code=4"), "{said}");
    assert!(machine.run(["authflow", "run", "touch", "/tmp/ran"]).failure(3).contains("in no session"));
    assert!(!machine.path("/tmp/ran").exists());
}

/// Whom she becomes by su has a session there, and no say about the login around it; root has.
#[test]
fn a_command_of_another_user_inside_a_login_does_not_keep_it() {
    let Some(machine) = machine(r#"idle = "15m", inhibit_max = "1h""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let said = alice.shell("su bob -c 'authflow run touch /tmp/ran'; echo code=$?");
    assert!(said.contains("code=3"), "{said}");
    assert!(!machine.path("/tmp/ran").exists());
    let said = alice.shell("su root -c 'authflow run touch /tmp/ran'; echo code=$?");
    assert!(said.contains("code=0") && machine.path("/tmp/ran").exists(), "{said}");
}

fn machine(session: &str) -> Option<Machine> {
    let rule = format!(
        "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\", \"totp\"]]\nsession = {{ {session} }}\n\
         [[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n"
    );
    let su = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";
    Some(Machine::overlay()?.user("alice").user("bob").config(&rule).sshd(SSHD).pam("su", su).start())
}

#[track_caller]
fn only(machine: &Machine, user: &str) -> Value {
    let sessions = machine.sessions();
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}
