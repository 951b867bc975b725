//! Logins that the daemon has yet to adopt: written by the module while the daemon is away, one file a leader, read by the daemon when it
//! starts. Only root writes there, and the daemon checks again that the leader still runs.

use std::{fs, io::ErrorKind, path::PathBuf};

use authflow_core::{
    session::Opening,
    time::{BootTime, WallTime},
    toml_text,
};
use serde::{Deserialize, Serialize};

use crate::{
    file::{self, FileError, Trust},
    paths::Paths,
    process::ProcessId,
};

/// A login that was let in without the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The session's id, as the user was told: 32 hexadecimal digits.
    pub id: String,
    /// The boot that it belongs to.
    pub boot_id: String,
    /// The process whose end is the logout.
    pub leader: ProcessId,
    /// When it was opened, on the boot clock: its limits run from here.
    pub opened_boot: BootTime,
    /// When it was opened, for people.
    pub opened_wall: WallTime,
    /// What it was opened with.
    pub opening: Opening,
}

/// Why a pending login cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What stands in it.
    #[error("{} is no pending login", .0.display())]
    Syntax(PathBuf),
    /// It does not fit into text.
    #[error("the login cannot be written down: {0}")]
    Unwritable(#[from] toml::ser::Error),
}

impl Pending {
    /// Writes it down for the daemon.
    ///
    /// # Errors
    /// The folder cannot be made or the file not written.
    pub fn write(&self, paths: &Paths) -> Result<(), PendingError> {
        file::ensure_folder(&paths.run(), 0o755)?;
        file::ensure_folder(&paths.pending(), 0o700)?;
        let text = toml::to_string(self)?;
        Ok(file::write_durably(&paths.pending(), &self.leader.to_string(), text.as_bytes(), 0o600)?)
    }
}

/// Removes the pending login of that leader; tells whether it was there.
///
/// # Errors
/// What the kernel says.
pub fn remove(paths: &Paths, leader: ProcessId) -> Result<bool, FileError> {
    let path = paths.pending().join(leader.to_string());
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::Io { action: "remove", path, source }),
    }
}

/// All that are there, the unreadable ones as errors to be logged.
///
/// # Errors
/// The folder cannot be read. One that is not there is empty.
pub fn list(paths: &Paths, trust: Trust) -> Result<Vec<Result<Pending, PendingError>>, FileError> {
    let folder = paths.pending();
    let failed = |source| FileError::Io { action: "read", path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        // Temporary files of a writer that is still at work begin with a dot.
        if let Some(Ok(leader)) = name.to_str().map(str::parse::<ProcessId>) {
            found.push(read(entry.path(), leader, trust));
        }
    }
    Ok(found)
}

fn read(path: PathBuf, leader: ProcessId, trust: Trust) -> Result<Pending, PendingError> {
    let text = file::read_trusted(&path, trust)?;
    match toml_text::from_str::<Pending>(&text) {
        Ok(pending) if pending.leader == leader => Ok(pending),
        Ok(_) | Err(_) => Err(PendingError::Syntax(path)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authflow_core::{policy::Limits, session::Class};

    use super::*;

    fn pending() -> Pending {
        Pending {
            id: "0123456789abcdef0123456789abcdef".into(),
            boot_id: "b".into(),
            leader: ProcessId { pid: 7, start_time: 42 },
            opened_boot: BootTime::new(Duration::from_secs(5)),
            opened_wall: WallTime::new(Duration::from_secs(6)),
            opening: Opening {
                user: "alice".into(),
                uid: 1000,
                target: "alice".into(),
                target_uid: 1000,
                service: "sshd".into(),
                tty: None,
                remote_host: Some("192.0.2.1".into()),
                class: Class::User,
                factors: authflow_core::factor::Factors::none(),
                aal: 2,
                rule: "ssh".into(),
                limits: Limits { idle: None, ..Limits::default() },
                authenticated_at: None,
                flow: None,
                vouched_by: None,
            },
        }
    }

    #[test]
    fn a_pending_login_is_found_as_it_was_written_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        assert!(list(&paths, trust).unwrap().is_empty(), "no folder yet");
        fs::create_dir(folder.path().join("run")).unwrap();
        pending().write(&paths).unwrap();
        let found = list(&paths, trust).unwrap().pop().unwrap().unwrap();
        assert_eq!(found, pending(), "and no limit stays no limit");
        fs::write(paths.pending().join("8-42"), "x").unwrap();
        assert_eq!(list(&paths, trust).unwrap().iter().filter(|read| read.is_err()).count(), 1);
        assert!(remove(&paths, pending().leader).unwrap());
        assert!(!remove(&paths, pending().leader).unwrap());
    }
}
