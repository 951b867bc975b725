//! Users change their own authenticators: after they have proved one, through the daemon, and nobody else's.

use authflow_tests::{Authenticator, Machine, Person, camera};

const RULES: &str = r#"
[throttle]
attempts = 10
[[rule]]
name = "ssh"
service = ["sshd", "authflow"]
methods = [["password", "totp"]]

[[rule]]
name = "locker"
service = ["locker"]
methods = [["password"]]
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

fn machine() -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(RULES).sshd(SSHD).start())
}

/// Begins to change a factor, from alice's own shell, with that code.
fn change(machine: &Machine, alice: &mut Person, command: &str, code: &str) {
    alice.type_line(&format!("authflow factor {command}; printf '<%s>' $?"));
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line(code);
}

/// Scans what is shown, and confirms it.
fn confirm(alice: &mut Person, scan: fn(&str) -> String) -> Authenticator {
    alice.expect("Secret: ");
    alice.expect("Code that the app shows now: ");
    let uri = scan(&alice.screen());
    let mut phone = phone_of(&uri);
    alice.type_line(&phone.code());
    phone
}

fn phone_of(uri: &str) -> Authenticator {
    Authenticator::new(uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).expect("a secret"))
}

fn names(machine: &Machine) -> Vec<String> {
    let listed = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
    let factors = listed["factors"].as_array().expect("a list");
    factors.iter().map(|factor| factor["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn who_proves_an_authenticator_adds_another_and_removes_the_first() {
    let Some(machine) = machine() else { return };
    let mut old = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut old);
    change(&machine, &mut alice, "add totp --name tablet --qr light", &old.code());
    let mut tablet = confirm(&mut alice, camera::scan_on_light_ground);
    alice.expect("Recovery codes");
    alice.expect("alice now has \"tablet\"");
    alice.expect("<0>");
    machine.logged(&["authflow-sessiond", "factor-added", "user=alice", "name=tablet"]);
    let mut elsewhere = machine.log_in("alice", &mut tablet);
    // Each step passes once, so a third code of an authenticator would have to wait for its time.
    let screen = alice.screen();
    let codes = screen.split_whitespace().filter(|word| word.len() == 29 && word.matches('-').count() == 5);
    let [first, second] = codes.take(2).collect::<Vec<_>>().try_into().expect("recovery codes");
    change(&machine, &mut alice, "remove totp", first);
    alice.expect("removed \"totp\" of alice");
    // Whoever has the old phone may sit there.
    alice.expect("End alice's other sessions (1)? [y/N] ");
    alice.type_line("y");
    alice.expect("<0>");
    let _ = elsewhere.end();
    assert_eq!(names(&machine), ["password", "tablet"]);
    change(&machine, &mut alice, "remove tablet", second);
    alice.expect("only an administrator");
    assert_eq!(names(&machine), ["password", "tablet"]);
}

#[test]
fn a_proof_that_renews_the_hash_by_the_way_is_still_good_and_a_password_set_since_voids_it() {
    let Some(machine) = machine() else { return };
    let mut old = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut old);
    let hash = || machine.shell("grep argon2id /var/lib/authflow/users/alice.toml").success();
    let before = hash();
    machine.write("/etc/authflow/authflow.toml", &format!("[password]\niterations = 4\n{RULES}"));
    change(&machine, &mut alice, "add totp --name tablet", &old.code());
    let mut tablet = confirm(&mut alice, camera::scan);
    alice.expect("alice now has \"tablet\"");
    assert!(hash() != before && hash().contains("t=4"), "{}", hash());
    alice.expect("<0>");
    change(&machine, &mut alice, "add totp --name watch", &tablet.code());
    alice.expect("Code that the app shows now: ");
    let _ = machine.feed(["authflow", "passwd", "--user", "alice", "--stdin"], b"set by root at the desk").success();
    let uri = camera::scan(&alice.screen());
    alice.type_line(&phone_of(&uri).code());
    alice.expect("begin anew");
    assert_eq!(names(&machine), ["password", "totp", "tablet"]);
}

#[test]
fn a_wrong_code_changes_nothing() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut phone);
    change(&machine, &mut alice, "add totp --name tablet", &phone.wrong_code());
    alice.expect("that was not right, and nothing was changed");
    alice.expect("<4>");
    assert_eq!(names(&machine), ["password", "totp"]);
}

#[test]
fn nothing_changes_without_a_proof_or_for_anybody_else() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let _bobs = machine.enroll("bob");
    let mut alice = machine.log_in("alice", &mut phone);
    let unproved = "busctl --system call org.authflow.sessiond1 /org/authflow/sessiond1 org.authflow.sessiond1.Flow \
                    RemoveFactor s totp 2>&1";
    assert!(alice.shell(unproved).contains("prove an authenticator first"), "{}", alice.screen());
    let others = alice.shell("authflow factor remove totp --user bob 2>&1; echo $?");
    assert!(others.contains("only root changes another user's"), "{others}");
    // What is root's alone says what is hers.
    for command in ["list", "recovery-codes --yes"] {
        let refused =
            alice.shell(&format!("authflow factor {command} 2>&1 | tr -d '\\n'; echo \" ${{PIPESTATUS[0]}}\""));
        assert!(refused.contains("authflow factor add totp") && refused.ends_with(" 4"), "{refused}");
    }
    assert_eq!(names(&machine), ["password", "totp"]);
}
