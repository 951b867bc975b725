//! How many sessions a user may have at once: the login that would be one too many is refused and told so, or the session that idled
//! longest makes room. Also when they all come at the same moment.

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nMaxStartups 100";

#[test]
fn one_too_many_is_refused_and_told_why() {
    let Some(machine) = machine(r#"max_sessions = 1, at_limit = "refuse""#) else { return };
    let mut phone = machine.enroll("alice");
    let mut first = machine.log_in("alice", &mut phone);
    let mut second = machine.answer("alice", machine.password(), &phone.code());
    assert_eq!(second.end().code(), Some(254), "{}", second.screen());
    let why = "authflow: you have as many sessions as are allowed; end one of them first.";
    assert!(second.sees(why), "not told: {}", second.screen());
    // Each user is counted for himself.
    let _bob = machine.log_in("bob", &mut machine.enroll("bob"));
    assert_eq!(machine.sessions().len(), 2);
    first.type_line("exit");
    let _ = first.end();
    wait::until_true("room", || machine.sessions().len() == 1);
    let _third = machine.log_in("alice", &mut phone);
}

#[test]
fn the_session_that_idled_longest_makes_room() {
    let Some(machine) = machine(r#"max_sessions = 2, at_limit = "supersede""#) else { return };
    let mut phone = machine.enroll("alice");
    let (codes, used) = ([phone.code(), phone.code(), phone.code()], "echo here");
    let mut first = machine.log_in_by("alice", &codes[0]);
    let mut second = machine.log_in_by("alice", &codes[1]);
    let ids = machine.sessions();
    // The terminal's stamp moves in steps of eight seconds.
    let first_id = first.shell("echo $AUTHFLOW_SESSION");
    let seconds = ids.iter().find(|session| session["id"] != first_id.as_str()).expect("the other")["id"].clone();
    wait::until_true("the first to be the one that is used", || {
        assert_eq!(first.shell(used), "here");
        let sessions = machine.sessions();
        let active = |id: &Value| {
            sessions.iter().find(|found| found["id"] == *id).map(|found| found["last_active_at"].to_string())
        };
        active(&first_id.clone().into()) > active(&seconds)
    });
    let _third = machine.log_in_by("alice", &codes[2]);
    second.expect("a newer session took its place");
    let _ = second.end();
    assert_eq!(machine.end_reason("alice"), "superseded");
    assert_eq!(machine.history("alice")[0]["id"], seconds);
    assert_eq!(first.shell(used), "here");
    assert_eq!(machine.sessions().len(), 2);
}

#[test]
fn of_twenty_logins_at_once_three_are_let_in() {
    let Some(machine) = machine(r#"max_sessions = 3, at_limit = "refuse""#) else { return };
    // By key, since each code passes once.
    let _ = machine.shell("ssh-keygen -q -t ed25519 -N '' -f /root/key").success();
    let _ = machine.shell("install -d -o alice -m 700 /home/alice/.ssh").success();
    let _ = machine.shell("install -o alice -m 600 /root/key.pub /home/alice/.ssh/authorized_keys").success();
    let begun = || machine.ssh("alice", &["-i", "/root/key", "echo in-$((6*7)); sleep 4711"]);
    let mut logins: Vec<Person> = (0..20).map(|_| begun()).collect();
    let settled = |logins: &mut Vec<Person>| {
        let (inside, refused): (Vec<_>, Vec<_>) =
            logins.iter_mut().map(|login| (login.sees("in-42"), login.is_there())).unzip();
        let inside = inside.into_iter().filter(|inside| *inside).count();
        let refused = refused.into_iter().filter(|is_there| !is_there).count();
        (inside + refused == 20).then_some((inside, refused))
    };
    let (inside, refused) = wait::until("all twenty to be decided", || settled(&mut logins));
    assert_eq!((inside, refused, machine.sessions().len()), (3, 17, 3), "{}", machine.log());
    assert_eq!(machine.count("sleep 4711"), 3);
}

fn machine(limits: &str) -> Option<Machine> {
    let rule = format!(
        "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"publickey\"], [\"password\", \"totp\"]]\n\
         session = {{ {limits} }}\n"
    );
    Some(Machine::overlay()?.user("alice").user("bob").config(&rule).sshd(SSHD).start())
}
