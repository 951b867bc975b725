//! Sessions beside logind's, on a booted machine: the one ends with the other, and systemd ends what a dead daemon does not.

use std::time::Duration;

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

/// A key lets in everywhere; a lifetime is long enough for nothing to end by it.
const CONFIG: &str = r#"
[[rule]]
name = "key"
service = ["sshd"]
methods = [["publickey"]]
session = { lifetime = "1h" }

[[rule]]
name = "console"
service = ["login"]
methods = [["password", "totp"]]
session = { lifetime = "none" }

[[rule]]
name = "renewing"
service = ["authflow"]
methods = [["password", "totp"]]

[[rule]]
name = "others"
service = ["*"]
methods = [["stack"]]
"#;

const SSHD: &str = "PasswordAuthentication no\nAuthorizedKeysFile /etc/ssh/everybody";

#[test]
fn what_logind_ends_is_a_logout() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let mut bob = machine.person(["login", "bob"]);
    machine.give_answers(&mut bob, &machine.enroll("bob").code());
    bob.expect("$ ");
    let mut carol = log_in(&machine, "carol");
    for (user, person) in [("alice", &mut alice), ("bob", &mut bob)] {
        let logind_id = word(&session_of(&machine, user), "logind_id").to_owned();
        let _ = machine.run(["loginctl", "terminate-session", &logind_id]).success();
        let _ = person.end();
        assert_eq!(machine.end_reason(user), "logout", "{}", machine.log());
    }
    assert_eq!(carol.shell("echo still here"), "still here");
}

#[test]
fn a_logout_that_leaves_nothing_takes_the_whole_scope_along_and_no_other() {
    let Some(machine) = machine() else { return };
    let leaving_nothing = CONFIG.replace("\"1h\"", "\"1h\", at_logout = \"terminate\", grace = \"200ms\"");
    machine.write("/etc/authflow/authflow.toml", &leaving_nothing);
    let (mut alice, mut other) = (log_in(&machine, "alice"), log_in(&machine, "alice"));
    other.type_line("(setsid nohup sleep 4712 >/dev/null 2>&1 &)");
    alice.type_line("(setsid sh -c 'trap \"\" HUP TERM; sleep 4711 & wait' &)");
    wait::until_true("what both started", || machine.count("sleep 471") == 2);
    alice.type_line("exit");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "logout");
    assert_eq!((machine.count("sleep 4711"), machine.count("sleep 4712")), (0, 1), "{}", machine.log());
    assert_eq!(other.shell("echo still here"), "still here");
    let logins = || machine.run(["loginctl", "list-sessions", "--no-legend"]).stdout.lines().count();
    wait::until_true("logind to see it", || logins() == 1);
    assert!(machine.log().contains("event=session-closed"), "the login program came to its end");
}

#[test]
fn systemd_ends_the_session_of_a_dead_daemon() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let mut bob = log_in(&machine, "bob");
    let mut carol = machine.person(["login", "carol"]);
    machine.give_answers(&mut carol, &machine.enroll("carol").code());
    carol.expect("$ ");
    let (alices, bobs) = (timer_of(&machine, "alice"), timer_of(&machine, "bob"));
    assert_eq!(timers(&machine).len(), 2, "no lifetime, no timer: {:?}", timers(&machine));

    // Two minutes after the lifetime; the name tells it by the clock that the session goes by.
    let left = end_of(&bobs).saturating_sub(up(&machine));
    assert!(left > Duration::from_secs(3600) && left <= Duration::from_secs(3720), "{left:?}");

    // The next daemon finds the timers that this one leaves; a logout takes one away.
    machine.kill_daemon();
    wait::until_true("the next daemon", || machine.run(["authflow", "sessions"]).status.success());
    assert_eq!(machine.sessions().len(), 3);
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the end of the timer", || timers(&machine) == [bobs.clone()]);
    assert!(!timers(&machine).contains(&alices));

    // Nothing is left of the daemon but the timer. It goes off too early by a wall clock that was set, looks at the other, and is for nothing.
    let kill = "systemctl mask --runtime authflow-sessiond && systemctl kill --signal=KILL authflow-sessiond";
    let _ = machine.shell(kill).success();
    let service = bobs.replace(".timer", ".service");
    let _ = machine.shell(&format!("systemctl daemon-reload && systemctl start {service}")).success();
    assert_eq!(bob.shell("echo still here"), "still here");
    assert_eq!(timers(&machine), std::slice::from_ref(&bobs), "and goes off again");
    // A setting of the machine's has it go off now, for an end that is reached.
    end_is_reached(&machine, &service);
    machine.write(&format!("/run/systemd/system/{bobs}.d/soon.conf"), "[Timer]\nOnActiveSec=\nOnActiveSec=1s\n");
    let _ = machine.shell(&format!("systemctl daemon-reload && systemctl restart {bobs}")).success();
    let _ = bob.end();
    assert_eq!(carol.shell("echo still here"), "still here");
    assert!(!is_up(&machine), "it was the timer alone");
}

