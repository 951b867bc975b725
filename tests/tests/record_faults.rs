//! A user's record that cannot be used: that user is not let in, the log names the file, and nobody else notices.

mod door;

#[test]
fn a_broken_record_denies_its_user_alone() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.user("bob").without_daemon().start();
    let mut alice = machine.enroll("alice");
    let mut bob = machine.enroll("bob");
    let record = "/var/lib/authflow/users/alice.toml";
    let good = machine.read(record);
    let truncated = &good[..good.len() / 2];
    let bad_hash = good.replace("$argon2id$", "$argon2i$");
    assert_ne!(bad_hash, good);
    let cheap_hash = good.replace("m=19456", "m=8");
    assert_ne!(cheap_hash, good);
    for (fault, text) in [("truncated", truncated), ("a bad hash", &bad_hash), ("a hash too cheap", &cheap_hash)] {
        machine.write(record, text);
        let _ = machine.run(["chmod", "600", record]).success();
        assert!(!door::opens(&machine, "alice", machine.password(), &alice.code_at(0)), "{fault}");
    }
    machine.logged(&["user=alice", "alice.toml"]);
    assert!(door::opens(&machine, "bob", machine.password(), &bob.code()));
    machine.write(record, &good);
    let _ = machine.run(["chmod", "600", record]).success();
    assert!(door::opens(&machine, "alice", machine.password(), &alice.code()));
}

#[test]
fn a_record_that_others_could_have_written_is_not_read() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut alice = machine.enroll("alice");
    let record = "/var/lib/authflow/users/alice.toml";
    for deed in ["chmod 666 $R", "chmod 600 $R; chown alice $R", "chown root $R; mv $R /root/r; ln -s /root/r $R"] {
        let _ = machine.shell(&deed.replace("$R", record)).success();
        assert!(!door::opens(&machine, "alice", machine.password(), &alice.code_at(0)), "{deed}");
    }
    machine.logged(&["user=alice", "alice.toml", "is not trusted"]);
    let _ = machine.shell(&format!("rm {record}; mv /root/r {record}")).success();
    assert!(door::opens(&machine, "alice", machine.password(), &alice.code()));
}

#[test]
fn a_broken_state_denies_instead_of_forgetting_what_was_used() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut alice = machine.enroll("alice");
    assert!(door::opens(&machine, "alice", machine.password(), &alice.code()));
    let _ = machine.shell("echo garbage > /var/lib/authflow/state/alice").success();
    assert!(!door::opens(&machine, "alice", machine.password(), &alice.code()));
    machine.logged(&["user=alice", "/var/lib/authflow/state/alice"]);
}
