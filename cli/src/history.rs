//! The daemon's history, read from its store. Only the daemon writes there; this opens it for reading, so that it can be asked
//! also while the daemon is away.

mod frozen;

use std::{cmp::Ordering, path::Path};

use authflow_core::{
    policy::{Limits, WithoutTty},
    session::EndReason,
    time::WallTime,
};
use rusqlite::{Connection, OpenFlags, Row, types::Type};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    error::Error,
    session::{End, Session},
};

/// The schema's version that this program knows.
const VERSION: i64 = 3;

/// Which sessions that are over; the default is all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Query<'a> {
    /// Of this user.
    pub user: Option<&'a str>,
    /// That ended at that time or later.
    pub since: WallTime,
    /// That ended before that time.
    pub until: Option<WallTime>,
    /// That ended for this reason.
    pub reason: Option<EndReason>,
    /// Of this service.
    pub service: Option<&'a str>,
    /// At most so many, the last ones.
    pub limit: Option<u32>,
}

/// A configuration that the daemon has seen in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// When it was noticed.
    pub seen_at: WallTime,
    /// SHA-256 of its text; empty where there was none to use.
    pub digest: String,
    /// `live`, `last-good` or `none`.
    pub origin: String,
    /// What its rules grant.
    pub rules: Vec<Granted>,
}

/// What a rule grants.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Granted {
    /// The rule.
    pub name: String,
    /// Its limits.
    pub limits: Limits,
}

/// The daemon's store, open for reading.
#[derive(Debug)]
pub(crate) struct Store(Connection);

impl Store {
    /// Opens the store at `path`. One that is not there is `None`: the daemon has not run yet.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, Error> {
        if !path.try_exists()? {
            return Ok(None);
        }
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let store = if frozen::is_frozen(path) {
            Connection::open_with_flags(frozen::uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
        } else {
            Connection::open_with_flags(path, flags)?
        };
        let version: i64 = store.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version.cmp(&VERSION) {
            Ordering::Equal => Ok(Some(Self(store))),
            Ordering::Less => Err(Error::Failed(format!(
                "the session store has version {version}, this program knows {VERSION}: restart authflow-sessiond, which brings it up"
            ))),
            Ordering::Greater => {
                Err(Error::Failed(format!("the session store has version {version}, this program knows {VERSION}")))
            }
        }
    }

    /// The sessions that are asked for, in the order in which they ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn sessions(&self, query: Query<'_>) -> Result<Vec<Session>, Error> {
        let mut statement = self.0.prepare(
            "SELECT * FROM (
                 SELECT * FROM history WHERE closed_at >= ?1 AND closed_at < ?2 AND (?3 IS NULL OR user = ?3)
                     AND (?4 IS NULL OR end_reason = ?4) AND (?5 IS NULL OR service = ?5)
                 ORDER BY closed_at DESC, opened_at DESC, id DESC LIMIT ?6
             ) ORDER BY closed_at, opened_at, id",
        )?;
        let until = query.until.map_or(i64::MAX, micros);
        // To SQLite a negative limit is none.
        let limit = query.limit.map_or(-1, i64::from);
        let reason = query.reason.map(EndReason::as_str);
        let rows =
            statement.query_map((micros(query.since), until, query.user, reason, query.service, limit), session)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The configurations that were in force between these times: the changes in between, and before them the one that held at the
    /// beginning.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn configurations(&self, since: WallTime, until: WallTime) -> Result<Vec<Configuration>, Error> {
        let mut statement = self.0.prepare(
            "SELECT * FROM config WHERE seen_at < ?2
                 AND number >= (SELECT coalesce(max(number), 0) FROM config WHERE seen_at < ?1) ORDER BY number",
        )?;
        let rows = statement.query_map((micros(since), micros(until)), configuration)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first moment of which the store knows anything. `None` if it knows nothing yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn beginning(&self) -> Result<Option<WallTime>, Error> {
        let first =
            "SELECT min(at) FROM (SELECT min(seen_at) AS at FROM config UNION ALL SELECT min(closed_at) FROM history)";
        let first: Option<i64> = self.0.query_row(first, [], |row| row.get(0))?;
        Ok(first.map(wall))
    }
}

