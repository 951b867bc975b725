//! The user is pinned from the first question to the end: whoever proves to be alice is nobody else a moment later (CVE-2024-9313).

use authflow_tests::Machine;

const CONFIG: &str = r#"
[[rule]]
name = "door"
service = ["door", "sudo"]
methods = [["password"]]
"#;

const STACK: &str =
    "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_authflow.so\n";

const AUTH_ERR: &str = "7";
const PERM_DENIED: &str = "6";

#[test]
fn who_proved_to_be_alice_becomes_nobody_else_on_the_way() {
    let Some(machine) = machine() else { return };
    for (when, refusal) in [
        ("prompt", format!("authenticate: {AUTH_ERR}")),
        ("auth", format!("authenticate acct_mgmt: {PERM_DENIED}")),
        ("account", format!("authenticate acct_mgmt open_session: {PERM_DENIED}")),
    ] {
        let told = switch(&machine, "door", "root", when);
        assert_eq!(told, refusal, "{when}");
        machine.logged(&["event=refused", "service=door", "PAM_USER was", "alice", "root"]);
        assert_eq!(machine.run(["authflow", "sessions", "--json"]).json(), serde_json::json!([]), "{when}");
    }
    let in_alone = "authenticate acct_mgmt open_session in";
    assert_eq!(switch(&machine, "door", "root", "never"), in_alone);
}

#[test]
fn under_sudo_the_session_is_of_who_authenticated_whomever_it_runs_as() {
    let Some(machine) = machine() else { return };
    // sudo itself changes the user after the account phase, and only then.
    let told = switch(&machine, "sudo", "root", "account");
    assert_eq!(told, "authenticate acct_mgmt open_session in");
    machine.logged(&["event=session-opened", "user=alice", "target=root", "class=nested"]);
    let told = switch(&machine, "sudo", "root", "auth");
    assert_eq!(told, format!("authenticate acct_mgmt: {PERM_DENIED}"));
}

fn machine() -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").config(CONFIG).pam("door", STACK).pam("sudo", STACK);
    let machine = plan.start();
    machine.compile("switch_user");
    let _ = machine.enroll("alice");
    Some(machine)
}

/// Alice's application, which answers rightly and then means `other`. What it prints.
fn switch(machine: &Machine, service: &str, other: &str, when: &str) -> String {
    let argv = ["switch_user", service, "alice", other, when, machine.password()];
    machine.run(argv).stdout.trim().to_owned()
}
