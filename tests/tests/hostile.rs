//! Users who mean ill: their environment under sudo, calls that are not theirs to make, and too many of them.

use authflow_tests::{Machine, Output, Person, wait};

const CONFIG: &str = r#"
[session]
when_unavailable = "deny"
[[rule]]
name = "all"
service = ["sshd", "sudo"]
methods = [["password", "totp"]]
"#;

const MANAGER: [&str; 3] = ["org.authflow.sessiond1", "/org/authflow/sessiond1", "org.authflow.sessiond1.Manager"];

#[test]
fn the_callers_environment_means_nothing_under_sudo() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    machine.write("/etc/sudoers.d/alice", "Defaults env_reset\nalice ALL=(ALL) ALL\n");
    let environment = [
        "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/home/alice/bus",
        "DBUS_STARTER_ADDRESS=unix:path=/home/alice/bus",
        "AUTHFLOW_CONFIG=/home/alice/authflow.toml",
        "HOME=/home/alice",
        "TZ=../../home/alice/tz",
        "RUST_BACKTRACE=full",
        "RUST_LOG=trace",
        "LC_ALL=../../home/alice",
    ];
    let argv = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "env"];
    let command = ["sudo", "id", "-un"];
    let mut alice = machine.person(argv.into_iter().chain(environment).chain(command));
    let status = alice.answer_all(&[("assword", machine.password()), ("Verification code: ", &phone.code())]);
    // The rule denies when the daemon cannot be reached: it was, on the real bus.
    assert!(status.success() && alice.sees("root\r\n"), "{}", alice.screen());
    machine.logged(&["opened", "user=alice", "target=root", "service=sudo"]);
}

#[test]
fn a_user_opens_no_session_and_ends_nobody_elses() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let _bob = log_in(&machine, "bob");
    let id = machine.run(["authflow", "sessions", "--user", "bob", "--json"]).json()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let open = call(
        &machine,
        "alice",
        &["OpenSession", "a{sv}", "3", "User", "s", "root", "Uid", "u", "0", "Service", "s", "sshd"],
    );
    let refusal = open.failure(1);
    assert!(refusal.contains("root"), "{refusal}");
    machine.logged(&["open-refused", "uid=1001"]);
    // Bob's session and none at all look the same to her.
    let theirs = call(&machine, "alice", &["Revoke", "ss", &id, "mine now"]).failure(1);
    let nobodys = call(&machine, "alice", &["Revoke", "ss", &"0".repeat(32), "mine now"]).failure(1);
    assert_eq!(theirs.replace(&id, ""), nobodys.replace(&"0".repeat(32), ""));
    let _ = call(&machine, "alice", &["CloseSession", "s", &id]).failure(1);
    let _ = call(&machine, "alice", &["Extend", "s", &id]).failure(1);
    let hers = alice.shell("authflow sessions --json | grep -c '\"id\"'");
    assert_eq!(hers, "1");
    assert_eq!(alice.shell(&format!("authflow revoke {id} >/dev/null 2>&1; echo $?")), "3");
    let left = machine.run(["authflow", "sessions", "--json"]).json();
    assert_eq!(left.as_array().map(Vec::len), Some(2));
}

#[test]
fn nobody_but_root_owns_the_daemons_name() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").without_daemon().start();
    let words =
        ["org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName", "su", "org.authflow.sessiond1", "4"];
    let _ = as_user(&machine, "alice", &["busctl", "--system", "call"], &words).failure(1);
}

#[test]
fn a_flood_of_calls_keeps_nobody_out() {
    let Some(machine) = machine() else { return };
    let flood = "for i in 1 2 3 4; do (while :; do busctl --system call \"$@\" ListSessions; done) & done; wait";
    let argv = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sh", "-c", flood, "sh"];
    let mut flooding = machine.start(argv.into_iter().chain(MANAGER));
    let mut bob = log_in(&machine, "bob");
    assert!(flooding.is_running());
    assert_eq!(bob.shell("echo in"), "in");
    assert_eq!(machine.run(["authflow", "sessions", "--user", "bob", "--json"]).json()[0]["state"], "active");
    let _ = machine.run(["pkill", "-KILL", "-u", "alice"]);
}

