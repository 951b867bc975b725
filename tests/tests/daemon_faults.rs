//! The session daemon or its bus is away: `when_unavailable` decides, nobody waits for ever, and who was let in meanwhile is adopted.

use std::fs;

use authflow_tests::{Machine, Person, Plan, wait};
use rustix::process::Signal;

#[test]
fn who_was_let_in_without_a_daemon_is_adopted_when_it_comes() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.without_daemon().start();
    let mut alice = log_in(&machine);
    machine.logged(&["daemon-away", "user=alice"]);
    assert_eq!(pending(&machine), 1);
    machine.start_daemon();
    machine.logged(&["adopted", "user=alice"]);
    assert_eq!(users(&machine), ["alice"]);
    nothing_is_pending(&machine);
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the adopted session's end", || users(&machine).is_empty());
}

/// Else whoever logs in while no daemon is there gets that much more time.
#[test]
fn the_limits_of_who_is_adopted_run_from_the_login() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.without_daemon().start();
    let _alice = log_in(&machine);
    // As if the login had been a minute ago, without the wait.
    let earlier = "cd /run/authflow/pending && for it in *; do \
        awk '/^\\[/ { is_opened = /opened_/ } is_opened && /^secs/ { $3 -= 60 } { print }' $it >/tmp/it && cat /tmp/it >$it; done";
    let _ = machine.shell(earlier).success();
    let written = "sed -n '/^.opened_wall/,/^nanos/ s/^secs = //p' /run/authflow/pending/*";
    let opened: u64 = machine.shell(written).success().trim().parse().expect("seconds");
    machine.start_daemon();
    machine.logged(&["event=adopted", "user=alice"]);
    let session = machine.sessions().remove(0);
    let seconds = |key: &str| {
        let at = session[key].as_str().expect("a time");
        machine.run(["date", "--date", at, "+%s"]).success().trim().parse::<u64>().expect("seconds")
    };
    assert_eq!(seconds("opened_at"), opened, "{session:#}");
    let limit = session["lifetime_limit"].as_u64().expect("a limit");
    // A deadline is on another clock than the one that tells it, so it may be told a second off.
    assert!(seconds("lifetime_deadline").abs_diff(opened + limit) < 5, "{session:#}");
}

#[test]
fn who_left_before_the_daemon_came_is_in_its_history_alone() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.without_daemon().start();
    let mut alice = log_in(&machine);
    alice.type_line("exit");
    let _ = alice.end();
    machine.start_daemon();
    assert_eq!(users(&machine), [""; 0]);
    nothing_is_pending(&machine);
    let history = machine.run(["authflow", "history", "--json"]).json();
    assert_eq!(history.as_array().map(Vec::len), Some(1), "{history}");
    assert_eq!((&history[0]["user"], &history[0]["end_reason"]), (&"alice".into(), &"logout".into()));
}

#[test]
fn each_login_of_one_process_is_in_the_history() {
    let Some(plan) = Machine::overlay() else { return };
    let config = "[[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"stack\"]]\n";
    let machine =
        plan.user("alice").config(config).pam("door", "session required pam_authflow.so\n").without_daemon().start();
    let twice = ["open_session", "close_session", "open_session", "close_session"];
    let _ = machine.run(["pamtester", "door", "alice"].into_iter().chain(twice)).success();
    machine.start_daemon();
    nothing_is_pending(&machine);
    assert_eq!(machine.history("alice").len(), 2, "{}", machine.log());
}

#[test]
fn who_leaves_in_the_very_moment_of_the_adoption_has_logged_out() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.without_daemon().start();
    let mut alice = log_in(&machine);
    let late = format!("LD_PRELOAD={}", machine.compile_to_preload("late_unlink"));
    let _daemon = machine.start(["env", &late, "/usr/libexec/authflow-sessiond"]);
    wait::until_true("the adoption", || machine.path("/run/removing").exists());
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the logout", || {
        let files = fs::read_dir(machine.path("/run/authflow/pending")).expect("it is there");
        files.flatten().any(|file| file.file_name().to_string_lossy().ends_with(".over"))
    });
    machine.write("/run/go-on", "");
    assert_eq!(machine.end_reason("alice"), "logout", "{}", machine.log());
    assert_eq!((users(&machine), pending(&machine)), (Vec::new(), 0));
}

#[test]
fn without_a_daemon_nobody_enters_where_the_rule_says_deny() {
    let Some(plan) = plan("deny") else { return };
    let machine = plan.without_daemon().start();
    let phone = machine.enroll("alice");
    assert!(!answer(&machine, &phone.code_at(0)));
    machine.logged(&["user=alice", "refused", "phase=open-session"]);
    assert_eq!(pending(&machine), 0);
    machine.start_daemon();
    assert!(answer(&machine, &phone.code_at(1)));
}

#[test]
fn a_hung_daemon_holds_up_nobody_and_makes_no_second_session() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.start();
    machine.signal_daemon(Signal::STOP);
    let mut alice = log_in(&machine);
    machine.logged(&["daemon-away", "user=alice"]);
    machine.signal_daemon(Signal::CONT);
    // Nobody asks it for anything: it hears of what was written down.
    machine.logged(&["event=adopted", "user=alice"]);
    assert_eq!(users(&machine), ["alice"]);
    nothing_is_pending(&machine);
    machine.kill_daemon();
    machine.start_daemon();
    assert_eq!(users(&machine), ["alice"]);
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the session's end", || users(&machine).is_empty());
}

