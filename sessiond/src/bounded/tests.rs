//! Processes are made up: the thousands in a number are its user, and reading one opens a file in which it may wait for ever.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::LazyLock,
    thread,
};

use authflow_host::process;

use super::*;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fn path(pid: u32) -> PathBuf {
    FOLDER.path().join(pid.to_string())
}

/// What is not there is read at once; a pipe that nobody writes to is waited for.
fn read(pid: u32) -> u32 {
    let _opened = File::open(path(pid));
    pid
}

fn hold_up(pid: u32) {
    rustix::fs::mknodat(rustix::fs::CWD, path(pid), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
}

/// For good.
fn let_go(pid: u32) {
    File::options().read(true).write(true).open(path(pid)).unwrap();
    fs::remove_file(path(pid)).unwrap();
}

const BOUNDS: Bounds = Bounds {
    step: Duration::from_millis(5),
    process: Duration::from_millis(20),
    look: Duration::from_secs(3600),
    user: Duration::from_secs(3600),
    left_out: Duration::from_secs(3600),
    threads: 64,
};

const NONE: [u32; 0] = [];

fn reader(bounds: Bounds) -> &'static Reader {
    Box::leak(Box::new(Reader::new(bounds, |pid, _statuses| Whose { real: Some(pid / 1000), user: Some(pid / 1000) })))
}

/// Those that could be read.
fn readable(reader: &'static Reader, pids: &[u32]) -> Vec<u32> {
    let mut found = reader.look().read(pids, read);
    found.sort_unstable();
    assert_eq!(
        found.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(),
        pids,
        "each of them, whether it can be read or not"
    );
    found.into_iter().filter_map(|(_, read)| read).collect()
}

fn until_nothing_is_stuck(reader: &Reader) {
    for _ in 0..100_000_000 {
        if reader.state().stuck.is_empty() {
            return;
        }
        thread::yield_now();
    }
    panic!("still stuck: {:?}", reader.state().stuck);
}

#[test]
fn what_holds_a_read_up_is_done_without_and_costs_its_delay_once() {
    let reader = reader(BOUNDS);
    hold_up(1002);
    assert_eq!(readable(reader, &[1001, 1002, 1003, 2001]), [1001, 1003, 2001]);
    let held_up = reader.state().delays[&1].sum;
    assert_eq!(readable(reader, &[1001, 1002, 1003, 2001]), [1001, 1003, 2001]);
    assert_eq!(reader.state().delays[&1].sum, held_up);
    assert_eq!(reader.state().stuck, [(1002, Some(1))], "one thread");
    let_go(1002);
    until_nothing_is_stuck(reader);
    assert_eq!(readable(reader, &[1001, 1002]), [1001, 1002]);
}

#[test]
fn what_takes_long_and_does_not_wait_is_waited_for() {
    fn work(pid: u32) -> u32 {
        let began = SystemClock.now().boot;
        while SystemClock.now().boot.saturating_since(began) < 3 * BOUNDS.process {}
        pid
    }
    assert_eq!(reader(BOUNDS).look().read(&[3001], work), [(3001, Some(3001))]);
}

#[test]
fn who_holds_reads_up_again_and_again_is_left_out_and_nobody_else_is() {
    let reader = reader(Bounds { user: 2 * BOUNDS.process, ..BOUNDS });
    let stuck = [4001, 4002];
    stuck.iter().for_each(|pid| hold_up(*pid));
    assert_eq!(readable(reader, &[4001, 4002, 5001]), [5001]);
    assert_eq!(readable(reader, &[4003, 5001]), [5001]);
    assert_eq!(reader.look_at_one().read(&[4003], read), [(4003, Some(4003))], "alone");
    hold_up(4004);
    hold_up(4005);
    assert_eq!(reader.look_at_one().read(&[4004], read), [(4004, None)]);
    assert_eq!(reader.look_at_one().read(&[4005], read), [(4005, None)]);
    assert_eq!(reader.look_at_one().read(&[4003], read), [(4003, None)], "not for ever");
    let stuck = [stuck[0], stuck[1], 4004, 4005];
    stuck.iter().for_each(|pid| let_go(*pid));
    until_nothing_is_stuck(reader);
    assert_eq!(readable(reader, &[4003, 5001]), [5001], "for a while");
}

