//! The daemon as systemd runs it by the unit that is shipped: what brings it back, and what wakes it.

use std::time::Duration;

use authflow_tests::{Machine, wait};

const TWO_FACTORS: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_bus_that_was_stopped_and_started_brings_the_daemon_back_without_any_call() {
    let Some(machine) = machine() else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let before = main_pid(&machine);
    let _ = machine.run(["systemctl", "stop", "dbus.socket", "dbus.service"]).success();
    wait::until_true("the end of the daemon", || main_pid(&machine) != before);
    let _ = machine.run(["systemctl", "start", "dbus.socket", "dbus.service"]).success();
    // systemd is asked, which starts nothing. Any word to the daemon itself would.
    let is_active = || machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout == "active\n";
    wait::until_true("the daemon", || is_active() && ![before.as_str(), "0\n"].contains(&main_pid(&machine).as_str()));
    let sessions = machine.sessions();
    assert!(matches!(sessions.as_slice(), [session] if session["user"] == "alice"), "{sessions:#?}");
    assert_eq!(alice.shell("echo still here"), "still here");
}

#[test]
fn the_heartbeat_lets_an_idle_daemon_sleep() {
    let Some(machine) = machine() else { return };
    let daemon = main_pid(&machine);
    // How often each of its threads went to sleep, which is as often as it woke.
    let waits = || {
        let status = machine.shell(&format!("cat /proc/{}/task/*/status", daemon.trim())).success();
        let counts = status.lines().filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        counts.map(str::to_owned).collect::<Vec<_>>()
    };
    let watchdog = machine.run(["systemctl", "show", "-P", "WatchdogUSec", "authflow-sessiond"]).success();
    assert_ne!(watchdog.trim(), "0", "there is a heartbeat");
    // Other services start meanwhile, and the bus tells of them.
    wait::until_true("a span in which the daemon slept", || {
        let before = waits();
        std::thread::sleep(Duration::from_secs(20));
        waits() == before
    });
}

fn machine() -> Option<Machine> {
    Some(Machine::booted()?.user("alice").config(TWO_FACTORS).sshd(SSHD).start())
}

fn main_pid(machine: &Machine) -> String {
    machine.run(["systemctl", "show", "-P", "MainPID", "authflow-sessiond"]).stdout
}
