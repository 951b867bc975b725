//! su runs with its caller's uid, so the caller can stop it anywhere and let it go on when it likes. What was true when it was stopped is
//! worth nothing by then: a password, a factor or an account that is gone opens nothing.

use authflow_tests::{Machine, Person, wait};
use rustix::process::Signal;

const CONFIG: &str = r#"
[password]
source = ["authflow", "shadow"]
[throttle]
attempts = 10
[[rule]]
name = "su"
service = ["su"]
methods = [["password", "totp"]]
"#;
const LOCK: &str = "/var/lib/authflow/state/bob.lock";
const NOTHING: &str = "true";

/// What root does meanwhile.
const CHANGES: [&str; 5] = [
    "printf 'entirely another one' | authflow passwd --user bob --stdin",
    "authflow factor remove totp --user bob --yes",
    "touch /var/lib/authflow/state/bob.disabled",
    "authflow factor remove password --user bob --yes",
    "echo bob:by-no-means-short | chpasswd && usermod --lock bob",
];
const SYSTEMS_CHANGE: &str = "echo 'bob:entirely another one' | chpasswd";

/// A machine on which bob has a password and a phone, and the code that it shows.
fn machine() -> Option<(Machine, String)> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(CONFIG).shipped_pam("su").without_daemon();
    let machine = plan.start();
    let code = machine.enroll("bob").code();
    Some((machine, code))
}

/// The same, where the password is the system's.
fn machine_with_system_password() -> Option<(Machine, String)> {
    let (machine, code) = machine()?;
    let _ = machine.run(["authflow", "factor", "remove", "password", "--user", "bob", "--yes"]).success();
    let _ = machine.feed(["chpasswd"], format!("bob:{}\n", machine.password()).as_bytes()).success();
    Some((machine, code))
}

/// Alice becomes bob, up to the question for the code.
fn become_bob(machine: &Machine) -> Person {
    // A shell around it: whoever entered the machine would stop together with su.
    let su = "setpriv --reuid=alice --regid=alice --init-groups su bob -c 'id -un'; exit";
    let mut alice = machine.person(["sh", "-c", su]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice
}

/// Stops su at the question, has `change` done, and lets it go on to be answered. Whether bob's command ran.
fn stopped_at_the_question((machine, code): &(Machine, String), change: &str) -> bool {
    let mut alice = become_bob(machine);
    let stop = format!("su=$(pgrep -x su) && kill -STOP $su; {change}; kill -CONT $su");
    let _ = machine.shell(&stop).success();
    alice.type_line(code);
    let _ = alice.end();
    alice.sees("bob\r\n")
}

/// Stops su when all answers are given and the password is hashed, and only bob's lock, which somebody else holds, keeps it from its verdict;
/// has `change` done, and lets it go on. Whether bob's command ran.
fn stopped_before_the_verdict((machine, code): &(Machine, String), change: &str) -> bool {
    let other = machine.start(["flock", LOCK, "sleep", "infinity"]);
    wait::until_true("the lock", || !machine.run(["flock", "--nonblock", LOCK, "true"]).status.success());
    let mut alice = become_bob(machine);
    alice.type_line(code);
    // One shell for all of it: su waits for the lock for two seconds.
    let stop = format!(
        "su=$(pgrep -x su); tries=0; until ls -l /proc/$su/fd | grep -q {LOCK}; do tries=$((tries+1)); test $tries -lt 2000 || exit 1; done; \
         kill -STOP $su; pkill -KILL -x sleep; {change}; kill -CONT $su"
    );
    let _ = machine.shell(&stop).success();
    drop(other);
    let _ = alice.end();
    alice.sees("bob\r\n")
}

#[test]
fn what_is_changed_while_su_is_stopped_at_a_question_counts() {
    for change in CHANGES {
        let Some(bob) = machine() else { return };
        assert!(!stopped_at_the_question(&bob, change), "{change}: {}", bob.0.log());
    }
    let Some(bob) = machine_with_system_password() else { return };
    assert!(stopped_at_the_question(&bob, NOTHING), "{}", bob.0.log());
}

/// Anybody has the account files written, by chfn.
#[test]
fn an_account_that_was_locked_before_is_let_in_while_others_are_changed() {
    let Some(bob) = machine() else { return };
    let _ = bob.0.shell("echo bob:by-no-means-short | chpasswd && usermod --lock bob").success();
    assert!(stopped_at_the_question(&bob, "chfn --room 1 alice"), "{}", bob.0.log());
}

#[test]
fn what_is_changed_between_the_proof_and_the_verdict_counts() {
    for change in CHANGES {
        let Some(bob) = machine() else { return };
        assert!(!stopped_before_the_verdict(&bob, change), "{change}: {}", bob.0.log());
        assert!(!bob.0.log().contains("busy"), "{change}: it is not the lock that denied: {}", bob.0.log());
    }
    let Some(bob) = machine_with_system_password() else { return };
    assert!(!stopped_before_the_verdict(&bob, SYSTEMS_CHANGE), "{}", bob.0.log());
    bob.0.logged(&["user=bob", "changed"]);
}

#[test]
fn su_that_was_merely_stopped_goes_on_and_lets_in() {
    let (Some(own), Some(systems)) = (machine(), machine_with_system_password()) else { return };
    for bob in [own, systems] {
        assert!(stopped_before_the_verdict(&bob, NOTHING), "{}", bob.0.log());
    }
}

/// Stopped till `bus_timeout` is over, su would let its caller in as if there were no daemon, with a session that nobody watches.
#[test]
fn su_is_out_of_its_callers_reach_while_the_daemon_is_asked() {
    let Some(plan) = Machine::overlay() else { return };
    let config = format!("bus_timeout = \"60s\"\n{CONFIG}");
    let machine = plan.user("alice").user("bob").config(&config).shipped_pam("su").start();
    let code = machine.enroll("bob").code();
    let mut alice = become_bob(&machine);
    machine.signal_daemon(Signal::STOP);
    alice.type_line(&code);
    machine.logged(&["event=granted", "user=bob"]);
    let signal = "setpriv --reuid=alice --regid=alice --init-groups kill -0 $(pgrep -x su)";
    wait::until_true("the daemon to be asked", || !machine.shell(signal).status.success());
    assert!(machine.run(["pgrep", "-x", "su"]).status.success(), "it is there, and not to be signalled");
    machine.signal_daemon(Signal::CONT);
    let _ = alice.end();
    assert!(alice.sees("bob\r\n"), "{}", machine.log());
    let history = machine.run(["authflow", "history", "--service", "su", "--json"]).success();
    assert_eq!(history.matches("\"service\": \"su\"").count(), 1, "{history}{}", machine.log());
    assert!(!machine.log().contains("daemon-away"), "{}", machine.log());
}
