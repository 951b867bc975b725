//! A login that enrols: the QR code on the screen of a real client, the code that confirms it, and what is left behind when somebody
//! walks away.

use authflow_tests::{Authenticator, Machine, Person, Plan, camera, wait};
use serde_json::Value;

const RULES: &str = r#"
[throttle]
attempts = 10

[[rule]]
name = "required"
service = ["sshd", "su", "sudo", "login"]
user = ["alice"]
methods = [["password", "totp"]]
enroll = { mode = "required" }

[[rule]]
name = "grace"
service = ["sshd", "sudo", "login"]
user = ["bob"]
methods = [["password", "totp"]]
enroll = { mode = "grace", for = "7d" }

[[rule]]
name = "optional"
service = ["sshd"]
user = ["carol"]
methods = [["password", "totp"]]
enroll = { mode = "optional" }

[[rule]]
name = "ticket"
service = ["sshd"]
user = ["dave"]
methods = [["password", "totp"]]
enroll = { mode = "ticket" }
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
const ENTER: &str = "Press Enter when they are safe: ";

fn plan(user: &str) -> Option<Plan> {
    Some(Machine::overlay()?.user(user).config(RULES).sshd(SSHD))
}

/// A machine on which this user has a password and nothing else.
fn machine(user: &str) -> Option<Machine> {
    let machine = plan(user)?.start();
    machine.give_password(user);
    Some(machine)
}

/// An app that has scanned the code on somebody's screen, and the page's own text says the same.
#[track_caller]
fn scan(person: &mut Person, question: &str) -> Authenticator {
    person.expect("Secret: ");
    let secret = person.expect("  ");
    person.expect(question);
    let uri = camera::scan(&person.screen());
    assert!(uri.starts_with("otpauth://totp/authflow:") && uri.contains(&format!("secret={secret}&")), "{uri}");
    assert!(person.screen().contains(&uri), "the URI is there to be copied");
    Authenticator::new(&secret)
}

/// Enrols to the end, from the page on.
#[track_caller]
fn enrol(person: &mut Person) -> Authenticator {
    let mut phone = scan(person, "Code from the app: ");
    person.type_line(&phone.code());
    person.expect(ENTER);
    person.type_line("");
    phone
}

fn factors(machine: &Machine, user: &str) -> Value {
    machine.run(["authflow", "factor", "list", "--user", user, "--json"]).json()
}

/// What is on disk of a user's authenticators, and whatever a broken-off write might leave.
fn record(machine: &Machine, user: &str) -> String {
    machine.shell(&format!("ls -A /var/lib/authflow/users; cat /var/lib/authflow/users/{user}.toml")).stdout
}

#[track_caller]
fn is_denied(mut person: Person) {
    person.expect("Permission denied");
    assert_eq!(person.end().code(), Some(255));
}

#[test]
fn who_must_enrol_does_so_in_the_login_and_needs_the_code_from_then_on() {
    let Some(machine) = machine("alice") else { return };
    let mut alice = machine.answer("alice", machine.password(), "");
    let mut phone = enrol(&mut alice);
    alice.expect("$ ");
    let screen = alice.screen();
    assert!(screen.contains("AAL 2") && screen.contains("the authenticator \"totp\" was added"), "{screen}");
    machine.logged(&["granted", "user=alice", "factors=password+totp", "enrolment=done"]);
    assert_eq!(machine.sessions()[0]["factors"], serde_json::json!(["password", "totp"]));
    assert_eq!(factors(&machine, "alice")["recovery_codes_left"], 10);
    alice.type_line("exit");
    let _ = alice.end();
    machine.is_refused("alice", machine.password(), "");
    let again = machine.log_in("alice", &mut phone);
    assert!(!again.screen().contains("Secret: "), "it is enrolled once");
}

#[test]
fn the_page_fits_an_80x24_screen_and_shows_no_control_characters_over_ssh() {
    let Some(machine) = machine("alice") else { return };
    let mut alice = machine.answer("alice", machine.password(), "");
    let _phone = scan(&mut alice, "Code from the app: ");
    let screen = alice.screen().replace('\r', "");
    let page: Vec<_> = screen.lines().skip_while(|line| !line.starts_with("otpauth://")).skip(1).collect();
    assert!(page.len() <= 24 && page.iter().all(|line| line.chars().count() < 80), "{screen}");
    assert!(!screen.contains('\\') && !screen.chars().any(|c| c.is_control() && c != '\n'), "{screen:?}");
}

#[test]
fn the_code_that_confirmed_opens_no_second_login() {
    let Some(machine) = machine("alice") else { return };
    let mut alice = machine.answer("alice", machine.password(), "");
    let mut phone = scan(&mut alice, "Code from the app: ");
    let code = phone.code();
    alice.type_line(&code);
    alice.expect(ENTER);
    alice.type_line("");
    alice.expect("$ ");
    machine.is_refused("alice", machine.password(), &code);
}

