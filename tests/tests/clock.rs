//! Limits go by a clock that nobody sets and that goes on while the machine sleeps: when the wall clock is set by a day, nothing ends early
//! and nothing late, and what fell due in a sleep ends when it is over.

use authflow_tests::{Machine, Program, wait};

const CONFIG: &str = "[session]\nwithout_tty = \"idle\"\n\
     [[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"stack\"]]\nsession = { idle = \"30s\", lifetime = \"none\" }\n\
     [[rule]]\nname = \"gate\"\nservice = [\"gate\"]\nmethods = [[\"stack\"]]\nsession = { idle = \"none\", lifetime = \"30s\" }\n";
const LINE: &str = "session required pam_authflow.so\n";

#[test]
fn a_clock_that_is_set_by_a_day_ends_no_session_early_or_late() {
    for by in ["+1d", "-1d"] {
        let Some(plan) = Machine::overlay() else { return };
        let plan = plan.user("alice").config(CONFIG).pam("door", LINE).pam("gate", LINE).without_daemon();
        let machine = plan.start();
        machine.compile("crowd");
        machine.write("/run/clock", "+0");
        let _daemon = daemon_by_a_clock_that_can_be_set(&machine);
        let inside = ["door", "gate"].map(|service| machine.start(["crowd", service, "alice", "1"]));
        wait::until_true("the sessions", || machine.sessions().len() == 2);
        machine.write("/run/clock", by);
        assert_eq!(machine.sessions().len(), 2, "{by}: none ends at once");
        let mut filtered = by_a_clock_that_can_be_set(&machine);
        filtered.extend(["authflow", "sessions", "--older-than", "1h", "--json"].map(str::to_owned));
        assert_eq!(machine.run(&filtered).success().trim(), "[]", "{by}: none is older than it was");
        wait::until_true("their ends", || machine.sessions().is_empty());
        let history = machine.history("alice");
        for row in &history {
            let day = |key: &str| row[key].as_str().and_then(|time| time.get(..10)).expect("a time").to_owned();
            assert_ne!(day("opened_at"), day("closed_at"), "{by}: the daemon sees the clock that was set");
        }
        let mut reasons: Vec<_> = history.iter().map(|row| row["end_reason"].as_str().unwrap().to_owned()).collect();
        reasons.sort();
        assert_eq!(reasons, ["idle", "lifetime"], "{by}");
        drop(inside);
    }
}

/// What the boot clock gains while a machine sleeps a daemon gains here that is started anew in a time namespace. There the starts of processes
/// are later as well, which after a sleep they are not; so the test moves those that the daemon has noted.
#[test]
fn what_fell_due_while_the_machine_slept_is_ended_and_the_rest_goes_on() {
    const ASLEEP: u64 = 7200;
    let Some(plan) = Machine::overlay() else { return };
    let rules = [("door", "1h", "none"), ("gate", "none", "1h"), ("yard", "10h", "10h")];
    let mut config = "[session]\nwithout_tty = \"idle\"\n".to_owned();
    for (name, idle, lifetime) in rules {
        let limits = format!("session = {{ idle = \"{idle}\", lifetime = \"{lifetime}\" }}");
        config += &format!("[[rule]]\nname = \"{name}\"\nservice = [\"{name}\"]\nmethods = [[\"stack\"]]\n{limits}\n");
    }
    let plan = rules.iter().fold(plan.user("alice").config(&config), |plan, (name, ..)| plan.pam(name, LINE));
    let machine = plan.start();
    machine.compile("crowd");
    let mut inside = rules.map(|(service, ..)| machine.start(["crowd", service, "alice", "1"]));
    wait::until_true("the sessions", || machine.sessions().len() == 3);
    let deadline = |of: &serde_json::Value| of["lifetime_deadline"].as_str().expect("a time").to_owned();
    let before = machine.sessions().into_iter().find(|session| session["service"] == "yard").expect("one");
    machine.kill_daemon();
    move_starts(&machine, ASLEEP * 100);
    let asleep = ASLEEP.to_string();
    let _daemon = machine.start(["unshare", "--time", "--boottime", &asleep, "/usr/libexec/authflow-sessiond"]);
    wait::until_true("the ends", || machine.history("alice").len() == 2);
    let history = machine.history("alice");
    let mut ends: Vec<_> = history.iter().map(|row| [&row["service"], &row["end_reason"]]).collect();
    ends.sort_by_key(|[service, _]| service.to_string());
    assert_eq!(ends, [["door", "idle"], ["gate", "lifetime"]]);
    let _ = inside.iter_mut().take(2).map(|crowd| crowd.end()).count();
    let left = machine.sessions();
    let [yard] = &left[..] else { panic!("{left:#?}") };
    assert_eq!((&yard["id"], inside[2].is_running()), (&before["id"], true));
    assert_ne!(deadline(yard), deadline(&before), "by the wall clock, which did not move, it ends two hours sooner");
}

