use std::{fs, os::unix::fs::PermissionsExt};

use authflow_core::{secret::Secret, time::WallTime, totp::TotpKey};

use super::*;

fn records() -> (tempfile::TempDir, Records) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("var/lib")).unwrap();
    let paths = Paths::new(folder.path());
    let trust = Trust::of(nix::unistd::geteuid().as_raw());
    (folder, Records::trusting(paths, trust))
}

fn enrol(records: &Records) -> Result<(), RecordError> {
    let key = TotpKey::new("phone", Secret::new(vec![7; 20]), WallTime::default()).unwrap();
    records.update("alice", |record| {
        record.add_totp(key).unwrap();
        Ok(())
    })
}

#[test]
fn a_record_is_there_once_written_and_root_alone_reads_it() {
    let (_folder, records) = records();
    assert!(records.authenticators("alice").unwrap().is_none());
    enrol(&records).unwrap();
    assert_eq!(records.authenticators("alice").unwrap().unwrap().totp().len(), 1);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(records.paths.users()), 0o700);
    assert_eq!(mode(records.paths.users().join("alice.toml")), 0o600);
}

#[test]
fn a_managed_record_wins_and_is_never_written() {
    let (_folder, records) = records();
    enrol(&records).unwrap();
    fs::create_dir_all(records.paths.managed_users()).unwrap();
    fs::write(records.paths.managed_users().join("alice.toml"), "version = 1\n# end of record\n").unwrap();
    assert!(records.authenticators("alice").unwrap().unwrap().totp().is_empty());
    assert!(matches!(enrol(&records), Err(RecordError::Managed(_))));
}

#[test]
fn a_record_is_another_after_every_change_and_where_one_comes_before_it() {
    let (_folder, records) = records();
    let is_still = |looked: &Looked| records.is_still("alice", &looked.seen).unwrap();
    let none = records.look("alice").unwrap();
    assert!(none.record.is_none() && is_still(&none));
    enrol(&records).unwrap();
    let first = records.look("alice").unwrap();
    assert!(!is_still(&none) && is_still(&first));
    let path = records.paths.users().join("alice.toml");
    // In place, to the same bytes; the time of change has ticks of some milliseconds, so it is awaited.
    let text = fs::read(&path).unwrap();
    let written_till_seen = (0..1_000_000).any(|_try| {
        fs::write(&path, &text).unwrap();
        !is_still(&first)
    });
    assert!(written_till_seen);
    let second = records.look("alice").unwrap();
    fs::create_dir_all(records.paths.managed_users()).unwrap();
    let managed = records.paths.managed_users().join("alice.toml");
    fs::write(&managed, "version = 1\n# end of record\n").unwrap();
    let third = records.look("alice").unwrap();
    assert!(!is_still(&second) && is_still(&third));
    fs::remove_file(managed).unwrap();
    assert!(!is_still(&third));
    let own = records.look("alice").unwrap();
    fs::remove_file(path).unwrap();
    assert!(!is_still(&own));
}

#[test]
fn a_broken_record_or_state_is_an_error_and_not_an_empty_one() {
    let (_folder, records) = records();
    enrol(&records).unwrap();
    let path = records.paths.users().join("alice.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(matches!(records.authenticators("alice"), Err(RecordError::Record { .. })));
    fs::write(records.paths.state().join("alice"), "").unwrap();
    assert!(matches!(records.state("alice"), Err(RecordError::BrokenState(_))));
    let unlocked = records.update_state("alice", |state| state.throttle.unlock());
    assert!(matches!(unlocked, Err(RecordError::BrokenState(_))), "nor is it repaired in silence");
}

#[test]
fn a_mark_disables_a_user() {
    let (_folder, records) = records();
    assert!(!records.is_disabled("alice").unwrap());
    records.update_state("alice", |_| ()).unwrap();
    fs::write(records.paths.state().join("alice.disabled"), "").unwrap();
    assert!(records.is_disabled("alice").unwrap());
    assert!(!records.is_disabled("alice.disabled").unwrap());
}
