//! Names that are given again: whoever is given one inherits nothing of who had it before.

mod door;

use authflow_tests::{Authenticator, Machine};
use serde_json::Value;

const HOOK: &str = "/etc/shadow-maint/userdel-post.d/authflow";

#[test]
fn whoever_is_given_a_name_again_inherits_no_password_and_no_code() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.user("carol").without_daemon().start();
    let mut phone = machine.enroll("carol");
    let uid = machine.run(["id", "-u", "carol"]).success();
    let again = || {
        let _ = machine.shell(&format!("userdel -r carol 2>&1; ! id carol; useradd -u {} carol", uid.trim())).success();
    };
    let opens = |phone: &mut Authenticator| door::opens(&machine, "carol", machine.password(), &phone.code());
    assert!(opens(&mut phone));
    again();
    assert!(opens(&mut phone), "what the hook is for");

    machine.write(HOOK, include_str!("../../packaging/debian/authflow.userdel-post"));
    let _ = machine.shell(&format!("chmod 0755 {HOOK}")).success();
    let mut alices = machine.enroll("alice");
    again();
    assert!(!opens(&mut phone));
    assert!(!machine.path("/var/lib/authflow/users/carol.toml").exists());
    let mut phone = machine.enroll("carol");
    assert!(opens(&mut phone));
    assert!(door::opens(&machine, "alice", machine.password(), &alices.code()), "nobody else is forgotten");
    machine.logged(&["event=forgotten", "user=carol", "by="]);
}

#[test]
fn the_hook_leaves_a_name_alone_that_is_still_known_and_never_fails() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    machine.write("/root/hook", include_str!("../../packaging/debian/authflow.userdel-post"));
    let hook = |subject: &str| {
        let call = format!("ACTION=userdel SUBJECT={subject} sh /root/hook 2>&1");
        assert_eq!(machine.shell(&call).success(), "", "{subject}");
    };
    ["alice", "nobody-ever", "--yes", "''"].into_iter().for_each(hook);
    assert!(door::opens(&machine, "alice", machine.password(), &phone.code()));
    // By hand it asks, and where there is nobody to ask it does nothing.
    let _ = machine.run(["authflow", "user", "forget", "alice"]).failure(2);
    let _ = machine.run(["authflow", "user", "forget", "nobody-ever"]).failure(3);
    assert!(door::opens(&machine, "alice", machine.password(), &phone.code()));
    let _ = machine.run(["authflow", "user", "forget", "alice", "--yes"]).success();
    assert!(!door::opens(&machine, "alice", machine.password(), &phone.code()));
}

#[test]
fn an_account_that_is_renamed_while_it_is_disabled_is_told_and_keeps_its_factors() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.user("dora").without_daemon().start();
    let mut phone = machine.enroll("dora");
    let used = phone.code();
    assert!(door::opens(&machine, "dora", machine.password(), &used));
    let _ = machine.run(["authflow", "user", "disable", "dora"]).success();
    assert_eq!(told(&machine), []);
    let _ = machine.run(["usermod", "-l", "dora-left", "dora"]).success();
    let found = told(&machine);
    let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["disabled-renamed", "record-of-nobody"]);
    assert!(
        found
            .iter()
            .all(|(_, fix)| fix.starts_with("find out whose") || fix.starts_with("where the account was renamed")),
        "{found:?}"
    );

    // As docs/sessions.md has it.
    let moved = "cd /var/lib/authflow && mv users/dora.toml users/dora-left.toml && mv state/dora state/dora-left";
    let _ = machine.shell(moved).success();
    let _ = machine.shell("authflow user disable dora-left && authflow user enable dora").success();
    assert_eq!(told(&machine), []);
    let opens = |code: &str| door::opens(&machine, "dora-left", machine.password(), code);
    assert!(!opens(&phone.code()), "disabled by the new name");
    let _ = machine.run(["authflow", "user", "enable", "dora-left"]).success();
    assert!(!opens(&used), "what was used is used");
    assert!(opens(&phone.code()));
}

/// What `authflow check` says of names that nobody has, or has no more, and what to do about each.
fn told(machine: &Machine) -> Vec<(String, String)> {
    let said = machine.run(["authflow", "check", "--json"]);
    let found: Vec<Value> = serde_json::from_str(&said.stdout).expect("a list");
    let word = |found: &Value, key: &str| found[key].as_str().expect("a text").to_owned();
    let found = found.iter().map(|found| (word(found, "id"), word(found, "fix")));
    found.filter(|(id, _)| id.ends_with("-nobody") || id.ends_with("-renamed")).collect()
}
