//! What the module leaves behind in an application that lives on: no thread, no descriptor, no memory.

use authflow_tests::Machine;

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
    let printed = machine.run(["footprint", "door", "alice", machine.password(), "1000"]).success();
    let grown = printed.trim().strip_prefix("grown ").unwrap_or_else(|| panic!("something was kept: {printed}"));
    let kib: i64 = grown.parse().expect("a number");
    assert!(kib < 1024, "the application has grown by {kib} KiB");
    assert_eq!(machine.run(["authflow", "sessions", "--json"]).json(), serde_json::json!([]));
}

/// Ten flows a minute are all that a user has.
#[test]
fn flows_that_the_daemon_runs_leave_nothing_in_a_locker() {
    let Some(plan) = Machine::overlay() else { return };
    let locker = "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_permit.so\n";
    let machine = plan.user("alice").pam("door", locker).config(RULE).start();
    let _ = machine.enroll("alice");
    machine.compile("footprint");
    let argv = ["runuser", "-u", "alice", "--", "footprint", "door", "alice", machine.password(), "9"];
    let printed = machine.run(argv).success();
    assert!(printed.starts_with("grown "), "something was kept: {printed}");
    assert_eq!(machine.log().matches("event=flow-granted").count(), 9, "{}", machine.log());
}
