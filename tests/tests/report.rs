//! `authflow report` over what really happened: limits that ended sessions, sessions that no limit reaches, who ended whose, and which
//! configuration held when.

use authflow_tests::{Machine, wait};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[[rule]]
name = "staff"
service = ["sshd"]
user = ["alice", "bob"]
methods = [["password", "totp"]]
session = { idle = "30s", warn = "none", lifetime = "1h" }

[[rule]]
name = "robots"
service = ["sshd"]
methods = [["password", "totp"]]
session = { without_tty = "ignore", lifetime = "none" }
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_report_tells_what_limits_ended_what_they_do_not_reach_and_who_ended_whom() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").user("bob").user("carol").config(CONFIG).sshd(SSHD).start();
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let mut carol = machine.ssh("carol", &["sleep", "4711"]);
    machine.give_answers(&mut carol, &machine.enroll("carol").code());
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    let mut bob = machine.log_in("bob", &mut machine.enroll("bob"));
    let revoke = ["authflow", "revoke", "--user", "bob", "--yes", "--message", "the laptop is lost"];
    let _ = machine.run(revoke).success();
    let _ = bob.end();
    assert_eq!(machine.end_reason("bob"), "revoked");

    wait::until_true("carol's session", || machine.sessions().len() == 1);
    let report = report(&machine);
    assert_eq!((&report["ended"], &report["live"]), (&json!(2), &json!(1)));
    assert_eq!(report["ended_by_reason"], json!({ "idle": 1, "revoked": 1 }));
    let limit = &report["ended_by_limit"][0];
    assert_eq!((&limit["limit"], &limit["rule"], &limit["sessions"]), (&json!("idle"), &json!("staff"), &json!(1)));
    assert_eq!(limit["worst_session"], machine.history("alice")[0]["id"]);
    assert!(limit["worst_overrun"].is_number(), "{limit}");
    let because = json!([{ "rule": "robots", "why": "without_tty = \"ignore\"", "ended": 0, "live": 1 }]);
    assert_eq!(report["not_governed_by_idle"], because);
    assert_eq!(report["without_lifetime"], json!([{ "rule": "robots", "ended": 0, "live": 1 }]));
    let revoked = &report["revoked"][0];
    assert_eq!((&revoked["user"], &revoked["ended_by"]), (&json!("bob"), &json!("root")));
    assert_eq!(revoked["message"], "the laptop is lost");
    assert_eq!(report["beyond_limits"], json!([]));
    let page = machine.run(["authflow", "report"]).success();
    assert!(page.contains("idle   staff  1") && page.contains("the laptop is lost"), "{page}");
}

#[test]
fn every_configuration_that_was_in_force_is_told_however_it_came() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(CONFIG).sshd(SSHD).start();
    let rules = |entry: &Value| {
        let rules = entry["rules"].as_array().expect("a list").iter();
        rules.map(|rule| rule["idle"].as_u64()).collect::<Vec<_>>()
    };
    let known = |number: usize| {
        wait::until(&format!("configuration {number} in the report"), || {
            let report = report(&machine);
            report["configurations"].as_array().filter(|all| all.len() == number).cloned()
        })
    };
    assert_eq!(rules(&known(1)[0]), [Some(30), Some(900)]);
    // By the command, at once.
    let mut phone = machine.enroll("alice");
    machine.write("/root/new.toml", &CONFIG.replace("30s", "40s"));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    assert_eq!(rules(&known(2)[1]), [Some(40), Some(900)]);
    // By an editor: at the next login.
    machine.write("/etc/authflow/authflow.toml", &CONFIG.replace("30s", "50s"));
    let mut alice = machine.log_in("alice", &mut phone);
    assert_eq!(rules(&known(3)[2]), [Some(50), Some(900)]);
    // A slip of the editor: what was applied holds again, and that is told. The daemon was away meanwhile.
    machine.kill_daemon();
    machine.write("/etc/authflow/authflow.toml", "[[rule");
    machine.start_daemon();
    let last = known(4).remove(3);
    assert_eq!((last["origin"].as_str(), rules(&last)), (Some("last-good"), vec![Some(40), Some(900)]));
    assert_eq!(alice.shell("echo still here"), "still here");
    // Who is in keeps what was granted, and whoever applies a stricter rule is told.
    let said = machine.run(["authflow", "config", "apply", "/root/new.toml"]);
    assert!(said.stderr.contains("sessions that are open (1) keep the limits"), "{said:#?}");
}

#[test]
fn a_report_over_an_empty_store_says_so() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").without_daemon().start();
    let page = machine.run(["authflow", "report", "--since", "30d"]).success();
    assert!(page.contains("There is no evidence yet") && page.contains("cannot be reached"), "{page}");
    let report = report(&machine);
    assert_eq!((&report["known_since"], &report["live"], &report["ended"]), (&Value::Null, &Value::Null, &json!(0)));
    let alice = ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "authflow", "report"];
    let _ = machine.run(alice).failure(4);
    let _ = machine.run(["authflow", "report", "--since", "1d", "--until", "2d"]).failure(2);
}

fn report(machine: &Machine) -> Value {
    machine.run(["authflow", "report", "--json"]).json()
}
