//! What outlives the daemon: live sessions and history, in SQLite. WAL with `synchronous = NORMAL`: a session does not outlive a power
//! cut, so a row need not either, and it costs a tenth.

mod schema;

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path};

use authflow_core::{
    session::{Ended, Session, SessionId, State},
    time::{BootTime, Now, WallTime},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use self::schema::VERSION;
use crate::in_force::InForce;

/// Why the store does not keep what it is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite.
    #[error("the session store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A session that has no text form, or a row that is none.
    #[error("a session in the store: {0}")]
    Record(#[from] serde_json::Error),
    /// A newer daemon wrote it.
    #[error("the session store has version {0}, this daemon knows version {VERSION}")]
    Version(i64),
}

impl StoreError {
    /// Whether the file itself is no use. A disk that is full or read-only mends, and its file must stay where it is.
    #[must_use]
    pub(crate) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
            }
            Self::Record(_) | Self::Version(_) => true,
        }
    }
}

/// A live row: the session, or the id of a row that is none and why.
pub(crate) type Row = Result<Session, (String, StoreError)>;

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the store at `path`, which is made if it is not there, readable by root alone.
    ///
    /// # Errors
    /// The disk is full or read-only, or the file is no store.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite would make it as the umask says, and gives its journals the mode of the file itself.
        let _sqlite_tells_why_not = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        // No symbolic links, in a folder that root owns anyway.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        Self::prepare(Connection::open_with_flags(path, flags)?)
    }

    /// The live rows of a store that cannot be written to.
    ///
    /// # Errors
    /// It cannot be read either.
    pub(crate) fn live_read_only(path: &Path) -> Result<Vec<Row>, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        Self { connection: Connection::open_with_flags(path, flags)? }.live()
    }

    fn prepare(connection: Connection) -> Result<Self, StoreError> {
        schema::bring_up(&connection)?;
        Ok(Self { connection })
    }

    /// Whether a session of that id is over.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn is_over(&self, id: SessionId) -> Result<bool, StoreError> {
        Ok(self.connection.prepare("SELECT 1 FROM history WHERE id = ?1")?.exists(params![id.to_string()])?)
    }

    /// Keeps the session as it is now.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, session: &Session) -> Result<(), StoreError> {
        let record = serde_json::to_string(session)?;
        self.connection
            .prepare("INSERT OR REPLACE INTO live (id, record) VALUES (?1, ?2)")?
            .execute(params![session.id.to_string(), record])?;
        Ok(())
    }

    /// All live sessions, the ones that cannot be read as errors with their ids.
    ///
    /// # Errors
    /// The table cannot be read.
    pub(crate) fn live(&self) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.connection.prepare("SELECT id, record FROM live ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (id, record) = row?;
            Ok(serde_json::from_str(&record).map_err(|error| (id, error.into())))
        })
        .collect()
    }

    /// Moves a session to the history, in one step: it is in one of the two at any moment.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn archive(&mut self, ended: &Ended, ttys: &[String]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        insert(&transaction, ended, ttys)?;
        transaction.prepare("DELETE FROM live WHERE id = ?1")?.execute(params![ended.session.id.to_string()])?;
        Ok(transaction.commit()?)
    }

    /// Removes a live row that cannot be read.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn forget(&self, id: &str) -> Result<(), StoreError> {
        self.connection.execute("DELETE FROM live WHERE id = ?1", params![id])?;
        Ok(())
    }

    /// Notes which configuration is in force, if it is another than the one that was noted last; tells whether it is.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub(crate) fn note_config(&self, config: &InForce, now: WallTime) -> Result<bool, StoreError> {
        let newest = "SELECT digest, origin FROM config ORDER BY number DESC LIMIT 1";
        let last =
            self.connection.query_row(newest, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        if last.optional()?.is_some_and(|(digest, origin)| digest == config.digest && origin == config.origin) {
            return Ok(false);
        }
        let insert = "INSERT INTO config (seen_at, digest, origin, rules) VALUES (?1, ?2, ?3, ?4)";
        let rules = serde_json::to_string(&config.rules)?;
        self.connection.execute(insert, params![micros(now), config.digest, config.origin, rules])?;
        Ok(true)
    }

    /// Removes history that ended before `horizon`, and configurations that were replaced before it; tells how many sessions.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn expire_history(&self, horizon: WallTime) -> Result<usize, StoreError> {
        let horizon = micros(horizon);
        let replaced = "DELETE FROM config WHERE number < (SELECT max(number) FROM config WHERE seen_at < ?1)";
        self.connection.execute(replaced, params![horizon])?;
        Ok(self.connection.execute("DELETE FROM history WHERE closed_at < ?1", params![horizon])?)
    }
}

fn insert(connection: &Connection, ended: &Ended, ttys: &[String]) -> Result<(), StoreError> {
    let session = &ended.session;
    let opening = &session.opening;
    let due = match &session.state {
        State::Closing(closing) => closing.due.map(|due| wall_of(due, ended.closed)),
        State::Active | State::Orphaned => None,
    };
    connection
        .prepare(
            "INSERT OR REPLACE INTO history VALUES
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26)",
        )?
        .execute(params![
            session.id.to_string(),
            opening.user,
            opening.uid,
            opening.target,
            opening.target_uid,
            opening.service,
            serde_json::to_string(ttys)?,
            opening.remote_host,
            session.leader.pid,
            opening.class.as_str(),
            serde_json::to_string(&opening.factors)?,
            opening.aal,
            opening.rule,
            session.basis.as_str(),
            serde_json::to_string(&opening.limits)?,
            micros(session.opened.wall),
            micros(session.authenticated.wall),
            micros(session.last_active.wall),
            due.map(micros),
            micros(ended.closed.wall),
            ended.reason.as_str(),
            ended.by,
            ended.message,
            session.parent.as_ref().map(SessionId::to_string),
            session.logind_id,
            serde_json::to_string(&session.inhibition.reasons)?,
        ])?;
    Ok(())
}

/// The wall time of a moment on the boot clock, by both clocks of another moment.
#[must_use]
pub(crate) fn wall_of(at: BootTime, known: Now) -> WallTime {
    known.wall.saturating_add(at.saturating_since(known.boot)).saturating_sub(known.boot.saturating_since(at))
}

fn micros(time: WallTime) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
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
}
