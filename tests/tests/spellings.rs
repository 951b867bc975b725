//! One user under several spellings, as directories know them: whoever is put out by one is out by all.

use authflow_tests::{Machine, wait};

const CONFIG: &str = "[[rule]]\nname = \"key\"\nservice = [\"sshd\"]\nmethods = [[\"publickey\"]]\n";
const SSHD: &str =
    "PasswordAuthentication no\nAuthorizedKeysFile /etc/ssh/everybody\nAuthenticationMethods publickey\n";
/// pam_unix looks its users up in shadow, where there is one spelling alone; a directory has a module of its own.
const STACK: &str = "auth required pam_deny.so\naccount required pam_authflow.so\naccount required pam_permit.so\n\
                     session required pam_loginuid.so\nsession required pam_authflow.so\n";
const KEY: &[&str] = &["-i", "/root/key"];

#[test]
fn a_user_disabled_by_one_spelling_is_out_by_all_and_so_are_open_sessions() {
    for spelling in ["alice", "Alice", "alice@corp"] {
        let Some(machine) = machine() else { return };
        let _people = ["alice", "ALICE"].map(|login| {
            let mut person = machine.ssh(login, KEY);
            person.expect("$ ");
            person
        });
        assert!(machine.sessions().iter().all(|session| session["user"] == "alice"));
        let told = machine.run(["authflow", "user", "disable", spelling]).success();
        // The daemon sees the mark, too, and may have ended them already.
        assert!(told.contains("alice is disabled"), "{told}");
        wait::until_true("the end of both", || machine.history("alice").len() == 2);
        for login in ["alice", "ALICE", "Alice", "alice@corp"] {
            assert_eq!(machine.ssh(login, KEY).end().code(), Some(255), "{login}");
        }
        let left = machine.run(["sh", "-c", "ls /var/lib/authflow/state | grep disabled"]).success();
        assert_eq!(left.trim(), "alice.disabled");

        let told = machine.run(["authflow", "user", "enable", spelling]).success();
        assert_eq!(told, "alice is enabled\n");
        machine.ssh("ALICE", KEY).expect("$ ");
    }
}

#[test]
fn over_the_bus_another_spelling_is_the_same_user() {
    let Some(machine) = machine() else { return };
    let mut alice = machine.ssh("ALICE", KEY);
    alice.expect("$ ");
    let call = |method: &str, more: &[&str]| {
        let all = format!(
            "busctl call org.authflow.sessiond1 /org/authflow/sessiond1 org.authflow.sessiond1.Manager {method}"
        );
        machine.run(all.split(' ').chain(more.iter().copied())).success()
    };
    assert_eq!(call("Deactivate", &["ss", "Alice", "gone"]).trim(), "bu true 1");
    assert_eq!(machine.end_reason("alice"), "deactivated");
    assert_eq!(machine.ssh("alice", KEY).end().code(), Some(255));
    assert_eq!(call("Reactivate", &["s", "aLICE"]).trim(), "b true");
    machine.ssh("alice", KEY).expect("$ ");
}

#[test]
fn a_rule_and_a_mark_by_another_spelling_are_told() {
    let Some(machine) = machine() else { return };
    let ids = || {
        let said = machine.run(["authflow", "check", "--json"]);
        let found: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).expect("a list");
        found.iter().filter_map(|found| found["id"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let spelt = |ids: Vec<String>| ids.into_iter().filter(|id| id.ends_with("-spelling")).collect::<Vec<_>>();
    let rule_for = |user: &str| {
        machine.write("/etc/authflow/authflow.toml", &format!("{CONFIG}user = [\"{user}\"]\n"));
    };
    rule_for("alice");
    assert_eq!(spelt(ids()), Vec::<String>::new());
    rule_for("Alice");
    assert_eq!(spelt(ids()), ["rule-user-spelling"]);
    // What is told is so: the rule is for nobody.
    assert_eq!(machine.ssh("alice", KEY).end().code(), Some(255));
    rule_for("alice");
    let _ = machine.shell("umask 077; echo > /var/lib/authflow/state/Alice.disabled").success();
    assert_eq!(spelt(ids()), ["disabled-spelling"]);
    machine.ssh("alice", KEY).expect("$ ");
}

#[test]
fn enabled_by_another_spelling_no_mark_is_left() {
    let Some(machine) = machine() else { return };
    let marks = || machine.shell("ls /var/lib/authflow/state | grep disabled || true").success();
    let enable = [
        "authflow user enable Alice",
        "busctl call org.authflow.sessiond1 /org/authflow/sessiond1 org.authflow.sessiond1.Manager Reactivate s Alice",
    ];
    for enable in enable {
        let _ = machine.run(["authflow", "user", "disable", "alice"]).success();
        let _ = machine.shell("umask 077; echo > /var/lib/authflow/state/Alice.disabled").success();
        assert_eq!(marks(), "Alice.disabled\nalice.disabled\n");
        let _ = machine.shell(enable).success();
        assert_eq!(marks(), "", "{enable}");
    }
}

fn machine() -> Option<Machine> {
    let machine = Machine::overlay()?.config(CONFIG).user("alice").sshd(SSHD).pam("sshd", STACK).start();
    machine.add_name_service("spelling");
    let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key"]).success();
    machine.write("/etc/ssh/everybody", &machine.read("/root/key.pub"));
    Some(machine)
}
