//! What the daemon makes of changes of the account files, without systemd: which ones end sessions, and which are doubted.

use authflow_tests::{Machine, Program, wait};

const CONFIG: &str = "[[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n";
const SU: &str = "auth sufficient pam_rootok.so\naccount required pam_permit.so\n\
                  session required pam_loginuid.so\nsession required pam_authflow.so\n";

#[test]
fn who_is_not_found_is_looked_for_again() {
    let Some(machine) = machine(&["alice", "bob"], CONFIG) else { return };
    let (_alice, _bob) = (session(&machine, "alice"), session(&machine, "bob"));
    wait_for(&machine, 2);
    let passwd = machine.read("/etc/passwd");
    // Gone for a moment, as while an editor writes.
    edit(&machine, "/^alice:/d");
    replace(&machine, &passwd);
    machine.write("/var/spool/cron/crontabs/bob", "# nothing\n");
    edit(&machine, "/^bob:/d");
    assert_eq!(machine.end_reason("bob"), "deactivated");
    machine.logged(&["event=deactivated", "the account was removed"]);
    machine.logged(&["event=starts-again", "user=bob", "kind=cron", "/var/spool/cron/crontabs/bob"]);
    assert_eq!(machine.sessions().len(), 1, "{:#?}", machine.sessions());
}

