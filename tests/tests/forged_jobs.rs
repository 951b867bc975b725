//! Somebody forges systemd's word while a login is given its scope: nobody waits for that, and nobody goes on too early. Systemd is played,
//! since the real one answers before anybody could come between.

use std::fs;

use authflow_tests::{Machine, Program, wait};

const RULES: &str = r#"
[[rule]]
name = "all"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

#[test]
fn a_login_is_held_together_whatever_is_forged_meanwhile() {
    let Some((machine, _systemd)) = machine() else { return };
    let _alice = machine.log_in("alice", &mut machine.enroll("alice"));
    assert!(is_in_own_scope(&machine), "{}", machine.log());
    assert!(!machine.log().contains("not-held-together"), "{}", machine.log());
}

#[test]
fn what_systemd_did_without_telling_in_time_is_seen() {
    let Some((machine, _systemd)) = machine() else { return };
    let _bob = machine.log_in("bob", &mut machine.enroll("bob"));
    assert!(is_in_own_scope(&machine), "{}", machine.log());
    assert!(!machine.log().contains("not-held-together"), "{}", machine.log());
}

/// The cgroups of a machine that systemd runs, and who plays it there.
fn machine() -> Option<(Machine, Program)> {
    let stack = include_str!("../../conf/pam.d/sshd.example").lines();
    let unmarked = stack.filter(|line| !line.contains("pam_loginuid") && !line.contains("pam_systemd"));
    let stack: String = unmarked.map(|line| format!("{line}\n")).collect();
    let plan = Machine::overlay()?.user("alice").user("bob").config(RULES).without_daemon();
    let plan = plan.sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no").pam("sshd", &stack);
    let machine = plan.pam("common-session", "session required pam_unix.so\n").start();
    let tree = "mkdir -p /run/systemd/system && cd /sys/fs/cgroup && mkdir -p init.scope user.slice system.slice/ssh.service && \
                echo 1 > init.scope/cgroup.procs && pgrep -o -x sshd > system.slice/ssh.service/cgroup.procs";
    let _ = machine.shell(tree).success();
    fs::copy(env!("CARGO_BIN_EXE_scope_maker"), machine.path("/usr/local/bin/scope_maker")).expect("it was built");
    let systemd = machine.start(["/usr/local/bin/scope_maker"]);
    wait::until_true("who plays systemd", || {
        machine.run(["busctl", "--system", "status", "org.freedesktop.systemd1"]).status.success()
    });
    machine.start_daemon();
    Some((machine, systemd))
}

fn is_in_own_scope(machine: &Machine) -> bool {
    let session = &machine.sessions()[0];
    let scope = format!("/user.slice/authflow-{}.scope", session["id"].as_str().expect("an id"));
    machine.shell(&format!("grep ^0:: /proc/{}/cgroup", session["leader"])).success().trim().ends_with(&scope)
}
