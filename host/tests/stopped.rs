//! su and sudo run with the caller's real uid and share of the machine: the caller must not be able to stop or starve them while they hold
//! another user's lock.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails, and talks, where it must")]

mod gate;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use authflow_host::{file::Trust, lock};
use nix::unistd::{Uid, getresuid, gettid, setresuid};

const CALLER: u32 = 65_534;
const LOCK: &str = "AUTHFLOW_TEST_LOCK";

/// What su is to its caller, when started again by the test below; nothing otherwise.
#[test]
fn the_set_uid_program() {
    let Some(path) = env::var_os(LOCK) else { return };
    setresuid(Uid::from_raw(CALLER), Uid::from_raw(0), Uid::from_raw(0)).unwrap();
    let callers = share();
    let held = lock::take(Path::new(&path), Trust::root()).unwrap();
    println!("\nshare: {callers} -> {}", share());
    tell("held");
    drop(held);
    assert_eq!(share(), callers);
    assert_eq!(getresuid().unwrap().real.as_raw(), CALLER);
    tell("released");
}

/// The class, nice value, CPUs and class of input and output of this thread.
fn share() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/{name}")).unwrap();
    let (stat, status) = (read("stat"), read("status"));
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // proc(5) counts from 1, and the first two were cut off.
    let (class, nice) = (fields.get(41 - 3).unwrap(), fields.get(19 - 3).unwrap());
    let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let io = Command::new("ionice").args(["-p", &gettid().to_string()]).output().unwrap().stdout;
    format!("class {class}, nice {nice}, cpus {cpus}, io {}", String::from_utf8(io).unwrap().trim())
}

/// Says where it is, and waits to be sent on.
fn tell(place: &str) {
    println!("\n{place}");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn the_caller_of_a_set_uid_program_cannot_stop_it_while_it_holds_a_lock() {
    if !gate::is_open() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new("chrt")
        .args(["--idle", "0", "taskset", "--cpu-list", "0", "ionice", "-c", "3", "nice", "-n", "5"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "the_set_uid_program", "--nocapture"])
        .env(LOCK, folder.path().join("alice.lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = program.id().to_string();
    let caller_may_signal = || Command::new("/bin/kill").uid(CALLER).args(["-0", &pid]).status().unwrap().success();
    let (mut go_on, told) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
    let mut lines = BufReader::new(told).lines().map(Result::unwrap);
    let share = lines.find_map(|line| line.strip_prefix("share: ").map(str::to_owned)).unwrap();
    assert!(lines.any(|line| line == "held"));
    let while_held = caller_may_signal();
    go_on.write_all(b"\n").unwrap();
    assert!(lines.any(|line| line == "released"));
    let afterwards = caller_may_signal();
    drop(go_on);
    // To its end, or the program would be ended by the pipe.
    assert_eq!(lines.filter(|line| line.contains("FAILED")).count(), 0);
    assert!(program.wait().unwrap().success());
    let (callers, held) = share.split_once(" -> ").unwrap();
    // Whoever runs the tests may be nice to begin with.
    assert!(callers.starts_with("class 5, nice ") && callers.ends_with(", cpus 0, io idle"), "{callers}");
    assert!(held.starts_with("class 0, nice -20, ") && held.ends_with(", io best-effort: prio 4"), "{held}");
    let has_one_cpu = thread::available_parallelism().unwrap().get() == 1;
    assert!(has_one_cpu || !held.contains("cpus 0, io"), "{held}");
    assert!(!while_held, "the caller reaches the process that holds the lock");
    assert!(afterwards, "the real uid was not given back");
}

#[test]
fn a_test_that_is_left_out_without_root_says_so_and_how_to_run_it() {
    if !gate::is_open() {
        return;
    }
    // Where the tests were built may be closed to others.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("tests");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let test = "the_caller_of_a_set_uid_program_cannot_stop_it_while_it_holds_a_lock";
    let run = Command::new(program).args(["--exact", test]).uid(CALLER).gid(CALLER).current_dir("/").output().unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert_eq!(told, format!("left out: {test} (needs root; run `make test`)\n"));
    assert!(run.status.success());
}