/// The kernel takes its time to tell of each of them.
#[test]
fn a_long_line_of_programs_with_many_groups_keeps_nobody_out() {
    for call in ["GetSession self", "Inhibit build"] {
        let Some(machine) = machine() else { return };
        machine.write("/run/long_line.py", include_str!("../beds/long_line.py"));
        let alice = machine.run(["id", "-u", "alice"]).success();
        let line = format!("exec python3 /run/long_line.py {} 300 {call} > /run/line 2>&1", alice.trim());
        let _line = machine.start(["sh", "-c", &line]);
        wait::until_true("the last of them", || machine.read("/run/line").contains("asking"));
        wait::until_true("an answer", || machine.read("/run/line").contains("no such session"));
        let mut bob = log_in(&machine, "bob");
        assert_eq!(bob.shell("echo in"), "in", "{call}");
    }
}

/// Five programs that will be executed when a file system of alice's own lets them, which it never does. Until then the kernel lets nobody read
/// their `stat` and `io`, as ps and pgrep do: nothing here may.
const UNREADABLE: &str = "unshare -Urm sh -c 'stuck /tmp/fs & until [ -e /tmp/fs/file ]; do sleep 0.1; done; \
    for i in 1 2 3 4 5; do perl -e \"open F, q(/tmp/fs/file); exec q(sleep), 4711\" & done; wait' &";

#[test]
fn programs_that_are_never_executed_hold_up_nobody_but_their_user() {
    let Some(machine) =
        machine_with(&(CONFIG.to_owned() + "session = { idle = \"60s\", warn = \"2s\", grace = \"1s\" }\n"))
    else {
        return;
    };
    machine.compile("stuck");
    let _ = machine.shell("mknod -m 666 /dev/fuse c 10 229 && mkdir -m 777 /tmp/fs").success();
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = machine.log_in("alice", &mut alices);
    let mut bob = machine.log_in("bob", &mut bobs);
    alice.type_line(UNREADABLE);
    let named = |name: &str| {
        let found = machine.shell(&format!("grep -l '^Name:.{name}$' /proc/[0-9]*/status")).stdout;
        found.lines().filter_map(|path| Some(path.strip_suffix("/status")?.to_owned())).collect::<Vec<_>>()
    };
    // All at once, since each takes its time.
    let read = "for of; do timeout 5 cat $of/io >/dev/null 2>&1 & all=\"$all $!\"; done; for one in $all; do wait $one; echo $?; done";
    let are_unreadable = |folders: &[String]| {
        let words = ["sh", "-c", read, "sh"].into_iter().chain(folders.iter().map(String::as_str));
        machine.run(words).stdout == "124\n".repeat(5)
    };
    wait::until_true("five programs that wait", || are_unreadable(&named("perl")));
    let sessions = || machine.run(["timeout", "40", "authflow", "sessions", "--json"]).json();
    assert_eq!(sessions().as_array().map(Vec::len), Some(2));
    machine.kill_daemon();
    machine.start_daemon();
    assert_eq!(sessions().as_array().map(Vec::len), Some(2));
    bob.expect("authflow: this session ends now: nobody used it.");
    let _ = bob.end();
    assert_eq!(machine.end_reason("bob"), "idle");
    // Hers idles as well: nothing can be read of her shell any more, and the terminal that it had counts.
    alice.expect("authflow: this session ends now: nobody used it.");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    wait::until_true("the end of all that she started", || named("perl").is_empty() && named("stuck").is_empty());
}

fn machine() -> Option<Machine> {
    machine_with(CONFIG)
}

fn machine_with(config: &str) -> Option<Machine> {
    let lines = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
    Some(Machine::overlay()?.user("alice").user("bob").config(config).sshd(lines).shipped_pam("sudo").start())
}

fn log_in(machine: &Machine, user: &str) -> Person {
    let mut phone = machine.enroll(user);
    let mut person = machine.ssh(user, &[]);
    person.expect("Password: ");
    person.type_line(machine.password());
    person.expect("Verification code: ");
    person.type_line(&phone.code());
    person.expect("$ ");
    person
}

/// A call of the daemon's manager by that user.
fn call(machine: &Machine, user: &str, words: &[&str]) -> Output {
    as_user(machine, user, &["busctl", "--system", "call"], &[&MANAGER, words].concat())
}

fn as_user(machine: &Machine, user: &str, command: &[&str], words: &[&str]) -> Output {
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let argv = ["setpriv", &uid, &gid, "--init-groups"];
    machine.run(argv.into_iter().chain(command.iter().copied()).chain(words.iter().copied()))
}
