//! The guard, at a real sshd: who has proved too little gets no session, whatever sshd or another module said. Each shape of
//! `AuthenticationMethods` with a rule under which the login must fail (alice's) and one under which it must pass (bob's).

use authflow_tests::{Authenticator, Machine};

/// Another module lets mallory through without a question; everybody else answers to authflow.
const STACK: &str = "\
auth [success=done default=ignore] pam_succeed_if.so quiet user = mallory
auth [success=done user_unknown=ignore ignore=ignore default=die] pam_authflow.so
auth required pam_deny.so
account [success=ok new_authtok_reqd=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so
account required pam_permit.so
session required pam_loginuid.so
session required pam_authflow.so
";

#[test]
fn a_key_alone_opens_nothing_that_needs_a_code() {
    let Some(bench) = Bench::new("publickey", r#"[["publickey", "totp"]]"#, r#"[["publickey"]]"#) else { return };
    assert!(!bench.login("alice"));
    bench.machine.logged(&["user=alice", "what was proved is not enough"]);
    assert!(bench.login("bob"));
}

#[test]
fn a_key_and_then_a_code_satisfy_a_rule_that_needs_both() {
    let (fails, passes) = (r#"[["publickey", "password", "totp"]]"#, r#"[["publickey", "totp"]]"#);
    let Some(bench) = Bench::new("publickey,keyboard-interactive", fails, passes) else { return };
    // Alice proves a key and a code, and has forgotten her password.
    assert!(!bench.login_with("alice", "not it"));
    assert!(bench.login("bob"));
    // With a key behind her, and a module that asks nothing for the rest: the code is still missing.
    assert!(!bench.login("mallory"));
    bench.machine.logged(&["user=mallory", "what was proved is not enough"]);
}

#[test]
fn keyboard_interactive_alone_proves_no_key() {
    let (fails, passes) = (r#"[["publickey", "totp"]]"#, r#"[["password", "totp"]]"#);
    let Some(bench) = Bench::new("keyboard-interactive", fails, passes) else { return };
    assert!(!bench.login("alice"));
    assert!(bench.login("bob"));
    assert!(!bench.login("mallory"));
}

#[test]
fn a_key_after_a_flow_makes_up_for_no_missing_factor() {
    let (fails, passes) = (r#"[["publickey", "password", "totp"]]"#, r#"[["password", "totp"]]"#);
    let Some(bench) = Bench::new("keyboard-interactive,publickey", fails, passes) else { return };
    assert!(!bench.login_with("alice", "not it"));
    assert!(bench.login("bob"));
    assert!(!bench.login("mallory"));
    bench.machine.logged(&["user=mallory", "what was proved is not enough"]);
}

#[test]
fn one_string_for_all_prompts_is_no_password_and_code() {
    let (fails, passes) = (r#"[["password", "totp"]]"#, r#"[["password"]]"#);
    let Some(bench) = Bench::new("password", fails, passes) else { return };
    assert!(!bench.login("alice"));
    assert!(bench.login("bob"));
    assert!(!bench.login("mallory"));
}

#[test]
fn a_partial_key_that_sshd_verified_is_no_second_factor_by_another_name() {
    let (fails, passes) = (r#"[["password", "totp"]]"#, r#"[["publickey"], ["password", "totp"]]"#);
    let Some(bench) = Bench::new("publickey", fails, passes) else { return };
    assert!(!bench.login("alice"));
    assert!(bench.login("bob"));
}

struct Bench {
    machine: Machine,
    alice: Authenticator,
    bob: Authenticator,
}

impl Bench {
    /// A machine whose sshd wants these methods, with alice and mallory under one rule and bob under another. All are enrolled and
    /// have the same key.
    fn new(shape: &str, fails: &str, passes: &str) -> Option<Self> {
        let rule = |name: &str, users: &str, methods: &str| {
            format!("[[rule]]\nname = \"{name}\"\nservice = [\"sshd\"]\nuser = [{users}]\nmethods = {methods}\n")
        };
        let config = rule("fails", "\"alice\", \"mallory\"", fails) + &rule("passes", "\"bob\"", passes);
        let lines = format!(
            "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods {shape}\n\
             AuthorizedKeysFile /etc/ssh/everybody\n"
        );
        let plan = Machine::overlay()?.user("alice").user("bob").user("mallory").config(&config);
        let machine = plan.sshd(&lines).pam("sshd", STACK).start();
        let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key"]).success();
        machine.write("/etc/ssh/everybody", &machine.read("/root/key.pub"));
        let (alice, bob) = (machine.enroll("alice"), machine.enroll("bob"));
        drop(machine.enroll("mallory"));
        Some(Self { machine, alice, bob })
    }

    fn login(&self, user: &str) -> bool {
        self.login_with(user, self.machine.password())
    }

    /// Whether that user gets a command run, with the key, the password and a good code.
    fn login_with(&self, user: &str, password: &str) -> bool {
        let code = if user == "bob" { self.bob.code_at(0) } else { self.alice.code_at(0) };
        let mut client = self.machine.ssh(
            user,
            &[
                "-i",
                "/root/key",
                "-o",
                "PreferredAuthentications=publickey,keyboard-interactive,password",
                "echo",
                "in-$((6*7))",
            ],
        );
        let status = client.answer_all(&[("assword: ", password), ("code: ", &code)]);
        let is_in = client.sees("in-42");
        assert_eq!(is_in, status.success(), "{}", client.screen());
        is_in
    }
}
