//! The keeper on disks that are full, broken or gone, and on the next daemon's.

use authflow_core::time::WallTime;

use super::*;
use crate::store::tests::{damage, ended, fill, session};

fn at(secs: u64) -> Now {
    let since = Duration::from_secs(secs);
    Now { boot: BootTime::new(since), wall: WallTime::new(since) }
}

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
        Keeper::with(&self.store(), Some(Spares::in_folder(copies)), "b", at(7), &self.log)
    }

    /// Copies that no daemon finds: a reboot's, or those of a full `/run`.
    fn lose_copies(&self) {
        let _they_are_lost_already = std::fs::remove_dir_all(self.folder.path().join("live"));
    }

    fn was_set_aside_at(&self, secs: u64) -> bool {
        self.folder.path().join(format!("sessions.db.broken-{secs}")).exists()
    }

    fn live(&self, keeper: &mut Keeper) -> Vec<Session> {
        keeper.live(at(7), &self.log)
    }
}

fn is_over(keeper: &Keeper, n: u8) -> bool {
    keeper.store.as_ref().unwrap().is_over(session(n).id).unwrap()
}

#[test]
fn a_broken_store_is_set_aside_and_its_sessions_are_found_all_the_same() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    keeper.keep(&session(2), at(7), &disk.log);
    keeper.archive(&ended(2, 50), &[], &disk.log);
    drop(keeper);
    std::fs::write(disk.store(), vec![b'x'; 8192]).unwrap();
    let mut keeper = disk.keeper();
    assert!(disk.was_set_aside_at(7));
    assert_eq!(disk.live(&mut keeper), [session(1)]);
    assert!(!keeper.is_degraded());
    disk.lose_copies();
    assert_eq!(disk.live(&mut disk.keeper()), [session(1)], "it is in the new store");
}

#[test]
fn a_store_whose_file_is_removed_under_the_daemon_gives_way_to_a_new_one_with_all_that_lives() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    keeper.keep(&session(2), at(7), &disk.log);
    // The store alone knows it.
    keeper.spares.as_ref().unwrap().remove(session(1).id).unwrap();
    std::fs::remove_file(disk.store()).unwrap();
    keeper.archive(&ended(2, 50), &[], &disk.log);
    keeper.keep(&session(3), at(7), &disk.log);
    assert!(!keeper.is_degraded());
    disk.lose_copies();
    // As after a crash: nothing is closed.
    let mut next = disk.keeper();
    assert_eq!(disk.live(&mut next), [session(1), session(3)]);
    assert!(is_over(&next, 2));
}

#[test]
fn a_store_that_is_moved_away_is_whole_and_one_that_is_put_in_its_place_is_taken() {
    let disk = Disk::new();
    let other = Disk::new();
    other.keeper().archive(&ended(9, 50), &[], &other.log);
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    keeper.archive(&ended(2, 50), &[], &disk.log);
    let moved = disk.folder.path().join("moved");
    std::fs::rename(disk.store(), &moved).unwrap();
    std::fs::copy(other.store(), disk.store()).unwrap();
    keeper.keep(&session(3), at(7), &disk.log);
    assert!(is_over(&keeper, 9) && !is_over(&keeper, 2));
    drop(keeper);
    disk.lose_copies();
    assert_eq!(disk.live(&mut disk.keeper()), [session(1), session(3)]);
    let moved = Store::open(&moved).unwrap();
    assert!(moved.is_over(session(2).id).unwrap());
}

#[test]
fn an_older_copy_that_is_put_in_the_stores_place_brings_no_session_back() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    keeper.keep(&session(2), at(7), &disk.log);
    keeper.keep(&Session { boot_id: "before".into(), ..session(3) }, at(7), &disk.log);
    drop(keeper);
    let copy = disk.folder.path().join("copy");
    std::fs::copy(disk.store(), &copy).unwrap();
    let mut keeper = disk.keeper();
    keeper.archive(&ended(1, 50), &[], &disk.log);
    keeper.archive(&ended(3, 50), &[], &disk.log);
    std::fs::rename(copy, disk.store()).unwrap();
    keeper.keep(&session(4), at(60), &disk.log);
    drop(keeper);
    disk.lose_copies();
    let live: Vec<_> = disk.live(&mut disk.keeper()).into_iter().map(|session| session.id).collect();
    assert_eq!(live, [2, 3, 4].map(|n| session(n).id), "another boot's is the next daemon's to end");
}

