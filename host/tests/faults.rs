//! What cannot be written down is not granted: the kernel refuses in each way it knows, and the login is denied with the cause told.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails, and talks, where it must")]

mod gate;
mod login;

use std::{
    env, fs,
    net::IpAddr,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use authflow_core::{
    flow::{Denial, Judgement, Verdict},
    state::State,
    throttle::{Caller, Source},
    time::WallTime,
};
use authflow_host::records::{RecordError, Slot};
use login::{Login, phone, records};
use nix::sys::resource::{Resource, getrlimit};

const ROOT: &str = "ROOT_OF_TEST";

/// The login, when started again by [`told_under`]; nothing otherwise.
#[test]
fn the_login() {
    let Some(root) = env::var_os(ROOT) else { return };
    match Login::new().settle(&records(Path::new(&root))) {
        Ok(Verdict::Granted(_)) => {
            let (soft, _hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
            println!("\ntold: granted, and files may be {soft} bytes long");
        }
        Ok(Verdict::Denied(why)) => println!("\ntold: denied: {why}"),
        Err(error) => println!("\ntold: {error}"),
    }
}

const GRANTED_UNDER_NO_ROOM: &str = "granted, and files may be 0 bytes long";
const SHELL: &[&str] = &["/bin/sh"];
/// A shell whose mounts are nobody else's, and gone when it ends.
const OWN_MOUNTS: &[&str] = &["unshare", "--mount", "/bin/sh"];

/// What a login tells that runs behind those shell commands, with its files in `folder`, which the commands know as `$ROOT_OF_TEST`.
fn told_under(shell: &[&str], commands: &str, folder: &Path) -> String {
    let script = format!("{commands}\nexec \"$0\" --exact the_login --nocapture");
    let output = Command::new("/usr/bin/env")
        .args(shell)
        .args(["-ec", &script])
        .arg(env::current_exe().unwrap())
        .env(ROOT, folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = text.lines().find_map(|line| line.strip_prefix("told: ")).map(str::to_owned);
    told.unwrap_or_else(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// A machine on which somebody else has used the lock and the state already, so that only the write itself can fail.
fn used_machine() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    records(folder.path()).update_state("alice", |state| state.last_steps.use_up(&phone(), 1)).unwrap();
    folder
}

/// The code is still good, and nothing lies about.
fn assert_nothing_happened(folder: &Path) {
    assert_eq!(records(folder).state("alice").unwrap().last_steps.last(&phone()), Some(1));
    assert!(!folder.join("var/lib/authflow/state/.alice.new").exists());
    assert!(matches!(Login::new().settle(&records(folder)), Ok(Verdict::Granted(_))));
}

/// A success is shorter than a failure, and would be the only one that fits.
#[test]
fn files_that_may_not_become_long_enough_are_given_room_or_nobody_is_judged() {
    let folder = used_machine();
    let told = told_under(SHELL, "trap '' XFSZ; ulimit -f 0", folder.path());
    if told != GRANTED_UNDER_NO_ROOM {
        assert!(told.contains("cannot make room (ulimit -f) for") && told.contains("not permitted"), "{told}");
        assert_nothing_happened(folder.path());
    }
}

#[test]
fn a_soft_limit_is_lifted_for_the_write_and_is_the_callers_again() {
    let folder = used_machine();
    assert_eq!(told_under(SHELL, "trap '' XFSZ; ulimit -S -f 0", folder.path()), GRANTED_UNDER_NO_ROOM);
}

/// A longer text would want another file, and that a descriptor: with neither, a failure could not be counted, and a success that fits
/// could not be told from one that was guessed.
#[test]
fn near_the_end_of_its_room_nothing_is_judged_before_there_is_more() {
    let folder = used_machine();
    let state = folder.path().join("var/lib/authflow/state/alice");
    let records = records(folder.path());
    let network = |n: u32| Caller { source: Source::from(IpAddr::from(n.to_be_bytes())), is_root: false };
    let fail_from = |n| {
        let fail = |state: &mut State| state.throttle.failed(&<_>::default(), &network(n), WallTime::default());
        records.update_state("alice", fail).unwrap();
        4096 - records.state("alice").unwrap().to_text().len()
    };
    (0x0a00_0000..).find(|n| fail_from(*n) < 1120).unwrap();
    assert_eq!(fs::metadata(&state).unwrap().len(), 8192);
    let in_the_way = folder.path().join("var/lib/authflow/state/.alice.new");
    fs::create_dir_all(in_the_way.join("inside")).unwrap();
    let judged =
        records.settle(Slot::User("alice"), |_| -> Judgement<Verdict> { unreachable!("it is judged without room") });
    assert!(matches!(judged, Err(RecordError::File(_))), "{judged:?}");
    fs::remove_dir_all(in_the_way).unwrap();
    assert!(matches!(Login::new().settle(&records), Ok(Verdict::Granted(_))));
    assert_eq!(fs::metadata(&state).unwrap().len(), 16384);
}

#[test]
fn a_full_disk_denies_and_is_named() {
    if !gate::is_open() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Room for the folders and the lock, and none for a byte in a file.
    let full =
        "mount -t tmpfs -o size=4k,mode=700 none \"$ROOT_OF_TEST\"; head -c 4096 /dev/zero > \"$ROOT_OF_TEST/filler\"";
    let told = told_under(OWN_MOUNTS, full, folder.path());
    assert!(told.contains("cannot write") && told.contains("No space left on device"), "{told}");
}

#[test]
fn a_read_only_disk_denies_and_is_named() {
    if !gate::is_open() {
        return;
    }
    let folder = used_machine();
    let read_only = "mount --bind \"$ROOT_OF_TEST\" \"$ROOT_OF_TEST\"; mount -o remount,bind,ro \"$ROOT_OF_TEST\"";
    let told = told_under(OWN_MOUNTS, read_only, folder.path());
    assert!(told.contains("Read-only file system"), "{told}");
    assert_nothing_happened(folder.path());
}

#[test]
fn a_state_that_is_cut_short_linked_or_open_to_others_denies() {
    let folder = used_machine();
    let state = folder.path().join("var/lib/authflow/state/alice");
    let text = fs::read_to_string(&state).unwrap();
    let told = || Login::new().settle(&records(folder.path())).unwrap_err().to_string();

    for cut in [0, 1, text.len() / 2, text.len() - 1] {
        fs::write(&state, &text[..cut]).unwrap();
        assert!(told().contains("cut short"), "{}", told());
    }
    fs::write(&state, &text).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o622)).unwrap();
    assert!(told().contains("mode is 0622"), "{}", told());
    fs::set_permissions(&state, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&state, folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), &state).unwrap();
    assert!(told().contains("symbolic link"), "{}", told());

    fs::rename(folder.path().join("elsewhere"), &state).unwrap();
    assert!(matches!(Login::new().settle(&records(folder.path())), Ok(Verdict::Granted(_))), "it was only in the way");
    assert!(matches!(Login::new().settle(&records(folder.path())), Ok(Verdict::Denied(Denial::CodeUsed))));
}

#[test]
fn a_lock_that_is_a_link_denies() {
    let folder = used_machine();
    let lock = folder.path().join("var/lib/authflow/state/alice.lock");
    fs::remove_file(&lock).unwrap();
    symlink("/dev/null", &lock).unwrap();
    let told = Login::new().settle(&records(folder.path())).unwrap_err().to_string();
    assert!(told.contains("symbolic link"), "{told}");
}
