use std::{fs, os::fd::AsRawFd};

use authflow_core::time::Clock;
use authflow_host::{clock::SystemClock, process};

use super::*;
use crate::store::tests::session;

fn at(seconds: u64) -> Now {
    let secs = Duration::from_secs;
    Now { boot: BootTime::new(secs(100 + seconds)), wall: WallTime::new(secs(1_000_000 + seconds)) }
}

#[test]
fn a_clock_that_is_set_is_told_from_one_that_runs() {
    assert!(!jumped(at(0), at(3600)));
    let forward = Now { wall: at(86_400).wall, ..at(60) };
    let back = Now { wall: WallTime::new(Duration::from_secs(1)), ..at(60) };
    assert!(jumped(at(0), forward) && jumped(at(0), back));
}

#[test]
fn a_stamp_that_is_new_is_activity_and_one_that_was_seen_or_is_older_than_the_look_is_none() {
    let (seen, unseen) = ((Some(at(5).wall), Some(at(10))), (None, None));
    let at_stamp = |(before, last), stamp, now| changed((before, stamp), last, at(10).boot, now);
    assert_eq!(at_stamp(seen, at(5).wall, at(60)), None);
    assert_eq!(at_stamp(seen, at(40).wall, at(60)), Some(at(40).boot));
    assert_eq!(at_stamp(seen, at(999_999).wall, at(60)), Some(at(60).boot), "forged: not later than now");
    // The clock was set forward by a day: what was typed before seems to be a day old.
    let tomorrow = Now { wall: at(86_460).wall, ..at(60) };
    assert_eq!(at_stamp(seen, at(40).wall, tomorrow), Some(at(60).boot));
    assert_eq!(at_stamp(seen, at(5).wall, tomorrow), None, "and what was not typed is still none");
    // Nothing is remembered, as after a restart.
    assert_eq!(at_stamp(unseen, at(8).wall, at(60)), None);
    assert_eq!(at_stamp(unseen, at(40).wall, at(60)), Some(at(40).boot));
}

#[test]
fn what_the_daemon_wrote_is_no_activity_and_what_others_wrote_is() {
    let tty = Tty::of_device(136 << 8).unwrap();
    let used = |input, output| Use { owner: 1000, input: at(input).wall, output: at(output).wall };
    let memory = Memory {
        ttys: BTreeMap::from([(tty.clone(), used(2, 5))]),
        at: Some(at(30)),
        told: Some(at(31).wall),
        ..Memory::default()
    };
    let at_use = |used, kind| memory.used_at((&tty, used), kind, at(30).boot, at(60));
    let either = ActivityKind::InputOutput;
    assert_eq!(at_use(used(2, 31), either), None, "the warning");
    assert_eq!(at_use(used(2, 33), either), None, "the warning, written once more by a terminal in the terminal");
    assert_eq!(at_use(used(2, 40), either), Some(at(40).boot), "a program");
    assert_eq!(at_use(used(2, 20), either), Some(at(20).boot), "a program, before the warning");
    assert_eq!(at_use(used(32, 31), either), Some(at(32).boot), "a key, pressed at once");
    assert_eq!(at_use(used(2, 40), ActivityKind::Input), None);
}

#[test]
fn what_the_daemon_wrote_before_a_restart_is_no_activity_either() {
    let tty = Tty::of_device(136 << 8).unwrap();
    let session = Session { told: Some(at(31).wall), ..session(1) };
    let memory = Activity::default().memory(&session);
    let at_output = |output| {
        let used = Use { owner: 1000, input: at(2).wall, output: at(output).wall };
        memory.used_at((&tty, used), ActivityKind::InputOutput, at(30).boot, at(60))
    };
    assert_eq!(at_output(31), None, "the warning, not seen before");
    assert_eq!(at_output(40), Some(at(40).boot), "a program");
}

#[test]
fn what_others_wrote_since_the_last_look_is_not_hidden_by_what_the_daemon_writes() {
    let tty = Tty::of_device(136 << 8).unwrap();
    let used = |input, output| Use { owner: 1000, input: at(input).wall, output: at(output).wall };
    let told = |shown: Use, before: Option<u64>| {
        let mut memory = Memory {
            ttys: BTreeMap::from([(tty.clone(), used(2, 5))]),
            told: before.map(|before| at(before).wall),
            ..Memory::default()
        };
        let is_told = memory.will_be_told(|_tty| Some(shown), at(60).wall);
        assert_eq!(is_told, memory.told == Some(at(60).wall));
        (memory.told, memory.ttys[&tty])
    };
    assert_eq!(told(used(2, 5), None), (Some(at(60).wall), used(2, 5)));
    assert_eq!(told(used(2, 40), None), (None, used(2, 5)), "a program");
    assert_eq!(told(used(3, 5), None), (None, used(2, 5)), "a key");
    assert_eq!(told(used(2, 40), Some(39)), (Some(at(60).wall), used(2, 40)), "what the daemon wrote before");
    assert_eq!(told(used(2, 50), Some(39)), (Some(at(39).wall), used(2, 5)), "a program, after that");
}

