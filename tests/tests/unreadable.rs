//! Programs of which the kernel tells nothing, since their exec waits for a file system that does not answer. Who has such programs loses by
//! it, nobody else does, and no session is lost sight of.

use authflow_tests::{Machine, Person, Program, wait};
use rustix::process::Signal;
use serde_json::json;

const CONFIG: &str = r#"
[[rule]]
name = "su"
service = ["su"]
methods = [["stack"]]
session = { lifetime = "20s", warn = "2s", grace = "1s" }
[[rule]]
name = "all"
service = ["sshd", "door"]
methods = [["password", "totp"]]
session = { idle = "25s", warn = "2s", grace = "1s", inhibit_max = "1h" }
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
const DOOR: &str = "auth required pam_authflow.so\naccount required pam_authflow.so\n";
const SU: &str = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";

/// Until the file system is gone; then it is `sleep 4711`.
const HANGS: &str = "perl -e 'open F, q(/run/stuck/file); exec q(sleep), 4711'";

#[test]
fn who_says_to_be_somebody_else_is_left_out_himself_and_nobody_else_is() {
    let Some(machine) = machine() else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let _held = hold(&machine);
    let bob = machine.run(["id", "-u", "bob"]).success();
    // What no login started tells the kernel itself who logged in: root, and bob.
    let liar = |uid, as_whom: &str, many| {
        let start = format!("echo {as_whom} > /proc/self/loginuid; for i in $(seq {many}); do {HANGS} & done; wait");
        machine.start(["setpriv", uid, "--regid=65534", "--clear-groups", "sh", "-c", &start])
    };
    let _liars = [liar("--reuid=65534", "0", 80), liar("--reuid=4242", bob.trim(), 8)];
    wait::until_true("programs that hang", || hanging(&machine) == 88);
    for _look in 0..8 {
        assert!(sessions(&machine).is_empty());
    }
    // A screen locker, su, and who comes in now and is hard at work until somebody who came later has idled.
    let mut locker = machine.person(["runuser", "-u", "bob", "--", "pamtester", "door", "bob", "authenticate"]);
    let answers = [("Password: ", machine.password()), ("Verification code: ", &*bobs.code())];
    assert!(locker.answer_all(&answers).success(), "{}", locker.screen());
    let _su =
        machine.start(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "su", "bob", "-c", "sleep 9"]);
    machine.logged(&["event=opened", "service=su", "target=bob"]);
    let mut bob = machine.log_in("bob", &mut bobs);
    let mut alice = machine.log_in("alice", &mut alices);
    work_until_idle(&machine, &mut [&mut bob], "alice");
    let _ = alice.end();
    assert_eq!(bob.shell("echo still here"), "still here");
    let log = machine.log();
    let blamed: Vec<_> = log.lines().filter(|line| line.contains("event=process-unreadable")).collect();
    assert!(!blamed.is_empty() && blamed.len() < 30, "{blamed:#?}");
    assert!(blamed.iter().all(|line| line.contains("uid=65534") || line.contains("uid=4242")), "{blamed:#?}");
}

/// Whose each of them is, stands where the kernel tells all of its groups as well, and takes its time.
#[test]
fn who_has_many_groups_and_programs_that_hang_keeps_nobody_out() {
    let Some(machine) = machine() else { return };
    let _held = hold(&machine);
    machine.write("/run/many_groups.py", include_str!("../beds/many_groups.py"));
    let alice = machine.run(["id", "-u", "alice"]).success();
    let many = format!("exec python3 /run/many_groups.py {} 300 > /run/many 2>&1", alice.trim());
    let _many = machine.start(["sh", "-c", &many]);
    wait::until_true("all of them", || machine.read("/run/many").contains("there"));
    let start = format!("for i in $(seq 6); do {HANGS} & done; wait");
    let _hanging = machine.start(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "sh", "-c", &start]);
    wait::until_true("programs that hang", || hanging(&machine) == 6);
    for _login in 0..3 {
        assert!(sessions(&machine).is_empty());
        let _ = machine.run(["su", "bob", "-c", "true"]).success();
    }
    assert!(!machine.log().contains("event=daemon-away"), "{}", machine.log());
    assert_eq!(machine.log().matches("event=opened").count(), 3, "{}", machine.log());
}

