//! The store on a disk that works, and on files that are none.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use authflow_core::{
    factor::Factors,
    policy::Limits,
    session::{Basis, Class, EndReason, Leader, Opening},
};

use super::*;

impl Store {
    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, None)
    }

    /// Makes it a disk that is full, or has room again.
    pub(crate) fn be_full(&self, is_full: bool) {
        self.connection.pragma_update(None, "query_only", is_full).unwrap();
    }
}

pub(crate) fn session(n: u8) -> Session {
    Session {
        id: SessionId::new([n; 16]),
        opening: Opening {
            user: "alice".into(),
            uid: 1000,
            target: "alice".into(),
            target_uid: 1000,
            service: "sshd".into(),
            tty: None,
            remote_host: None,
            class: Class::User,
            factors: Factors::none(),
            aal: 0,
            rule: "ssh".into(),
            limits: Limits { idle: None, ..Limits::default() },
            authenticated_at: None,
            flow: None,
            vouched_by: None,
        },
        leader: Leader { pid: 7, start_time: 42 },
        boot_id: "b".into(),
        opened: Now::default(),
        authenticated: Now::default(),
        proved: <_>::default(),
        last_active: Now::default(),
        looked: BootTime::default(),
        basis: Basis::Tty,
        parent: None,
        logind_id: None,
        audit_id: None,
        warned_of: None,
        warned_again_of: None,
        locked_of: None,
        cannot_lock: false,
        inhibition: <_>::default(),
        account_at_start: <_>::default(),
        told: None,
        extended: 0,
        state: State::Active,
    }
}

pub(crate) fn ended(n: u8, closed_secs: u64) -> Ended {
    let closed = Now { wall: WallTime::new(Duration::from_secs(closed_secs)), ..Now::default() };
    Ended { session: session(n), reason: EndReason::Revoked, by: Some("root".into()), message: None, closed }
}

/// Gives a table so many rows that they stand on pages of their own, and brings them into the file.
pub(crate) fn fill(path: &Path, table: &str) {
    let mut store = Store::open(path).unwrap();
    let more =
        |session: Session, n: u64| Session { id: SessionId::new(u128::from(n + 1_000).to_be_bytes()), ..session };
    for n in 0..200 {
        let mut ended = ended(0, 50);
        ended.session = more(ended.session, n);
        match table {
            "live" => store.keep(&ended.session).unwrap(),
            _ => store.archive(&ended, &[]).unwrap(),
        }
    }
}

/// Spoils a table and nothing else, in the file of a store that is not open.
pub(crate) fn damage(path: &Path, table: &str) {
    let connection = Connection::open(path).unwrap();
    let root = "SELECT rootpage FROM sqlite_master WHERE name = ?1";
    let page: u32 = connection.query_row(root, [table], |row| row.get(0)).unwrap();
    let size: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(connection);
    let [start, end] = [page - 1, page].map(|page| usize::try_from(page * size).unwrap());
    let mut bytes = std::fs::read(path).unwrap();
    bytes[start..end].fill(0xA5);
    std::fs::write(path, bytes).unwrap();
}

fn count(store: &Store, table: &str) -> i64 {
    store.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_session_is_live_or_history_and_survives_in_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    let mut store = Store::open(&path).unwrap();
    store.keep(&session(1)).unwrap();
    store.keep(&session(1)).unwrap();
    store.keep(&session(2)).unwrap();
    store.archive(&ended(2, 50), &["pts/1".into()]).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let live: Vec<_> = store.live().unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(live, [session(1)]);
    assert_eq!(count(&store, "history"), 1);
}

#[test]
fn who_logged_in_from_where_is_for_root_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    Store::open(&path).unwrap().keep(&session(1)).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn old_history_goes_and_newer_stays() {
    let mut store = Store::in_memory().unwrap();
    store.archive(&ended(1, 50), &[]).unwrap();
    store.archive(&ended(2, 150), &[]).unwrap();
    assert_eq!(store.expire_history(WallTime::new(Duration::from_secs(100))).unwrap(), 1);
    assert_eq!(count(&store, "history"), 1);
}

#[test]
fn a_row_that_is_no_session_is_told_and_the_others_are_found() {
    let store = Store::in_memory().unwrap();
    store.keep(&session(1)).unwrap();
    store.connection.execute("INSERT INTO live VALUES ('x', 'junk')", []).unwrap();
    let live = store.live().unwrap();
    assert_eq!((live.len(), live.iter().filter(|row| row.is_err()).count()), (2, 1));
    store.forget("x").unwrap();
    assert_eq!(store.live().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_store_and_a_newer_one_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert!(Store::open(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    Store::open(&path).unwrap().connection.execute_batch("PRAGMA user_version = 9").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Version(9))));
}

