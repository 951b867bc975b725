//! What the module leaves behind in an application that lives on: no thread, no descriptor, no memory.

use authflow_tests::{Machine, wait};

const DOOR: &str =
    "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_authflow.so\n";

/// No code, since a step passes once and a thousand would take a working day.
/// Without the system's hashes, since a thousand of them would only take time here.
const RULE: &str = "[password]\nsource = [\"authflow\"]\n[[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"password\"]]\n";

#[test]
fn a_thousand_logins_leave_nothing_in_the_application() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").pam("door", DOOR).config(RULE).start();
    let _ = machine.enroll("alice");
    machine.compile("footprint");
    assert!(grown(&machine, &["login", "door", "alice", "1000", machine.password()]) < 1024);
    assert_eq!(machine.run(["authflow", "sessions", "--json"]).json(), serde_json::json!([]));
}

/// So many denials that no failure of them is one too many.
#[test]
fn denials_and_changes_of_the_password_leave_nothing_in_the_application() {
    let Some(plan) = Machine::overlay() else { return };
    let config = format!("[throttle]\nattempts = 100\n{}", RULE.replace("[\"password\"]", "[\"password\", \"totp\"]"));
    let machine = plan.user("alice").pam("door", DOOR).shipped_pam("passwd").config(&config).without_daemon().start();
    let _ = machine.enroll("alice");
    machine.compile("footprint");
    let denied = grown(&machine, &["denied", "door", "alice", "50", machine.password(), "no code"]);
    assert!(denied < 256, "{denied} KiB of denials");
    are_logged(&machine, 50, "wrong code");
    let (one, other) = ("quiet rivers turn blue", "blue rivers turn quiet");
    let changed = grown(&machine, &["change", "passwd", "alice", "40", one, one, other, other]);
    assert!(changed < 256, "{changed} KiB of changes");
    are_logged(&machine, 41, "event=password-changed");
}

/// Ten flows a minute are all that a user has.
#[test]
fn flows_that_the_daemon_runs_leave_nothing_in_a_locker() {
    let Some(plan) = Machine::overlay() else { return };
    let locker = "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_permit.so\n";
    let machine = plan.user("alice").pam("door", locker).config(RULE).start();
    let _ = machine.enroll("alice");
    machine.compile("footprint");
    let argv = ["runuser", "-u", "alice", "--", "footprint", "login", "door", "alice", "9", machine.password()];
    let printed = machine.run(argv).success();
    assert!(printed.starts_with("grown "), "something was kept: {printed}");
    are_logged(&machine, 9, "event=flow-granted");
}

/// By how many KiB the application grows.
#[track_caller]
fn grown(machine: &Machine, words: &[&str]) -> i64 {
    let printed = machine.run([&["footprint"], words].concat()).success();
    let grown = printed.trim().strip_prefix("grown ").unwrap_or_else(|| panic!("something was kept: {printed}"));
    grown.parse().expect("a number")
}

/// A line that was logged is read a moment later.
#[track_caller]
fn are_logged(machine: &Machine, count: usize, words: &str) {
    wait::until_true(&format!("{count} times {words:?}"), || machine.log().matches(words).count() == count);
}
