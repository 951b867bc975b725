//! Ten thousand sessions at once: opened, listed, found again after the daemon's death, and ended.

use authflow_tests::{Machine, wait};

const CONFIG: &str = "[[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"stack\"]]\n";
/// libpam loads what stands in `other` as well, each time anew.
const OTHER: &str = "auth required pam_deny.so\naccount required pam_deny.so\nsession required pam_deny.so\n";
const THOUSANDS: usize = 10;

#[test]
fn ten_thousand_sessions_are_opened_found_again_and_ended() {
    let Some(plan) = Machine::overlay() else { return };
    let plan = plan.user("alice").config(CONFIG).pam("door", "session required pam_authflow.so\n").pam("other", OTHER);
    let machine = plan.start();
    machine.compile("crowd");
    let many = THOUSANDS * 1000;
    let _crowd = machine.start(["sh", "-c", &format!("exec crowd door alice {many} > /run/crowd")]);
    for thousands in 1..=THOUSANDS {
        let told = format!("in {thousands}000\n");
        wait::until_true("the next thousand", || machine.read("/run/crowd").contains(&told));
    }
    assert_eq!(count(&machine), many);
    machine.kill_daemon();
    machine.start_daemon();
    assert_eq!(count(&machine), many);
    let deadline = wait::Deadline::after(6 * wait::PATIENCE);
    // A slow machine may need longer than the command waits; what was begun goes on, and nothing begins twice.
    while !machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).status.success() {
        assert!(!deadline.left().is_zero(), "the end does not begin");
    }
    while count(&machine) > 0 {
        assert!(!deadline.left().is_zero(), "{} have not ended", count(&machine));
        // Each look at ten thousand is work, too.
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let history = machine.run(["authflow", "history", "--json"]).json();
    assert_eq!(history.as_array().map(Vec::len), Some(many));
}

fn count(machine: &Machine) -> usize {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().map_or(0, Vec::len)
}
