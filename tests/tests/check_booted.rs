//! What `authflow check` says on a booted Debian: before and after a setup, while one waits, and of a daemon that systemd is not to start.

mod good;

use authflow_tests::{Machine, wait};

fn machine() -> Option<Machine> {
    Some(Machine::booted()?.user("alice").start())
}

/// alice may use sudo, and has a password and an authenticator.
fn prepare(machine: &Machine) {
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    let _ = machine.enroll("alice");
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
}

fn ids(machine: &Machine) -> Vec<String> {
    let (found, _) = good::check(machine);
    found.iter().map(|found| found["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_booted_debian_is_clean_before_and_after_setup_was_there() {
    let Some(machine) = machine() else { return };
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "nothing is governed");
    prepare(&machine);
    let setup = ["authflow", "setup", "sshd", "login", "su", "sudo", "--user", "alice", "--yes"];
    let _ = machine.run(setup).success();
    setup_has_tried_sessions_that_are_no_logins(&machine);
    let told = || ids(&machine);
    // How long sudo's ticket lasts is left to whoever writes sudoers. Of the clock, which the machine below keeps, nothing is said.
    assert_eq!(told(), ["sudo-ticket-hides"]);
    machine.write("/etc/sudoers.d/authflow", "Defaults timestamp_timeout=0\n");
    assert_eq!(told(), Vec::<String>::new());
    let unit = machine.shell("systemctl show --property=FragmentPath --value authflow-sessiond").success();
    let _ = machine.shell(&format!("mv {} /root", unit.trim())).success();
    assert_eq!(told(), ["unit-missing"]);
}

/// One for each stack that was changed. What else ends meanwhile are logins.
fn setup_has_tried_sessions_that_are_no_logins(machine: &Machine) {
    let trials = || {
        let ended = machine.run(["authflow", "history", "--json", "--service", "authflow-setup-trial"]).json();
        let marks = ended.as_array().expect("a list").iter().map(|ended| ended["setup_trial"].clone());
        marks.collect::<Vec<_>>()
    };
    wait::until_true("the ends of the trials", || machine.sessions().is_empty());
    assert!(trials().len() >= 4 && trials().iter().all(|mark| *mark == true), "{:?}", trials());
    let report = machine.run(["authflow", "report", "--json"]).json();
    assert_eq!(report["setup_trials"], trials().len());
    assert!(report["ended_by_reason"]["leader-exited"].is_null(), "{report}");
    let page = machine.run(["authflow", "history"]).success();
    assert_eq!(page.matches("trial of setup").count(), trials().len(), "{page}");
}

/// Until it is confirmed its rules are to go away again, and the last good configuration is the one without them.
#[test]
fn nothing_is_said_of_the_last_good_configuration_while_a_setup_waits() {
    let Some(machine) = machine() else { return };
    prepare(&machine);
    let config = "/etc/authflow/authflow.toml";
    let setup = ["authflow", "setup", "sshd", "--user", "alice", "--yes"];
    for is_applied in [false, true] {
        if is_applied {
            let _ = machine.run(["authflow", "config", "apply", config]).success();
        }
        let _ = machine.run(setup).success();
        assert_eq!(ids(&machine), [""; 0]);
        // As if somebody had forgotten the roll-back.
        let pending = "/var/lib/authflow/setup/pending";
        let _ = machine.run(["mv", pending, "/root/pending"]).success();
        assert_eq!(ids(&machine), [if is_applied { "config-not-applied" } else { "config-no-last-good" }]);
        let _ = machine.run(["mv", "/root/pending", pending]).success();
        let _ = machine.run(["authflow", "setup", "rollback"]).success();
        assert_eq!(ids(&machine), [""; 0]);
    }
}

#[test]
fn a_daemon_that_is_masked_runs_again_by_what_is_said_to_do() {
    let Some(machine) = machine() else { return };
    prepare(&machine);
    let _ = machine.run(["authflow", "setup", "sshd", "--user", "alice", "--yes"]).success();
    for mask in ["systemctl mask --now", "systemctl mask --runtime --now"] {
        let _ = machine.shell(&format!("{mask} authflow-sessiond")).success();
        let (found, code) = good::check(&machine);
        let [away] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((&away["id"], code), (&"daemon-away".into(), Some(1)));
        let fix = away["fix"].as_str().and_then(|fix| fix.strip_prefix("it is masked: ")).expect("a command");
        let _ = machine.shell(fix).success();
        assert_eq!(ids(&machine), [""; 0], "{fix}");
    }
}
