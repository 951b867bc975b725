//! The phone is gone: recovery codes and an administrator's bypass code let the user in once each, and nobody is left unaware of it.

use authflow_tests::Machine;

const RULES: &str = r#"
[[rule]]
name = "strict"
service = ["sshd"]
user = ["bob"]
methods = [["password", "totp"]]
recovery = false

[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

fn machine() -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(RULES).sshd(SSHD).start())
}

fn recovery_codes(machine: &Machine, user: &str) -> Vec<String> {
    let made = machine.run(["authflow", "factor", "recovery-codes", "--user", user, "--json"]).json();
    let codes = made["codes"].as_array().expect("codes");
    codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect()
}

/// Issues a bypass code; gives the line that shows it.
fn bypass(machine: &Machine, user: &str) -> String {
    let argv = ["authflow", "user", "bypass", user, "--for", "2h", "--reason", "phone lost", "--json"];
    machine.run(argv).json()["code"].as_str().expect("a code").to_owned()
}

#[test]
fn a_recovery_code_lets_in_once_and_both_logins_are_told() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let codes = recovery_codes(&machine, "alice");
    assert_eq!(codes.len(), 10);
    let mut alice = machine.log_in_by("alice", &codes[0].to_uppercase());
    assert!(alice.screen().contains("a recovery code was used from 127.0.0.1; 9 left"), "{}", alice.screen());
    assert_eq!(machine.sessions()[0]["factors"], serde_json::json!(["password", "totp", "recovery"]));
    machine.logged(&["granted", "user=alice", "factors=password+totp+recovery"]);
    machine.is_refused("alice", machine.password(), &codes[0]);
    let mut again = machine.log_in("alice", &mut phone);
    assert!(again.screen().contains("a recovery code was used from 127.0.0.1; 9 left"), "{}", again.screen());
    assert!(again.screen().contains("a code was tried a second time from 127.0.0.1"), "{}", again.screen());
    let mut third = machine.log_in("alice", &mut phone);
    assert!(!third.screen().contains("recovery"), "told once: {}", third.screen());
    for person in [&mut alice, &mut again, &mut third] {
        person.type_line("exit");
        let _ = person.end();
    }
}

#[test]
fn the_last_recovery_code_asks_to_enrol_anew_and_a_new_set_voids_the_old() {
    let Some(machine) = machine() else { return };
    let _phone = machine.enroll("alice");
    let old = recovery_codes(&machine, "alice");
    let new = recovery_codes(&machine, "alice");
    machine.is_refused("alice", machine.password(), &old[0]);
    for code in &new[..9] {
        let mut person = machine.log_in_by("alice", code);
        person.type_line("exit");
        let _ = person.end();
    }
    let last = machine.log_in_by("alice", &new[9]);
    assert!(last.screen().contains("the last recovery code was used"), "{}", last.screen());
    let listed = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
    assert_eq!(listed["recovery_codes_left"], 0);
}

#[test]
fn codes_are_kept_as_digests_and_no_log_shows_them() {
    let Some(machine) = machine() else { return };
    let _phone = machine.enroll("alice");
    let codes = recovery_codes(&machine, "alice");
    let code = bypass(&machine, "alice");
    drop(machine.log_in_by("alice", &codes[0]));
    machine.logged(&["event=bypass-issued", "user=alice", "reason=\"phone lost\""]);
    let files = machine.shell("cat /var/lib/authflow/users/alice.toml /var/lib/authflow/state/alice").stdout;
    for text in [files, machine.log()] {
        for code in codes.iter().chain([&code]) {
            assert!(!text.contains(code.as_str()) && !text.contains(&code.replace('-', "")), "{text}");
        }
    }
}

#[test]
fn a_bypass_code_lets_in_once_and_can_be_withdrawn() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let withdrawn = bypass(&machine, "alice");
    let cancelled = machine.run(["authflow", "user", "bypass", "alice", "--cancel", "--json"]).json();
    assert_eq!(cancelled["changed"], true);
    machine.is_refused("alice", machine.password(), &withdrawn);
    let code = bypass(&machine, "alice");
    let mut alice = machine.log_in_by("alice", &code);
    assert!(alice.screen().contains("an administrator issued a bypass code: phone lost"), "{}", alice.screen());
    machine.is_refused("alice", machine.password(), &code);
    alice.type_line("exit");
    let _ = alice.end();
    let next = machine.log_in("alice", &mut phone);
    assert!(next.screen().contains("the bypass code was used from 127.0.0.1"), "{}", next.screen());
}

#[test]
fn a_rule_that_wants_the_authenticator_itself_takes_no_stand_in() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("bob");
    let codes = recovery_codes(&machine, "bob");
    machine.is_refused("bob", machine.password(), &codes[0]);
    machine.is_refused("bob", machine.password(), &bypass(&machine, "bob"));
    drop(machine.log_in("bob", &mut phone));
}

#[test]
fn a_bypass_without_end_or_reason_is_not_issued() {
    let Some(machine) = machine() else { return };
    for more in
        [&["--for", "8d", "--reason", "x"][..], &["--for", "2h"], &["--reason", "x"], &["--for", "0s", "--reason", "x"]]
    {
        let argv = ["authflow", "user", "bypass", "alice"].iter().chain(more);
        assert_eq!(machine.run(argv).status.code(), Some(2), "{more:?}");
    }
}

#[test]
fn live_sessions_are_told_of_a_code_tried_twice_and_of_a_new_factor() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    let mut alice = machine.log_in_by("alice", &code);
    let mut bob = {
        let mut bobs = machine.enroll("bob");
        machine.log_in("bob", &mut bobs)
    };
    machine.is_refused("alice", machine.password(), &code);
    alice.expect("authflow: a code was tried a second time from 127.0.0.1");
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--name", "tablet", "--no-confirm"];
    let _ = machine.run(add).success();
    alice.expect("the authenticator \"tablet\" was added");
    bob.type_line("echo still here");
    bob.expect("still here\r\n");
    assert!(!bob.screen().contains("tablet"), "{}", bob.screen());
}
