//! A configuration that cannot be used: nobody gets in on a guess, the log says file, place and remedy, and a last good one keeps the
//! machine open.

mod door;

use authflow_tests::Machine;

const LIVE: &str = "/etc/authflow/authflow.toml";

#[test]
fn a_broken_configuration_lets_nobody_in_and_says_why() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    let with = |text: &str| format!("{text}\n{}", door::RULE);
    let duration = |value: &str| with(&format!("[session]\nidle = \"{value}\""));
    let faults: [(&str, &str, &[&str]); 6] = [
        ("a syntax error", &with("[totp\nskew = 1"), &["authflow.toml:1:6", "unclosed"]),
        ("an unknown key", &with("[totp]\nskwe = 1"), &["authflow.toml:2:1", "skwe"]),
        ("a limit of zero", &duration("0s"), &["authflow.toml:2:8", "is zero"]),
        (
            "a limit that no clock holds",
            &duration("99999999999999999999d"),
            &["authflow.toml:2:8", "99999999999999999999d"],
        ),
        (
            "a method that nobody can prove",
            &with("[[rule]]\nname = \"x\"\nservice = [\"x\"]\nmethods = [[]]"),
            &["authflow.toml:4:"],
        ),
        ("no rule's name", "[[rule]]\nservice = [\"door\"]\nmethods = [[\"password\"]]", &["name"]),
    ];
    for (fault, text, words) in faults {
        machine.write(LIVE, text);
        assert!(!door::opens(&machine, "alice", machine.password(), &phone.code_at(0)), "{fault}");
        machine.logged(&[&["service=door", "no usable configuration"], words].concat());
    }
    machine.write(LIVE, door::RULE);
    assert!(door::opens(&machine, "alice", machine.password(), &phone.code()));
}

#[test]
fn a_configuration_that_others_could_have_written_is_not_read() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    let faults: [(&str, &str, &[&str]); 5] = [
        ("missing", "rm -f $LIVE", &["does not exist"]),
        ("a folder", "rm -f $LIVE; mkdir $LIVE", &["authflow.toml"]),
        ("a link", "rmdir $LIVE; mv /root/good /root/elsewhere; ln -s /root/elsewhere $LIVE", &["is a symbolic link"]),
        ("writable by all", "rm -f $LIVE; cp /root/elsewhere $LIVE; chmod 666 $LIVE", &["is not trusted"]),
        ("a user's", "chmod 644 $LIVE; chown alice $LIVE", &["is not trusted"]),
    ];
    machine.write("/root/good", door::RULE);
    for (fault, deed, words) in faults {
        let _ = machine.shell(&deed.replace("$LIVE", LIVE)).success();
        assert!(!door::opens(&machine, "alice", machine.password(), &phone.code_at(0)), "{fault}");
        machine.logged(&[&["no usable configuration"], words].concat());
    }
    let _ = machine.run(["chown", "root", LIVE]).success();
    assert!(door::opens(&machine, "alice", machine.password(), &phone.code()));
}

#[test]
fn the_last_good_configuration_keeps_the_machine_open() {
    let Some(plan) = door::plan("") else { return };
    let machine = plan.start();
    let mut phone = machine.enroll("alice");
    apply(&machine, door::RULE);
    // Once more: what was live before is what is kept.
    apply(&machine, &format!("# newer\n{}", door::RULE));
    machine.write(LIVE, "[[rule");
    assert!(door::opens(&machine, "alice", machine.password(), &phone.code()));
    machine.logged(&["config-last-good", "authflow.toml"]);
    // The phases of one login go by one configuration, which the first of them reads: with sshd that is the session's.
    assert!(door::knock(&machine, "alice", "", "", &["open_session", "close_session"]), "{}", machine.log());
    machine.logged(&["pam_authflow(door:session)", "event=config-last-good"]);
    let with_session = ["authenticate", "acct_mgmt", "open_session", "close_session"];
    assert!(door::knock(&machine, "alice", machine.password(), &phone.code(), &with_session), "{}", machine.log());
    machine.logged(&["pam_authflow(door:session)", "event=session-opened", "factors=password+totp", "rule=door"]);
    assert!(!door::opens(&machine, "alice", machine.password(), &phone.wrong_code()));
}

#[test]
fn a_fault_is_told_by_the_command_before_it_is_live() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    machine.write("/root/new.toml", "[session]\nidle = \"0s\"\n");
    let complaint = machine.run(["authflow", "config", "apply", "/root/new.toml"]).failure(1);
    assert!(complaint.contains("/root/new.toml:2:8") && complaint.contains("is zero"), "{complaint}");
    assert_eq!(machine.read(LIVE), door::RULE);
}

#[test]
fn what_lets_nobody_in_is_told_and_not_put_in_force_unless_it_is_meant() {
    let Some(plan) = door::plan("") else { return };
    let machine = plan.without_daemon().start();
    machine.write("/root/new.toml", &format!("{}group = [\"root\"]\n", door::RULE));
    let apply = |more: &[&str]| machine.run([&["authflow", "config", "apply", "/root/new.toml"], more].concat());
    let said = apply(&[]);
    assert!(said.status.code() == Some(1) && said.stderr.contains("nobody would get in by door"), "{said:?}");
    assert_eq!(machine.read(LIVE), "");
    let said = machine.run(["authflow", "config", "check", "/root/new.toml", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&said.stdout).expect("a list");
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(
        (&found[0]["id"], &found[0]["severity"], &found[0]["file"]),
        (&"rule-nobody-can-meet".into(), &"error".into(), &"/root/new.toml".into())
    );
    let _ = apply(&["--anyway"]).success();
    assert!(machine.read(LIVE).contains("root"));
    // Who is gone does not come, whatever is left of them, and neither does who is disabled.
    machine.write("/root/new.toml", door::RULE);
    let _ = machine.shell("useradd -M gone").success();
    let _ = machine.enroll("gone");
    let is_refused = || apply(&[]).failure(1).contains("nobody would get in by door");
    let _ = machine.shell("userdel gone && ls /var/lib/authflow/users/gone.toml").success();
    assert!(is_refused());
    let _ = machine.enroll("alice");
    let _ = machine.run(["authflow", "user", "disable", "alice"]).success();
    assert!(is_refused());
    let _ = machine.run(["authflow", "user", "enable", "alice"]).success();
    // Where somebody has what it takes it needs no word.
    let _ = apply(&[]).success();
    assert!(machine.run(["authflow", "config", "check"]).success().ends_with("the configuration is right\n"));
}

#[test]
fn a_user_is_not_told_that_what_root_alone_reads_is_broken() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let _ = machine.enroll("alice");
    apply(&machine, &format!("# newer\n{}", door::RULE));
    let _ = machine.shell(&format!("chmod 0640 {LIVE}")).success();
    let as_alice = ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "authflow"];
    let say = |more: &[&str]| machine.run([&as_alice[..], more].concat());
    let said = say(&["config", "show"]);
    assert!(said.status.success() && said.stderr.contains("which you may not read"), "{said:?}");
    let said = say(&["check", "--json"]);
    assert!(said.stdout.contains("config-unreadable") && !said.stdout.contains("config-broken"), "{said:?}");
    assert!(say(&["config", "check"]).failure(1).contains("you may not read the configuration"));
    assert!(machine.run(["authflow", "check", "--json"]).stdout.contains("config-unreadable"));
}

fn apply(machine: &Machine, text: &str) {
    machine.write("/root/new.toml", text);
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
}