#[test]
fn a_timer_that_goes_off_leaves_a_living_daemon_its_time() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let timer = timer_of(&machine, "alice");
    let service = timer.replace(".timer", ".service");
    // As when it woke with the machine: its end is reached, and the daemon has just heard of that.
    end_is_reached(&machine, &service);
    let _ = machine.shell(&format!("systemctl daemon-reload && systemctl start --no-block {service}")).success();
    wait::until_true("it to wait", || waits(&machine, &service));
    assert_eq!(alice.shell("echo still here"), "still here");

    // The next daemon takes it back, too, if there is no more reason for it.
    let _ = machine.run(["systemctl", "stop", &timer]).success();
    machine.kill_daemon();
    wait::until_true("the next daemon", || machine.run(["authflow", "sessions"]).status.success());
    assert!(waits(&machine, &service), "a timer that is gone is no reason");
    alice.type_line("authflow renew");
    machine.give_answers(&mut alice, &machine.enroll("alice").code());
    alice.expect("renewed; it ends");
    wait::until_true("its end", || {
        !machine.run(["systemctl", "list-units", "--all", "--plain"]).stdout.contains(&service)
    });
    assert_eq!(alice.shell("echo still here"), "still here");
    assert!(!machine.log().contains(&format!("{service}: Failed")), "{}", machine.log());
    let _ = timer_of(&machine, "alice");
}

#[test]
fn a_login_without_a_daemon_is_adopted_with_its_logind_session() {
    let Some(machine) = machine() else { return };
    let _ = machine.shell("systemctl mask --runtime authflow-sessiond && systemctl stop authflow-sessiond").success();
    let mut alice = log_in(&machine, "alice");
    let _ =
        machine.shell("systemctl unmask --runtime authflow-sessiond && systemctl start authflow-sessiond").success();
    let session = session_of(&machine, "alice");
    let logind_id = word(&session, "logind_id");
    let told = machine.run(["loginctl", "show-session", logind_id, "-P", "Leader"]).success();
    assert_eq!(told.trim(), session["leader"].to_string());
    let _ = timer_of(&machine, "alice");
    // The one is named by the other's id, too, and ends with it.
    let shown = machine.run(["authflow", "show", logind_id, "--json"]).json();
    assert_eq!(shown["id"], session["id"]);
    let _ = machine.run(["authflow", "revoke", logind_id]).success();
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "revoked");
    let is_there = || machine.run(["loginctl", "show-session", logind_id]).status.success();
    wait::until_true("the end of logind's", || !is_there());
    wait::until_true("the end of the timer", || timers(&machine).is_empty());
}

