//! What outlives the daemon: live sessions and history, in SQLite. WAL with `synchronous = NORMAL`: a session does not outlive a power
//! cut, so a row need not either, and it costs a tenth.

mod damage;
mod schema;

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use authflow_core::{
    session::{Ended, Session, SessionId, State},
    time::{BootTime, Now, WallTime},
};
use rusqlite::{Connection, MAIN_DB, OpenFlags, OptionalExtension, params};

pub(crate) use self::damage::set_aside;
use self::schema::VERSION;
use crate::in_force::InForce;

/// Why the store does not keep what it is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite.
    #[error("the session store: {0}{advice}", advice = damage::advice(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// A session that has no text form, or a row that is none.
    #[error("a session in the store: {0}")]
    Record(#[from] serde_json::Error),
    /// A newer daemon wrote it.
    #[error("the session store has version {0}, this daemon knows version {VERSION}")]
    Version(i64),
    /// A look through it found what cannot be.
    #[error("the session store is damaged: {0}")]
    Damaged(String),
    /// Its disk takes no writes, and SQLite opened it all the same.
    #[error("the session store can be read alone")]
    ReadOnly,
}

/// A live row: the session, or the id of a row that is none and why.
pub(crate) type Row = Result<Session, (String, StoreError)>;

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    /// Which file it is, by device and number.
    file: Option<(u64, u64)>,
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
        let connection = Connection::open_with_flags(path, flags)?;
        Self::prepare(connection, file_at(path).ok().flatten())
    }

    fn prepare(connection: Connection, file: Option<(u64, u64)>) -> Result<Self, StoreError> {
        // A connection that was opened so stays so when the disk takes writes again.
        if connection.is_readonly(MAIN_DB)? {
            return Err(StoreError::ReadOnly);
        }
        schema::bring_up(&connection)?;
        Ok(Self { connection, file })
    }

    /// Whether its file is no more the one at `path`: what is written to a file that somebody has removed is lost with the daemon.
    #[must_use]
    pub(crate) fn is_gone_from(&self, path: &Path) -> bool {
        // Where that cannot be told the disk fails, which the write itself tells.
        self.file.is_some() && file_at(path).is_ok_and(|now| now != self.file)
    }

    /// Closes it, with all that its journal holds in the file: whoever moved that has no use for a journal of another name, and what lies in
    /// its place must not meet it.
    pub(crate) fn close_whole(self) {
        let _the_disk_may_be_full = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
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
        self.live_as_far_as_it_goes()?.into_iter().collect()
    }

    /// The same, and where the table cannot be read any further an error at the end.
    fn live_as_far_as_it_goes(&self) -> Result<Vec<Result<Row, StoreError>>, StoreError> {
        let mut statement = self.connection.prepare("SELECT id, record FROM live ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let rows = rows.map(|row| {
            let (id, record) = row?;
            Ok(serde_json::from_str(&record).map_err(|error| (id, error.into())))
        });
        Ok(rows.collect())
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

/// Which file that is; `None` if there is none.
fn file_at(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(Some((meta.dev(), meta.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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
pub(crate) mod tests;
