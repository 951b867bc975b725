//! Ten thousand sessions at once: opened, listed, found again after the daemon's death, one ended by itself, and then all.

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
    let one = machine.sessions()[0]["id"].as_str().expect("an id").to_owned();
    let _ = machine.run(["authflow", "revoke", &one]).success();
    wait::until_true("its end", || count(&machine) == many - 1);
    let _ = machine.run(["authflow", "revoke", "--all", "--yes"]).success();
    wait::until_true("the end of all processes", || machine.read("/run/crowd").ends_with("all out\n"));
    wait::until_true("the end of all sessions", || count(&machine) == 0);
}

fn count(machine: &Machine) -> usize {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().map_or(0, Vec::len)
}