#[test]
fn what_only_looks_like_systemds_word_ends_nobody_and_drowns_nothing() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let mut bob = log_in(&machine, "bob");
    let scope = format!("session-{}.scope", word(&session_of(&machine, "bob"), "logind_id"));
    let forged = format!(
        "dbus-send --system --type=signal --dest=org.authflow.sessiond1 /org/freedesktop/systemd1 \
         org.freedesktop.systemd1.Manager.JobNew uint32:1 objpath:/org/freedesktop/systemd1/job/1 string:{scope}"
    );
    // More than the daemon keeps for later.
    assert_eq!(alice.shell(&format!("for i in $(seq 300); do {forged} || break; done; echo sent $i")), "sent 300");
    assert_eq!(machine.sessions().len(), 2, "{}", machine.log());
    assert_eq!(bob.shell("echo still here"), "still here");
    let logind_id = word(&session_of(&machine, "bob"), "logind_id").to_owned();
    let _ = machine.run(["loginctl", "terminate-session", &logind_id]).success();
    let _ = bob.end();
    assert_eq!(machine.end_reason("bob"), "logout", "{}", machine.log());
}

#[test]
fn a_renewed_login_has_a_timer_for_its_new_end_alone() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let first = timer_of(&machine, "alice");
    // Ends within one second share a timer.
    wait::until_true("the next second", || end_of(&first).saturating_sub(up(&machine)) <= Duration::from_secs(3718));
    alice.type_line("authflow renew");
    machine.give_answers(&mut alice, &machine.enroll("alice").code());
    alice.expect("renewed; it ends");
    let is_new = |timer: &String| timer.contains(word(&session_of(&machine, "alice"), "id")) && *timer != first;
    wait::until_true("the new timer alone", || matches!(&timers(&machine)[..], [timer] if is_new(timer)));
}

fn machine() -> Option<Machine> {
    let plan = ["alice", "bob", "carol"].into_iter().fold(Machine::booted()?, |plan, user| plan.user(user));
    let machine = plan.sshd(SSHD).common_stacks().config(CONFIG).start();
    let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key"]).success();
    machine.write("/etc/ssh/everybody", &machine.read("/root/key.pub"));
    Some(machine)
}

fn log_in(machine: &Machine, user: &str) -> Person {
    let mut person = machine.ssh(user, &["-i", "/root/key"]);
    person.expect("$ ");
    person
}

/// The second enforcer's timers.
fn timers(machine: &Machine) -> Vec<String> {
    let list = ["systemctl", "list-units", "--plain", "--no-legend", "authflow-session-*.timer"];
    let list = machine.run(list).success();
    list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// When a timer ends its session, on the clock that the session goes by.
#[track_caller]
fn end_of(timer: &str) -> Duration {
    let seconds = timer.trim_end_matches(".timer").rsplit('-').next().expect("an end").parse();
    Duration::from_secs(seconds.expect("seconds"))
}

fn up(machine: &Machine) -> Duration {
    let seconds = machine.read("/proc/uptime").split(' ').next().expect("two numbers").parse();
    Duration::from_secs_f64(seconds.expect("seconds"))
}

fn timer_of(machine: &Machine, user: &str) -> String {
    let id = word(&session_of(machine, user), "id").to_owned();
    wait::until("the timer", || timers(machine).into_iter().find(|timer| timer.contains(&id)))
}

/// What a timer runs is for an end that is reached, from the next reload on.
fn end_is_reached(machine: &Machine, service: &str) {
    let logind_id =
        machine.shell(&format!("systemctl show --property=ExecStart {service} | grep -o -- '--end [^ ]*'")).success();
    let reached =
        format!("[Service]\nExecStart=\nExecStart=/usr/libexec/authflow-sessiond {} --at 1\n", logind_id.trim());
    machine.write(&format!("/run/systemd/system/{service}.d/reached.conf"), &reached);
}

/// Whether what a timer runs has asked for the daemon: then it listens for SIGTERM.
fn waits(machine: &Machine, service: &str) -> bool {
    let pid = machine.run(["systemctl", "show", "--property=MainPID", "--value", service]).stdout;
    let status = machine.read(&format!("/proc/{}/status", pid.trim()));
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & (1 << 14) != 0)
}

fn is_up(machine: &Machine) -> bool {
    machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout == "active\n"
}

#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = machine.sessions();
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}

#[track_caller]
fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no word {key} in {value:#}"))
}
