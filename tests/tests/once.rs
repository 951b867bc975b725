//! A code passes once, at a real sshd, however many come with it at the same time.

use authflow_tests::{Machine, wait};

const RULE: &str = r#"
[throttle]
attempts = 10
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

#[test]
fn of_many_clients_with_one_code_one_gets_in() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan
        .user("alice")
        .config(RULE)
        .sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no\nMaxStartups 100")
        .start();
    let mut phone = machine.enroll("alice");
    for _round in 0..2 {
        let mut clients: Vec<_> = (0..8).map(|_| machine.ssh("alice", &["echo", "in-$((6*7))"])).collect();
        for client in &mut clients {
            client.expect("Password: ");
            client.type_line(machine.password());
        }
        for client in &mut clients {
            client.expect("Verification code: ");
        }
        let code = phone.code();
        for client in &mut clients {
            client.type_line(&code);
        }
        let admitted = clients.iter_mut().filter_map(|client| client.end().success().then(|| client.sees("in-42")));
        assert_eq!(admitted.collect::<Vec<_>>(), [true]);
        let _ = machine.run(["authflow", "user", "unlock", "alice"]).success();
    }
    assert_eq!(machine.log().matches("event=granted").count(), 2, "{}", machine.log());
}

/// The race above is won in microseconds; this holds the door open for it.
#[test]
fn nobody_is_judged_while_another_login_of_the_user_is() {
    let Some(plan) = Machine::overlay() else { return };
    let machine =
        plan.user("alice").config(RULE).sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no").start();
    let code = machine.enroll("alice").code();
    let lock = "/var/lib/authflow/state/alice.lock";
    let other = machine.start(["flock", lock, "sleep", "infinity"]);
    wait::until_true("the lock", || !machine.run(["flock", "--nonblock", lock, "true"]).status.success());
    let opens = || {
        let mut client = machine.ssh("alice", &["true"]);
        client.answer_all(&[("Password: ", machine.password()), ("Verification code: ", &code)]).success()
    };
    assert!(!opens());
    machine.logged(&["user=alice", "busy"]);
    // The lock lives in the sleeper, too.
    let _ = machine.run(["pkill", "-KILL", "-x", "sleep"]).success();
    drop(other);
    assert!(opens(), "a code that nobody judged is not used up");
}

#[test]
fn a_secret_that_comes_back_under_another_name_lets_no_used_code_in() {
    let Some(plan) = Machine::overlay() else { return };
    let machine =
        plan.user("alice").config(RULE).sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no").start();
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    drop(machine.log_in_by("alice", &code));
    let _ = machine.run(["authflow", "factor", "remove", "totp", "--user", "alice", "--yes"]).success();
    let again =
        ["authflow", "factor", "add", "totp", "--user", "alice", "--name", "other", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(again, phone.secret.as_bytes()).success();
    machine.is_refused("alice", machine.password(), &code);
    machine.logged(&["user=alice", "used already"]);
    drop(machine.log_in("alice", &mut phone));
}
