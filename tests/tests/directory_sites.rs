//! Sites whose passwords are in a directory: another module verifies them, before us or behind us, and the flow asks for the rest.
//! `pam_unix` stands for `pam_sss`; authflow's own records hold no password, and the system's hashes do not count for it.

use authflow_tests::{Authenticator, Machine, wait};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[password]
source = ["authflow"]
[throttle]
attempts = 20
[[rule]]
name = "guests"
service = ["sshd", "login"]
group = ["guests"]
methods = [["stack"]]
[[rule]]
name = "directory"
service = ["sshd", "login"]
methods = [["password", "totp"]]
"#;

const SSHD: &str =
    "KbdInteractiveAuthentication yes\nPasswordAuthentication yes\nAuthorizedKeysFile /etc/ssh/everybody";

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const DIRECTORYS: &str = "known to the directory";

/// A stranger is asked everything, and learns nothing of the password.
const REQUIRED: &str = "\
auth required pam_unix.so nodelay
auth [success=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so proved=password
";

/// Who does not know the password is asked for no code.
const REQUISITE: &str = "\
auth requisite pam_unix.so nodelay
auth [success=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so proved=password
";

/// What is shipped for such sites: as a requisite module, though it is several.
const SHIPPED: &str = include_str!("../../conf/pam.d/sshd-directory.example");

/// The other recipe: we ask for everything, and the directory verifies the password that it finds.
const ASK: &str = include_str!("../../conf/pam.d/sshd-directory-ask.example");

const OTHERS: &str = "\
account [success=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so
account required pam_unix.so
session required pam_loginuid.so
session required pam_authflow.so
";

#[test]
fn the_directory_knows_the_password_and_we_the_code() {
    for stack in [REQUIRED, REQUISITE, SHIPPED, ASK] {
        let Some(machine) = machine(stack) else { return };
        let mut phone = enroll(&machine);
        let checked = machine.run(["authflow", "config", "check"]).success();
        assert_eq!(checked.contains("prefer requisite"), stack == REQUIRED, "{checked}");
        assert_eq!(checked.contains("pam.d"), stack == REQUIRED, "{checked}");
        for mut alice in [machine.ssh("alice", &[]), machine.person(["login", "alice"])] {
            alice.expect("assword: ");
            alice.type_line(DIRECTORYS);
            let between = alice.expect("Verification code: ");
            assert!(!between.contains("assword"), "asked twice: {between}");
            alice.type_line(&phone.code());
            alice.expect("$ ");
            let session = only_session(&machine);
            assert_eq!((&session["factors"], &session["aal"]), (&json!(["password", "totp"]), &json!(2)), "{session}");
            alice.type_line("exit");
            let _ = alice.end();
            wait::until_true("the logout", || machine.run(["authflow", "sessions", "--json"]).json() == json!([]));
        }
    }
}

#[test]
fn what_the_directory_refuses_no_code_opens_and_nothing_is_left_of_it() {
    for (stack, asks_all) in [(REQUIRED, true), (REQUISITE, false), (SHIPPED, false), (ASK, true)] {
        let Some(machine) = machine(stack) else { return };
        let mut phone = enroll(&machine);
        let answers = [("assword: ", "none of it"), ("Verification code: ", &*phone.code())];
        let (is_in, screen) = ssh(&machine, "alice", &[], &answers);
        assert_eq!((is_in, screen.contains("Verification code: ")), (false, asks_all), "{screen}");
        let mut alice = machine.person(["login", "alice"]);
        alice.expect("assword: ");
        alice.type_line("none of it");
        if asks_all {
            alice.expect("Verification code: ");
            alice.type_line(&phone.code());
        }
        alice.expect("Login incorrect");
        assert_eq!(machine.run(["find", "/run/authflow", "-type", "f"]).stdout, "");
        assert_eq!(machine.run(["authflow", "sessions", "--json"]).json(), json!([]));
    }
}

#[test]
fn a_code_accepted_behind_a_wrong_password_clears_no_count_of_failures() {
    let Some(machine) = machine(REQUIRED) else { return };
    let mut phone = enroll(&machine);
    let enter = |password: &str, code: &str| {
        let mut alice = machine.person(["pamtester", "login", "alice", "authenticate", "acct_mgmt"]);
        alice.answer_all(&[("Password: ", password), ("Verification code: ", code)]).success()
    };
    let seen = || {
        let list = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
        let source = &list["throttle"]["sources"][0];
        (source["failures"].clone(), source["last_success_at"].is_string())
    };
    assert!(!enter(DIRECTORYS, &phone.wrong_code()));
    assert_eq!(seen(), (json!(1), false));
    assert!(!enter("none of it", &phone.code()));
    machine.logged(&["event=granted", "user=alice"]);
    assert_eq!(seen(), (json!(1), false));
    assert!(enter(DIRECTORYS, &phone.code()));
    assert_eq!(seen(), (json!(0), true));
}

#[test]
fn a_code_accepted_behind_a_wrong_password_is_not_made_good_by_a_key() {
    let Some(machine) = machine(REQUIRED) else { return };
    let mut phone = enroll(&machine);
    let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key"]).success();
    machine.write("/etc/ssh/everybody", &machine.read("/root/key.pub"));
    // sshd's password method gives its one answer to everybody: to the directory it is a wrong password, to us the right code. The
    // process is the one that then sees the key, so what our flow noted is still there.
    let order = ["-i", "/root/key", "-o", "PreferredAuthentications=password,publickey"];
    let (is_in, screen) = ssh(&machine, "alice", &order, &[("assword: ", &phone.code())]);
    machine.logged(&["event=granted", "user=alice"]);
    assert!(!is_in, "{screen}");
    machine.logged(&["phase=open-session", "user=alice", "what was proved is not enough: publickey"]);
}

#[test]
fn a_code_asked_ahead_is_not_used_up_by_a_wrong_password_nor_kept_for_another_try() {
    let Some(machine) = machine(ASK) else { return };
    let mut phone = enroll(&machine);
    let code = phone.code();
    let mut alice = machine.person(["login", "alice"]);
    let wrong = phone.wrong_code();
    for (password, code, is_right) in
        [("none of it", &code, false), (DIRECTORYS, &wrong, false), (DIRECTORYS, &code, true)]
    {
        alice.expect("Password: ");
        alice.type_line(password);
        alice.expect("Verification code: ");
        alice.type_line(code);
        if !is_right {
            alice.expect("Login incorrect");
            alice.expect("login: ");
            alice.type_line("alice");
        }
    }
    alice.expect("$ ");
    // sshd's password method has one string for both questions: it is no code, and counts as no failed one.
    machine.restart_sshd("PasswordAuthentication yes\nKbdInteractiveAuthentication no");
    assert!(!ssh(&machine, "alice", &[], &[("assword: ", DIRECTORYS)]).0);
    machine.logged(&["user=alice", "no code was given"]);
}

#[test]
fn an_account_without_a_password_has_none_that_was_proved() {
    for stack in [SHIPPED, ASK] {
        let Some(machine) = machine(stack) else { return };
        let mut phone = enroll(&machine);
        // common-auth has `nullok`: it asks nothing of such an account, and lets it through.
        let _ = machine.run(["passwd", "--delete", "alice"]).success();
        for password in ["", "whatever"] {
            let code = phone.code();
            let mut alice = machine.person(["pamtester", "login", "alice", "authenticate", "acct_mgmt"]);
            let status = alice.answer_all(&[("Password: ", password), ("Verification code: ", &code)]);
            assert!(!status.success(), "{password:?}: {}", alice.screen());
        }
        machine.logged(&["event=password-not-proved", "user=alice"]);
    }
}

#[test]
fn a_line_that_only_asks_lets_nobody_in_by_itself() {
    for rest in ["", "auth required pam_unix.so nodelay\n"] {
        let ask =
            format!("auth [success=ok user_unknown=ignore ignore=ignore default=die] pam_authflow.so ask\n{rest}");
        let Some(machine) = machine(&ask) else { return };
        let mut phone = enroll(&machine);
        let answers = [("assword: ", DIRECTORYS), ("Verification code: ", &*phone.code())];
        assert!(!ssh(&machine, "alice", &[], &answers).0, "{rest:?}");
    }
}

#[test]
fn who_has_no_record_is_refused_unless_the_rule_leaves_it_to_the_stack() {
    for stack in [REQUIRED, SHIPPED, ASK] {
        let Some(machine) = machine(stack) else { return };
        let answers = [("assword: ", DIRECTORYS), ("Verification code: ", "000000")];
        assert!(!ssh(&machine, "bob", &[], &answers).0);
        machine.logged(&["user=bob", "no authenticators for any method"]);
        let _ = machine.shell("groupadd guests && usermod --append --groups guests bob").success();
        let (is_in, screen) = ssh(&machine, "bob", &[], &answers);
        assert!(is_in && !screen.contains("Verification code"), "{screen}");
        assert!(!ssh(&machine, "bob", &[], &[("assword: ", "none of it")]).0);
    }
}

/// A machine with this stack of auth lines at sshd and login. Alice and bob are known to the directory, and have no password here.
fn machine(auth: &str) -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(CONFIG).sshd(SSHD);
    let stack = if auth.starts_with('#') { auth.to_owned() } else { format!("{auth}{OTHERS}") };
    let machine = plan.pam("sshd", &stack).pam("login", &stack).start();
    let passwords = format!("alice:{DIRECTORYS}\nbob:{DIRECTORYS}\n");
    let _ = machine.feed(["chpasswd"], passwords.as_bytes()).success();
    Some(machine)
}

/// Gives alice an authenticator, and no password.
fn enroll(machine: &Machine) -> Authenticator {
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, SECRET.as_bytes()).success();
    Authenticator::new(SECRET)
}

/// Somebody who runs a command by ssh, with these answers. Whether it ran, and what was on the screen.
fn ssh(machine: &Machine, user: &str, options: &[&str], answers: &[(&str, &str)]) -> (bool, String) {
    let mut client = machine.ssh(user, &[options, &["echo", "in-$((6*7))"]].concat());
    let status = client.answer_all(answers);
    let is_in = client.sees("in-42");
    assert_eq!(is_in, status.success(), "{}", client.screen());
    (is_in, client.screen())
}

#[track_caller]
fn only_session(machine: &Machine) -> Value {
    let sessions = machine.run(["authflow", "sessions", "--json"]).json();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions:#}\n{}", machine.log());
    sessions[0].clone()
}
