//! Keys at a real sshd: which kind of key it was, what is no key, and that every way through a connection goes by the same rule.

use authflow_tests::{Authenticator, Machine, Person, SecurityKey, wait};
use serde_json::{Value, json};

const SSHD: &str = "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nAuthorizedKeysFile /etc/ssh/everybody\n\
                    TrustedUserCAKeys /etc/ssh/authority.pub\n";

const KEY: &[&str] = &["-i", "/root/key"];
const CERTIFICATE: &[&str] = &["-i", "/root/signed", "-o", "CertificateFile=/root/signed-cert.pub"];

#[test]
fn a_session_says_which_kind_of_key_opened_it() {
    let Some(machine) = machine("publickey", r#"[["publickey"]]"#) else { return };
    let security_key = SecurityKey::plug_into(&machine);
    machine.write("/root/security-key.pub", &security_key.public);
    machine.write("/etc/ssh/everybody", &(machine.read("/root/key.pub") + &security_key.public));
    let agent = format!("IdentityAgent={}", SecurityKey::AGENT);
    let in_hardware: &[&str] = &["-i", "/root/security-key.pub", "-o", &agent];
    for (key, factors) in [
        (KEY, json!(["publickey"])),
        (CERTIFICATE, json!(["publickey", "certificate"])),
        (in_hardware, json!(["publickey", "security-key"])),
    ] {
        let mut alice = machine.ssh("alice", key);
        alice.expect("$ ");
        let session = only_session(&machine);
        assert_eq!((&session["factors"], &session["aal"]), (&factors, &json!(1)), "{session}");
        alice.type_line("exit");
        assert!(alice.end().success());
        wait::until_true("the logout", || sessions(&machine).is_empty());
    }
}

#[test]
fn where_sshd_takes_keys_in_hardware_alone_no_other_key_comes_as_far_as_the_code() {
    let Some(machine) = machine("publickey,keyboard-interactive", r#"[["publickey", "totp"]]"#) else { return };
    let security_key = SecurityKey::plug_into(&machine);
    machine.write("/root/security-key.pub", &security_key.public);
    machine.write("/etc/ssh/everybody", &(machine.read("/root/key.pub") + &security_key.public));
    let shape = "AuthenticationMethods publickey,keyboard-interactive\nPubkeyAcceptedAlgorithms sk-*";
    machine.restart_sshd(&format!("{SSHD}{shape}"));
    let mut phone = machine.enroll("alice");
    for key in [KEY, CERTIFICATE] {
        let mut refused = machine.ssh("alice", key);
        assert!(!refused.answer_all(&[("Verification code: ", &phone.code())]).success());
        assert!(!refused.sees("Verification code"), "{}", refused.screen());
    }
    let agent = format!("IdentityAgent={}", SecurityKey::AGENT);
    let mut alice = machine.ssh("alice", &["-i", "/root/security-key.pub", "-o", &agent]);
    alice.expect("Verification code: ");
    alice.type_line(&phone.code());
    alice.expect("$ ");
    assert_eq!(only_session(&machine)["factors"], json!(["totp", "publickey", "security-key"]));
}

#[test]
fn two_keys_are_one_factor() {
    let both = [KEY, CERTIFICATE].concat();
    let Some(machine) = machine("publickey,publickey", r#"[["publickey"]]"#) else { return };
    let mut alice = machine.ssh("alice", &both);
    alice.expect("$ ");
    let session = only_session(&machine);
    assert_eq!((&session["factors"], &session["aal"]), (&json!(["publickey", "certificate"]), &json!(1)), "{session}");
    configure(&machine, r#"[["publickey", "totp"]]"#);
    assert!(!runs(&machine, "alice", &both, &[]), "two keys are no code");
    machine.logged(&["user=alice", "what was proved is not enough: publickey+certificate"]);
}

#[test]
fn a_key_and_a_code_ask_for_the_code_alone() {
    let Some(machine) = machine("publickey,keyboard-interactive", r#"[["publickey", "totp"], ["password", "totp"]]"#)
    else {
        return;
    };
    let mut phone = machine.enroll("alice");
    let mut alice = machine.ssh("alice", CERTIFICATE);
    let before = alice.expect("Verification code: ");
    assert!(!before.contains("assword"), "{before}");
    alice.type_line(&phone.code());
    alice.expect("$ ");
    assert_eq!(only_session(&machine)["factors"], json!(["totp", "publickey", "certificate"]));
    assert!(!runs(&machine, "alice", KEY, &[("code: ", &phone.wrong_code())]));
}

#[test]
fn a_host_that_vouches_for_its_user_is_no_key() {
    let Some(machine) = machine("publickey", r#"[["publickey"]]"#) else { return };
    machine.restart_sshd(&format!(
        "{SSHD}AuthenticationMethods hostbased\nHostbasedAuthentication yes\nHostbasedUsesNameFromPacketOnly yes"
    ));
    machine.write("/etc/hosts", "127.0.0.1 localhost\n");
    machine.write("/etc/ssh/shosts.equiv", "localhost\n");
    machine
        .write("/etc/ssh/ssh_known_hosts", &format!("localhost {}", machine.read("/etc/ssh/ssh_host_ed25519_key.pub")));
    machine.write("/etc/ssh/ssh_config", "Host *\nEnableSSHKeysign yes\nHostbasedAuthentication yes\n");
    let as_alice = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "env", "HOME=/home/alice", "ssh"];
    let client = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"];
    let connect = |machine: &Machine| {
        machine.run(as_alice.iter().chain(&client).copied().chain(["alice@127.0.0.1", "echo", "in-$((6*7))"]))
    };
    assert!(!connect(&machine).stdout.contains("in-42"));
    machine.logged(&["Accepted hostbased for alice"]);
    machine.logged(&["user=alice", "phase=open-session", "what was proved is not enough: none"]);
    configure(&machine, r#"[["stack"]]"#);
    assert!(connect(&machine).stdout.contains("in-42"), "where the rule leaves it to others it is theirs");
}

#[test]
fn password_and_code_in_one_field_pass_sshds_password_method() {
    let Some(machine) = machine("password", r#"[["password", "totp"]]"#) else { return };
    let mut phone = machine.enroll("alice");
    let in_one = |code: &str| format!("{}{code}", machine.password());
    // Without the option the one answer is given to both prompts, and is no code.
    assert!(!runs(&machine, "alice", &[], &[("password: ", &in_one(&phone.code_at(0)))]));
    let stack = machine.read("/etc/pam.d/sshd").replace("pam_authflow.so", "pam_authflow.so one_prompt");
    machine.write("/etc/pam.d/sshd", &stack);
    assert!(!runs(&machine, "alice", &[], &[("password: ", machine.password())]));
    assert!(!runs(&machine, "alice", &[], &[("password: ", &in_one(&phone.wrong_code()))]));
    assert!(runs(&machine, "alice", &[], &[("password: ", &in_one(&phone.code()))]));
    machine.restart_sshd(&format!("{SSHD}AuthenticationMethods keyboard-interactive"));
    assert!(runs(&machine, "alice", &[], &[("Password and verification code: ", &in_one(&phone.code()))]));
}

#[test]
fn a_key_forged_in_the_pam_environment_counts_only_in_a_wrong_order() {
    let Some(machine) = machine("keyboard-interactive", r#"[["publickey"]]"#) else { return };
    machine.write("/home/alice/.pam_environment", "SSH_AUTH_INFO_0 DEFAULT=\"publickey ssh-ed25519 AAAA\"\n");
    // Another module lets alice through without a question; then comes Debian's own order.
    let rest: String =
        machine.read("/etc/pam.d/sshd").lines().filter(|line| !line.starts_with("auth ")).map(line).collect();
    let opened = format!("auth sufficient pam_permit.so\n{rest}");
    machine.write("/etc/pam.d/sshd", &opened.replace("@include common-auth\n", ""));
    assert!(!runs(&machine, "alice", &[], &[]));
    machine.logged(&["user=alice", "phase=open-session", "what was proved is not enough: none"]);
    let check = || machine.run(["authflow", "config", "check"]).success();
    assert!(!check().contains("pam_env.so"), "{}", check());
    // What the order is for: before our line, the user's words would be sshd's. In the auth stack they are not: sshd says its own
    // again just before the session stack.
    let shipped = machine.read("/etc/pam.d/sshd");
    // pam_env takes any number but zero for a yes.
    for (phase, number, is_in) in
        [("session", "1", true), ("session", "02", true), ("session", "00", false), ("auth", "1", false)]
    {
        machine.write("/etc/pam.d/sshd", &format!("{phase} optional pam_env.so user_readenv={number}\n{shipped}"));
        assert_eq!(runs(&machine, "alice", &[], &[]), is_in, "{phase} {number}");
        assert_eq!(check().contains("sshd:1: pam_env.so reads the user's own file"), is_in, "{}", check());
    }
}

#[test]
fn sftp_and_forced_commands_go_by_the_same_rule() {
    let Some(machine) = machine("publickey", r#"[["publickey", "totp"]]"#) else { return };
    let sftp = |machine: &Machine| {
        let options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"];
        let argv = ["sftp", "-b", "-", "-i", "/root/key"].into_iter().chain(options).chain(["alice@127.0.0.1"]);
        machine.feed(argv, b"pwd\n").stdout.contains("Remote working directory: /")
    };
    assert!(!sftp(&machine));
    machine.restart_sshd(&format!("{SSHD}AuthenticationMethods publickey\nForceCommand touch /tmp/forced"));
    assert!(!runs(&machine, "alice", KEY, &[]));
    assert!(!machine.path("/tmp/forced").exists());
    configure(&machine, r#"[["publickey"]]"#);
    assert!(machine.ssh("alice", &[KEY, &["true"]].concat()).answer_all(&[]).success());
    assert!(machine.path("/tmp/forced").exists());
    // A cage of root's, in which there is nothing but sftp.
    let _ = machine.run(["mkdir", "-p", "/srv/cage"]).success();
    machine.restart_sshd(&format!(
        "{SSHD}AuthenticationMethods publickey\nChrootDirectory /srv/cage\nForceCommand internal-sftp"
    ));
    assert!(sftp(&machine));
    configure(&machine, r#"[["publickey", "totp"]]"#);
    assert!(!sftp(&machine));
    let ended = machine.run(["authflow", "history", "--user", "alice", "--json"]).json();
    assert_eq!(ended.as_array().map(Vec::len), Some(2), "one by the command, one in the cage: {ended:#}");
}

#[test]
fn what_shares_a_connection_shares_its_session_and_its_end() {
    let Some(machine) = machine("keyboard-interactive", r#"[["password", "totp"]]"#) else { return };
    let mut phone = machine.enroll("alice");
    let mut first = log_in(&machine, &["-M", "-S", "/root/shared"], &mut phone);
    let mut second = machine.ssh("alice", &["-S", "/root/shared"]);
    second.expect("$ ");
    assert!(!second.screen().contains("assword"), "it was not asked again: {}", second.screen());
    let both = [first.shell("tty"), second.shell("tty")].map(|tty| tty.trim_start_matches("/dev/").to_owned());
    wait::until_true("both terminals in the one session", || {
        let session = only_session(&machine);
        let seen = session["ttys"].as_array().expect("a list");
        both.iter().all(|tty| seen.contains(&json!(tty)))
    });
    let id = only_session(&machine)["id"].as_str().expect("an id").to_owned();
    let _ = machine.run(["authflow", "revoke", &id]).success();
    let _ = (first.end(), second.end());
    assert!(!runs(&machine, "alice", &["-S", "/root/shared", "-o", "BatchMode=yes"], &[]), "nothing is left to share");
}

/// A machine whose sshd wants this, with alice under one rule. There is a key that sshd knows, and one that an authority has signed.
fn machine(shape: &str, methods: &str) -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").config(&rule(methods));
    let machine = plan.sshd(&format!("{SSHD}AuthenticationMethods {shape}")).start();
    for key in ["/root/key", "/root/signed", "/root/authority"] {
        let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]).success();
    }
    let sign = ["ssh-keygen", "-q", "-s", "/root/authority", "-I", "alice", "-n", "alice", "/root/signed.pub"];
    let _ = machine.run(sign).success();
    machine.write("/etc/ssh/authority.pub", &machine.read("/root/authority.pub"));
    machine.write("/etc/ssh/everybody", &machine.read("/root/key.pub"));
    Some(machine)
}

fn rule(methods: &str) -> String {
    format!("[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = {methods}\n")
}

fn configure(machine: &Machine, methods: &str) {
    machine.write("/etc/authflow/authflow.toml", &rule(methods));
}

/// Whether a command gets run, with these options of the client and these answers.
fn runs(machine: &Machine, user: &str, options: &[&str], answers: &[(&str, &str)]) -> bool {
    let mut client = machine.ssh(user, &[options, &["echo", "in-$((6*7))"]].concat());
    let status = client.answer_all(answers);
    let is_in = client.sees("in-42");
    assert_eq!(is_in, status.success(), "{}", client.screen());
    is_in
}

fn log_in(machine: &Machine, options: &[&str], phone: &mut Authenticator) -> Person {
    let mut person = machine.ssh("alice", options);
    person.expect("Password: ");
    person.type_line(machine.password());
    person.expect("Verification code: ");
    person.type_line(&phone.code());
    person.expect("$ ");
    person
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

fn sessions(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
}

#[track_caller]
fn only_session(machine: &Machine) -> Value {
    let mut sessions = sessions(machine);
    assert_eq!(sessions.len(), 1, "{sessions:#?}\n{}", machine.log());
    sessions.remove(0)
}
