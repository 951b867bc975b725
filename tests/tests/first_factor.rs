//! The first authenticator, enrolled by its user with the command: by the password alone where a login would have it so, and nowhere else.

use authflow_tests::{Authenticator, Machine, Person, Plan, camera};

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
/// Logins take the password alone; what sudo takes is each test's own.
const SSH: &str = "[throttle]\nattempts = 10\n[[rule]]\nname = 'ssh'\nservice = ['sshd']\nmethods = [['password']]\n";

fn sudo(enroll: &str) -> String {
    format!("{SSH}[[rule]]\nname = 'admin'\nservice = ['sudo']\nmethods = [['password', 'totp']]\n{enroll}\n")
}

fn plan(enroll: &str) -> Option<Plan> {
    Some(Machine::overlay()?.user("alice").config(&sudo(enroll)).sshd(SSHD))
}

/// Alice at a shell, with a password and nothing else.
fn log_in(machine: &Machine) -> Person {
    machine.give_password("alice");
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("$ ");
    alice
}

fn begin(alice: &mut Person) {
    alice.type_line("authflow factor add totp; printf '<%s>' $?");
}

#[track_caller]
fn has(machine: &Machine, names: &[&str]) {
    let listed = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
    let factors = listed["factors"].as_array().expect("a list").clone();
    assert_eq!(factors.iter().filter_map(|factor| factor["name"].as_str()).collect::<Vec<_>>(), names);
}

#[test]
fn a_user_with_a_password_enrols_the_first_authenticator_by_it() {
    let Some(plan) = plan("enroll = { mode = 'required' }") else { return };
    let machine = plan.start();
    let mut alice = log_in(&machine);
    begin(&mut alice);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Secret: ");
    alice.expect("Code that the app shows now: ");
    let uri = camera::scan(&alice.screen());
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).expect("a secret");
    let mut phone = Authenticator::new(secret);
    alice.type_line(&phone.code());
    alice.expect("Recovery codes");
    alice.expect("alice now has \"totp\"");
    alice.expect("<0>");
    has(&machine, &["password", "totp"]);
    machine.logged(&["authflow-sessiond", "factor-added", "user=alice", "name=totp"]);
    // From now on the password alone adds nothing more.
    alice.type_line("authflow factor add totp --name tablet; printf '<%s>' $?");
    alice.expect("nothing proves the authenticator that you have");
    alice.expect("<4>");
    has(&machine, &["password", "totp"]);
}

#[test]
fn a_wrong_password_enrols_nothing() {
    let Some(plan) = plan("enroll = { mode = 'optional' }") else { return };
    let machine = plan.start();
    let mut alice = log_in(&machine);
    begin(&mut alice);
    alice.expect("Password: ");
    alice.type_line("not the password");
    alice.expect("that was not right, and nothing was changed");
    alice.expect("<4>");
    has(&machine, &["password"]);
}

#[test]
fn where_any_rule_would_not_enrol_by_the_password_the_user_is_told_so_and_asked_nothing() {
    for enroll in ["", "enroll = { mode = 'ticket' }"] {
        let Some(plan) = plan(enroll) else { return };
        let machine = plan.start();
        let mut alice = log_in(&machine);
        begin(&mut alice);
        alice.expect("by the rule \"admin\" nobody enrols the first authenticator by a password alone");
        alice.expect("<4>");
        has(&machine, &["password"]);
    }
}

#[test]
fn a_password_that_was_changed_after_the_proof_enrols_nothing() {
    let Some(plan) = plan("enroll = { mode = 'optional' }") else { return };
    let machine = plan.start();
    let mut alice = log_in(&machine);
    begin(&mut alice);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Code that the app shows now: ");
    let _ = machine.feed(["authflow", "passwd", "--user", "alice", "--stdin"], b"entirely another one").success();
    let uri = camera::scan(&alice.screen());
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).expect("a secret");
    alice.type_line(&Authenticator::new(secret).code());
    alice.expect("was changed meanwhile");
    has(&machine, &["password"]);
}
