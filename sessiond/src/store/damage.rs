//! A store whose file is broken: how that is found out, what can still be read, and where the file goes. What takes its place is the
//! keeper's affair.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use authflow_core::{session::Session, time::WallTime};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use super::{Store, StoreError};

impl StoreError {
    /// Whether the file itself is no use. A disk that is full or read-only mends, and its file must stay where it is.
    #[must_use]
    pub(crate) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(code) => matches!(code, ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt),
                // SQLite sees no harm in a text that is none; nothing of ours wrote it.
                None => matches!(
                    error,
                    Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::Utf8Error(..)
                ),
            },
            Self::Damaged(_) | Self::Version(_) => true,
            Self::Record(_) | Self::ReadOnly => false,
        }
    }
}

impl Store {
    /// Looks through all of the store at `path`: damage shows nowhere else until somebody reads just that page.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub(crate) fn look_through(path: &Path) -> Result<(), StoreError> {
        let store = open_to_read(path)?;
        let word: String = store.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if word == "ok" { Ok(()) } else { Err(StoreError::Damaged(word)) }
    }

    /// The live sessions that can be read in the store at `path`, whatever its state.
    #[must_use]
    pub(crate) fn readable(path: &Path) -> Vec<Session> {
        let rows = open_to_read(path).and_then(|store| store.live_as_far_as_it_goes()).unwrap_or_default();
        rows.into_iter().flatten().flatten().collect()
    }
}

fn open_to_read(path: &Path) -> Result<Store, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    Ok(Store { connection: Connection::open_with_flags(path, flags)?, file: None })
}

/// What else is to be said of an error. A disk that is full or read-only says what it needs by itself; one that fails does not mend, and no new
/// store on it would be better off.
pub(super) fn advice(error: &Error) -> &'static str {
    use rusqlite::ffi;
    let Error::SqliteFailure(ffi::Error { extended_code, .. }, _) = error else { return "" };
    match *extended_code {
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => {
            "; the disk or its file system fails and does not mend by itself: the kernel's log (dmesg) tells more"
        }
        _ => "",
    }
}

/// Moves the files of a store that is not open out of the way, so that nobody's evidence is lost; tells where they are.
///
/// # Errors
/// They cannot be moved.
pub(crate) fn set_aside(path: &Path, now: WallTime) -> io::Result<PathBuf> {
    let aside = beside(path, &format!(".broken-{}", now.as_secs()));
    fs::rename(path, &aside)?;
    // The newest rows may be in the journal yet, and a new store must not meet it.
    let _there_may_be_none = fs::rename(beside(path, "-wal"), beside(&aside, "-wal"));
    let _there_may_be_none = fs::remove_file(beside(path, "-shm"));
    Ok(aside)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}
