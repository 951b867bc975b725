//! Accounts that may no more be used: nobody gets in, and what was open ends, on a machine with systemd, logind, cron and the real sshd.

use authflow_tests::{Machine, Person, wait};

/// Keys, since they are what a locked password does not keep out.
const CONFIG: &str = r#"
[[rule]]
name = "members"
service = ["sshd"]
group = ["members"]
methods = [["publickey"]]

[[rule]]
name = "key"
service = ["sshd"]
methods = [["publickey"]]

[[rule]]
name = "others"
service = ["*"]
methods = [["stack"]]
"#;

const SSHD: &str = "PasswordAuthentication no\nAuthorizedKeysFile /etc/ssh/everybody";

const KEY: &[&str] = &["-i", "/root/key"];

#[test]
fn an_account_that_ends_takes_everything_of_its_user_along() {
    let users = ["removed", "expired", "shellless", "locked", "dropped", "neighbour"];
    let Some(machine) = machine(&users) else { return };
    let _ = machine.shell("groupadd members && gpasswd -a dropped members").success();
    let _ = machine.shell("echo locked:long-and-secret | chpasswd").success();
    let mut people: Vec<(&str, Person)> = users.map(|user| (user, log_in(&machine, user))).into();
    for (_, person) in &mut people {
        person.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 &");
        person.type_line("tmux new-session -d 'sleep 4712'; systemd-run --user --quiet sleep 4713");
    }
    for user in users {
        wait::until_true("what was started", || running(&machine, user, "sleep 471") == 3);
    }
    // A service of the machine's that runs as that user is not the user's.
    let _ = machine.run(["systemd-run", "--quiet", "--uid=expired", "sleep", "4714"]).success();
    // Nor is what root has started in a login of the user's.
    let roots = ["systemd-run", "--quiet", "--slice=user-1001.slice", "sleep", "4715"];
    let _ = machine.run(roots).success();
    // What a container of the user's own runs as is.
    let _ = machine.shell("echo expired:300000:65536 >> /etc/subuid").success();
    let in_container =
        "systemd-run --quiet --slice=user-$(id -u expired).slice setpriv --reuid=300033 --clear-groups sleep 4716";
    let _ = machine.shell(in_container).success();
    // A directory's account with such a uid is another's.
    let _ = machine
        .shell("systemd-run --quiet --slice=user-300050.slice setpriv --reuid=300050 --clear-groups sleep 4718")
        .success();
    // A service's container is not, though it orders its own users as we do ours.
    let inner =
        "d=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/user.slice/a.scope; mkdir -p $d; echo $$ > $d/cgroup.procs";
    let container = format!("{inner}; exec sleep 4717");
    let _ = machine
        .run(["systemd-run", "--quiet", "--uid=expired", "--property=Delegate=yes", "sh", "-c", &container])
        .success();
    for (user, what) in [("300033", "sleep 4716"), ("expired", "sleep 4717"), ("300050", "sleep 4718")] {
        wait::until_true("the containers", || running(&machine, user, what) == 1);
    }
    let _ = machine.shell("userdel --force removed");
    for command in [
        "chage --expiredate 0 expired",
        "usermod --shell /usr/sbin/nologin shellless",
        "usermod --lock locked",
        "gpasswd -d dropped members",
    ] {
        let _ = machine.shell(command).success();
    }
    for user in users.into_iter().filter(|user| *user != "neighbour") {
        assert_eq!(machine.end_reason(user), "deactivated", "{user}");
    }
    for (user, person) in &mut people {
        if *user == "dropped" {
            person.expect("this session ends now: the user is in no group of the rule members any more.");
        }
        if *user == "neighbour" {
            assert_eq!(person.shell("echo still here"), "still here");
        } else {
            let _ = person.end();
        }
    }
    // By number, since the name is gone.
    for user in ["1000", "expired", "shellless", "locked"] {
        wait::until_true("the end of what ran on", || running(&machine, user, "sleep 471[123]") == 0);
    }
    assert_eq!(running(&machine, "expired", "sleep 4714"), 1);
    assert_eq!(running(&machine, "root", "sleep 4715"), 1);
    wait::until_true("the end of the user's container", || running(&machine, "300033", "sleep 4716") == 0);
    assert_eq!(running(&machine, "expired", "sleep 4717"), 1);
    assert_eq!(running(&machine, "300050", "sleep 4718"), 1);
    assert_eq!(running(&machine, "dropped", "sleep 4713"), 1, "the account may be used still");
    assert_eq!(running(&machine, "neighbour", "sleep 471"), 3);
    assert!(gets_in(&machine, "dropped"), "by the rule for everybody");
    assert!(!gets_in(&machine, "expired"));
}

