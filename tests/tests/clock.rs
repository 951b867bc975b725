//! The wall clock is set by a day while sessions live: limits go by another clock, so nothing ends early and nothing late.

use authflow_tests::{Machine, Program, wait};

const CONFIG: &str = "[session]\nwithout_tty = \"idle\"\n\
     [[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"stack\"]]\nsession = { idle = \"8s\", lifetime = \"none\" }\n\
     [[rule]]\nname = \"gate\"\nservice = [\"gate\"]\nmethods = [[\"stack\"]]\nsession = { idle = \"none\", lifetime = \"8s\" }\n";
const LINE: &str = "session required pam_authflow.so\n";

#[test]
fn a_clock_that_is_set_by_a_day_ends_no_session_early_or_late() {
    for by in ["+1d", "-1d"] {
        let Some(plan) = Machine::overlay() else { return };
        let plan = plan.user("alice").config(CONFIG).pam("door", LINE).pam("gate", LINE).without_daemon();
        let machine = plan.start();
        machine.compile("crowd");
        machine.write("/run/clock", "+0");
        let _daemon = daemon_by_a_clock_that_can_be_set(&machine);
        let inside = ["door", "gate"].map(|service| machine.start(["crowd", service, "alice", "1"]));
        wait::until_true("the sessions", || machine.sessions().len() == 2);
        machine.write("/run/clock", by);
        assert_eq!(machine.sessions().len(), 2, "{by}: none ends at once");
        wait::until_true("their ends", || machine.sessions().is_empty());
        let history = machine.history("alice");
        for row in &history {
            let day = |key: &str| row[key].as_str().and_then(|time| time.get(..10)).expect("a time").to_owned();
            assert_ne!(day("opened_at"), day("closed_at"), "{by}: the daemon sees the clock that was set");
        }
        let mut reasons: Vec<_> = history.iter().map(|row| row["end_reason"].as_str().unwrap().to_owned()).collect();
        reasons.sort();
        assert_eq!(reasons, ["idle", "lifetime"], "{by}");
        drop(inside);
    }
}

fn daemon_by_a_clock_that_can_be_set(machine: &Machine) -> Program {
    let library = machine.shell("ls /usr/lib/*/faketime/libfaketime.so.1").success();
    let daemon = machine.start([
        "env",
        &format!("LD_PRELOAD={}", library.trim()),
        "FAKETIME_TIMESTAMP_FILE=/run/clock",
        "FAKETIME_NO_CACHE=1",
        "DONT_FAKE_MONOTONIC=1",
        "/usr/libexec/authflow-sessiond",
    ]);
    wait::until_true("the daemon", || machine.run(["authflow", "sessions", "--json"]).status.success());
    daemon
}
