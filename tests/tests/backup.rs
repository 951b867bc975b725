//! What docs/backup.md has its reader do, on a machine that people log in to meanwhile.

use authflow_tests::Machine;

const RULES: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

/// The commands of root's in the document that begin with that.
fn commands(beginning: &str) -> Vec<&'static str> {
    let lines = include_str!("../../docs/backup.md").lines().filter_map(|line| line.strip_prefix("# "));
    let found: Vec<_> = lines.filter(|line| line.starts_with(beginning)).collect();
    assert!(!found.is_empty(), "{beginning}");
    found
}

fn recovery_codes(machine: &Machine, user: &str) -> Vec<String> {
    let made = machine.run(["authflow", "factor", "recovery-codes", "--user", user, "--json"]).json();
    let codes = made["codes"].as_array().expect("codes");
    codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect()
}

#[test]
fn a_restore_brings_used_codes_and_disabled_users_back_and_what_the_page_says_ends_that() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").user("bob").user("carol.lock").config(RULES).sshd(SSHD).start();
    let (_phone, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let codes = recovery_codes(&machine, "alice");
    // Their file is called otherwise than they are.
    let _ = recovery_codes(&machine, "carol.lock");
    let _ = machine.shell("test -e /var/lib/authflow/users/carol%2Elock.toml").success();
    let _ = machine.run(["authflow", "config", "apply", "/etc/authflow/authflow.toml"]).success();
    let _ = machine.shell("mkdir /root/backup").success();
    let mut alice = machine.log_in_by("alice", &codes[1]);
    for command in commands("sqlite3").into_iter().chain(commands("tar")) {
        let _ = machine.shell(command).success();
    }
    let kept = machine.shell("sqlite3 /root/backup/sessions.db 'select count(*) from live'").success();
    assert_eq!(kept.trim(), "1", "the copy is whole while the daemon runs");
    alice.type_line("exit");
    let _ = alice.end();

    let mut alice = machine.log_in_by("alice", &codes[0]);
    machine.is_refused("alice", machine.password(), &codes[0]);
    let _ = machine.run(["authflow", "user", "disable", "bob"]).success();
    let _ = machine.shell("tar -C / -xpf /root/backup/authflow.tar").success();
    let _ = machine
        .shell("rm /var/lib/authflow/state/*.disabled; test ! -e /var/lib/authflow/state/bob.disabled")
        .success();
    let mut again = machine.log_in_by("alice", &codes[0]);
    for person in [&mut alice, &mut again] {
        person.type_line("exit");
        let _ = person.end();
    }
    let mut bob = machine.log_in("bob", &mut bobs);
    bob.type_line("exit");
    let _ = bob.end();

    for command in commands("authflow factor list --all") {
        let said = machine.shell(command).success();
        let new = |name: &str| said.matches(&format!("{name} has new ones\n")).count();
        assert_eq!(["alice", "carol.lock", "bob"].map(new), [1, 1, 0], "{said}");
    }
    machine.is_refused("alice", machine.password(), &codes[2]);
}
