//! Passwords changed by their users and by root, with the real `passwd`: what is asked, what is refused and with which reason, and that
//! who has no password of ours keeps the system's.

use authflow_tests::{Machine, Person, Plan};

const RULE: &str = "[throttle]\nattempts = 50\n\
                    [[rule]]\nname = \"door\"\nservice = [\"door\", \"long\"]\nmethods = [[\"password\"]]\n";
const NEW: &str = "quiet rivers turn blue";
const SYSTEM: &str = "the system's own";

fn plan() -> Option<Plan> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(RULE).without_daemon();
    let door = "auth required pam_authflow.so\n";
    let long = format!("{door}account required pam_permit.so\nsession required pam_permit.so\n");
    Some(plan.shipped_pam("passwd").pam("door", door).pam("long", &long))
}

/// Alice has a password of ours, bob one of the system's.
fn machine() -> Option<Machine> {
    let machine = plan()?.start();
    let _ = machine.enroll("alice");
    let _ = machine.feed(["chpasswd", "-c", "YESCRYPT"], format!("bob:{SYSTEM}\n").as_bytes()).success();
    let _ = machine.run(["usermod", "--comment", "Alice Liddell,Room 7", "alice"]).success();
    Some(machine)
}

/// A program that this user runs on a terminal.
fn by(machine: &Machine, user: &str, program: &[&str]) -> Person {
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let argv = ["setpriv", &uid, &gid, "--init-groups"];
    machine.person(argv.into_iter().chain(program.iter().copied()))
}

fn opens(machine: &Machine, user: &str, password: &str) -> bool {
    machine.person(["pamtester", "door", user, "authenticate"]).answer_all(&[("Password: ", password)]).success()
}

/// Answers `prompt` with `answer`, and waits for what is said next.
#[track_caller]
fn answer(person: &mut Person, prompt: &str, answer: &str) {
    person.expect(prompt);
    person.type_line(answer);
}

#[test]
fn a_user_changes_the_password_and_the_old_one_opens_nothing_any_more() {
    let Some(machine) = machine() else { return };
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", machine.password());
    answer(&mut alice, "New password: ", NEW);
    answer(&mut alice, "Retype new password: ", NEW);
    alice.expect("password updated successfully");
    assert!(alice.end().success());
    assert!(opens(&machine, "alice", NEW) && !opens(&machine, "alice", machine.password()));
    let _ = machine.logged(&["event=password-changed", "user=alice", "by=user"]);
    assert!(!machine.log().contains(NEW) && !machine.log().contains(machine.password()));
}

#[test]
fn a_wrong_old_password_changes_nothing_and_counts_as_a_failure() {
    let Some(machine) = machine() else { return };
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", "not the password");
    alice.expect("The current password was not accepted.");
    assert!(!alice.end().success());
    assert!(!alice.sees("New password"), "{}", alice.screen());
    let listed = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
    assert_eq!(listed["throttle"]["sources"][0]["failures"], 1, "{listed}");
    assert!(opens(&machine, "alice", machine.password()));
}

#[test]
fn each_refusal_comes_with_its_reason() {
    let Some(machine) = machine() else { return };
    for (password, reason) in [
        ("fourteen chars", "has 14 characters, at least 15 are needed: rule \"door\" takes it alone."),
        ("Trustno1Trustno1", "one of those that are tried first"),
        ("alice-liddell-2026", "names of the user, the host or this program"),
        ("authflow-authflow", "names of the user, the host or this program"),
        ("123456789012345", "rows of the alphabet or keyboard"),
        (machine.password(), "This is the password already."),
    ] {
        let mut alice = by(&machine, "alice", &["passwd"]);
        answer(&mut alice, "Current password: ", machine.password());
        answer(&mut alice, "New password: ", password);
        alice.expect(reason);
        // There is a second try, and an end to them.
        answer(&mut alice, "New password: ", NEW);
        answer(&mut alice, "Retype new password: ", "something else");
        alice.expect("These were two different passwords.");
        answer(&mut alice, "New password: ", "");
        alice.expect("No new password was given.");
        assert!(!alice.end().success(), "{}", alice.screen());
    }
    assert!(opens(&machine, "alice", machine.password()), "nothing was changed");
}

#[test]
fn root_sets_a_users_password_unasked_and_under_the_same_rules() {
    let Some(machine) = machine() else { return };
    let mut root = machine.person(["passwd", "alice"]);
    answer(&mut root, "New password: ", "short");
    root.expect("has 5 characters");
    answer(&mut root, "New password: ", NEW);
    answer(&mut root, "Retype new password: ", NEW);
    assert!(root.end().success(), "{}", root.screen());
    assert!(!root.sees("Current"), "{}", root.screen());
    assert!(opens(&machine, "alice", NEW) && !opens(&machine, "alice", machine.password()));
}

