//! The daemon's history, read from its store. Only the daemon writes there; this opens it for reading, so that it can be asked
//! also while the daemon is away.

use std::{path::Path, time::Duration};

use authflow_core::{policy::Limits, time::WallTime};
use rusqlite::{Connection, OpenFlags, Row, types::Type};
use serde::de::DeserializeOwned;

use crate::{
    error::Error,
    session::{End, Session},
};

/// The schema's version that this program knows.
const VERSION: i64 = 2;

/// Sessions of `user`, or of all, that ended at `since` or later; in the order in which they ended.
///
/// # Errors
/// The store cannot be read. One that is not there is an empty one: the daemon has not run yet.
pub(crate) fn read(path: &Path, user: Option<&str>, since: WallTime) -> Result<Vec<Session>, Error> {
    if !path.try_exists()? {
        return Ok(Vec::new());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let store = Connection::open_with_flags(path, flags)?;
    let version: i64 = store.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != VERSION {
        return Err(Error::Failed(format!("the session store has version {version}, this program knows {VERSION}")));
    }
    let mut statement = store.prepare(
        "SELECT * FROM history WHERE closed_at >= ?1 AND (?2 IS NULL OR user = ?2) ORDER BY closed_at, opened_at, id",
    )?;
    let since = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let rows = statement.query_map((since, user), session)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let limits: Limits = json(row, "limits")?;
    Ok(Session {
        id: row.get("id")?,
        user: row.get("user")?,
        uid: row.get("uid")?,
        target: row.get("target")?,
        target_uid: row.get("target_uid")?,
        service: row.get("service")?,
        ttys: json(row, "ttys")?,
        remote_host: row.get("remote_host")?,
        leader: row.get("leader")?,
        class: row.get("class")?,
        factors: json(row, "factors")?,
        aal: row.get("aal")?,
        rule: row.get("rule")?,
        state: "closed".to_owned(),
        activity_basis: row.get("activity_basis")?,
        opened_at: time(row, "opened_at")?.unwrap_or_default(),
        authenticated_at: time(row, "authenticated_at")?.unwrap_or_default(),
        last_active_at: time(row, "last_active_at")?,
        idle_deadline: None,
        lifetime_deadline: None,
        idle_limit: limits.idle,
        lifetime_limit: limits.lifetime,
        inhibited_by: json(row, "inhibited_by")?,
        logind_id: row.get("logind_id")?,
        parent: row.get("parent")?,
        end: Some(End {
            closed_at: time(row, "closed_at")?.unwrap_or_default(),
            due_at: time(row, "due_at")?,
            reason: row.get("end_reason")?,
            by: row.get("ended_by")?,
            message: row.get("message")?,
        }),
    })
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<WallTime>> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.map(|micros| WallTime::new(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::failed("the session store", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the daemon's store documents it.
    const SCHEMA: &str = "
        CREATE TABLE history (
            id TEXT PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, target TEXT NOT NULL, target_uid INTEGER NOT NULL,
            service TEXT NOT NULL, ttys TEXT NOT NULL, remote_host TEXT, leader INTEGER NOT NULL, class TEXT NOT NULL,
            factors TEXT NOT NULL, aal INTEGER NOT NULL, rule TEXT NOT NULL, activity_basis TEXT NOT NULL,
            limits TEXT NOT NULL, opened_at INTEGER NOT NULL, authenticated_at INTEGER NOT NULL,
            last_active_at INTEGER NOT NULL, due_at INTEGER, closed_at INTEGER NOT NULL, end_reason TEXT NOT NULL,
            ended_by TEXT, message TEXT, parent TEXT, logind_id TEXT, inhibited_by TEXT NOT NULL
        ) WITHOUT ROWID;
        PRAGMA user_version = 2;";

    struct Store {
        folder: tempfile::TempDir,
    }

    impl Store {
        fn new() -> Self {
            let store = Self { folder: tempfile::tempdir().unwrap() };
            store.open().execute_batch(SCHEMA).unwrap();
            store
        }

        fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("sessions.db")
        }

        fn open(&self) -> Connection {
            Connection::open(self.path()).unwrap()
        }

        fn with(self, id: &str, user: &str, closed_at: i64) -> Self {
            let limits = serde_json::to_string(&Limits { idle: None, ..Limits::default() }).unwrap();
            let row = "INSERT INTO history VALUES (?1, ?2, 1000, ?2, 1000, 'sshd', '[\"pts/1\"]', '10.0.0.7', 42, 'user',
                       '[\"password\",\"totp\"]', 2, 'ssh', 'tty', ?3, 1, 1, 2, NULL, ?4, 'revoked', 'root', 'bye', NULL, NULL, '[\"make\"]')";
            self.open().execute(row, (id, user, limits, closed_at)).unwrap();
            self
        }

        fn ids(&self, user: Option<&str>, since: u64) -> Vec<String> {
            let found = read(&self.path(), user, WallTime::from_micros(since)).unwrap();
            found.into_iter().map(|session| session.id).collect()
        }
    }

    #[test]
    fn sessions_come_in_the_order_in_which_they_ended() {
        let store = Store::new().with("a", "alice", 30).with("b", "bob", 20).with("c", "alice", 10);
        assert_eq!(store.ids(None, 0), ["c", "b", "a"]);
        assert_eq!(store.ids(Some("alice"), 0), ["c", "a"]);
        assert_eq!(store.ids(None, 20), ["b", "a"]);
    }

    #[test]
    fn a_row_is_read_with_its_limits_and_its_end() {
        let store = Store::new().with("a", "alice", 30);
        let session = read(&store.path(), None, WallTime::default()).unwrap().remove(0);
        assert_eq!((session.idle_limit, session.lifetime_limit), (None, Some(Duration::from_secs(12 * 3600))));
        assert_eq!(session.factors, ["password", "totp"]);
        assert_eq!(session.inhibited_by, ["make"]);
        let end = session.end.unwrap();
        assert_eq!(
            (end.reason.as_str(), end.by.as_deref(), end.message.as_deref()),
            ("revoked", Some("root"), Some("bye"))
        );
        assert_eq!(end.closed_at, WallTime::from_micros(30));
    }

    #[test]
    fn no_store_is_an_empty_one_and_a_strange_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        assert!(read(&path, None, WallTime::default()).unwrap().is_empty());
        assert!(!path.exists(), "reading makes no file");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(read(&path, None, WallTime::default()).is_err());
        let newer = Store::new();
        newer.open().execute_batch("PRAGMA user_version = 9").unwrap();
        assert!(read(&newer.path(), None, WallTime::default()).unwrap_err().to_string().contains("version 9"));
    }
}