#[test]
fn a_desktop_is_used_until_it_says_otherwise_and_no_longer() {
    let (mut activity, mut session) = (Activity::default(), session(1));
    let used = |activity: &Activity, session: &Session, seconds| {
        activity.peek(session, &[], &Snapshot::default(), at(seconds)).active_at
    };
    let idle_since = |seconds| Some(Hint { idle_since: Some(at(seconds).boot), is_locked: false });
    assert_eq!(used(&activity, &session, 10), Some(at(10).boot), "io, whose first look knows nothing");
    let _none = activity.take_hint(session.id, Some(Hint { idle_since: None, is_locked: false }));
    assert_eq!(used(&activity, &session, 20), Some(at(20).boot));
    session.looked = at(20).boot;
    let _in_use = activity.take_hint(session.id, idle_since(25));
    assert_eq!(used(&activity, &session, 30), Some(at(25).boot));
    session.looked = at(30).boot;
    assert_eq!(used(&activity, &session, 40), None, "what is not new is no activity");
    let _idle = activity.take_hint(session.id, None);
    assert_eq!(activity.peek(&session, &[], &Snapshot::default(), at(50)).basis, Basis::Io);
}

#[test]
fn whether_a_desktop_is_used_is_not_known_to_a_new_daemon() {
    let session = Session { basis: Basis::Hint, ..session(1) };
    let look = Activity::default().peek(&session, &[], &Snapshot::default(), at(10));
    assert_eq!((look.basis, look.active_at), (Basis::Hint, Some(at(10).boot)));
}

#[test]
fn only_what_is_more_than_before_was_moved() {
    let id = |pid| ProcessId { pid, start_time: 1 };
    let before = BTreeMap::from([(id(1), 100), (id(2), 500)]);
    let after = BTreeMap::from([(id(1), 150), (id(3), 70)]);
    assert_eq!(increase(&before, &after), 120);
}

#[test]
fn what_cannot_be_read_moved_nothing() {
    let (me, gone) = (ProcessId::current().unwrap(), ProcessId { pid: 1, start_time: 1 });
    let before = BTreeMap::from([(me, 1), (gone, 500)]);
    assert_eq!(all_moved(&[me], |_all| true, &before), BTreeMap::from([(me, 1)]));
    assert!(all_moved(&[me], |_none| false, &before)[&me] > 1);
    assert_eq!(all_moved(&[me], |_all| true, &BTreeMap::new()), BTreeMap::new());
}

#[test]
fn who_lets_nothing_be_read_of_the_terminal_does_not_lose_it() {
    let process = |start_time| Process {
        id: ProcessId { pid: 7, start_time },
        uid: 1000,
        parent: 1,
        tty: 0,
        audit_id: None,
        cgroup: String::new(),
        is_zombie: false,
    };
    let look = |basis, start_time| {
        let (session, process) = (Session { basis, ..session(1) }, process(start_time));
        let look = Activity::default().peek(&session, &[process.id], &Snapshot::of([process]), at(10));
        (look.basis, look.active_at)
    };
    assert_eq!(look(Basis::Tty, u64::MAX), (Basis::Tty, None));
    assert_eq!(look(Basis::Tty, 3).0, Basis::Io, "it has none any more");
    assert_eq!(look(Basis::None, u64::MAX).0, Basis::Io, "it had none");
}

/// A pty of this process's user's, for as long as the file is open.
fn open_pty() -> (fs::File, Tty) {
    let file = fs::File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
    let number = about.lines().find_map(|line| line.strip_prefix("tty-index:")).unwrap();
    let number: u32 = number.trim().parse().unwrap();
    (file, Tty::of_device((136 << 8) | (number & 0xff) | ((number & 0x000f_ff00) << 12)).unwrap())
}

#[test]
fn a_session_whose_terminal_was_never_seen_is_used_where_its_user_types() {
    let unreadable = |start_time| Process {
        id: ProcessId { pid: 7, start_time },
        uid: 1000,
        parent: 1,
        tty: 0,
        audit_id: None,
        cgroup: String::new(),
        is_zombie: false,
    };
    let (mut activity, now) = (Activity::default(), || SystemClock.now());
    for basis in [Basis::Tty, Basis::None] {
        let mut session = Session { basis, looked: now().boot.saturating_sub(Duration::from_secs(1)), ..session(1) };
        session.opening.uid = process::real_uid();
        let mut look = |session: &Session, process: Process| {
            activity.look(session, &[process.id], &Snapshot::of([process]), now())
        };
        let (_first, pty) = open_pty();
        let seen = look(&session, unreadable(u64::MAX));
        assert!(seen.guessed.contains(&pty) && seen.ttys.is_empty() && seen.active_at.is_some(), "{seen:?}");
        assert_eq!(seen.basis == Basis::Tty, basis == Basis::Tty, "a guess is no basis");
        // sshd opens the session first and the terminal then.
        let (_second, later) = open_pty();
        let seen = look(&session, unreadable(u64::MAX));
        assert!(seen.guessed.contains(&later) && seen.clone().audience().contains(&later), "{seen:?}");
        assert_eq!(look(&session, unreadable(3)).guessed, BTreeSet::new());
        (session.opening.uid, session.opening.target_uid) = (u32::MAX, u32::MAX);
        let seen = look(&session, unreadable(u64::MAX));
        assert_eq!(seen.guessed, BTreeSet::new(), "nobody else's");
    }
}

#[test]
fn this_process_has_moved_something() {
    assert!(moved(std::process::id()).unwrap() > 0);
}
