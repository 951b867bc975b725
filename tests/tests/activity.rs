//! What keeps a session alive, on the real sshd: typing on any of its terminals, output where the rule says so, and what its processes
//! move where it has no terminal.

use std::time::Duration;

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

/// Options of a connection that others go through.
const SHARED: [&str; 4] = ["-o", "ControlPath=/tmp/shared", "-o", "ControlMaster=auto"];

#[test]
fn typing_in_either_shell_of_a_shared_connection_keeps_it() {
    let Some(machine) = machine(r#"idle = "30s", warn = "4s""#) else { return };
    let mut phone = machine.enroll("alice");
    let mut alone = machine.log_in("bob", &mut machine.enroll("bob"));
    let mut first = machine.ssh("alice", &SHARED);
    machine.give_answers(&mut first, &phone.code());
    first.expect("$ ");
    let mut second = machine.ssh("alice", &SHARED);
    second.expect("$ ");
    let ttys = [first.shell("tty"), second.shell("tty")].map(|tty| Value::from(tty.trim_start_matches("/dev/")));
    let shown = session_of(&machine, "alice");
    assert_eq!((&shown["ttys"], &shown["activity_basis"]), (&Value::from(ttys.to_vec()), &"tty".into()), "{shown}");
    while alone.is_there() {
        assert_eq!(second.shell("echo here"), "here");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(first.shell("echo still here"), "still here");
    assert_eq!(machine.sessions().len(), 1);
}

#[test]
fn a_session_is_warned_twice_and_told_what_to_do() {
    let Some(machine) = machine(r#"idle = "40s", warn = "20s""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.expect("authflow: nobody is using this session; it ends in ");
    alice.expect("UTC). Press a key to keep it.");
    alice.expect("authflow: nobody is using this session; it ends in ");
    // Its terminal makes two of each line end.
    alice.expect("\r\r\n\x07authflow: this session ends now: nobody used it.\r\r\n");
    let _ = alice.end();
}

#[test]
fn whoever_grows_too_old_is_told_how_to_stay() {
    let Some(machine) = machine(r#"lifetime = "40s", warn = "20s""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.expect("authflow: this session ends in ");
    alice.expect("its login is too old. Run `authflow renew` to keep it, or save your work.");
    alice.expect("authflow: this session ends in ");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "lifetime");
}

#[test]
fn output_keeps_a_session_only_where_the_rule_says_so() {
    let rules = format!(
        "{}{}",
        rule("talking", "alice", r#"idle = "30s", warn = "2s", activity = "input+output""#),
        rule("typing", "bob", r#"idle = "30s", warn = "2s""#)
    );
    let Some(machine) = machine_with(&rules) else { return };
    let mut talking = machine.log_in("alice", &mut machine.enroll("alice"));
    let mut typing = machine.log_in("bob", &mut machine.enroll("bob"));
    for person in [&mut talking, &mut typing] {
        person.type_line("while sleep 1; do echo tick; done");
        person.expect("tick\r\n");
    }
    let _ = typing.end();
    assert_eq!(machine.end_reason("bob"), "idle");
    talking.expect("tick\r\n");
    assert_eq!(machine.sessions().len(), 1);
}

#[test]
fn the_warning_is_no_output_that_keeps_a_session() {
    let Some(machine) = machine(r#"idle = "40s", warn = "20s", activity = "input+output""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.expect("authflow: nobody is using this session; it ends in ");
    // Nor for a daemon that has not written it itself.
    machine.kill_daemon();
    machine.start_daemon();
    alice.expect("authflow: nobody is using this session; it ends in ");
    alice.expect("authflow: this session ends now: nobody used it.");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
}

#[test]
fn without_a_terminal_what_is_moved_keeps_a_session() {
    let Some(machine) = machine(r#"idle = "10s", without_tty = "io:4KiB""#) else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    // Nobody reads it meanwhile, so it must fit into what lies between.
    let mut busy = command(&machine, "alice", &alices.code(), "while sleep 0.2; do head -c 5000 /dev/zero; done");
    wait::until_true("the first session", || machine.sessions().len() == 1);
    assert_eq!(session_of(&machine, "alice")["activity_basis"], "io");
    for _ in 0..2 {
        // Each outlives nothing but its own silence.
        let mut quiet = command(&machine, "bob", &bobs.code(), "echo begun; sleep 4711");
        quiet.expect("begun");
        let _ = quiet.end();
    }
    assert!(busy.is_there());
    assert!(machine.history("bob").iter().all(|ended| ended["end_reason"] == "idle"));
    assert_eq!(session_of(&machine, "alice")["state"], "active");
}

#[test]
fn a_forwarded_port_and_a_slow_copy_are_used_while_something_goes_through() {
    let Some(machine) = machine(r#"idle = "10s", without_tty = "io:4KiB""#) else { return };
    let mut phone = machine.enroll("alice");
    let mut tunnel = machine.ssh("alice", &["-N", "-L", "8022:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"]);
    machine.give_answers(&mut tunnel, &phone.code());
    wait::until_true("the tunnel", || machine.run(["bash", "-c", THROUGH]).stdout == "SSH-");
    // Three times the limit.
    let _ = machine.shell("head -c 15000000 /dev/urandom > /tmp/big; chmod 644 /tmp/big").success();
    let mut copy = machine.person(copying("bob"));
    machine.give_answers(&mut copy, &machine.enroll("bob").code());
    let through = machine.start(["bash", "-c", &format!("while sleep 0.1; do {THROUGH}; done >/dev/null")]);
    assert!(copy.end().success(), "{}", copy.screen());
    assert_eq!(machine.run(["stat", "-c", "%s", "/home/bob/big"]).success(), "15000000\n");
    assert_eq!(machine.end_reason("bob"), "logout");
    assert!(tunnel.is_there(), "{}", machine.log());
    drop(through);
    let _ = tunnel.end();
    assert_eq!(machine.end_reason("alice"), "idle");
}

#[test]
fn a_session_without_a_terminal_is_idle_from_the_start_or_never_where_the_rule_says_so() {
    let rules = format!(
        "{}{}",
        rule("idle", "alice", r#"idle = "30s", without_tty = "idle""#),
        rule("ignored", "bob", r#"idle = "3s", without_tty = "ignore", lifetime = "40s""#)
    );
    let Some(machine) = machine_with(&rules) else { return };
    let busy = "echo begun; while sleep 0.1; do head -c 20000 /dev/zero; done";
    let mut ignored = command(&machine, "bob", &machine.enroll("bob").code(), "echo begun; sleep 4711");
    ignored.expect("begun");
    let shown = session_of(&machine, "bob");
    assert_eq!((&shown["activity_basis"], &shown["idle_deadline"]), (&"none".into(), &Value::Null), "{shown}");
    let mut idle = command(&machine, "alice", &machine.enroll("alice").code(), busy);
    idle.expect("begun");
    let _ = idle.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    let _ = ignored.end();
    assert_eq!(machine.end_reason("bob"), "lifetime");
}

#[test]
fn the_daemon_sleeps_while_nothing_is_due() {
    let Some(machine) = machine(r#"idle = "10m""#) else { return };
    let _alice = machine.log_in("alice", &mut machine.enroll("alice"));
    // How often each of its threads went to sleep, which is as often as it woke.
    let waits = || {
        let status = format!("cat /proc/{}/task/*/status", machine.daemon_pid());
        let status = machine.shell(&status).success();
        let counts = status.lines().filter_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        counts.map(str::to_owned).collect::<Vec<_>>()
    };
    // The first span may still be the login's: what is done for it, and threads that end when nothing more comes.
    wait::until_true("a span in which the daemon slept", || {
        let before = waits();
        std::thread::sleep(Duration::from_secs(12));
        waits() == before
    });
}

#[test]
fn a_forged_stamp_is_one_activity_and_told_to_the_log() {
    let Some(machine) = machine(r#"idle = "16s", warn = "2s""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.type_line("touch -a -d 2099-01-01 $(tty)");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    machine.logged(&["tty-stamp-in-the-future"]);
}

#[test]
fn a_user_extends_as_often_as_the_rule_grants_and_no_more() {
    let limits = r#"idle = "10m", user_extend = 1"#;
    let without = rule("bobs", "bob", r#"idle = "none""#);
    let Some(machine) = machine_with(&format!("{}{without}", rule("alices", "alice", limits))) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    assert!(alice.shell("authflow extend; echo code=$?").contains("code=0"));
    let said = alice.shell("authflow extend; echo code=$?");
    assert!(said.contains("lets a user extend 1 times") && said.contains("code=4"), "{said}");
    let id = session_of(&machine, "alice")["id"].as_str().expect("an id").to_owned();
    let extend = |id: &str| machine.run(["authflow", "extend", id, "--json"]).json();
    let told = extend(&id);
    assert!(told["changed"] == true && told["id"] == id.as_str(), "{told:#}");
    // Where nothing is to be pushed a program is told that nothing was.
    let _bob = machine.log_in("bob", &mut machine.enroll("bob"));
    let told = extend(session_of(&machine, "bob")["id"].as_str().expect("an id"));
    assert!(told["changed"] == false && told["idle_deadline"].is_null(), "{told:#}");
}

#[test]
fn in_a_shell_of_sudo_it_is_the_login_that_is_extended_and_nothing_that_is_renewed() {
    let Some(plan) = Machine::overlay() else { return };
    let plan = plan.user("alice").config(NESTED).sshd(SSHD).shipped_pam("sudo").pam("sudo-i", "@include sudo\n");
    let machine = plan.file("/etc/sudoers.d/bed", "alice ALL=(ALL) NOPASSWD: ALL\n").start();
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let id = machine.sessions()[0]["id"].as_str().expect("an id").to_owned();
    alice.type_line("sudo -i");
    alice.expect("# ");
    wait::until_true("the nested session", || machine.sessions().len() == 2);
    alice.type_line("authflow extend; echo code=$?");
    alice.expect(&format!("session {id} ends without activity"));
    alice.expect("code=0");
    alice.type_line("authflow renew; echo code=$?");
    alice.expect("this process is in no session of yours; leave a shell of sudo or su first");
    alice.expect("code=3");
}

/// Sessions inside of logins.
const NESTED: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd", "sudo", "sudo-i"]
methods = [["password", "totp"]]
session = { idle = "10m" }
"#;

/// Greets the sshd at the other end of the tunnel.
const THROUGH: &str = "exec 3<>/dev/tcp/127.0.0.1/8022 && timeout 2 head -c 4 <&3";

fn rule(name: &str, user: &str, session: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nservice = [\"sshd\"]\nuser = [\"{user}\"]\nmethods = [[\"password\", \"totp\"]]\n\
         session = {{ {session} }}\n"
    )
}

fn machine(session: &str) -> Option<Machine> {
    machine_with(&format!("{}{}", rule("alices", "alice", session), rule("bobs", "bob", session)))
}

fn machine_with(rules: &str) -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(rules).sshd(SSHD).start())
}

/// A command without a terminal.
fn command(machine: &Machine, user: &str, code: &str, command: &str) -> Person {
    let mut person = machine.ssh(user, &[command]);
    machine.give_answers(&mut person, code);
    person
}

/// A copy at half a megabyte a second, in bursts as scp has them.
fn copying(user: &str) -> Vec<String> {
    let target = format!("{user}@127.0.0.1:");
    let options = ["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    ["scp", "-l", "4000"]
        .iter()
        .chain(&options)
        .map(|word| (*word).to_owned())
        .chain(["/tmp/big".to_owned(), target])
        .collect()
}

#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = machine.sessions();
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}