#[test]
fn broken_off_anywhere_it_leaves_nothing_behind() {
    let Some(machine) = machine("alice") else { return };
    let before = record(&machine, "alice");
    for answered in 0..3 {
        let mut alice = machine.answer("alice", machine.password(), "");
        let mut phone = scan(&mut alice, "Code from the app: ");
        if answered == 1 {
            alice.type_line(&phone.wrong_code());
            alice.expect("That is not the code.");
            alice.expect("Code from the app: ");
        }
        if answered == 2 {
            alice.type_line(&phone.code());
            alice.expect(ENTER);
        }
        alice.hang_up();
        let _ = alice.end();
        // sshd ends the process that asks; there is nobody left to log more.
        let closed = || machine.log().matches("Connection closed by authenticating user alice").count();
        wait::until_true("sshd to see it", || closed() > answered);
    }
    assert_eq!(record(&machine, "alice"), before);
    assert!(machine.sessions().is_empty());
}

#[test]
fn a_second_wrong_code_denies_and_saves_nothing() {
    let Some(machine) = machine("alice") else { return };
    let before = record(&machine, "alice");
    let mut alice = machine.answer("alice", machine.password(), "");
    let phone = scan(&mut alice, "Code from the app: ");
    alice.type_line(&phone.wrong_code());
    alice.expect("Code from the app: ");
    alice.type_line(&phone.wrong_code());
    is_denied(alice);
    machine.logged(&["refused", "user=alice", "no code confirmed the new authenticator"]);
    assert_eq!(record(&machine, "alice"), before);
}

#[test]
fn a_wrong_password_is_refused_like_any() {
    let Some(machine) = machine("alice") else { return };
    for code in ["", "123456"] {
        let mut alice = machine.answer("alice", "wrong horse", code);
        alice.expect("Permission denied");
        assert!(!alice.screen().contains("otpauth"), "{}", alice.screen());
    }
}

#[test]
fn a_user_who_is_disabled_meanwhile_is_not_let_in() {
    let Some(machine) = machine("alice") else { return };
    let before = record(&machine, "alice");
    let mut alice = machine.answer("alice", machine.password(), "");
    let mut phone = scan(&mut alice, "Code from the app: ");
    machine.write("/var/lib/authflow/state/alice.disabled", "");
    alice.type_line(&phone.code());
    alice.expect(ENTER);
    alice.type_line("");
    is_denied(alice);
    machine.logged(&["refused", "user=alice", "the user is disabled"]);
    assert_eq!(record(&machine, "alice"), before);
}

