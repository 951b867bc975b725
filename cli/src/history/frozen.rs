//! A store on a disk that is read-only: nothing changes there, and SQLite must be told so.

use std::{io::ErrorKind, os::unix::ffi::OsStrExt, path::Path};

use rustix::fs::StatVfsMountFlags;

/// Whether nobody can write there, and there is no journal. SQLite opens no store of a daemon's that it could make no journal beside, unless it
/// is told that there will be none. Where there is one a daemon may be at work behind a mount that only looks read-only from here.
pub(super) fn is_frozen(path: &Path) -> bool {
    let is_read_only = rustix::fs::statvfs(path).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY));
    let journal = path.with_extension("db-wal").symlink_metadata();
    is_read_only && journal.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// That file as SQLite's URI for one that does not change.
pub(super) fn uri(path: &Path) -> String {
    let encoded: String = path.as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02x}")).collect();
    format!("file:{encoded}?immutable=1")
}
