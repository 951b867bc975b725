//! A disk that takes no writes: a code that cannot be burnt lets nobody in, sessions go on in memory, and the log says what is wrong.

mod door;

use authflow_tests::{Machine, wait};
use rustix::process::Signal;
use serde_json::json;

const STORE: &str = "/var/lib/authflow/sessions.db";
const STATE: &str = "/var/lib/authflow/state";

#[test]
fn a_code_that_cannot_be_burnt_lets_nobody_in() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    let _ = machine.shell(&format!("mount -t tmpfs -o size=64k,mode=700 tmpfs {STATE}")).success();
    let code = phone.code();
    let faults = [
        ("mount -o remount,ro $D", "mount -o remount,rw $D", "Read-only file system"),
        ("dd if=/dev/zero of=$D/full bs=4k 2>/dev/null; true", "rm $D/full", "No space left on device"),
    ];
    for (breaks, mends, cause) in faults {
        let _ = machine.shell(&breaks.replace("$D", STATE)).success();
        assert!(!door::opens(&machine, "alice", machine.password(), &code), "{breaks}");
        machine.logged(&["user=alice", STATE, cause]);
        let _ = machine.shell(&mends.replace("$D", STATE)).success();
    }
    // Nothing was written, so nothing is burnt.
    assert!(door::opens(&machine, "alice", machine.password(), &code));
    assert!(!door::opens(&machine, "alice", machine.password(), &code));
}

#[test]
fn sessions_go_on_in_memory_when_the_disk_is_full() {
    let Some(plan) = Machine::overlay() else { return };
    let rule = door::RULE.replace("\"door\"", "\"sshd\"");
    let lines = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
    let machine = plan.user("alice").config(&rule).sshd(lines).without_daemon().start();
    // The state lies elsewhere, so that only the store is hit.
    let _ = machine
        .shell(&format!(
            "mkdir /srv/state && mount --bind {STATE} /srv/state && \
             mount -t tmpfs -o size=512k,mode=755 tmpfs /var/lib/authflow && \
             mkdir -m 700 {STATE} /var/lib/authflow/users && mount --move /srv/state {STATE}"
        ))
        .success();
    let mut phone = machine.enroll("alice");
    machine.start_daemon();
    let _ = machine.shell("dd if=/dev/zero of=/var/lib/authflow/full bs=4k 2>/dev/null; true").success();
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line(&phone.code());
    alice.expect("$ ");
    machine.logged(&["store-degraded"]);
    let sessions = machine.run(["authflow", "sessions", "--json"]).json();
    assert_eq!(sessions[0]["user"], "alice", "{sessions}");
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    wait::until_true("the session's end", || machine.run(["authflow", "sessions", "--json"]).stdout.trim() == "[]");
    let history = machine.run(["authflow", "history"]);
    assert!(history.stderr.contains("this is incomplete"), "{history:?}");
    assert_eq!(machine.log().matches("event=store-degraded").count(), 1, "told once");
}

const SU: &str = "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";

#[test]
fn a_disk_that_was_read_only_when_the_daemon_began_is_written_to_when_it_can_be() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(&door::RULE.replace("door", "su")).pam("su", SU).without_daemon().start();
    let lies = "mount -t tmpfs -o size=4m,mode=755 tmpfs /var/lib/authflow && mkdir -m 700 /var/lib/authflow/users $D";
    let _ = machine.shell(&lies.replace("$D", STATE)).success();
    machine.start_daemon();
    let enter = |count| {
        let su = machine.start(["su", "alice", "-c", "exec sleep 1000"]);
        wait::until_true("the session", || machine.sessions().len() == count);
        (su.pid(), su)
    };
    let revoke = |leader: u32| {
        let sessions = machine.sessions();
        let session = sessions.iter().find(|session| session["leader"] == leader).expect("its session");
        let _ = machine.run(["authflow", "revoke", session["id"].as_str().expect("an id")]).success();
        wait::until_true("its end", || machine.sessions().len() == sessions.len() - 1);
    };
    let (before, _su) = enter(1);
    machine.kill_daemon();
    let _ = machine.shell("mount -o remount,ro /var/lib/authflow").success();
    machine.start_daemon();
    let (meanwhile, _su) = enter(2);
    revoke(before);
    let history = || machine.run(["authflow", "history", "--json"]);
    assert!(history().stderr.contains("this is incomplete"));
    let _ = machine.shell("mount -o remount,rw /var/lib/authflow").success();
    revoke(meanwhile);
    machine.logged(&["event=store-recovered"]);
    let ended = history();
    assert!(ended.stderr.is_empty(), "{ended:?}");
    let leaders: Vec<_> = ended.json().as_array().expect("a list").iter().map(|row| row["leader"].clone()).collect();
    assert_eq!(leaders, [json!(before), json!(meanwhile)]);
    assert_eq!(machine.log().matches("event=store-degraded").count(), 1, "told once");
}

#[test]
fn the_history_is_read_from_a_disk_that_was_made_read_only_after_the_daemon() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(&door::RULE.replace("door", "su")).pam("su", SU).without_daemon().start();
    let _ = machine.shell("mount -t tmpfs -o size=4m,mode=755 tmpfs /var/lib/authflow").success();
    machine.start_daemon();
    let _ = machine.run(["su", "alice", "-c", "true"]).success();
    assert_eq!(machine.end_reason("alice"), "logout");
    // An end in good order leaves no journal beside the store.
    machine.signal_daemon(Signal::TERM);
    let journal = machine.path(&format!("{STORE}-wal"));
    wait::until_true("the journal's end", || !journal.exists());
    let _ = machine.shell("mount -o remount,ro /var/lib/authflow").success();
    assert_eq!(machine.history("alice")[0]["end_reason"], "logout");
}
