//! `authflow setup` and `authflow check` as configuration management runs them: without a terminal, by their JSON and their exit codes.

use authflow_tests::{Machine, wait};
use serde_json::Value;

const SETUP: &[&str] = &["authflow", "setup", "sshd", "--user", "alice", "--json"];

#[track_caller]
fn json(machine: &Machine, words: &[&str]) -> Value {
    machine.run(words).json()
}

#[test]
fn a_program_is_told_what_was_changed_and_when_it_goes_back() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").start();
    let _ = machine.enroll("alice");
    let _ = machine.feed(["chpasswd"], format!("alice:{0}\nroot:{0}\n", machine.password()).as_bytes()).success();
    let _ = machine.run(["ssh-keygen", "-A"]).success();
    let _sshd = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1"]);
    let answers = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3";
    wait::until_true("sshd", || machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
    let stock = machine.read("/etc/pam.d/sshd");

    assert!(machine.run(SETUP).failure(2).contains("--yes"), "nobody can be asked");
    let planned = json(&machine, &[SETUP, &["--dry-run"]].concat());
    assert_eq!((&planned["changed"], planned["diff"].is_string()), (&false.into(), true));
    assert_eq!(machine.read("/etc/pam.d/sshd"), stock);

    let done = json(&machine, &[SETUP, &["--yes"]].concat());
    assert_eq!((&done["changed"], &done["files"]), (&true.into(), &planned["files"]));
    let waiting = json(&machine, &["authflow", "setup", "status", "--json"])["waiting"].take();
    assert_eq!((&waiting["setup"], &waiting["until"]), (&done["setup"], &done["until"]));
    assert!(machine.run([SETUP, &["--yes"]].concat()).failure(1).contains("waits"));
    assert!(machine.run(["authflow", "setup", "confirm", "--json"]).failure(1).contains("not confirmed"));

    let back = json(&machine, &["authflow", "setup", "rollback", "--json"]);
    assert_eq!((&back["changed"], &back["setup"], &back["files"]), (&true.into(), &done["setup"], &done["files"]));
    assert_eq!(machine.read("/etc/pam.d/sshd"), stock);
    assert_eq!(json(&machine, &["authflow", "setup", "remove", "--json"])["changed"], false);
}

#[test]
fn findings_have_the_same_keys_and_the_same_order_whenever_they_are_asked_for() {
    let Some(plan) = Machine::overlay() else { return };
    let rules =
        "[[rule]]\nname = \"all\"\nservice = [\"sshd\", \"su\", \"nosuch\"]\nmethods = [[\"password\", \"totp\"]]\n";
    let machine = plan.config(rules).start();
    let check = || {
        let said = machine.run(["authflow", "check", "--json"]);
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        said.stdout
    };
    let said = check();
    assert_eq!(check(), said);
    let found: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&said).expect("a list of objects");
    assert!(found.len() > 3, "{said}");
    let known = json(&machine, &["authflow", "check", "--list", "--json"]);
    let is_known = |id: &Value| known.as_array().expect("a list").iter().any(|defect| defect["id"] == *id);
    for finding in &found {
        let keys: Vec<&str> = finding.keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 7, "{keys:?}");
        for key in ["id", "severity", "what", "consequence", "fix"] {
            assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {finding:?}");
        }
        assert!(finding.contains_key("file") && finding.contains_key("line") && is_known(&finding["id"]));
    }
}