#[test]
fn a_disabled_user_is_kept_out_of_everything_with_or_without_a_daemon() {
    let Some(machine) = machine(&["alice", "bob"]) else { return };
    let mut alice = log_in(&machine, "alice");
    let _ = machine.run(["loginctl", "enable-linger", "alice"]).success();
    machine.write("/var/spool/cron/crontabs/alice", "# nothing\n");
    let disabled = ["authflow", "user", "disable", "alice", "--message", "call 4711", "--json"];
    let first = machine.run(disabled).json();
    assert_eq!((&first["changed"], &first["sessions"]), (&true.into(), &1.into()), "{first}");
    let kinds: Vec<_> = first["deferred"].as_array().expect("a list").iter().map(|left| left["kind"].clone()).collect();
    assert_eq!(kinds, ["linger", "cron"]);
    for file in ["/var/lib/systemd/linger/alice", "/var/spool/cron/crontabs/alice"] {
        machine.logged(&["event=starts-again", "user=alice", file]);
    }
    alice.expect("the account is disabled (call 4711)");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "deactivated");
    wait::until_true("the end of the user manager", || running(&machine, "alice", ".") == 0);
    let second = machine.run(disabled).json();
    assert_eq!((&second["changed"], &second["sessions"]), (&false.into(), &0.into()), "{second}");

    is_kept_out(&machine, "alice");
    let _ = machine.shell("systemctl stop authflow-sessiond && systemctl mask --runtime authflow-sessiond").success();
    is_kept_out(&machine, "alice");
    let mut bob = log_in(&machine, "bob");
    let off = machine.run(["authflow", "user", "disable", "bob", "--message", "call 4712"]);
    assert!(off.stderr.contains("the daemon cannot be reached"), "{off:?}");
    is_kept_out(&machine, "bob");
    assert_eq!(bob.shell("echo still here"), "still here");
    let _ =
        machine.shell("systemctl unmask --runtime authflow-sessiond && systemctl start authflow-sessiond").success();
    bob.expect("(call 4712)");
    let _ = bob.end();
    assert_eq!(machine.end_reason("bob"), "deactivated");
    let ended = machine.history("bob").pop().expect("one");
    assert_eq!((&ended["ended_by"], &ended["message"]), (&"root".into(), &"call 4712".into()), "{ended}");
    machine.logged(&["event=deactivated", "user=bob", "by=root", "call 4712"]);

    let enable = ["authflow", "user", "enable", "alice", "--json"];
    assert_eq!(machine.run(enable).json()["changed"], true);
    assert_eq!(machine.run(enable).json()["changed"], false);
    assert!(gets_in(&machine, "alice"));
    assert_eq!(machine.run(["su", "-", "alice", "-c", "id -un"]).success(), "alice\n");
}

#[test]
fn whom_polkit_lets_disables_users_and_nobody_else_does() {
    let Some(machine) = machine(&["alice", "bob", "carol"]) else { return };
    let rule = "polkit.addRule(function(action, subject) {\n\
        if (action.id == 'org.authflow.sessiond1.manage' && subject.user == 'bob') return polkit.Result.YES;\n});\n";
    machine.write("/etc/polkit-1/rules.d/10-bob.rules", rule);
    let _ = machine.run(["systemctl", "restart", "polkit"]).success();
    let mut alice = log_in(&machine, "alice");
    let by = |user: &str, words: &[&str]| {
        machine.run([&["setpriv", "--reuid", user, "--clear-groups", "authflow", "user"], words].concat())
    };
    for words in [["disable", "alice"], ["enable", "alice"], ["disable", "carol"]] {
        assert!(by("carol", &words).failure(4).contains("not allowed"));
    }
    assert!(by("bob", &["disable", "root"]).failure(4).contains("not allowed"), "root's account is root's");
    assert_eq!(alice.shell("echo still here"), "still here");
    let said = by("bob", &["disable", "alice", "--json"]).json();
    assert_eq!((&said["changed"], &said["sessions"]), (&true.into(), &1.into()), "{said}");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "deactivated");
    assert!(!gets_in(&machine, "alice"));
    assert_eq!(by("bob", &["enable", "alice", "--json"]).json()["changed"], true);
    assert!(gets_in(&machine, "alice"));
}