/// himmelblau#1078: a module that is in the stack broke `passwd` for local users.
#[test]
fn who_has_no_password_of_ours_changes_the_systems_as_before() {
    let Some(machine) = machine() else { return };
    let change = |old: &str, new: &str| {
        let mut bob = by(&machine, "bob", &["passwd"]);
        answer(&mut bob, "urrent password: ", old);
        answer(&mut bob, "New password: ", new);
        answer(&mut bob, "Retype new password: ", new);
        assert!(bob.end().success(), "{}", bob.screen());
        assert!(opens(&machine, "bob", new) && !opens(&machine, "bob", old));
        assert!(!machine.path("/var/lib/authflow/users/bob.toml").exists());
    };
    change(SYSTEM, NEW);
    machine.write("/etc/authflow/authflow.toml", "this does not parse");
    let mut bob = by(&machine, "bob", &["passwd"]);
    answer(&mut bob, "urrent password: ", NEW);
    answer(&mut bob, "New password: ", SYSTEM);
    answer(&mut bob, "Retype new password: ", SYSTEM);
    assert!(bob.end().success(), "with a broken configuration: {}", bob.screen());
    machine.write("/etc/authflow/authflow.toml", RULE);
    assert!(opens(&machine, "bob", SYSTEM));
    let mut root = machine.person(["passwd", "bob"]);
    answer(&mut root, "New password: ", NEW);
    answer(&mut root, "Retype new password: ", NEW);
    assert!(root.end().success() && opens(&machine, "bob", NEW), "{}", root.screen());
}

#[test]
fn without_the_system_as_a_source_root_gives_the_first_password() {
    let Some(machine) = machine() else { return };
    machine.write("/etc/authflow/authflow.toml", &format!("password = {{ source = [\"authflow\"] }}\n{RULE}"));
    assert!(!opens(&machine, "bob", SYSTEM));
    let mut root = machine.person(["passwd", "bob"]);
    answer(&mut root, "New password: ", NEW);
    answer(&mut root, "Retype new password: ", NEW);
    assert!(root.end().success() && opens(&machine, "bob", NEW), "{}", root.screen());
}

#[test]
fn a_managed_password_is_refused_with_the_reason() {
    let Some(machine) = machine() else { return };
    let move_it = "cp -p /var/lib/authflow/users/alice.toml /etc/authflow/users/";
    let _ = machine.shell(move_it).success();
    let mut alice = by(&machine, "alice", &["passwd"]);
    alice.expect("managed elsewhere");
    assert!(!alice.end().success());
}

#[test]
fn without_the_list_of_common_passwords_only_root_sets_one() {
    let Some(machine) = machine() else { return };
    let _ = machine.run(["rm", "/usr/share/authflow/common-passwords.txt"]).success();
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", machine.password());
    alice.expect("only an administrator can set one");
    assert!(!alice.end().success());
    let mut root = machine.person(["passwd", "alice"]);
    answer(&mut root, "New password: ", NEW);
    answer(&mut root, "Retype new password: ", NEW);
    assert!(root.end().success() && opens(&machine, "alice", NEW), "{}", root.screen());
    let _ = machine.logged(&["event=no-common-passwords", "common-passwords.txt"]);
}

#[test]
fn a_module_before_us_may_hand_over_the_new_password_and_it_is_judged_again() {
    let Some(machine) = machine() else { return };
    let stack = "password requisite pam_pwhistory.so\npassword requisite pam_authflow.so use_authtok\n";
    machine.write("/etc/pam.d/passwd", stack);
    let change = |new: &str| {
        let mut alice = by(&machine, "alice", &["passwd"]);
        let status = alice.answer_all(&[
            ("Current password: ", machine.password()),
            ("New password: ", new),
            ("etype new password: ", new),
        ]);
        (status.success(), alice.screen())
    };
    let (changed, screen) = change("fourteen chars");
    assert!(!changed && screen.contains("at least 15"), "{screen}");
    assert!(opens(&machine, "alice", machine.password()));
    let (changed, screen) = change(NEW);
    assert!(changed && opens(&machine, "alice", NEW), "{screen}");
    // With nobody before us there is no new password, and we do not ask for one.
    machine.write("/etc/pam.d/passwd", "password requisite pam_authflow.so use_authtok\n");
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", NEW);
    alice.expect("No new password was given.");
    assert!(!alice.end().success());
}