#[test]
fn two_logins_that_enrol_at_once_make_one_authenticator() {
    let Some(machine) = machine("alice") else { return };
    let mut first = machine.answer("alice", machine.password(), "");
    let mut phone = scan(&mut first, "Code from the app: ");
    let mut second = machine.answer("alice", machine.password(), "");
    let _other = enrol(&mut second);
    second.expect("$ ");
    first.type_line(&phone.code());
    first.expect(ENTER);
    first.type_line("");
    is_denied(first);
    machine.logged(&["refused", "user=alice", "the user's record changed"]);
    assert_eq!(factors(&machine, "alice")["factors"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_managed_record_is_never_written() {
    let Some(machine) = machine("alice") else { return };
    let made = machine.shell("install -m 0600 /var/lib/authflow/users/alice.toml /etc/authflow/users/alice.toml");
    let _ = made.success();
    machine.is_refused("alice", machine.password(), "");
    machine.logged(&["refused", "user=alice", "the record is managed"]);
}

#[test]
fn sshds_password_method_enrols_nobody() {
    let Some(machine) = machine("alice") else { return };
    let before = record(&machine, "alice");
    machine.restart_sshd("KbdInteractiveAuthentication no\nPasswordAuthentication yes");
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("password: ");
    alice.type_line(machine.password());
    is_denied(alice);
    machine.logged(&["refused", "user=alice", "no code was given"]);
    assert_eq!(record(&machine, "alice"), before);
}

#[test]
fn a_grace_lets_in_by_the_password_and_says_for_how_long() {
    let Some(machine) = machine("bob") else { return };
    let mut bob = machine.answer("bob", machine.password(), "");
    bob.expect("Code (Enter: later, 7 days left): ");
    bob.type_line("");
    bob.expect("$ ");
    assert!(bob.screen().contains("AAL 1"), "{}", bob.screen());
    machine.logged(&["granted", "user=bob", "factors=password ", "enrolment=put-off"]);
    assert!(machine.read("/var/lib/authflow/state/bob").contains("[grace.grace]"));
}

#[test]
fn a_grace_holds_for_what_shows_no_questions() {
    let Some(machine) = machine("bob") else { return };
    machine.restart_sshd("KbdInteractiveAuthentication no\nPasswordAuthentication yes");
    let mut bob = machine.ssh("bob", &[]);
    bob.expect("password: ");
    bob.type_line(machine.password());
    bob.expect("$ ");
    machine.logged(&["granted", "user=bob", "factors=password ", "enrolment=put-off"]);
}

#[test]
fn a_grace_can_be_taken_up_at_any_time() {
    let Some(machine) = machine("bob") else { return };
    let mut bob = machine.answer("bob", machine.password(), "");
    let mut phone = scan(&mut bob, "days left): ");
    bob.type_line(&phone.code());
    bob.expect(ENTER);
    bob.type_line("");
    bob.expect("$ ");
    assert!(bob.screen().contains("AAL 2"), "{}", bob.screen());
    drop(machine.log_in("bob", &mut phone));
}

/// A peer's grace looked at the remote host alone, and a login at the console had none.
#[test]
fn a_grace_holds_for_every_service_of_its_rule_and_ends_for_all() {
    let Some(plan) = plan("bob") else { return };
    let plan = plan.shipped_pam("login").shipped_pam("sudo").file("/etc/sudoers.d/bob", "bob ALL=(ALL) ALL\n");
    let short = RULES.replace("7d", "30s");
    let machine = plan.config(&short).start();
    machine.give_password("bob");
    let mut bob = machine.person(["login", "bob"]);
    bob.expect("Password: ");
    bob.type_line(machine.password());
    bob.expect("Verification code: ");
    bob.type_line("");
    bob.expect(" left): ");
    bob.type_line("");
    bob.expect("$ ");
    // More than the grace is long: sleep runs inside, so the wait is for its end.
    let _ = machine.run(["sleep", "30"]).success();
    bob.type_line("sudo id -un");
    bob.expect("assword");
    bob.expect(": ");
    bob.type_line(machine.password());
    bob.expect("Verification code: ");
    bob.type_line("");
    bob.expect("Code from the app: ");
    bob.type_bytes(b"\x03");
    let mut ssh = machine.answer("bob", machine.password(), "");
    ssh.expect("Code from the app: ");
    ssh.type_line("");
    ssh.expect("Code from the app: ");
    ssh.type_line("");
    is_denied(ssh);
}

#[test]
fn what_is_optional_can_always_be_put_off() {
    let Some(machine) = machine("carol") else { return };
    for _ in 0..2 {
        let mut carol = machine.answer("carol", machine.password(), "");
        carol.expect("Code (Enter: not now): ");
        carol.type_line("");
        carol.expect("$ ");
        assert!(carol.screen().contains("AAL 1"), "{}", carol.screen());
        carol.type_line("exit");
        let _ = carol.end();
    }
}

#[test]
fn only_a_ticket_admits_to_enrolment_and_once() {
    let Some(machine) = machine("dave") else { return };
    for code in ["", "123456"] {
        machine.is_refused("dave", machine.password(), code);
    }
    let issue = ["authflow", "user", "bypass", "dave", "--for", "2h", "--reason", "new here", "--json"];
    let ticket = || machine.run(issue).json()["code"].as_str().expect("a code").to_owned();
    let wasted = ticket();
    let mut dave = machine.answer("dave", machine.password(), &wasted);
    dave.expect("Code from the app: ");
    dave.hang_up();
    let _ = dave.end();
    machine.is_refused("dave", machine.password(), &wasted);
    let mut dave = machine.answer("dave", machine.password(), &ticket());
    let mut phone = enrol(&mut dave);
    dave.expect("$ ");
    assert!(dave.screen().contains("AAL 2"), "{}", dave.screen());
    drop(machine.log_in("dave", &mut phone));
}

#[test]
fn login_sudo_and_su_enrol_at_a_terminal_in_its_own_colours() {
    let Some(plan) = plan("alice") else { return };
    let plan = plan.shipped_pam("login").shipped_pam("sudo").shipped_pam("su");
    let machine = plan.file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n").start();
    for program in [
        &["login", "alice"][..],
        &["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "sh"],
        // Somebody else becomes her, who has her password and nothing more to show.
        &["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "su", "alice"],
    ] {
        let _ = machine.run(["rm", "-f", "/var/lib/authflow/users/alice.toml"]).success();
        machine.give_password("alice");
        let mut alice = machine.person(program.iter().copied());
        alice.expect("assword");
        alice.expect(": ");
        alice.type_line(machine.password());
        alice.expect("Verification code: ");
        alice.type_line("");
        let _phone = enrol(&mut alice);
        assert!(alice.screen().contains("\u{1b}[30;47;107m"), "{}", alice.screen());
        alice.expect(if program.contains(&"sudo") { "# " } else { "$ " });
        alice.type_line("exit");
        let _ = alice.end();
    }
}

#[test]
fn sftp_can_enrol_and_what_has_no_terminal_cannot() {
    let Some(machine) = machine("alice") else { return };
    // No terminal for sudo, su or login: nothing says where a page would go.
    let output = machine.feed(["su", "nobody", "-s", "/bin/sh", "-c", "su alice -c id"], b"correct horse battery\n\n");
    assert!(!output.status.success() && !output.stderr.contains("otpauth"), "{output:#?}");
    let options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    let mut alice = machine.person(["sftp"].into_iter().chain(options).chain(["alice@127.0.0.1"]));
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line("");
    let _phone = enrol(&mut alice);
    alice.expect("sftp> ");
}