#[test]
fn the_end_of_many_at_once_waits_for_an_administrator() {
    let users: Vec<String> = (0..12).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let Some(machine) = machine(&names, CONFIG) else { return };
    let _all: Vec<Program> = names.iter().map(|user| session(&machine, user)).collect();
    wait_for(&machine, 12);
    assert!(waiting(&machine).is_empty());
    let passwd = machine.read("/etc/passwd");
    edit(&machine, "/^user/s,/bin/bash,/usr/sbin/nologin,");
    machine.logged(&["event=deactivation-waits", "no login shell", "too many at once"]);
    assert_eq!(machine.sessions().len(), 12);
    wait::until_true("all of them waiting", || waiting(&machine).len() == 12);
    // A daemon that is started anew has them wait on.
    machine.kill_daemon();
    machine.start_daemon();
    wait::until_true("all of them waiting", || waiting(&machine).len() == 12);
    let told = machine.run(["authflow", "user", "waiting"]).success();
    assert!(told.contains("user11") && told.contains("the account has no login shell any more"), "{told}");
    let refused = machine.run(["setpriv", "--reuid=user3", "--clear-groups", "authflow", "user", "waiting"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    // Fewer of them are still not few.
    replace(&machine, &passwd.replacen("/home/user3:/bin/bash", "/home/user3:/bin/false", 1));
    let _ = machine.run(["authflow", "user", "disable", "user5"]).success();
    assert_eq!(machine.end_reason("user5"), "deactivated");
    assert_eq!(machine.sessions().len(), 11);
    machine.logged(&["event=account-found-in-order", "uid=1007"]);
    // The others were put right, or disabled; the log tells of it before the list does.
    wait::until_true("nobody else waiting", || waiting(&machine) == ["user3"]);
    // Nor does one of few end because the daemon has forgotten that they were many.
    machine.kill_daemon();
    machine.start_daemon();
    wait::until_true("the one who waits", || waiting(&machine) == ["user3"]);
    assert_eq!(machine.sessions().len(), 11);
    // Who was put right, and is wrong by himself now, is one.
    edit(&machine, "/^user7:/s,/bin/bash,/bin/false,");
    assert_eq!(machine.end_reason("user7"), "deactivated");
    assert_eq!(machine.sessions().len(), 10);
    // Also who is gone waits on, and can be ended.
    edit(&machine, "/^user3:/d");
    machine.logged(&["event=deactivation-waits", "the account was removed"]);
    wait::until_true("the one who is gone waiting", || waiting(&machine) == ["user3"]);
    let _ = machine.run(["authflow", "revoke", "--user", "user3", "--yes"]).success();
    assert_eq!(machine.end_reason("user3"), "revoked");
    wait::until_true("nobody waiting", || waiting(&machine).is_empty());
}

#[test]
fn a_locked_password_counts_unless_the_configuration_says_no() {
    let ignore = format!("[accounts]\nlocked_password = \"ignore\"\n{CONFIG}");
    for (config, ends) in [(CONFIG, true), (&ignore, false)] {
        let Some(machine) = machine(&["alice", "bob"], config) else { return };
        let _ = machine.shell("printf 'alice:a-long-one-4711\\nbob:a-long-one-4711\\n' | chpasswd").success();
        let (_alice, _bob) = (session(&machine, "alice"), session(&machine, "bob"));
        wait_for(&machine, 2);
        let _ = machine.run(["usermod", "--lock", "alice"]).success();
        // What comes after it shows that it was looked at.
        let _ = machine.run(["chage", "--expiredate", "0", "bob"]).success();
        assert_eq!(machine.end_reason("bob"), "deactivated");
        assert_eq!(machine.sessions().len(), usize::from(!ends));
    }
}

#[test]
fn two_names_of_one_uid_are_two_accounts() {
    let Some(machine) = machine(&["alice"], CONFIG) else { return };
    let twin = "useradd --non-unique --uid $(id -u alice) --no-create-home --shell /usr/sbin/nologin";
    let _ = machine.shell(&format!("{twin} copying && useradd --non-unique --uid 0 --no-create-home toor")).success();
    let _alice = session(&machine, "alice");
    let _copying = machine.start(["su", "copying", "-s", "/bin/sh", "-c", "exec sleep 1000"]);
    wait_for(&machine, 2);
    let disabled = machine.run(["authflow", "user", "disable", "copying", "--json"]).json();
    assert_eq!((&disabled["changed"], &disabled["sessions"]), (&true.into(), &1.into()), "{disabled}");
    assert_eq!(machine.end_reason("copying"), "deactivated");
    machine.logged(&["event=not-swept", "user=copying", "shared_with=alice"]);
    assert_eq!(machine.sessions().len(), 1, "{:#?}", machine.sessions());
    let _ = machine.run(["authflow", "user", "disable", "toor"]).success();
    assert_eq!(marks(&machine), ["copying.disabled", "toor.disabled"], "no mark for another name than was asked for");
    assert_eq!(machine.run(["authflow", "user", "enable", "copying", "--json"]).json()["changed"], true);
    assert_eq!(marks(&machine), ["toor.disabled"]);
}

#[test]
fn who_is_in_no_data_base_any_more_is_disabled_all_the_same() {
    let Some(machine) = machine(&["alice"], CONFIG) else { return };
    let _alice = session(&machine, "alice");
    wait_for(&machine, 1);
    edit(&machine, "/^alice:/d");
    let disabled = machine.run(["authflow", "user", "disable", "alice", "--json"]).json();
    assert_eq!((&disabled["changed"], &disabled["sessions"]), (&true.into(), &1.into()), "{disabled}");
    assert_eq!(machine.end_reason("alice"), "deactivated");
    let _ = machine.run(["authflow", "user", "disable", "alcie"]).failure(3);
    assert_eq!(marks(&machine), ["alice.disabled"], "a typing error leaves nothing");
    machine.logged(&["event=deactivated", "user=alice"]);
    assert!(!machine.log().contains("user=alcie"), "and is told as nobody's end: {}", machine.log());
}

#[test]
fn a_daemon_that_is_started_anew_knows_what_was_so_from_the_start() {
    let Some(machine) = machine(&["alice", "copying"], CONFIG) else { return };
    edit(&machine, "/^copying:/s,/bin/bash,/usr/sbin/nologin,");
    let _alice = session(&machine, "alice");
    let _copying = machine.start(["su", "copying", "-s", "/bin/sh", "-c", "exec sleep 1000"]);
    wait_for(&machine, 2);
    machine.kill_daemon();
    edit(&machine, "/^alice:/s,/bin/bash,/usr/sbin/nologin,");
    machine.start_daemon();
    assert_eq!(machine.end_reason("alice"), "deactivated");
    assert_eq!(machine.sessions().len(), 1, "{:#?}", machine.sessions());
}

fn marks(machine: &Machine) -> Vec<String> {
    let names = machine.shell("cd /var/lib/authflow/state && ls").success();
    names.lines().filter(|name| name.ends_with(".disabled")).map(str::to_owned).collect()
}

fn machine(users: &[&str], config: &str) -> Option<Machine> {
    let plan = users.iter().fold(Machine::overlay()?, |plan, user| plan.user(user));
    Some(plan.config(config).pam("su", SU).start())
}

fn session(machine: &Machine, user: &str) -> Program {
    machine.start(["su", user, "-c", "exec sleep 1000"])
}

/// Waits for that many sessions, and until their users were looked at: what was so from the start ends nothing.
fn wait_for(machine: &Machine, count: usize) {
    wait::until_true("the sessions", || machine.sessions().len() == count);
    wait::until_true("the first looks", || followed(&machine.log()) == count);
}

/// How many users' accounts were seen for the first time.
fn followed(log: &str) -> usize {
    let counts = log.lines().filter_map(|line| line.split_once("event=accounts-followed new="));
    counts.map(|(_, count)| count.parse::<usize>().expect("a number")).sum()
}

fn waiting(machine: &Machine) -> Vec<String> {
    let told = machine.run(["authflow", "user", "waiting", "--json"]).json();
    let users = told.as_array().expect("a list").iter();
    users.map(|waiting| waiting["user"].as_str().expect("a name").to_owned()).collect()
}

fn edit(machine: &Machine, script: &str) {
    let _ = machine.run(["sed", "-i", script, "/etc/passwd"]).success();
}

fn replace(machine: &Machine, passwd: &str) {
    machine.write("/etc/passwd.new", passwd);
    let _ = machine.run(["mv", "/etc/passwd.new", "/etc/passwd"]).success();
}
