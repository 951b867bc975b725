//! The keeper on disks that are full, broken or gone, and on the next daemon's.

use super::*;
use crate::store::tests::{ended, session};

struct Disk {
    folder: tempfile::TempDir,
    log: Log,
}

impl Disk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), log: Log::new(false) }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("sessions.db")
    }

    /// A daemon's keeper, as it is when the daemon starts.
    fn keeper(&self) -> Keeper {
        let copies = self.folder.path().join("live");
        std::fs::create_dir_all(&copies).unwrap();
        let now = WallTime::from_micros(7_000_000);
        Keeper::with(&self.store(), Some(Spares::in_folder(copies)), now, &self.log)
    }

    fn live(&self, keeper: &mut Keeper) -> Vec<Session> {
        keeper.live("b", &self.log)
    }
}

#[test]
fn a_broken_store_is_set_aside_and_its_sessions_are_found_all_the_same() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), &disk.log);
    keeper.keep(&session(2), &disk.log);
    keeper.archive(&ended(2, 50), &[], &disk.log);
    drop(keeper);
    std::fs::write(disk.store(), vec![b'x'; 8192]).unwrap();
    let mut keeper = disk.keeper();
    assert!(!keeper.is_degraded());
    assert!(disk.folder.path().join("sessions.db.broken-7").exists());
    assert_eq!(disk.live(&mut keeper), [session(1)]);
    std::fs::remove_dir_all(disk.folder.path().join("live")).unwrap();
    assert_eq!(disk.live(&mut disk.keeper()), [session(1)], "it is in the new store");
}

#[test]
fn history_is_removed_when_it_is_known_how_long_it_is_kept_and_not_before() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.archive(&ended(1, 50), &[], &disk.log);
    keeper.archive(&ended(2, 1_000_000), &[], &disk.log);
    let is_over = |keeper: &Keeper, n| keeper.store.as_ref().unwrap().is_over(session(n).id).unwrap();
    let at = WallTime::new(Duration::from_secs(1_000_000));
    keeper.note_config(&InForce { origin: "none", ..InForce::default() }, at, &disk.log);
    assert!(is_over(&keeper, 1), "no configuration could be used: nothing is known");
    let day = Some(Duration::from_secs(24 * 3600));
    keeper.note_config(&InForce { origin: "live", keep: day, ..InForce::default() }, at, &disk.log);
    assert!(!is_over(&keeper, 1) && is_over(&keeper, 2));
}

#[test]
fn what_a_full_disk_refused_is_written_when_there_is_room_again() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), &disk.log);
    keeper.store.as_ref().unwrap().be_full(true);
    keeper.keep(&session(2), &disk.log);
    keeper.archive(&ended(1, 50), &[], &disk.log);
    assert!(keeper.is_degraded());
    keeper.store.as_ref().unwrap().be_full(false);
    keeper.keep(&session(3), &disk.log);
    assert!(!keeper.is_degraded());
    drop(keeper);
    assert_eq!(disk.live(&mut disk.keeper()), [session(2), session(3)]);
}

#[test]
fn what_a_full_disk_refused_is_found_by_the_next_daemon() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), &disk.log);
    keeper.store.as_ref().unwrap().be_full(true);
    let newer = Session { extended: 1, ..session(1) };
    keeper.keep(&newer, &disk.log);
    keeper.keep(&session(2), &disk.log);
    drop(keeper);
    assert_eq!(disk.live(&mut disk.keeper()), [newer, session(2)]);
}

#[test]
fn a_copy_that_was_left_behind_brings_no_session_back() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.archive(&ended(1, 50), &[], &disk.log);
    let spares = keeper.spares.clone().unwrap();
    spares.copy(&session(1)).unwrap();
    spares.copy(&Session { boot_id: "before".into(), ..session(2) }).unwrap();
    assert_eq!(disk.live(&mut keeper), []);
    assert_eq!(spares.all().unwrap().len(), 0);
}

#[test]
fn a_store_that_can_be_opened_again_takes_all_that_happened_meanwhile() {
    let disk = Disk::new();
    let mut before = disk.keeper();
    before.keep(&session(1), &disk.log);
    before.keep(&session(2), &disk.log);
    drop(before);
    std::fs::rename(disk.folder.path().join("sessions.db"), disk.folder.path().join("away")).unwrap();
    std::fs::create_dir(disk.store()).unwrap();
    let mut keeper = disk.keeper();
    assert!(keeper.is_degraded());
    keeper.archive(&ended(1, 50), &[], &disk.log);
    std::fs::remove_dir(disk.store()).unwrap();
    std::fs::rename(disk.folder.path().join("away"), disk.folder.path().join("sessions.db")).unwrap();
    keeper.keep(&session(3), &disk.log);
    assert!(!keeper.is_degraded());
    drop(keeper);
    assert_eq!(disk.live(&mut disk.keeper()), [session(2), session(3)], "the first is over");
}

#[test]
fn without_a_place_for_it_nothing_is_kept_and_it_says_so() {
    let log = Log::new(false);
    let mut keeper = Keeper::with(Path::new("/nonexistent/sessions.db"), None, WallTime::default(), &log);
    assert!(keeper.is_degraded());
    assert!(keeper.live("b", &log).is_empty());
}
