//! Desktops, as far as a login needs no screen to be one: logind calls it one, hears from it whether somebody uses it, and is asked to lock
//! it. The part of the desktop is played with busctl.

use authflow_tests::{Authenticator, Machine, Person, wait};
use serde_json::Value;

/// What a display manager's stack does, for the program that there is.
const DESK: &str = "\
auth required pam_authflow.so
account required pam_authflow.so
session required pam_loginuid.so
session required pam_systemd.so type=wayland class=user
session required pam_authflow.so
";

const LOCKER: &str = "auth required pam_authflow.so\naccount required pam_authflow.so\n";

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

const OWN: &str =
    "busctl --system call org.freedesktop.login1 /org/freedesktop/login1/session/self org.freedesktop.login1.Session";

#[test]
fn a_desktop_that_nobody_uses_is_locked_and_goes_on() {
    let Some(machine) = machine(r#"idle = "30s", warn = "2s""#) else { return };
    let heard = listen(&machine);
    let mut alice = sit_down(&machine, &mut machine.enroll("alice"));
    wait::until_true("the hint", || desk(&machine)["activity_basis"] == "hint");
    // Whoever types into a terminal alone could be a program; the desktop knows better, and says so.
    alice.type_line(&format!("{OWN} SetIdleHint b true"));
    wait::until_true("the lock", || heard(&machine) == 1);
    wait::until_true("the state", || desk(&machine)["state"] == "locked");
    assert_eq!(desk(&machine)["idle_deadline"], Value::Null);
    // A daemon that knows nothing yet ends nothing either.
    machine.kill_daemon();
    wait::until_true("the daemon", || machine.run(["authflow", "sessions"]).status.success());
    assert!(!alice.sees("nobody is using"), "warned: {}", alice.screen());
    assert_eq!(alice.shell("echo still here"), "still here");
    let _ = alice.shell(&format!("{OWN} SetIdleHint b false"));
    wait::until_true("the user to be seen", || desk(&machine)["state"] == "active");
    assert!(desk(&machine)["idle_deadline"].is_string());
    alice.type_line("exit");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "logout");
}

#[test]
fn a_lifetime_that_locks_is_lifted_by_who_proves_himself_and_by_nothing_less() {
    let Some(machine) = machine(r#"idle = "none", lifetime = "30s", at_lifetime = "lock""#) else { return };
    let heard = listen(&machine);
    let mut phone = machine.enroll("alice");
    let mut alice = sit_down(&machine, &mut phone);
    wait::until_true("the hint", || desk(&machine)["activity_basis"] == "hint");
    wait::until_true("the lock", || heard(&machine) == 1);
    assert!(alice.shell("authflow status").contains("state    locked"));
    // A locker that does not ask us, and tells logind.
    let relocks = format!("{OWN} SetLockedHint b true; sleep 2; {OWN} SetLockedHint b false; sleep 2");
    wait::until_true("the second lock", || {
        // The daemon asks a moment after a signal, and may miss what is taken back at once.
        let _ = alice.shell(&relocks);
        heard(&machine) > 1
    });
    alice.type_line("pamtester door alice authenticate");
    machine.give_answers(&mut alice, &phone.code());
    alice.expect("successfully authenticated");
    wait::until_true("the renewal", || desk(&machine)["state"] == "active");
    machine.logged(&["event=renewed"]);
    assert_eq!(alice.shell("echo still here"), "still here");
}

#[test]
fn a_desktop_that_logind_does_not_lock_is_ended_at_its_limit() {
    let Some(machine) = machine(r#"idle = "30s", warn = "2s""#) else { return };
    machine.write("/etc/dbus-1/system.d/no-lock.conf", NO_LOCK);
    let _ = machine.run(["systemctl", "reload", "dbus"]).success();
    let heard = listen(&machine);
    let mut alice = sit_down(&machine, &mut machine.enroll("alice"));
    wait::until_true("the hint", || desk(&machine)["activity_basis"] == "hint");
    alice.type_line(&format!("{OWN} SetIdleHint b true"));
    // The fourth is the last, half a minute after the third.
    wait::until_true("three attempts", || machine.log().matches("event=not-locked").count() == 3);
    let _ = alice.end();
    assert_eq!((machine.end_reason("alice").as_str(), heard(&machine)), ("idle", 0));
}

/// What is in the way of a lock: a bus that does not pass it on, as a logind that does not do it.
const NO_LOCK: &str = "<busconfig><policy context=\"mandatory\">\
    <deny send_interface=\"org.freedesktop.login1.Manager\" send_member=\"LockSession\"/></policy></busconfig>";

#[test]
fn a_screen_is_locked_on_request_and_a_terminal_has_none() {
    let Some(machine) = machine(r#"idle = "15m""#) else { return };
    let heard = listen(&machine);
    let mut phone = machine.enroll("alice");
    let mut alice = sit_down(&machine, &mut phone);
    wait::until_true("the hint", || desk(&machine)["activity_basis"] == "hint");
    let lock = |id: &Value| {
        let id = id.as_str().expect("an id").to_owned();
        format!(
            "busctl --system call org.authflow.sessiond1 /org/authflow/sessiond1/session/{id} org.authflow.sessiond1.Session Lock"
        )
    };
    let own = lock(&desk(&machine)["id"]);
    assert_eq!(alice.shell(&format!("{own}; echo code=$?")), "code=0");
    wait::until_true("the lock", || heard(&machine) == 1);
    let mut bob = machine.log_in("bob", &mut machine.enroll("bob"));
    let bobs = machine.sessions().iter().find(|session| session["user"] == "bob").expect("bob's")["id"].clone();
    assert!(bob.shell(&lock(&bobs)).contains("no screen that could be locked"));
    assert!(bob.shell(&own).contains("no such session"));
    assert_eq!(heard(&machine), 1);
}

fn machine(limits: &str) -> Option<Machine> {
    let rule = format!(
        "[[rule]]\nname = \"all\"\nservice = [\"login\", \"sshd\", \"door\"]\nmethods = [[\"password\", \"totp\"]]\n\
         session = {{ {limits} }}\n"
    );
    let plan = Machine::booted()?.user("alice").user("bob").config(&rule).sshd(SSHD);
    Some(plan.pam("login", DESK).pam("door", LOCKER).start())
}

fn sit_down(machine: &Machine, phone: &mut Authenticator) -> Person {
    let mut alice = machine.person(["login", "alice"]);
    machine.give_answers(&mut alice, &phone.code());
    alice.expect("$ ");
    alice
}

/// Counts how often logind told a desktop to lock its screen, from now on.
fn listen(machine: &Machine) -> impl Fn(&Machine) -> usize {
    let listener = "busctl --system monitor --match \"type='signal',interface='org.freedesktop.login1.Session',member='Lock'\" \
                    --json=short > /run/heard";
    let listener = machine.start(["sh", "-c", listener]);
    // It listens when it has heard one of the test's own.
    wait::until_true("the listener", || {
        let _ = machine.run(["busctl", "--system", "emit", "/bed", "org.freedesktop.login1.Session", "Lock"]).success();
        machine.read("/run/heard").contains("/bed")
    });
    move |machine| {
        let _kept = &listener;
        let heard = machine.read("/run/heard");
        heard.lines().filter(|line| line.contains("\"member\":\"Lock\"") && !line.contains("/bed")).count()
    }
}

#[track_caller]
fn desk(machine: &Machine) -> Value {
    let sessions = machine.sessions();
    sessions.iter().find(|session| session["user"] == "alice").unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}
