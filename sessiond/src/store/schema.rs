//! The schema of the store, and the way from older ones to it.
//!
//! `live(id, record)`: the session as JSON, this program's own affair.
//!
//! `history`: a row a session that is over. Times are microseconds since 1970, `NULL` is never or none; `ttys`, `factors` and
//! `inhibited_by` are JSON arrays, `limits` a JSON object as in a session's opening.
//!
//! `config`: a row each time that another configuration was in force than before, in order: when that was noticed, the digest of its text,
//! where it came from, and the limits of its rules as JSON.

use rusqlite::Connection;

use super::StoreError;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS live (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS history (
        id TEXT PRIMARY KEY, user TEXT NOT NULL, uid INTEGER NOT NULL, target TEXT NOT NULL, target_uid INTEGER NOT NULL,
        service TEXT NOT NULL, ttys TEXT NOT NULL, remote_host TEXT, leader INTEGER NOT NULL, class TEXT NOT NULL,
        factors TEXT NOT NULL, aal INTEGER NOT NULL, rule TEXT NOT NULL, activity_basis TEXT NOT NULL, limits TEXT NOT NULL,
        opened_at INTEGER NOT NULL, authenticated_at INTEGER NOT NULL, last_active_at INTEGER NOT NULL,
        due_at INTEGER, closed_at INTEGER NOT NULL, end_reason TEXT NOT NULL, ended_by TEXT, message TEXT,
        parent TEXT, logind_id TEXT, inhibited_by TEXT NOT NULL DEFAULT '[]'
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS history_by_end ON history (closed_at);
    CREATE TABLE IF NOT EXISTS config (
        number INTEGER PRIMARY KEY, seen_at INTEGER NOT NULL, digest TEXT NOT NULL, origin TEXT NOT NULL, rules TEXT NOT NULL
    );
    PRAGMA user_version = 3;
";

/// What version 1 lacks of version 2.
const SINCE_1: &str = "
    BEGIN;
    ALTER TABLE history ADD COLUMN inhibited_by TEXT NOT NULL DEFAULT '[]';
    PRAGMA user_version = 2;
    COMMIT;
";

/// What version 2 lacks of version 3.
const SINCE_2: &str = "
    BEGIN;
    CREATE TABLE config (
        number INTEGER PRIMARY KEY, seen_at INTEGER NOT NULL, digest TEXT NOT NULL, origin TEXT NOT NULL, rules TEXT NOT NULL
    );
    PRAGMA user_version = 3;
    COMMIT;
";

/// The version of the schema that this program writes.
pub(super) const VERSION: i64 = 3;

/// Makes the tables, or adds what an older program's lack. What is there is not written to: its disk may be full.
///
/// # Errors
/// It cannot be written, or a newer program made it.
pub(super) fn bring_up(connection: &Connection) -> Result<(), StoreError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION {
        return Err(StoreError::Version(version));
    }
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
    let steps: &[&str] = match version {
        ..=0 => &[SCHEMA],
        1 => &[SINCE_1, SINCE_2],
        2 => &[SINCE_2],
        _ => &[],
    };
    steps.iter().try_for_each(|step| Ok(connection.execute_batch(step)?))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Store,
            tests::{ended, session},
        },
        *,
    };

    /// What the first version had, without its rows.
    const FIRST: &str = "ALTER TABLE history DROP COLUMN inhibited_by; DROP TABLE config; PRAGMA user_version = 1";
    const SECOND: &str = "DROP TABLE config; PRAGMA user_version = 2";

    #[test]
    fn stores_of_older_versions_are_taken_over_with_all_they_hold() {
        for older in [FIRST, SECOND] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sessions.db");
            let mut store = Store::open(&path).unwrap();
            store.keep(&session(3)).unwrap();
            store.archive(&ended(1, 50), &[]).unwrap();
            store.connection.execute_batch(older).unwrap();
            drop(store);
            let mut store = Store::open(&path).unwrap();
            let mut ended = ended(2, 60);
            ended.session.inhibition.reasons = vec!["make".into()];
            store.archive(&ended, &[]).unwrap();
            drop(store);
            let store = Store::open(&path).unwrap();
            let reasons = "SELECT inhibited_by FROM history ORDER BY closed_at";
            let mut statement = store.connection.prepare(reasons).unwrap();
            let reasons: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            assert_eq!(reasons, ["[]", r#"["make"]"#]);
            assert_eq!(store.live().unwrap().len(), 1);
            let version: i64 = store.connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            assert_eq!(version, VERSION);
            store.connection.execute_batch("SELECT seen_at, digest, origin, rules FROM config").unwrap();
        }
    }
}
