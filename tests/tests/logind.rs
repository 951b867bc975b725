//! Sessions beside logind's, on a booted machine: the one ends with the other, and systemd ends what a dead daemon does not.

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
fn systemd_ends_the_session_of_a_dead_daemon() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let _bob = log_in(&machine, "bob");
    let mut carol = machine.person(["login", "carol"]);
    machine.give_answers(&mut carol, &machine.enroll("carol").code());
    carol.expect("$ ");
    let timers = || {
        let list = machine.run(["systemctl", "list-units", "--plain", "--no-legend", "authflow-session-*.timer"]);
        list.success().lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    let timer_of = |user: &str| {
        let id = word(&session_of(&machine, user), "id").to_owned();
        wait::until("the timer", || timers().into_iter().find(|timer| timer.contains(&id)))
    };
    let (alices, bobs) = (timer_of("alice"), timer_of("bob"));
    assert_eq!(timers().len(), 2, "no lifetime, no timer: {:?}", timers());

    // Two minutes after the lifetime, as the daemon counts.
    let show = |timer: &str, property: &str| machine.run(["systemctl", "show", "-P", property, timer]).success();
    assert!(
        show(&alices, "TimersMonotonic").contains("OnActiveUSec=1h 2min")
            || show(&alices, "TimersMonotonic").contains("OnActiveUSec=1h 1min 59"),
        "{}",
        show(&alices, "TimersMonotonic")
    );

    // The daemon comes back to the timers that it has left, and a logout takes one away.
    machine.kill_daemon();
    wait::until_true("the daemon", || {
        machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout == "active\n"
    });
    assert_eq!(machine.sessions().len(), 3);
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the end of the timer", || timers() == [bobs.clone()]);

    // What the timer does is shown by one that goes off soon.
    let _ = machine
        .shell("systemctl mask --runtime authflow-sessiond && systemctl kill --signal=KILL authflow-sessiond")
        .success();
    let mut bob = _bob;
    let soon = "[Timer]\nOnActiveSec=\nOnActiveSec=1s\n";
    machine.write(&format!("/run/systemd/system/{bobs}.d/soon.conf"), soon);
    let _ = machine.run(["systemctl", "daemon-reload"]).success();
    let _ = machine.run(["systemctl", "restart", &bobs]).success();
    let _ = bob.end();
    assert_eq!(carol.shell("echo still here"), "still here");
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

#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = machine.sessions();
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}

#[track_caller]
fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no word {key} in {value:#}"))
}