fn configuration(row: &Row<'_>) -> rusqlite::Result<Configuration> {
    Ok(Configuration {
        seen_at: wall(row.get("seen_at")?),
        digest: row.get("digest")?,
        origin: row.get("origin")?,
        rules: json(row, "rules")?,
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let limits: Limits = json(row, "limits")?;
    let basis: String = row.get("activity_basis")?;
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
        is_beyond_idle: basis == "none" && limits.idle.is_some() && limits.without_tty == WithoutTty::Ignore,
        activity_basis: basis,
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
    Ok(micros.map(wall))
}

fn wall(micros: i64) -> WallTime {
    WallTime::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn micros(time: WallTime) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
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
    use std::time::Duration;

    use super::*;

    /// The tables as the daemon's store documents it.
    const SCHEMA: &str = "
        CREATE TABLE history (
            id TEXT PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, target TEXT NOT NULL, target_uid INTEGER NOT NULL,
            service TEXT NOT NULL, ttys TEXT NOT NULL, remote_host TEXT, leader INTEGER NOT NULL, class TEXT NOT NULL,
            factors TEXT NOT NULL, aal INTEGER NOT NULL, rule TEXT NOT NULL, activity_basis TEXT NOT NULL,
            limits TEXT NOT NULL, opened_at INTEGER NOT NULL, authenticated_at INTEGER NOT NULL,
            last_active_at INTEGER NOT NULL, due_at INTEGER, closed_at INTEGER NOT NULL, end_reason TEXT NOT NULL,
            ended_by TEXT, message TEXT, parent TEXT, logind_id TEXT, inhibited_by TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE config (
            number INTEGER PRIMARY KEY, seen_at INTEGER NOT NULL, digest TEXT NOT NULL, origin TEXT NOT NULL, rules TEXT NOT NULL
        );
        PRAGMA user_version = 3;";

    struct Kept {
        folder: tempfile::TempDir,
    }

    impl Kept {
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

        fn with_config(self, seen_at: i64, digest: &str) -> Self {
            let rules = serde_json::json!([{ "name": "ssh", "limits": Limits::default() }]).to_string();
            let row = "INSERT INTO config (seen_at, digest, origin, rules) VALUES (?1, ?2, 'live', ?3)";
            self.open().execute(row, (seen_at, digest, rules)).unwrap();
            self
        }

        fn store(&self) -> Store {
            Store::open(&self.path()).unwrap().unwrap()
        }

        fn ids(&self, query: Query<'_>) -> Vec<String> {
            self.store().sessions(query).unwrap().into_iter().map(|session| session.id).collect()
        }
    }

    #[test]
    fn sessions_come_in_the_order_in_which_they_ended() {
        let store = Kept::new().with("a", "alice", 30).with("b", "bob", 20).with("c", "alice", 10);
        assert_eq!(store.ids(Query::default()), ["c", "b", "a"]);
        assert_eq!(store.ids(Query { user: Some("alice"), ..Query::default() }), ["c", "a"]);
        let (ten, thirty) = (WallTime::from_micros(10), WallTime::from_micros(30));
        assert_eq!(store.ids(Query { since: WallTime::from_micros(20), ..Query::default() }), ["b", "a"]);
        assert_eq!(store.ids(Query { since: ten, until: Some(thirty), ..Query::default() }), ["c", "b"]);
        assert_eq!(store.ids(Query { limit: Some(2), ..Query::default() }), ["b", "a"], "the last ones");
        assert_eq!(store.ids(Query { reason: Some(EndReason::Idle), ..Query::default() }).len(), 0);
        assert_eq!(store.ids(Query { reason: Some(EndReason::Revoked), ..Query::default() }).len(), 3);
        assert_eq!(store.ids(Query { service: Some("login"), ..Query::default() }).len(), 0);
    }

    #[test]
    fn the_configuration_that_held_at_the_beginning_is_told_with_the_changes() {
        let store = Kept::new().with_config(10, "a").with_config(20, "b").with_config(30, "c").with_config(40, "d");
        let digests = |since, until| {
            let (since, until) = (WallTime::from_micros(since), WallTime::from_micros(until));
            let found = store.store().configurations(since, until).unwrap();
            found.into_iter().map(|config| config.digest).collect::<Vec<_>>()
        };
        assert_eq!(digests(25, 40), ["b", "c"]);
        assert_eq!(digests(0, 100), ["a", "b", "c", "d"]);
        assert_eq!(store.store().beginning().unwrap(), Some(WallTime::from_micros(10)));
        assert_eq!(Kept::new().store().beginning().unwrap(), None);
    }

    #[test]
    fn a_row_is_read_with_its_limits_and_its_end() {
        let store = Kept::new().with("a", "alice", 30);
        let session = store.store().sessions(Query::default()).unwrap().remove(0);
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
    fn a_frozen_store_is_opened_by_whatever_name_it_has() {
        let kept = Kept::new().with("a", "alice", 30);
        let odd = kept.folder.path().join("50% of #1? é.db");
        std::fs::rename(kept.path(), &odd).unwrap();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let store = Store(Connection::open_with_flags(frozen::uri(&odd), flags).unwrap());
        assert_eq!(store.sessions(Query::default()).unwrap().len(), 1);
        assert!(!frozen::is_frozen(&odd), "its disk can be written to");
    }

    #[test]
    fn no_store_is_an_empty_one_and_a_strange_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        assert!(Store::open(&path).unwrap().is_none());
        assert!(!path.exists(), "reading makes no file");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(Store::open(&path).is_err());
        let newer = Kept::new();
        newer.open().execute_batch("PRAGMA user_version = 9").unwrap();
        assert!(Store::open(&newer.path()).unwrap_err().to_string().contains("version 9"));
        newer.open().execute_batch("PRAGMA user_version = 2").unwrap();
        assert!(Store::open(&newer.path()).unwrap_err().to_string().contains("restart"));
    }
}
