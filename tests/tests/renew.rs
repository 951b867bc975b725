//! `authflow renew` and lockers inside a session: who proves himself again in it starts its limits anew, in place. Nobody else does.

use authflow_tests::{Authenticator, Machine, Person, Plan};
use serde_json::Value;

const TWO_FACTORS: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]

[[rule]]
name = "lockers"
service = ["door"]
methods = [["password"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn the_right_answers_move_both_deadlines_and_wrong_ones_none() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, &mut phone);
    let opened = times(&machine);
    renew(&mut alice, "a guess", &phone.wrong_code());
    alice.expect("that was not right");
    assert_eq!(times(&machine)[..2], opened[..2]);
    // As a login from where the session came from: nothing else is shut by it.
    machine.logged(&["flow-denied", "user=alice", "service=sshd", "wrong password"]);

    renew(&mut alice, machine.password(), &phone.code());
    alice.expect("renewed; it ends");
    let renewed = times(&machine);
    assert_eq!(renewed[0], opened[0], "it is the same session, opened when it was");
    for (before, after) in opened[1..].iter().zip(&renewed[1..]) {
        assert!(before < after, "{opened:?} {renewed:?}");
    }
    machine.logged(&["event=renewed", "factors=password+totp"]);
}

#[test]
fn a_weaker_flow_unlocks_and_does_not_renew() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, &mut phone);
    let opened = times(&machine);
    alice.type_line("pamtester door alice authenticate; echo code-$?");
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("code-0");
    machine.logged(&["not-renewed", "does not reach the session's level"]);
    assert_eq!(times(&machine)[..2], opened[..2]);
}

#[test]
fn a_rule_of_its_own_decides_about_renewing_and_may_ask_less_in_vain() {
    let own =
        format!("{TWO_FACTORS}\n[[rule]]\nname = \"renewing\"\nservice = [\"authflow\"]\nmethods = [[\"password\"]]\n");
    let Some(machine) = machine(&own) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, &mut phone);
    let opened = times(&machine);
    alice.type_line("authflow renew");
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("it was not renewed");
    assert_eq!(times(&machine)[..2], opened[..2]);
    machine.logged(&["flow-granted", "service=authflow", "rule=renewing"]);
}

#[test]
fn programs_are_told_that_a_renewal_changed_the_session() {
    let by_password = TWO_FACTORS.replace(r#"[["password", "totp"]]"#, r#"[["password"]]"#);
    let Some(machine) = machine(&by_password) else { return };
    machine.give_password("alice");
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("$ ");
    alice.type_line("authflow renew --json");
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("\"changed\": true");
}

#[test]
fn nobody_renews_the_session_of_another_or_from_outside() {
    let Some(machine) = machine(TWO_FACTORS) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, &mut phone);
    let opened = times(&machine);
    // In no session: neither root nor a process of alice's outside of hers.
    assert!(machine.person(["authflow", "renew"]).answer_all(&[]).code() == Some(3));
    let outside = ["runuser", "-u", "alice", "--"];
    assert_eq!(machine.person(outside.into_iter().chain(["authflow", "renew"])).answer_all(&[]).code(), Some(3));
    // Alice's own proof outside of her session is worth nothing to it.
    let mut locker = machine.person(outside.into_iter().chain(["pamtester", "door", "alice", "authenticate"]));
    assert!(locker.answer_all(&[("Password: ", machine.password())]).success());
    assert_eq!(times(&machine)[..2], opened[..2]);
    assert_eq!(alice.shell("echo here"), "here");
}

#[test]
fn the_codes_and_guesses_of_a_renewal_count_with_those_of_logins() {
    let Some(machine) = machine(&format!("[throttle]\nattempts = 2\n{TWO_FACTORS}")) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, &mut phone);
    for _ in 0..2 {
        renew(&mut alice, "a guess", &phone.wrong_code());
        alice.expect("that was not right");
    }
    let mut second = machine.ssh("alice", &["true"]);
    let answers = [("Password: ", machine.password()), ("Verification code: ", &phone.code())];
    assert!(!second.answer_all(&answers).success());
    machine.logged(&["phase=authenticate", "user=alice", "locked for this source until"]);
}

fn machine(config: &str) -> Option<Machine> {
    let plan: Plan = Machine::overlay()?.user("alice").config(config).sshd(SSHD);
    Some(plan.pam("door", "auth required pam_authflow.so\naccount required pam_authflow.so\n").start())
}

fn log_in(machine: &Machine, phone: &mut Authenticator) -> Person {
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line(&phone.code());
    alice.expect("$ ");
    alice
}

fn renew(alice: &mut Person, password: &str, code: &str) {
    alice.type_line("authflow renew");
    alice.expect("Password: ");
    alice.type_line(password);
    alice.expect("Verification code: ");
    alice.type_line(code);
}

/// When the one session was opened and authenticated, and when it ends: by age, and if it stays idle. In microseconds.
fn times(machine: &Machine) -> [u64; 4] {
    let sessions = machine.run(["authflow", "sessions", "--json"]).json();
    let [session] = sessions.as_array().expect("a list").as_slice() else { panic!("{sessions}") };
    let path = format!("/org/authflow/sessiond1/session/{}", session["id"].as_str().expect("an id"));
    ["OpenedAt", "AuthenticatedAt", "LifetimeDeadline", "IdleDeadline"].map(|property| {
        let name = "org.authflow.sessiond1";
        let interface = "org.authflow.sessiond1.Session";
        let got: Value =
            machine.run(["busctl", "--json=short", "get-property", name, &path, interface, property]).json();
        got["data"].as_u64().expect("a time")
    })
}
