//! Accounts that are in no file of the machine's own: the daemon asks for them by the clock, and tells an account that is gone from a
//! directory that is away. The directory is libnss-extrausers', which real look-ups go to.

mod good;

use authflow_tests::{Machine, wait};
use serde_json::json;

const CONFIG: &str = "[accounts]\nrecheck = \"30s\"\ncontrol = \"watchman\"\n\
    [[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n";
const SU: &str = "auth sufficient pam_rootok.so\naccount required pam_permit.so\n\
                  session required pam_loginuid.so\nsession required pam_authflow.so\n";

const WATCHMAN: &str = "watchman:x:2000:2000::/:/usr/sbin/nologin\n";
const DORA: &str = "dora:x:2001:2001::/:/bin/sh\n";

/// Groups that libnss-extrausers' tells of; without that file it says of them what sssd's says where its socket is missing.
const GROUPS: &str = "/var/lib/extrausers/group";
const WITH_GROUPS: &str = "passwd: files\ngroup: files extrausers\nshadow: files\n";

/// Replaced as a whole, as directories answer.
fn directory(machine: &Machine, users: &str) {
    machine.write("/var/lib/extrausers/new", users);
    let _ = machine.run(["mv", "/var/lib/extrausers/new", "/var/lib/extrausers/passwd"]).success();
}

#[test]
fn who_is_gone_from_a_directory_is_told_from_a_directory_that_is_away() {
    let Some(plan) = Machine::overlay() else { return };
    let nsswitch = "passwd: files extrausers\ngroup: files\nshadow: files\n";
    let machine = plan.file("/etc/nsswitch.conf", nsswitch).config(CONFIG).pam("su", SU).start();
    directory(&machine, &[WATCHMAN, DORA].concat());
    let _dora = machine.start(["su", "dora", "-c", "exec sleep 1000"]);
    wait::until_true("the first look", || machine.log().contains("event=accounts-followed new=1"));
    // Nothing tells that the directory is away: the daemon asks.
    directory(&machine, "");
    machine.logged(&["event=account-unknown", "user=dora", "accounts.control"]);
    assert_eq!(machine.sessions().len(), 1);
    // It answers again, and without her. Any change of an account has everybody looked at.
    directory(&machine, WATCHMAN);
    let _ = machine.run(["useradd", "neighbour"]).success();
    assert_eq!(machine.end_reason("dora"), "deactivated");
    machine.logged(&["event=deactivated", "user=dora", "the account was removed"]);
}