#[test]
fn history_is_removed_when_it_is_known_how_long_it_is_kept_and_not_before() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.archive(&ended(1, 50), &[], &disk.log);
    keeper.archive(&ended(2, 1_000_000), &[], &disk.log);
    let later = at(1_000_000);
    keeper.note_config(InForce { origin: "none", ..InForce::default() }, later, &disk.log);
    assert!(is_over(&keeper, 1), "no configuration could be used: nothing is known");
    let day = Some(Duration::from_secs(24 * 3600));
    keeper.note_config(InForce { origin: "live", keep: day, ..InForce::default() }, later, &disk.log);
    assert!(!is_over(&keeper, 1) && is_over(&keeper, 2));
}

#[test]
fn what_a_full_disk_refused_is_written_when_there_is_room_again() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    keeper.store.as_ref().unwrap().be_full(true);
    keeper.keep(&session(2), at(7), &disk.log);
    keeper.archive(&ended(1, 50), &[], &disk.log);
    assert!(keeper.is_degraded() && keeper.is_told);
    keeper.store.as_ref().unwrap().be_full(false);
    keeper.keep(&session(3), at(7), &disk.log);
    assert!(!keeper.is_degraded() && !keeper.is_told);
    drop(keeper);
    assert_eq!(disk.live(&mut disk.keeper()), [session(2), session(3)]);
}

#[test]
fn what_a_full_disk_refused_is_found_by_the_next_daemon() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    keeper.store.as_ref().unwrap().be_full(true);
    let newer = Session { extended: 1, ..session(1) };
    keeper.keep(&newer, at(7), &disk.log);
    keeper.keep(&session(2), at(7), &disk.log);
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
    before.keep(&session(1), at(7), &disk.log);
    before.keep(&session(2), at(7), &disk.log);
    drop(before);
    std::fs::rename(disk.folder.path().join("sessions.db"), disk.folder.path().join("away")).unwrap();
    std::fs::create_dir(disk.store()).unwrap();
    let mut keeper = disk.keeper();
    assert!(keeper.is_degraded());
    keeper.archive(&ended(1, 50), &[], &disk.log);
    std::fs::remove_dir(disk.store()).unwrap();
    std::fs::rename(disk.folder.path().join("away"), disk.folder.path().join("sessions.db")).unwrap();
    keeper.keep(&session(3), at(7), &disk.log);
    assert!(!keeper.is_degraded());
    drop(keeper);
    assert_eq!(disk.live(&mut disk.keeper()), [session(2), session(3)], "the first is over");
}

#[test]
fn without_a_place_for_it_nothing_is_kept_and_it_says_so() {
    let log = Log::new(false);
    let mut keeper = Keeper::with(Path::new("/nonexistent/sessions.db"), None, "b", at(7), &log);
    assert!(keeper.is_degraded());
    assert!(keeper.live(at(7), &log).is_empty());
}

#[test]
fn a_store_that_breaks_while_it_is_used_gives_way_to_one_with_all_that_lives() {
    for has_copies in [true, false] {
        let disk = Disk::new();
        let mut keeper = disk.keeper();
        for n in 1..=3 {
            keeper.keep(&session(n), at(7), &disk.log);
        }
        drop(keeper);
        fill(&disk.store(), "history");
        damage(&disk.store(), "history");
        let mut keeper = disk.keeper();
        if !has_copies {
            disk.lose_copies();
        }
        let newer = Session { extended: 1, ..session(2) };
        keeper.keep(&newer, at(8), &disk.log);
        assert!(!disk.was_set_aside_at(8), "nobody has met the damage yet");
        keeper.archive(&ended(1, 50), &[], &disk.log);
        assert!(disk.was_set_aside_at(50) && is_over(&keeper, 1));
        assert!(!keeper.is_degraded() && !keeper.is_told);
        drop(keeper);
        disk.lose_copies();
        assert_eq!(disk.live(&mut disk.keeper()), [newer, session(3)], "the first is over");
    }
}