#[test]
fn a_configuration_is_noted_when_it_is_another_and_the_one_in_force_stays() {
    let store = Store::in_memory().unwrap();
    let note = |digest: &str, secs| {
        let config = InForce { digest: digest.into(), origin: "live", ..InForce::default() };
        store.note_config(&config, WallTime::new(Duration::from_secs(secs))).unwrap()
    };
    assert_eq!([note("a", 10), note("a", 20), note("b", 30), note("a", 40)], [true, false, true, true]);
    let _ = store.expire_history(WallTime::new(Duration::from_secs(35))).unwrap();
    assert_eq!(count(&store, "config"), 2, "what was in force at the horizon is evidence");
    let _ = store.expire_history(WallTime::new(Duration::from_secs(100))).unwrap();
    assert_eq!(count(&store, "config"), 1);
}

#[test]
fn a_boot_time_before_or_after_has_its_wall_time() {
    let secs = Duration::from_secs;
    let known = Now { boot: BootTime::new(secs(100)), wall: WallTime::new(secs(1000)) };
    assert_eq!(wall_of(BootTime::new(secs(90)), known), WallTime::new(secs(990)));
    assert_eq!(wall_of(BootTime::new(secs(110)), known), WallTime::new(secs(1010)));
}

#[test]
fn damage_inside_a_store_is_seen_by_a_look_through_it() {
    for table in ["live", "history", "history_by_end"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        fill(&path, if table == "live" { "live" } else { "history" });
        Store::look_through(&path).unwrap();
        damage(&path, table);
        assert!(Store::open(&path).is_ok(), "opening it shows nothing");
        assert!(Store::look_through(&path).unwrap_err().is_of_the_file(), "{table}");
    }
}

#[test]
fn a_look_through_a_store_that_is_written_to_meanwhile_finds_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    let store = Store::open(&path).unwrap();
    store.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.keep(&session(1)).unwrap();
    Store::look_through(&path).unwrap();
    store.connection.execute_batch("COMMIT").unwrap();
    Store::look_through(&path).unwrap();
}

#[test]
fn what_a_damaged_store_still_tells_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    let store = Store::open(&path).unwrap();
    store.keep(&session(1)).unwrap();
    store.connection.execute_batch("INSERT INTO live VALUES ('0', CAST(x'ff' AS TEXT)), ('1', 'junk')").unwrap();
    assert!(store.live().unwrap_err().is_of_the_file(), "what is no text was not written by us");
    drop(store);
    assert_eq!(Store::readable(&path), [session(1)]);
    fill(&path, "history");
    damage(&path, "history");
    assert_eq!(Store::readable(&path), [session(1)]);
    fill(&path, "live");
    damage(&path, "live");
    assert_eq!(Store::readable(&path), []);
    assert_eq!(Store::readable(&folder.path().join("none")), []);
}

#[test]
fn a_store_that_is_set_aside_takes_its_journal_along() {
    let folder = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (folder.path().join("sessions.db"), folder.path().join("copy.db"));
    let store = Store::open(&path).unwrap();
    store.keep(&session(1)).unwrap();
    // As a daemon leaves it that is killed.
    std::fs::copy(&path, &elsewhere).unwrap();
    std::fs::copy(folder.path().join("sessions.db-wal"), folder.path().join("copy.db-wal")).unwrap();
    let aside = set_aside(&elsewhere, WallTime::new(Duration::from_secs(7))).unwrap();
    assert_eq!(Store::readable(&aside), [session(1)]);
    assert_eq!(Store::open(&elsewhere).unwrap().live().unwrap().len(), 0);
}

#[test]
fn a_store_that_can_be_read_alone_is_refused_and_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    Store::open(&path).unwrap().keep(&session(1)).unwrap();
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let refused = Store::prepare(connection, None).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly) && !refused.is_of_the_file());
}

#[test]
fn a_full_disk_is_no_damage() {
    let store = Store::in_memory().unwrap();
    store.be_full(true);
    assert!(!store.keep(&session(1)).unwrap_err().is_of_the_file());
}

#[test]
fn of_a_disk_that_fails_it_is_told_that_it_does_not_mend() {
    use rusqlite::ffi;
    let told = |code| StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)).to_string();
    assert!(told(ffi::SQLITE_IOERR_WRITE).ends_with("does not mend by itself: the kernel's log (dmesg) tells more"));
    for mends in [ffi::SQLITE_FULL, ffi::SQLITE_READONLY, ffi::SQLITE_IOERR_SHMSIZE] {
        assert!(!told(mends).contains("mend"), "{}", told(mends));
    }
}