/// One that is away says so, or another source behind it says that there is nobody.
#[test]
fn a_directory_that_is_away_has_nobody_forgotten_or_taken_for_a_typing_error() {
    for sources in ["files extrausers", "files extrausers systemd"] {
        let Some(plan) = Machine::overlay() else { return };
        let nsswitch = format!("passwd: {sources}\ngroup: files\nshadow: files\n");
        let machine = plan.file("/etc/nsswitch.conf", &nsswitch).config(CONFIG).user("carol").without_daemon().start();
        machine.write("/root/hook", include_str!("../../packaging/debian/authflow.userdel-post"));
        directory(&machine, &[WATCHMAN, DORA].concat());
        let users = ["dora", "carol"];
        for user in users {
            let add = ["authflow", "factor", "add", "totp", "--user", user, "--secret-stdin", "--no-confirm"];
            let _ = machine.feed(add, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").success();
        }
        let records = || machine.shell("ls /var/lib/authflow/users").success();
        let hook = |user: &str| machine.shell(&format!("ACTION=userdel SUBJECT={user} sh /root/hook 2>&1")).success();
        assert_eq!(hook("dora"), "", "who is there");

        let _ = machine.run(["userdel", "carol"]).success();
        for answer in [None, Some(DORA)] {
            match answer {
                Some(users) => directory(&machine, users),
                None => drop(machine.run(["rm", "/var/lib/extrausers/passwd"]).success()),
            }
            let user = if answer.is_none() { "dora" } else { "carol" };
            let said = hook(user);
            assert!(said.contains(&format!("{user} is not forgotten: ")), "{sources}: {said}");
            // By hand it asks, and there is nobody to ask.
            let _ = machine.run(["authflow", "user", "forget", user]).failure(2);
            let found = machine.run(["authflow", "check"]).stdout;
            assert!(found.contains("whether a directory knows the name cannot be told"), "{sources}: {found}");
            assert!(!found.contains("\"dora\""), "{sources}: {found}");
            // Erin has no record, and may be somebody of the directory's.
            let said = machine.run(["authflow", "user", "disable", "erin"]);
            assert!(said.stderr.contains("erin is disabled, as it is written: "), "{sources}: {said:?}");
            assert_eq!(said.success(), "erin is disabled\n");
            assert!(machine.path("/var/lib/authflow/state/erin.disabled").exists());
            let _ = machine.run(["authflow", "user", "enable", "erin"]).success();
            let _ = machine.run(["authflow", "user", "enable", "erin"]).failure(1);
        }
        assert_eq!(records(), "carol.toml\ndora.toml\n");

        // It answers, and somebody is found whom it always has.
        directory(&machine, WATCHMAN);
        let _ = machine.run(["authflow", "user", "disable", "erin"]).failure(3);
        assert_eq!(hook("dora"), "");
        assert_eq!(records(), "carol.toml\n");
        let _ = machine.run(["authflow", "user", "forget", "carol"]).failure(2);
        let mut root = machine.person(["authflow", "user", "forget", "carol"]);
        root.expect("No account carol is found. Take the password and authenticators, counters of carol away?");
        root.type_line("y");
        assert!(root.end().success(), "{}", root.screen());
        assert_eq!(records(), "");
    }
}

#[test]
fn nobody_is_forgotten_by_itself_where_no_user_of_the_directorys_is_named() {
    let Some(plan) = Machine::overlay() else { return };
    let rule = CONFIG
        .split_once("control = \"watchman\"\n")
        .map(|(accounts, rule)| format!("{accounts}{rule}"))
        .expect("a control");
    let nsswitch = "passwd: files extrausers\ngroup: files\nshadow: files\n";
    let machine = plan.file("/etc/nsswitch.conf", nsswitch).config(&rule).user("carol").without_daemon().start();
    directory(&machine, WATCHMAN);
    let _ = machine.run(["authflow", "user", "disable", "carol"]).success();
    let _ = machine.run(["userdel", "carol"]).success();
    let forget = ["authflow", "user", "forget", "--if-gone", "carol"];
    for control in ["", "control = \"root\"\n"] {
        machine.write("/etc/authflow/authflow.toml", &rule.replace("[accounts]\n", &format!("[accounts]\n{control}")));
        let said = machine.run(forget);
        assert!(said.stderr.contains("no `accounts.control` that is the directory's alone"), "{said:?}");
        assert!(machine.path("/var/lib/authflow/state/carol.disabled").exists());
    }
    machine.write("/etc/authflow/authflow.toml", CONFIG);
    let _ = machine.run(forget).success();
    assert!(!machine.path("/var/lib/authflow/state/carol.disabled").exists());
}

/// A rule for a group of the directory's is the stricter one here, as it mostly is.
#[test]
fn a_directory_that_is_away_turns_no_rule_off() {
    const RULES: &str = "[[rule]]\nname = \"operators\"\nservice = [\"door\"]\ngroup = [\"GROUP\"]\nmethods = [[\"password\", \"totp\"]]\n\
        [[rule]]\nname = \"rest\"\nservice = [\"door\"]\nmethods = [[\"password\"]]\n";
    const DOOR: &str = "auth required pam_authflow.so\naccount required pam_authflow.so\n";
    for group in ["operators", "5000"] {
        let Some(plan) = Machine::overlay() else { return };
        let plan = plan.user("alice").config(&RULES.replace("GROUP", group)).pam("door", DOOR).without_daemon();
        let machine = plan.file("/etc/nsswitch.conf", WITH_GROUPS).start();
        let (mut phone, _) = (machine.enroll("alice"), machine.enroll("root"));
        let gets_in = |user: &str, code: &str| {
            let words = ["pamtester", "door", user, "authenticate", "acct_mgmt"];
            machine.person(words).answer_all(&[("assword: ", machine.password()), ("code: ", code)]).success()
        };
        machine.write(GROUPS, "operators:x:5000:alice\n");
        assert!(gets_in("alice", &phone.code()), "{group}: {}", machine.log());
        let _ = machine.run(["rm", GROUPS]).success();
        assert!(!gets_in("alice", ""), "{group}: {}", machine.log());
        machine.logged(&["user=alice", "cannot look up a group"]);
        let found = machine.run(["authflow", "check"]).stdout;
        assert!(group == "5000" || found.contains("no source of names tells of the group [\"operators\"]"), "{found}");
        assert!(gets_in("root", ""), "{group}: {}", machine.log());
        let root = machine.run(["authflow", "test", "root", "--service", "door", "--json"]).json();
        assert_eq!(
            (&root["outcome"], &root["rules"][1]["name"]),
            (&json!("asked"), &json!("rest")),
            "{group}: {root:#}"
        );
        let alice = machine.run(["authflow", "test", "alice", "--service", "door"]);
        assert!(
            alice.status.code() == Some(1) && alice.stderr.contains("cannot look up a group"),
            "{group}: {alice:#?}"
        );
        machine.write(GROUPS, "");
        assert!(gets_in("alice", ""), "it answers, and she is in it no more: {group}: {}", machine.log());
    }
}

/// `authflow check` tells keys that open nothing. Where the directory is away it must not tell those that open, nor know whom a rule is for whose
/// groups nobody tells of.
#[test]
fn no_key_that_opens_is_told_to_be_useless_while_a_directory_is_away() {
    const LOCAL: &str = "[[rule]]\nname = \"local\"\nservice = [\"sshd\"]\ngroup = [\"root\", \"robots\"]\nmethods = [[\"publickey\"]]\n";
    const OPERATORS: &str = "[[rule]]\nname = \"operators\"\nservice = [\"sshd\"]\ngroup = [\"operators\"]\n\
                             methods = [[\"publickey\", \"totp\"], [\"password\", \"totp\"]]\n";
    const GROUPS: &str = "/var/lib/extrausers/group";
    const NSSWITCH: &str = "passwd: files\ngroup: files extrausers\nshadow: files\n";
    let Some(plan) = good::plan() else { return };
    let machine = plan.user("robot").file("/etc/nsswitch.conf", NSSWITCH).start();
    let _ = (machine.enroll("alice"), machine.shell("groupadd robots && usermod -aG robots robot").success());
    let keys = "ssh-keygen -q -t ed25519 -N '' -f /root/key && for user in root robot; do \
                eval home=~$user && install -d -o $user -m 0700 $home/.ssh && \
                install -o $user -m 0600 /root/key.pub $home/.ssh/authorized_keys; done";
    let _ = machine.shell(keys).success();
    let by_key = "Match Group root,robots\nAuthenticationMethods publickey\nMatch all";
    machine.restart_sshd(&format!("PermitRootLogin prohibit-password\n{}\n{by_key}", good::SSHD));
    let gets_in = |user: &str| {
        let options = ["-i", "/root/key", "-o", "BatchMode=yes", "echo", "in-$((6*7))"];
        let mut person = machine.ssh(user, &options);
        person.end().success() && person.screen().contains("in-42")
    };
    let told = || {
        let (found, _) = good::check(&machine);
        found.iter().map(|found| (found["id"].clone(), found["what"].clone())).collect::<Vec<_>>()
    };
    let untold = "no source of names tells of the group [\"operators\"], and rule \"operators\" names it";
    for (first, second, robot_gets_in) in [(LOCAL, OPERATORS, true), (OPERATORS, LOCAL, false)] {
        for file in [good::LIVE.to_owned(), format!("{}.last-good", good::LIVE)] {
            machine.write(&file, &format!("{first}{second}{}", good::CONFIG));
        }
        machine.write(GROUPS, "operators:x:5000:alice\n");
        assert!(gets_in("root") && gets_in("robot"), "{first}: {}", machine.log());
        assert_eq!(told(), Vec::new(), "{first}");
        let _ = machine.run(["rm", GROUPS]).success();
        assert_eq!((gets_in("root"), gets_in("robot")), (true, robot_gets_in), "{first}: {}", machine.log());
        assert_eq!(told(), [(json!("rule-group-missing"), json!(untold))], "{first}");
    }
}

/// Nobody is asked there, so nobody could be asked for less. The session goes by the strictest that it may be under.
#[test]
fn a_directory_that_is_away_stops_nothing_that_need_prove_nothing() {
    const RULES: &str = "[[rule]]\nname = \"operators\"\nservice = [\"su\", \"sudo\", \"cron\", \"sshd\"]\ngroup = [\"operators\"]\n\
        methods = [[\"password\", \"totp\"]]\nsession = { lifetime = \"1h\" }\n\
        [[rule]]\nname = \"rest\"\nservice = [\"su\", \"sudo\", \"cron\", \"sshd\"]\nmethods = [[\"publickey\"], [\"password\"]]\n\
        session = { lifetime = \"8h\" }\n";
    const CRON: &str = "auth required pam_permit.so\naccount required pam_authflow.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";
    let Some(plan) = Machine::overlay() else { return };
    let plan = plan.user("alice").config(RULES).file("/etc/nsswitch.conf", WITH_GROUPS);
    let plan = plan.shipped_pam("su").shipped_pam("sudo").shipped_pam("sshd").pam("cron", CRON);
    let machine = plan.file("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n").start();
    let cron = ["pamtester", "cron", "alice", "acct_mgmt", "open_session", "close_session"];
    let sudo = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "-n", "id", "-un"];

    let shell = machine.start(["su", "alice", "-c", "exec sleep 1000"]);
    wait::until_true("the session", || machine.sessions().len() == 1);
    let session = &machine.sessions()[0];
    assert_eq!((&session["rule"], &session["lifetime_limit"]), (&json!("rest"), &json!(3600)), "{session}");
    machine.logged(&["event=rule-untold", "user=alice", "rule=rest", "cannot look up a group"]);
    drop(shell);
    let _ = machine.run(cron).success();
    assert_eq!(machine.run(sudo).success(), "root\n");

    // Where sshd tells how somebody came in there is something to be proved, and nobody can tell what.
    let key = ["pamtester", "-E", "SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA", "sshd", "alice", "open_session"];
    assert!(!machine.run(key).status.success(), "{}", machine.log());
    machine.logged(&["event=refused", "phase=open-session", "service=sshd", "cannot look up a group"]);
    machine.write("/etc/authflow/authflow.toml", &RULES.replacen("session =", "account = \"enforce\"\nsession =", 1));
    for words in [&cron[..], &sudo, &["su", "alice", "-c", "true"]] {
        assert!(!machine.run(words).status.success(), "it may be the rule that enforces: {words:?}: {}", machine.log());
    }
    let _ = machine.run(["su", "root", "-c", "true"]).success();
    machine.write(GROUPS, "");
    assert_eq!(machine.run(sudo).success(), "root\n", "it is not");
}