#[test]
fn who_was_left_out_is_read_again_when_the_time_is_over() {
    let reader = reader(Bounds { user: BOUNDS.process, left_out: Duration::ZERO, ..BOUNDS });
    hold_up(6001);
    assert_eq!(readable(reader, &[6001, 6002]), NONE, "while one of theirs holds a thread up");
    let_go(6001);
    until_nothing_is_stuck(reader);
    assert_eq!(readable(reader, &[6001, 6002]), [6001, 6002]);
}

#[test]
fn roots_processes_are_not_left_out_for_what_one_of_them_does() {
    let reader = reader(Bounds { user: BOUNDS.process, ..BOUNDS });
    hold_up(1);
    assert_eq!(readable(reader, &[1, 2]), [2]);
    let_go(1);
}

#[test]
fn many_uids_of_one_users_containers_are_left_out_as_that_user_and_root_never_is() {
    // Root's, and of one user: an own process and those of three subordinate uids.
    let whose = |pid: u32, _: &mut Statuses| match pid {
        14_000 => Whose { real: Some(0), user: Some(0) },
        _ => Whose { real: Some(pid), user: Some(14) },
    };
    let reader: &'static Reader =
        Box::leak(Box::new(Reader::new(Bounds { user: 2 * BOUNDS.process, threads: 3, ..BOUNDS }, whose)));
    [14_001, 14_002].into_iter().for_each(hold_up);
    assert_eq!(readable(reader, &[14_000, 14_001, 14_002, 14_003, 14_004]), [14_000]);
    assert_eq!(reader.left_out(2 * BOUNDS.process).users, [14]);
    hold_up(14_000);
    assert_eq!(readable(reader, &[14_000]), NONE);
    assert_eq!(reader.left_out(2 * BOUNDS.process).users, [14], "root's are the machine's own");
    [14_000, 14_001, 14_002].into_iter().for_each(let_go);
}

#[test]
fn nothing_is_read_while_too_many_threads_are_held_up() {
    let reader = reader(Bounds { threads: 2, ..BOUNDS });
    [7001, 8001, 101, 102].into_iter().for_each(hold_up);
    assert_eq!(readable(reader, &[7001, 8001, 9001]), NONE);
    assert_eq!(readable(reader, &[100, 9001]), [100], "root's");
    assert_eq!(readable(reader, &[100, 101, 102]), [100]);
    assert_eq!(readable(reader, &[100]), NONE);
    [7001, 8001, 101, 102].into_iter().for_each(let_go);
    until_nothing_is_stuck(reader);
    assert_eq!(readable(reader, &[7001, 8001, 9001]), [7001, 8001, 9001]);
}

#[test]
fn one_look_is_held_up_for_so_long_and_no_longer() {
    let reader = reader(Bounds { look: 2 * BOUNDS.process, ..BOUNDS });
    let stuck = [10_001, 11_001, 12_001];
    stuck.iter().for_each(|pid| hold_up(*pid));
    assert_eq!(readable(reader, &[10_001, 11_001, 12_001, 13_001]), NONE);
    assert_eq!(reader.state().stuck.len(), 2);
    assert_eq!(readable(reader, &[13_001]), [13_001], "the next look");
    stuck.iter().for_each(|pid| let_go(*pid));
}

#[test]
fn a_read_that_panics_ends_no_look() {
    fn read(pid: u32) -> u32 {
        assert_ne!(pid, 2);
        pid
    }
    let mut found = reader(BOUNDS).look().read(&[1, 2, 3], read);
    found.sort_unstable();
    assert_eq!(found, [(1, Some(1)), (2, None), (3, Some(3))]);
}

#[test]
fn this_process_is_told_from_others() {
    assert_eq!(identify(std::process::id()).unwrap(), ProcessId::current().unwrap());
    assert_eq!(identify(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    let this = Whose::look(std::process::id(), &mut Statuses::new());
    assert_eq!((this.real, this.user), (Some(process::real_uid()), Some(process::real_uid())));
}