/// Moves the starts of the leaders by so many clock ticks in the copies that the next daemon believes first.
fn move_starts(machine: &Machine, ticks: u64) {
    for copy in std::fs::read_dir(machine.path("/run/authflow/live")).expect("a folder") {
        let path = copy.expect("a file").path();
        let text = std::fs::read(&path).expect("a copy");
        let mut session: serde_json::Value = serde_json::from_slice(&text).expect("a session");
        let start = &mut session["leader"]["start_time"];
        *start = (start.as_u64().expect("ticks") + ticks).into();
        std::fs::write(&path, session.to_string()).expect("it can be written");
    }
}

/// What a command stands behind to see the clock of the test's.
fn by_a_clock_that_can_be_set(machine: &Machine) -> Vec<String> {
    let library = machine.shell("ls /usr/lib/*/faketime/libfaketime.so.1").success();
    let preload = format!("LD_PRELOAD={}", library.trim());
    let rest = ["FAKETIME_TIMESTAMP_FILE=/run/clock", "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"];
    ["env", &preload].into_iter().chain(rest).map(str::to_owned).collect()
}

fn daemon_by_a_clock_that_can_be_set(machine: &Machine) -> Program {
    let mut words = by_a_clock_that_can_be_set(machine);
    words.push("/usr/libexec/authflow-sessiond".to_owned());
    let daemon = machine.start(&words);
    wait::until_true("the daemon", || machine.run(["authflow", "sessions", "--json"]).status.success());
    daemon
}

/// The one who confirms shows that the new stack lets people in; a login from before the change shows nothing, whatever the clock says of it.
#[test]
fn a_setup_is_confirmed_by_a_newer_login_and_by_no_older_one_however_the_clock_is_set() {
    let Some(plan) = Machine::overlay() else { return };
    let sudoers = "bob ALL=(ALL) NOPASSWD: ALL\nroot ALL=(ALL) ALL\n";
    let plan = plan.user("alice").user("bob").file("/etc/sudoers.d/test", sudoers).without_daemon();
    let machine = plan.start();
    machine.write("/run/clock", "+0");
    let _daemon = daemon_by_a_clock_that_can_be_set(&machine);
    let _alice = machine.enroll("alice");
    let mut phone = machine.enroll("bob");
    let set_up = "authflow setup su --user bob --yes";
    let _ = machine.shell(set_up).success();
    let mut log_in = || {
        let mut bob = machine.person(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "su", "bob"]);
        machine.give_answers(&mut bob, &phone.code());
        bob.expect("$ ");
        bob
    };
    let confirm = format!("sudo {} authflow setup confirm", by_a_clock_that_can_be_set(&machine).join(" "));
    let mut old = log_in();
    old.type_line(&confirm);
    old.expect("su for bob stays");

    let _ = machine.shell(&set_up.replace("bob", "bob --user alice")).success();
    machine.write("/run/clock", "+1d");
    old.type_line(&confirm);
    old.expect("not confirmed");
    // Nor does one that is set back keep a new login from it.
    machine.write("/run/clock", "-1d");
    let mut new = log_in();
    new.type_line(&confirm);
    new.expect("su for alice, bob stays");
}