#[test]
fn what_runs_on_is_told_and_can_be_ended() {
    let Some(machine) = machine(&["alice", "bob"]) else { return };
    let mut first = log_in(&machine, "alice");
    first.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 &");
    first.type_line("tmux new-session -d 'sleep 4712'; systemd-run --user --quiet sleep 4713");
    wait::until_true("what was started", || running(&machine, "alice", "sleep 471") == 3);
    let mut second = log_in(&machine, "alice");
    second.type_line("setsid nohup sleep 4714 >/dev/null 2>&1 &");
    wait::until_true("what holds on", || running(&machine, "alice", "sleep 4714") == 1);
    first.type_line("exit");
    let _ = first.end();
    assert_eq!(machine.end_reason("alice"), "logout");

    let told = |command: &[&str]| {
        let told = machine.run(command).json();
        let left = told.as_array().expect("a list").clone();
        let mut commands: Vec<_> =
            left.iter().map(|left| left["command"].as_str().expect("a word").to_owned()).collect();
        commands.retain(|command| command.contains("sleep"));
        commands.sort();
        commands
    };
    let all = ["/usr/bin/sleep 4713", "sleep 4711", "sleep 4712", "tmux new-session -d sleep 4712"];
    assert_eq!(told(&["authflow", "leftovers", "--json"]), all);
    let own = ["setpriv", "--reuid", "alice", "--clear-groups", "authflow", "leftovers", "--json"];
    assert_eq!(told(&own), all);
    let others = ["setpriv", "--reuid", "bob", "--clear-groups", "authflow", "leftovers", "--json"];
    assert_eq!(told(&others), Vec::<String>::new());
    machine.kill_daemon();
    wait::until_true("the daemon", || machine.run(["authflow", "sessions"]).status.success());
    assert_eq!(told(&["authflow", "leftovers", "--json"]), all, "also by a daemon that did not see them");

    // By herself, and what her live session holds is none.
    let end =
        "busctl call org.authflow.sessiond1 /org/authflow/sessiond1 org.authflow.sessiond1.Manager EndLeftovers u";
    let said = second.shell(&format!("{end} 1001; {end} 1000; echo code=$?"));
    assert!(said.contains("other users' processes") && said.contains("code=0"), "{said}");
    wait::until_true("the end of what the ended session left", || running(&machine, "alice", "sleep 471[12]") == 0);
    assert_eq!(second.shell("echo still here"), "still here");
    assert_eq!(running(&machine, "alice", "sleep 4714"), 1);

    // And by root all of it, with the sessions.
    let revoke = ["authflow", "revoke", "--user", "alice", "--leftovers", "--yes", "--json"];
    let revoked = machine.run(revoke).json();
    assert_eq!((&revoked["revoked"], &revoked["deferred"]), (&1.into(), &serde_json::json!([])), "{revoked}");
    wait::until_true("the end of all of it", || running(&machine, "alice", ".") == 0);
    assert!(gets_in(&machine, "alice"), "she is not kept out");
}

#[test]
fn a_login_that_is_not_tracked_is_no_left_over() {
    let Some(machine) = machine(&["alice"]) else { return };
    let stack = "account required pam_permit.so\nsession required pam_loginuid.so\nsession required pam_systemd.so class=user\n";
    machine.write("/etc/pam.d/desktop", stack);
    let desktop = ["systemd-run", "--quiet", "--uid=alice", "--property=PAMName=desktop", "sleep", "4711"];
    let _ = machine.run(desktop).success();
    let mut alice = log_in(&machine, "alice");
    alice.type_line("systemd-run --user --quiet sleep 4712; setsid nohup sleep 4713 >/dev/null 2>&1 &");
    wait::until_true("what was started", || running(&machine, "alice", "sleep 471") == 3);
    alice.type_line("exit");
    let _ = alice.end();
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--leftovers", "--yes"]).success();
    let is_swept = || machine.run(["journalctl", "--quiet", "--grep", "event=swept-all"]).status.success();
    wait::until_true("the end of the sweep", is_swept);
    assert_eq!(running(&machine, "alice", "sleep 4713"), 0);
    assert_eq!(running(&machine, "alice", "sleep 471[12]"), 2, "the desktop, and what its manager runs");
}

/// A booted machine that lets these users in by one key.
fn machine(users: &[&str]) -> Option<Machine> {
    let plan = users.iter().fold(Machine::booted()?, |plan, user| plan.user(user));
    let machine = plan.sshd(SSHD).common_stacks().config(CONFIG).start();
    let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key"]).success();
    machine.write("/etc/ssh/everybody", &machine.read("/root/key.pub"));
    Some(machine)
}

fn log_in(machine: &Machine, user: &str) -> Person {
    let mut person = machine.ssh(user, KEY);
    person.expect("$ ");
    person
}

fn gets_in(machine: &Machine, user: &str) -> bool {
    let mut person = machine.ssh(user, &[KEY, &["echo in-$((6*7))"]].concat());
    let _ = person.end();
    person.sees("in-42")
}

/// By key, by root's su, and by cron, each with its own word in the log.
#[track_caller]
fn is_kept_out(machine: &Machine, user: &str) {
    assert!(!gets_in(machine, user));
    let su = machine.run(["su", "-", user, "-c", "touch /tmp/ran"]);
    assert!(!su.status.success(), "{su:?}");
    machine.write("/etc/cron.d/job", &format!("@reboot {user} touch /tmp/ran\n@reboot root touch /tmp/{user}-asked\n"));
    let _ = machine.shell("rm -f /run/crond.reboot && systemctl restart cron").success();
    wait::until_true("the jobs", || machine.path(&format!("/tmp/{user}-asked")).exists());
    machine.logged(&["service=cron", &format!("user={user}"), "disabled"]);
    assert!(!machine.path("/tmp/ran").exists());
    let _ = machine.run(["rm", &format!("/tmp/{user}-asked")]).success();
}

/// How many processes of the user's have such a command line.
fn running(machine: &Machine, user: &str, command: &str) -> usize {
    machine.run(["pgrep", "-u", user, "-f", &format!("^(/usr/bin/)?{command}")]).stdout.lines().count()
}
