//! What a limit leaves of a session and what it does not, by what its rule says.

use authflow_tests::{Machine, wait};

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_lifetime_that_hangs_up_leaves_what_detached_itself() {
    let Some(machine) = ssh(r#"lifetime = "30s", at_lifetime = "hangup", warn = "1s""#) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let detached = alice.shell("setsid -f sleep 1000; pgrep -n -x sleep");
    alice.expect("this session ends now: its login is too old");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "lifetime");
    assert!(machine.path(&format!("/proc/{detached}")).exists(), "it is not of the terminal any more");
}

#[test]
fn an_idle_limit_that_terminates_ends_what_detached_itself_as_well() {
    let limits = r#"idle = "30s", warn = "2s", at_idle = "terminate", grace = "500ms""#;
    let Some(machine) = ssh(limits) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.type_line(
        "(setsid sh -c 'trap \"\" HUP TERM; sleep 4711 & wait' &); setsid nohup sleep 4712 >/dev/null 2>&1 &",
    );
    wait::until_true("what alice started", || machine.count("sleep 471") == 2);
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
    assert_eq!((machine.count("sleep 4711"), machine.count("sleep 4712")), (0, 0), "{}", machine.log());
}

/// Nothing takes the terminal from it, as the end of a connection or of a window would.
#[test]
fn a_shell_at_a_login_that_ignores_the_hang_up_ends_and_nohup_and_tmux_live_on() {
    let Some(plan) = Machine::overlay() else { return };
    let limits = r#"idle = "30s", warn = "2s", grace = "500ms""#;
    let machine = plan.user("bob").config(&rule("login", limits)).shipped_pam("login").start();
    let mut bob = machine.person(["login", "bob"]);
    machine.give_answers(&mut bob, &machine.enroll("bob").code());
    bob.expect("$ ");
    machine.compile("headless");
    bob.type_line(
        "trap '' HUP TERM; nohup sleep 4711 & sleep 4712 & headless & tmux new-session -d 'sleep 4713'; echo armed",
    );
    bob.expect("armed\r\n");
    wait::until_true("what bob started", || {
        ["1", "2", "3"].iter().all(|n| machine.count(&format!("sleep 471{n}")) == 1) && is_headless_there(&machine)
    });
    bob.expect("this session ends now: nobody used it");
    assert_eq!(machine.end_reason("bob"), "idle");
    let _ = bob.end();
    assert_eq!(machine.count("-bash"), 0, "{}", machine.log());
    let left = [4711, 4712, 4713].map(|n| machine.count(&format!("sleep {n}")));
    assert_eq!(left, [1, 0, 1], "{}", machine.log());
    assert!(!is_headless_there(&machine), "what goes on without its first thread has the terminal as well");
}

/// Whether that program goes on without its first thread.
fn is_headless_there(machine: &Machine) -> bool {
    let look = "grep -l '^Name:.headless$' /proc/[0-9]*/status | xargs -r grep -l '^Threads:.2'";
    !machine.shell(look).stdout.is_empty()
}

#[test]
fn a_shell_of_sus_that_ignores_the_hang_up_ends_and_the_login_around_it_goes_on() {
    let Some(plan) = Machine::overlay() else { return };
    let rules =
        rule("sshd", "") + &rule("su-l", r#"lifetime = "30s", at_lifetime = "hangup", warn = "1s", grace = "500ms""#);
    let machine = plan.user("alice").user("bob").config(&rules).sshd(SSHD);
    let machine = machine.shipped_pam("su").pam("su-l", "@include su\n").start();
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let mut bobs = machine.enroll("bob");
    alice.type_line("su - bob");
    machine.give_answers(&mut alice, &bobs.code());
    alice.expect("bob@");
    alice.type_line("trap '' HUP TERM; sleep 4711 & echo armed");
    alice.expect("armed\r\n");
    alice.expect("this session ends now: its login is too old");
    assert_eq!(machine.end_reason("bob"), "lifetime");
    assert_eq!(machine.count("sleep 4711"), 0, "{}", machine.log());
    assert_eq!(alice.shell("echo $USER is still here"), "alice is still here");
}

fn ssh(limits: &str) -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").config(&rule("sshd", limits)).sshd(SSHD);
    Some(plan.start())
}

fn rule(service: &str, limits: &str) -> String {
    let methods = "methods = [[\"password\", \"totp\"]]";
    format!("[[rule]]\nname = \"{service}\"\nservice = [\"{service}\"]\n{methods}\nsession = {{ {limits} }}\n")
}