#[test]
fn damage_that_a_look_through_found_is_that_of_the_store_it_looked_through() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    let why = StoreError::Damaged("page 7".to_owned());
    keeper.looked_through(&StoreError::ReadOnly, at(8), &disk.log);
    assert!(!disk.was_set_aside_at(8), "a look that could not be had says nothing");
    keeper.looked_through(&why, at(9), &disk.log);
    keeper.looked_through(&why, at(10_000), &disk.log);
    assert!(disk.was_set_aside_at(9) && !disk.was_set_aside_at(10_000));
    disk.lose_copies();
    assert!(!keeper.is_degraded());
    drop(keeper);
    assert_eq!(disk.live(&mut disk.keeper()), [session(1)]);
}

#[test]
fn a_disk_that_breaks_every_store_is_not_filled_with_broken_ones() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    let mut break_again = |secs| {
        keeper.store = None;
        std::fs::write(disk.store(), vec![b'x'; 8192]).unwrap();
        keeper.keep(&session(2), at(secs), &disk.log);
        (disk.was_set_aside_at(secs), keeper.is_degraded(), keeper.is_told)
    };
    assert_eq!(break_again(100), (true, false, false));
    assert_eq!(break_again(101), (false, true, true));
    assert_eq!(break_again(699), (false, true, true));
    assert_eq!(break_again(700), (true, false, false));
    drop(keeper);
    disk.lose_copies();
    assert_eq!(disk.live(&mut disk.keeper()), [session(1), session(2)]);
}

#[test]
fn a_new_store_knows_which_configuration_is_in_force() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    let config = || InForce { digest: "a".to_owned(), origin: "live", ..InForce::default() };
    keeper.note_config(config(), at(7), &disk.log);
    keeper.looked_through(&StoreError::Damaged("page 7".to_owned()), at(9), &disk.log);
    let store = keeper.store.unwrap();
    assert!(!store.note_config(&config(), at(10).wall).unwrap(), "it is noted already");
}

#[test]
fn a_broken_store_that_cannot_be_moved_is_told_and_its_sessions_are_kept_in_memory() {
    let disk = Disk::new();
    let mut keeper = disk.keeper();
    keeper.keep(&session(1), at(7), &disk.log);
    drop(keeper);
    std::fs::write(disk.store(), vec![b'x'; 8192]).unwrap();
    std::fs::create_dir(disk.folder.path().join("sessions.db.broken-7")).unwrap();
    let mut keeper = disk.keeper();
    assert!(keeper.is_degraded() && keeper.is_told);
    assert_eq!(disk.live(&mut keeper), [session(1)]);
    keeper.keep(&session(2), at(700), &disk.log);
    assert!(disk.was_set_aside_at(700) && !keeper.is_degraded() && !keeper.is_told);
}

#[test]
fn damage_that_a_daemon_meets_at_its_start_costs_no_session() {
    for table in ["live", "history"] {
        let disk = Disk::new();
        let mut keeper = disk.keeper();
        keeper.keep(&session(1), at(7), &disk.log);
        keeper.keep(&Session { boot_id: "before".into(), ..session(2) }, at(7), &disk.log);
        drop(keeper);
        fill(&disk.store(), table);
        damage(&disk.store(), table);
        let mut keeper = disk.keeper();
        let live: Vec<_> = disk.live(&mut keeper).into_iter().map(|session| session.id).collect();
        assert!(disk.was_set_aside_at(7) && !keeper.is_degraded());
        // Of another boot's there is no copy that counts.
        let still_told: &[_] = if table == "live" { &[session(1).id] } else { &[session(1).id, session(2).id] };
        assert_eq!(live, still_told);
        drop(keeper);
        disk.lose_copies();
        assert_eq!(disk.live(&mut disk.keeper()).len(), still_told.len(), "they are in the new store");
    }
}