#[test]
fn who_was_let_in_while_the_bus_hung_is_tracked_without_any_further_call() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.start();
    let mut phone = machine.enroll("alice");
    // By the door the daemon would have been told at once.
    let _ = machine.run(["rm", "/run/authflow/door"]).success();
    machine.signal_bus(Signal::STOP);
    // What was let in is adopted while the bus still hangs: no call can have told the daemon.
    let mut alice = machine.ssh("alice", &[]);
    type_answers(&mut alice, machine.password(), &phone.code());
    alice.expect("$ ");
    machine.logged(&["event=adopted", "user=alice"]);
    nothing_is_pending(&machine);
    machine.signal_bus(Signal::CONT);
    assert_eq!(users(&machine), ["alice"]);
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the adopted session's end", || users(&machine).is_empty());
}

#[test]
fn what_is_written_down_of_a_session_that_the_daemon_opened_is_that_session() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.start();
    let mut phone = machine.enroll("alice");
    machine.signal_daemon(Signal::STOP);
    let mut alice = machine.ssh("alice", &[]);
    type_answers(&mut alice, machine.password(), &phone.code());
    alice.expect("$ ");
    let _ = machine.shell("mkdir /run/kept && cp /run/authflow/pending/* /run/kept").success();
    machine.signal_daemon(Signal::CONT);
    let adoptions = || machine.log().matches("event=adopted").count();
    wait::until_true("the session", || adoptions() == 1);
    // As of a module that gave up waiting when the daemon had just opened it.
    let _ = machine
        .shell("cd /run/kept && for it in *; do cp $it .$it && mv .$it /run/authflow/pending/$it; done")
        .success();
    wait::until_true("the second look", || adoptions() == 2);
    assert_eq!(users(&machine), ["alice"]);
    nothing_is_pending(&machine);
    assert!(!machine.log().contains("event=not-adopted"), "{}", machine.log());
}

#[test]
fn a_daemon_that_dies_during_the_call_costs_nobody_the_login() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.start();
    machine.signal_daemon(Signal::STOP);
    let mut phone = machine.enroll("alice");
    let mut alice = machine.ssh("alice", &[]);
    type_answers(&mut alice, machine.password(), &phone.code());
    machine.logged(&["event=granted", "user=alice"]);
    machine.kill_daemon();
    alice.expect("$ ");
    machine.start_daemon();
    wait::until_true("the session", || users(&machine) == ["alice"]);
}

#[test]
fn a_bus_that_went_away_and_came_back_loses_no_session() {
    let Some(plan) = plan("open") else { return };
    let machine = plan.start();
    let mut phone = machine.enroll("alice");
    let mut before = machine.ssh("alice", &[]);
    type_answers(&mut before, machine.password(), &phone.code());
    before.expect("$ ");
    machine.stop_bus();
    let mut meanwhile = machine.ssh("alice", &[]);
    type_answers(&mut meanwhile, machine.password(), &phone.code());
    meanwhile.expect("$ ");
    machine.start_bus();
    machine.start_daemon();
    wait::until_true("both sessions", || users(&machine) == ["alice", "alice"]);
}

fn plan(when_unavailable: &str) -> Option<Plan> {
    // What is slow must not be denied for it.
    let bus_timeout = if when_unavailable == "deny" { "60s" } else { "1s" };
    let config = format!(
        "bus_timeout = \"{bus_timeout}\"\n[session]\nwhen_unavailable = \"{when_unavailable}\"\n\
         [[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\", \"totp\"]]\n"
    );
    let lines = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";
    Some(Machine::overlay()?.user("alice").config(&config).sshd(lines))
}

fn log_in(machine: &Machine) -> Person {
    let mut phone = machine.enroll("alice");
    let mut alice = machine.ssh("alice", &[]);
    type_answers(&mut alice, machine.password(), &phone.code());
    alice.expect("$ ");
    alice
}

fn type_answers(alice: &mut Person, password: &str, code: &str) {
    alice.expect("Password: ");
    alice.type_line(password);
    alice.expect("Verification code: ");
    alice.type_line(code);
}

/// Whether a command runs for alice with these answers.
fn answer(machine: &Machine, code: &str) -> bool {
    let mut client = machine.ssh("alice", &["true"]);
    client.answer_all(&[("Password: ", machine.password()), ("Verification code: ", code)]).success()
}

/// The users of the live sessions.
fn users(machine: &Machine) -> Vec<String> {
    let sessions = machine.run(["authflow", "sessions", "--json"]).json();
    let sessions = sessions.as_array().expect("a list");
    sessions.iter().map(|session| session["user"].as_str().expect("a name").to_owned()).collect()
}

/// The log tells of an adoption before what was written down of it is taken away.
#[track_caller]
fn nothing_is_pending(machine: &Machine) {
    wait::until_true("the end of what is pending", || pending(machine) == 0);
}

/// How many logins wait to be adopted.
fn pending(machine: &Machine) -> usize {
    std::fs::read_dir(machine.path("/run/authflow/pending")).map_or(0, Iterator::count)
}
