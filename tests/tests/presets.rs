//! A machine that is held to a standard: what nobody wrote holds, what is weaker is not used, and nobody is locked out by that.

use authflow_tests::Machine;
use serde_json::Value;

const LIVE: &str = "/etc/authflow/authflow.toml";
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
const RULE: &str = "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\", \"totp\"]]\n";

fn config(preset: &str, more: &str) -> String {
    format!("preset = \"{preset}\"\n{more}{RULE}")
}

fn idle_limit(machine: &Machine) -> Value {
    let shown = machine.run(["authflow", "config", "show", "--json"]).json();
    let settings = shown["settings"].as_array().expect("a list");
    settings.iter().find(|setting| setting["key"] == "session.idle").expect("a limit")["value"].clone()
}

#[test]
fn a_weaker_value_is_not_used_and_nobody_is_locked_out_by_it() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config("").sshd(SSHD).start();
    let _phone = machine.enroll("alice");
    // A code of the phone's would have to wait for its time at each login.
    let made = machine.run(["authflow", "factor", "recovery-codes", "--user", "alice", "--json"]).json();
    let codes: Vec<_> = made["codes"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    machine.write("/root/new.toml", &config("stig-rhel9", ""));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    let mut alice = machine.log_in_by("alice", codes[0]);
    assert_eq!(alice.shell("authflow status --json | grep -o '\"idle_limit\": *[0-9]*' | grep -o '[0-9]*$'"), "600");

    let weaker = config("stig-rhel9", "[session]\nidle = \"30m\"\n");
    machine.write(LIVE, &weaker);
    drop(machine.log_in_by("alice", codes[1]));
    machine.logged(&["event=config-last-good", "authflow.toml:3:8", "idle: ", "V-258068"]);
    assert_eq!(idle_limit(&machine), 600, "the last good one");
    let said = machine.run(["authflow", "config", "check"]);
    assert!(said.status.code() == Some(1) && said.stdout.contains("weaker than stig-rhel9 asks"), "{said:#?}");

    // A version of ours that had asked for less has applied it: the machine goes on with what it has.
    machine.write(&format!("{LIVE}.last-good"), &weaker);
    drop(machine.log_in_by("alice", codes[2]));
    assert_eq!(idle_limit(&machine), 1800);

    machine.write(LIVE, &weaker.replace("\n[[", "\nweaker_than_preset = \"long builds\"\n[["));
    drop(machine.log_in_by("alice", codes[3]));
    let report = machine.run(["authflow", "report", "--json"]).json();
    let told = &report["weaker_than_preset"][0];
    assert_eq!((&report["preset"], &told["reason"]), (&"stig-rhel9".into(), &"long builds".into()), "{report}");
    let page = machine.run(["authflow", "report"]).success();
    assert!(page.contains("Weaker than the preset\nstig-rhel9 (DISA STIG for RHEL 9)\n"), "{page}");
}

#[test]
fn what_a_standard_asks_of_locks_and_passwords_holds_where_nobody_wrote_it() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(&config("stig-rhel9", "")).sshd(SSHD).start();
    let mut phone = machine.enroll("alice");
    let short = machine.feed(["authflow", "passwd", "--user", "alice", "--stdin"], b"zq7 Rx2 vB9 kL").failure(1);
    assert!(short.contains("at least 15 are needed: the machine's configuration says so"), "{short}");
    for _ in 0..3 {
        machine.is_refused("alice", "not the password", &phone.code_at(0));
    }
    machine.is_refused("alice", machine.password(), &phone.code_at(0));
    machine.logged(&["locked"]);
    let _ = machine.run(["authflow", "user", "unlock", "alice"]).success();
    drop(machine.log_in("alice", &mut phone));
}
