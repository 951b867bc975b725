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
        Self::prepare(Connection::open_in_memory()?)
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
