//! Logins whose stack names neither pam_loginuid nor pam_systemd, on a booted machine: the daemon has systemd hold their processes together,
//! and nothing that leaves its terminal and its parent escapes.

use authflow_tests::{Machine, wait};
use serde_json::Value;

const RULES: &str = r#"
[throttle]
attempts = 10
[[rule]]
name = "all"
service = ["sshd", "login", "su", "su-l"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

/// Off the terminal, and forked twice, so that init adopts it.
const ESCAPES: &str = "setsid sleep 4711 & (setsid sh -c 'setsid sleep 4712 & exit' &); (setsid sh -c 'trap \"\" HUP; setsid nohup sleep 4713 >/dev/null 2>&1 & exit' &)";

#[test]
fn what_forks_twice_ends_with_its_session_also_after_a_restart_of_the_daemon() {
    let Some(machine) = machine("") else { return };
    let _neighbours = machine.start(["sh", "-c", &neighbours("5811")]);
    let (mut phone, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = machine.log_in("alice", &mut phone);
    let mut bob = machine.log_in("bob", &mut bobs);
    bob.type_line("for i in $(seq 20); do (setsid sleep 5812 &); done");
    alice.type_line(ESCAPES);
    wait::until_true("everybody", || {
        machine.count("sleep 471") == 3 && machine.count("sleep 5811") == 20 && machine.count("sleep 5812") == 20
    });
    let session = session_of(&machine, "alice");
    assert_eq!(session["logind_id"], Value::Null, "nothing but ours holds it together");
    assert!(is_in_own_scope(&machine, &session), "{}", machine.log());

    machine.kill_daemon();
    wait::until_true("the next daemon", || machine.run(["authflow", "sessions"]).status.success());
    // Neither ends what is in scopes of their own.
    let _ = machine.run(["systemctl", "restart", "authflow-sessiond"]).success();
    let _ = machine.run(["systemctl", "restart", "ssh"]).success();
    wait::until_true("the daemon", || machine.run(["authflow", "sessions"]).status.success());
    assert_eq!(alice.shell("echo still here"), "still here");
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "revoked");
    assert_eq!(machine.count("sleep 471"), 0, "{}", machine.log());
    assert_eq!((machine.count("sleep 5811"), machine.count("sleep 5812")), (20, 20), "{}", machine.log());
    assert_eq!(bob.shell("echo still here"), "still here");
    wait::until_true("the end of the scope", || scopes(&machine) == [scope_of(&session_of(&machine, "bob"))]);
    let mut again = machine.log_in("alice", &mut phone);
    assert_eq!(again.shell("echo back"), "back");
    assert!(!machine.log().contains("not-held-together"), "{}", machine.log());
}

#[test]
fn what_forks_twice_ends_with_its_sessions_lifetime_at_a_console_too() {
    let Some(machine) = machine("session = { lifetime = \"30s\", warn = \"1s\", grace = \"300ms\" }") else { return };
    let (mut phone, bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut bob = machine.person(["login", "bob"]);
    machine.give_answers(&mut bob, &{ bobs }.code());
    bob.expect("$ ");
    bob.type_line("(setsid sh -c 'setsid sleep 4714 & exit' &)");
    let mut alice = machine.log_in("alice", &mut phone);
    alice.type_line(ESCAPES);
    wait::until_true("what escaped", || machine.count("sleep 471") == 4);
    let _ = (alice.end(), bob.end());
    assert_eq!(["alice", "bob"].map(|user| machine.end_reason(user)), ["lifetime", "lifetime"]);
    assert_eq!(machine.count("sleep 471"), 0, "{}", machine.log());
    wait::until_true("the end of the scopes", || scopes(&machine).is_empty());
}

#[test]
fn what_a_logout_leaves_is_known_as_its_sessions_and_su_stays_where_it_is() {
    let Some(machine) = machine("") else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let session = session_of(&machine, "alice");
    let checked = machine.run(["authflow", "check"]).stdout;
    assert!(checked.contains("session-unmarked") && !checked.contains("session-escapes"), "{checked}");
    alice.type_line("su - bob");
    machine.give_answers(&mut alice, &machine.enroll("bob").code());
    alice.expect("bob@");
    let su = session_of(&machine, "bob");
    assert_eq!((&su["parent"], &su["class"]), (&session["id"], &"nested".into()));
    assert_eq!(cgroup_of(&machine, &su), cgroup_of(&machine, &session), "the login's, as all that it starts");
    alice.type_line("exit");
    alice.expect("alice@");
    alice.type_line("(setsid nohup sleep 4711 >/dev/null 2>&1 &)");
    wait::until_true("what alice started", || machine.count("sleep 4711") == 1);
    alice.type_line("exit");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "logout");
    let left = machine.run(["authflow", "leftovers", "--json"]).json();
    assert_eq!(left[0]["session"], session["id"], "{left:#}");
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--leftovers", "--yes"]).success();
    wait::until_true("its end", || machine.count("sleep 4711") == 0);
    wait::until_true("the end of the scope", || scopes(&machine).is_empty());
}

#[test]
fn no_login_is_let_out_of_a_service_that_is_confined() {
    let Some(machine) = machine("") else { return };
    machine.write("/run/systemd/system/ssh.service.d/confined.conf", "[Service]\nIPAddressDeny=192.0.2.0/24\n");
    let _ = machine.shell("systemctl daemon-reload && systemctl restart ssh").success();
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    assert!(cgroup_of(&machine, &session_of(&machine, "alice")).contains("/ssh.service"));
    let told = machine.logged(&["event=not-held-together"]);
    assert!(told.contains("its service has IPAddressDeny="), "{told}");
    assert_eq!(alice.shell("echo in"), "in");

    // Nor out of a slice that is confined around its service. A service that has processes stays where it is.
    alice.type_line("exit");
    let _ = alice.end();
    let slice = "[Slice]\nAllowedMemoryNodes=0\n";
    machine.write("/run/systemd/system/system-doors.slice.d/confined.conf", slice);
    machine.write("/run/systemd/system/ssh.service.d/confined.conf", "[Service]\nSlice=system-doors-front.slice\n");
    let _ = machine.shell("systemctl daemon-reload && systemctl restart ssh").success();
    let mut bob = machine.log_in("bob", &mut machine.enroll("bob"));
    let place = cgroup_of(&machine, &session_of(&machine, "bob"));
    assert!(place.contains("/system-doors-front.slice/ssh.service"), "{place}");
    machine.logged(&["event=not-held-together", "its slice system-doors.slice has AllowedMemoryNodes="]);
    assert_eq!(bob.shell("echo in"), "in");
}

/// Neither module anywhere, and our line in what opens logins.
fn machine(limits: &str) -> Option<Machine> {
    let plan = Machine::booted()?.user("alice").user("bob").config(&format!("{RULES}{limits}\n")).sshd(SSHD);
    let unmarked = |stack: &str| {
        let lines = stack.lines().filter(|line| !line.contains("pam_loginuid") && !line.contains("pam_systemd"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let plan = plan
        .pam("sshd", &unmarked(include_str!("../../conf/pam.d/sshd.example")))
        .pam("login", &unmarked(include_str!("../../conf/pam.d/login.example")))
        .pam("su", &unmarked(include_str!("../../conf/pam.d/su.example")))
        .pam("su-l", "@include su\n")
        .pam("common-session", "session required pam_unix.so\n");
    Some(plan.start())
}

/// Twenty processes of alice's that are in no session.
fn neighbours(seconds: &str) -> String {
    let as_alice = "setpriv --reuid=alice --regid=alice --clear-groups";
    format!("for i in $(seq 20); do {as_alice} sleep {seconds} & done; wait")
}

fn scope_of(session: &Value) -> String {
    format!("authflow-{}.scope", session["id"].as_str().expect("an id"))
}

fn is_in_own_scope(machine: &Machine, session: &Value) -> bool {
    cgroup_of(machine, session).trim().ends_with(&format!("/user.slice/{}", scope_of(session)))
}

fn cgroup_of(machine: &Machine, session: &Value) -> String {
    machine.shell(&format!("grep ^0:: /proc/{}/cgroup", session["leader"])).success()
}

/// The scopes that the daemon asked for.
fn scopes(machine: &Machine) -> Vec<String> {
    let list = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "authflow-*.scope"];
    let list = machine.run(list).success();
    list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = machine.sessions();
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}
