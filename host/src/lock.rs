//! The lock of a user's state: a file beside it that is never renamed and never removed. A lock on the state itself would be a lock
//! on a file that the next rename throws away, and let the same code in many times.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, thread, time::Duration};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::{
    clock::monotonic,
    file::{self, FileError, Trust},
    undisturbed::Undisturbed,
};

/// How long a login waits for others of the same user before it is denied as busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two tries: flock(2) has no time-out of its own, and a timer signal would be the host process's.
const PAUSE: Duration = Duration::from_millis(5);

/// The lock, held until dropped. Fields go in this order: the lock is given back before the process can be stopped again.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<std::fs::File>,
    _undisturbed: Undisturbed,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Others held it all the time.
    #[error("busy: other logins of the same user hold the lock")]
    Busy,
    /// The lock file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Takes the lock at `path`, which is made if it is not there.
///
/// # Errors
/// Others hold it for two seconds, or the file cannot be used.
pub fn take(path: &Path, trust: Trust) -> Result<Lock, LockError> {
    let open = |create| file::open(OpenOptions::new().read(true).write(true).create(create).mode(0o600), 0, path);
    // It is there but for the first time, and to ask for more keeps others of the folder's waiting.
    let mut file = match open(false) {
        Err(error) if error.is_missing() => open(true)?,
        opened => opened?,
    };
    let meta = file.metadata().map_err(|source| FileError::Io { action: "look at", path: path.to_owned(), source })?;
    file::check(path, &meta, trust, meta.is_file(), "a regular file")?;
    let undisturbed = Undisturbed::begin().map_err(|source| FileError::Io {
        action: "make room (ulimit -f) for",
        path: path.to_owned(),
        source,
    })?;
    let deadline = monotonic().saturating_add(PATIENCE);
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Lock { _file: lock, _undisturbed: undisturbed }),
            Err((back, Errno::EWOULDBLOCK)) if monotonic() < deadline => file = back,
            Err((_, Errno::EWOULDBLOCK)) => return Err(LockError::Busy),
            Err((_, errno)) => {
                return Err(FileError::Io { action: "lock", path: path.to_owned(), source: errno.into() }.into());
            }
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice.lock");
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        let first = take(&path, trust).unwrap();
        assert!(matches!(take(&path, trust), Err(LockError::Busy)));
        drop(first);
        take(&path, trust).unwrap();
    }
}