#[test]
fn a_module_behind_us_gets_both_passwords() {
    let Some(machine) = machine() else { return };
    let _ =
        machine.feed(["chpasswd", "-c", "YESCRYPT"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    let stack =
        "password requisite pam_authflow.so\npassword required pam_unix.so yescrypt use_authtok try_first_pass\n";
    machine.write("/etc/pam.d/passwd", stack);
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", machine.password());
    answer(&mut alice, "New password: ", NEW);
    answer(&mut alice, "Retype new password: ", NEW);
    assert!(alice.end().success(), "{}", alice.screen());
    assert!(opens(&machine, "alice", NEW));
    let _ = machine.run(["authflow", "factor", "remove", "password", "--user", "alice", "--yes"]).success();
    assert!(opens(&machine, "alice", NEW), "the system has it as well");
}

#[test]
fn the_longest_password_is_4096_bytes() {
    let Some(machine) = machine() else { return };
    let longest = "Zq8 ".repeat(300) + &"y7_k".repeat(724);
    let set = |password: &str| machine.feed(["authflow", "passwd", "--user", "alice", "--stdin"], password.as_bytes());
    let too_long = set(&format!("{longest}x"));
    assert!(!too_long.status.success() && too_long.stderr.contains("4096"), "{}", too_long.stderr);
    let _ = set(&longest).success();
    // A terminal takes no line as long as that, and pamtester no answer.
    machine.compile("footprint");
    let opens = |password: &str| machine.run(["footprint", "login", "long", "alice", "1", password]).status.success();
    assert!(opens(&longest));
    assert!(!opens(&longest[..4095]) && !opens(&format!("{longest}x")), "nothing of it is cut off");
}

#[test]
fn composed_and_decomposed_are_one_password() {
    let Some(machine) = machine() else { return };
    let (composed, decomposed) = ("zwölf Boxkämpfer jagen", "zwo\u{308}lf Boxka\u{308}mpfer jagen");
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", machine.password());
    answer(&mut alice, "New password: ", decomposed);
    answer(&mut alice, "Retype new password: ", decomposed);
    assert!(alice.end().success(), "{}", alice.screen());
    assert!(opens(&machine, "alice", composed) && opens(&machine, "alice", decomposed));
    assert!(!opens(&machine, "alice", "zwolf Boxkampfer jagen"));
}

#[test]
fn authflow_passwd_leads_users_to_passwd() {
    let Some(machine) = machine() else { return };
    let mut alice = by(&machine, "alice", &["authflow", "passwd"]);
    answer(&mut alice, "Current password: ", machine.password());
    answer(&mut alice, "New password: ", NEW);
    answer(&mut alice, "Retype new password: ", NEW);
    alice.expect("alice has a new password");
    assert!(alice.end().success() && opens(&machine, "alice", NEW));
    let mut alice = by(&machine, "alice", &["authflow", "passwd", "--user", "bob"]);
    assert_eq!(alice.end().code(), Some(4), "{}", alice.screen());
}

#[test]
fn other_sessions_can_be_ended_with_the_password() {
    const SSH: &str = "[throttle]\nattempts = 50\n\
                       [[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\"]]\n";
    let Some(plan) = Machine::overlay() else { return };
    let sshd = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
    let machine = plan.user("alice").config(SSH).sshd(sshd).shipped_pam("passwd").start();
    let _ = machine.enroll("alice");
    let log_in = |password: &str| {
        let mut alice = machine.ssh("alice", &[]);
        answer(&mut alice, "Password: ", password);
        alice.expect("$ ");
        alice
    };
    let (mut other, mut alice) = (log_in(machine.password()), log_in(machine.password()));
    alice.type_line("authflow passwd --end-other-sessions");
    answer(&mut alice, "Current password: ", machine.password());
    answer(&mut alice, "New password: ", NEW);
    answer(&mut alice, "Retype new password: ", NEW);
    alice.expect("1 other session(s) ended");
    other.expect("the password was changed");
    let _ = other.end();
    assert_eq!(alice.shell("echo here"), "here", "the one in which it was changed goes on");
    let end_all = ["authflow", "passwd", "--user", "alice", "--initial", "--end-other-sessions", "--json"];
    assert_eq!(machine.run(end_all).json()["sessions_ended"], 1);
    let _ = alice.end();
}

/// Between the proof of the old password and the choice of a new one, a thief can wait as long as he likes.
#[test]
fn a_change_that_was_held_up_does_not_replace_what_root_has_set_meanwhile() {
    let Some(machine) = machine() else { return };
    let mut alice = by(&machine, "alice", &["passwd"]);
    answer(&mut alice, "Current password: ", machine.password());
    alice.expect("New password: ");
    let by_root = "set by root at the desk";
    let _ = machine.feed(["authflow", "passwd", "--user", "alice", "--stdin"], by_root.as_bytes()).success();
    alice.type_line(NEW);
    answer(&mut alice, "Retype new password: ", NEW);
    alice.expect("changed by somebody else meanwhile");
    assert!(!alice.end().success());
    assert!(opens(&machine, "alice", by_root) && !opens(&machine, "alice", NEW));
}