/// The stack would ask for less than the rule that it may be under.
#[test]
fn a_directory_that_is_away_leaves_nobody_to_the_stack() {
    const RULES: &str = "[[rule]]\nname = \"operators\"\nservice = [\"door\"]\ngroup = [\"operators\"]\n\
        methods = [[\"password\", \"totp\"]]\n[[rule]]\nname = \"rest\"\nservice = [\"door\"]\nmethods = [[\"stack\"]]\n";
    const DOOR: &str = "auth [success=done user_unknown=ignore default=die] pam_authflow.so\nauth required pam_unix.so nodelay\n\
                        account required pam_permit.so\n";
    let Some(plan) = Machine::overlay() else { return };
    let plan = plan.user("alice").config(RULES).pam("door", DOOR).file("/etc/nsswitch.conf", WITH_GROUPS);
    let machine = plan.without_daemon().start();
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    let knock = |password: &str| {
        let mut person = machine.person(["pamtester", "door", "alice", "authenticate"]);
        let is_in = person.answer_all(&[("assword: ", password)]).success();
        (is_in, person.screen())
    };
    let while_away = knock(machine.password());
    assert!(!while_away.0, "{}", machine.log());
    machine.write(GROUPS, "");
    assert_eq!(knock("wrong"), while_away, "as where the stack refuses: {}", machine.log());
    assert!(knock(machine.password()).0, "{}", machine.log());
}