#[test]
fn who_is_left_out_is_not_idle_while_typing_in_a_session_whose_terminal_was_never_seen() {
    let Some(machine) = machine() else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let _held = hold(&machine);
    let mut before = machine.log_in("alice", &mut alices);
    let start = format!("for i in 1 2 3 4 5; do {HANGS} & done; wait");
    let _own = machine.start(["runuser", "-u", "alice", "--", "sh", "-c", &start]);
    wait::until_true("programs that hang", || hanging(&machine) == 5);
    // One terminal was seen by a daemon that is no more, the other by none.
    machine.kill_daemon();
    machine.start_daemon();
    let mut after = machine.log_in("alice", &mut alices);
    let mut bob = machine.log_in("bob", &mut bobs);
    work_until_idle(&machine, &mut [&mut before, &mut after], "bob");
    let _ = bob.end();
    for alice in [&mut before, &mut after] {
        assert_eq!(alice.shell("echo still here"), "still here");
    }
    // Who stops typing idles all the same, and is told so there.
    for alice in [&mut before, &mut after] {
        alice.expect("authflow: this session ends now: nobody used it.");
        let _ = alice.end();
    }
    let reasons: Vec<_> = machine.history("alice").iter().map(|ended| ended["end_reason"].clone()).collect();
    assert_eq!(reasons, ["idle", "idle"]);
}

#[test]
fn what_could_not_be_read_when_it_was_first_seen_ends_with_its_session() {
    let Some(machine) = machine() else { return };
    let held = hold(&machine);
    // Outside of any login, so that descent is all that tells whose the program is.
    let command = format!("exec {HANGS}");
    let su = machine.start(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "su", "bob", "-c", &command]);
    wait::until_true("a program that hangs", || hanging(&machine) == 1);
    wait::until_true("a look at it", || {
        assert_eq!(sessions(&machine).len(), 1);
        machine.log().contains("event=process-unreadable")
    });
    su.signal(Signal::KILL);
    wait::until_true("the end of su", || sessions(&machine)[0]["state"] == "orphaned");
    held.kill();
    wait::until_true("what goes on", || machine.count("sleep 4711") == 1);
    assert_eq!(machine.end_reason("bob"), "lifetime");
    assert_eq!(machine.count("sleep 4711"), 0, "{}", machine.log());
}

#[test]
fn a_command_that_cannot_be_read_keeps_its_session_across_a_restart_of_the_daemon() {
    let Some(machine) = machine() else { return };
    let held = hold(&machine);
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.type_line(&format!("authflow run --why build -- {HANGS}"));
    wait::until_true("a command that hangs", || hanging(&machine) == 1);
    let kept_by = || sessions(&machine)[0]["inhibited_by"].clone();
    assert_eq!(kept_by(), json!(["build"]));
    machine.kill_daemon();
    machine.start_daemon();
    assert_eq!(kept_by(), json!(["build"]));
    held.kill();
    wait::until_true("what goes on", || machine.count("sleep 4711") == 1);
    assert_eq!(kept_by(), json!(["build"]));
    let _ = machine.run(["pkill", "-f", "^sleep 4711"]).success();
    wait::until_true("the command's end", || kept_by() == json!([]));
}

fn machine() -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(CONFIG).pam("door", DOOR).pam("su", SU);
    Some(plan.sshd(SSHD).start())
}

/// A file system that never answers who closes its file.
fn hold(machine: &Machine) -> Program {
    machine.compile("stuck");
    let _ = machine.shell("mknod /dev/fuse c 10 229 && mkdir /run/stuck").success();
    let held = machine.start(["stuck", "/run/stuck"]);
    wait::until_true("the file system", || machine.run(["ls", "-d", "/run/stuck/file"]).status.success());
    held
}

/// How many programs hang there. No tool that looks at processes may be asked: it would hang, too.
fn hanging(machine: &Machine) -> usize {
    machine.run(["stat", "--format=%s", "/run/stuck/file"]).success().trim().parse().expect("a number")
}

#[track_caller]
fn sessions(machine: &Machine) -> Vec<serde_json::Value> {
    let listed = machine.run(["timeout", "10", "authflow", "sessions", "--json"]).json();
    listed.as_array().expect("a list").clone()
}

/// These type, all of them, until that user's session has ended for want of it.
#[track_caller]
fn work_until_idle(machine: &Machine, at_work: &mut [&mut Person], other: &str) {
    wait::until_true("the end of who types nothing", || {
        for person in at_work.iter_mut() {
            assert_eq!(person.shell("echo typing"), "typing", "{}", machine.log());
        }
        !machine.history(other).is_empty()
    });
    assert_eq!(machine.end_reason(other), "idle");
}
