//! Revocation on the real sshd: one, several, by whose they are, by what they are like; mine is spared, and who may not does nothing.

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

const CONFIG: &str = r#"
[[rule]]
name = "all"
service = ["sshd", "sudo"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn several_are_ended_by_their_ids_and_a_typing_error_ends_none() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let (mut first, mut second) = (machine.log_in("alice", &mut phone), machine.log_in("alice", &mut phone));
    let mut bob = log_in(&machine, "bob");
    let ids = ids_of(&machine, "alice");
    let _ = machine.run(["authflow", "revoke", &ids[0], "deadbeef"]).failure(3);
    assert_eq!(machine.sessions().len(), 3);
    let revoked = machine.run(["authflow", "revoke", &ids[0], &ids[1], &ids[0], "--json"]).json();
    assert_eq!((&revoked["changed"], &revoked["revoked"]), (&Value::Bool(true), &Value::from(2)));
    assert_eq!(revoked["sessions"].as_array().map(Vec::len), Some(2));
    let _ = (first.end(), second.end());
    assert_eq!(bob.shell("echo still here"), "still here");
}

#[test]
fn a_filter_says_which_and_a_dry_run_ends_none() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let mut bob = log_in(&machine, "bob");
    let would = |more: &[&str]| {
        let argv = ["authflow", "revoke", "--dry-run", "--json"].into_iter().chain(more.iter().copied());
        let said = machine.run(argv).json();
        assert_eq!((&said["changed"], &said["revoked"]), (&Value::Bool(false), &Value::from(0)));
        let sessions = said["sessions"].as_array().expect("a list").clone();
        let mut users: Vec<_> =
            sessions.into_iter().map(|session| session["user"].as_str().expect("a name").to_owned()).collect();
        users.sort();
        users
    };
    assert_eq!(would(&["--service", "sshd"]), ["alice", "bob"]);
    assert_eq!(would(&["--service", "sshd", "--user", "bob"]), ["bob"]);
    assert_eq!(would(&["--from", "127.0.0.0/8", "--older-than", "0s"]).len(), 2);
    for none in [["--service", "login"], ["--from", "10.0.0.0/8"], ["--older-than", "1h"], ["--idle-for", "1h"]] {
        assert_eq!(would(&none).len(), 0, "{none:?}");
    }
    let uid = machine.run(["id", "-u", "bob"]).success();
    assert_eq!(would(&["--user", uid.trim()]), ["bob"], "by number");
    let argv = ["revoke", "--from", "127.0.0.1", "--user", uid.trim(), "--yes", "--message", "moving house"];
    let said = machine.run(["authflow"].into_iter().chain(argv)).success();
    assert_eq!(said, "1 session revoked\n");
    bob.expect("it was revoked (moving house)");
    let _ = bob.end();
    assert_eq!(alice.shell("echo still here"), "still here");
    assert_eq!(machine.end_reason("bob"), "revoked");
}

#[test]
fn a_user_ends_the_others_of_hers_and_sits_on() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let (mut here, mut elsewhere) = (machine.log_in("alice", &mut phone), machine.log_in("alice", &mut phone));
    let _bob = log_in(&machine, "bob");
    here.type_line("authflow revoke --others");
    // She is shown which, and asked; only a yes is one.
    here.expect("End this session? [y/N] ");
    here.type_line("n");
    here.expect("nothing was changed");
    assert_eq!(machine.sessions().len(), 3);
    here.type_line("authflow revoke --others");
    here.expect("End this session? [y/N] ");
    here.type_line("y");
    here.expect("1 session revoked");
    let _ = elsewhere.end();
    assert_eq!(here.shell("echo still here"), "still here");
    let ended = machine.history("alice").remove(0);
    assert_eq!(ended["ended_by"], format!("uid {}", ended["uid"]));
    wait::until_true("alice's other session to be gone", || machine.sessions().len() == 2);
}

#[test]
fn nobody_ends_anybody_elses_by_whatever_words() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let _bob = log_in(&machine, "bob");
    for (words, code) in [("--user bob", "4"), ("--all", "4"), ("--user bob --service sshd", "0")] {
        assert_eq!(alice.shell(&format!("authflow revoke {words} --yes >/dev/null 2>&1; echo $?")), code, "{words}");
    }
    // What she is shown is hers alone, and she sits in that.
    assert!(alice.shell("authflow revoke --service sshd --yes").contains("no session to revoke"));
    assert_eq!(machine.sessions().len(), 2);
}

#[test]
fn all_spares_the_session_of_whoever_asks_unless_told_not_to() {
    let Some(machine) = machine() else { return };
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n");
    let mut alice = log_in(&machine, "alice");
    let mut bob = log_in(&machine, "bob");
    alice.type_line("sudo authflow revoke --all --yes");
    alice.expect("1 session revoked");
    let _ = bob.end();
    assert_eq!(alice.shell("echo still here"), "still here");
    alice.type_line("sudo authflow revoke --all --including-mine --yes");
    let _ = alice.end();
    wait::until_true("the last session to be gone", || machine.sessions().is_empty());
}

#[test]
fn sessions_that_are_stopped_or_deaf_end_at_once() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    alice.type_line("trap '' HUP TERM; (trap '' HUP TERM; sleep 4711 & wait) & sleep 0.1; kill -STOP $$");
    wait::until_true("alice's shell to be stopped", || {
        machine.shell("ps -o stat= -u alice | grep -c T").stdout.trim() != "0" && running(&machine, "sleep 4711")
    });
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    wait::until_true("all of alice's to be gone", || {
        !running(&machine, "sleep 4711") && machine.shell("ps -o pid= -u alice").stdout.trim().is_empty()
    });
    assert_eq!(machine.end_reason("alice"), "revoked");
}

fn machine() -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(CONFIG).sshd(SSHD).shipped_pam("sudo").start())
}

fn log_in(machine: &Machine, user: &str) -> Person {
    let mut phone = machine.enroll(user);
    machine.log_in(user, &mut phone)
}

fn ids_of(machine: &Machine, user: &str) -> Vec<String> {
    let of_user = machine.sessions().into_iter().filter(|session| session["user"] == user);
    of_user.map(|session| session["id"].as_str().expect("an id").to_owned()).collect()
}

fn running(machine: &Machine, command: &str) -> bool {
    machine.run(["pgrep", "-f", &format!("^{command}")]).status.success()
}
