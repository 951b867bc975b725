//! Accounts that are in no file of the machine's own: the daemon asks for them by the clock, and tells an account that is gone from a
//! directory that is away. The directory is libnss-extrausers', which real look-ups go to.

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
        machine.write(GROUPS, "");
        assert!(gets_in("alice", ""), "it answers, and she is in it no more: {group}: {}", machine.log());
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
