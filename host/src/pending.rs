//! Logins that the daemon has yet to adopt: written by the module while the daemon is away, one file a login, read by the daemon when it
//! starts. Only root writes there, and the daemon checks again that the leader still runs. A login that ended meanwhile is left for the
//! history.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

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

/// What the file's name of a login that is over ends with.
const OVER: &str = ".over";

/// How many logins may lie there before the end of one is forgotten: they lie in memory, and the daemon may be away for days.
const MOST: usize = 1000;

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
    /// When it was closed, if it was. The file's own affair.
    #[serde(skip)]
    pub closed: Option<WallTime>,
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
        Ok(file::write_durably(&paths.pending(), &name(self.leader, &self.id), text.as_bytes(), 0o600)?)
    }
}

/// Marks the pending login of that leader and id as over; tells whether there was one.
///
/// # Errors
/// What the kernel says.
pub fn close(paths: &Paths, leader: ProcessId, id: &str) -> Result<bool, FileError> {
    let (path, over) = places(paths, &name(leader, id));
    let is_crowded = || fs::read_dir(paths.pending()).is_ok_and(|entries| entries.count() > MOST);
    let (action, done) = match path.exists() {
        true if is_crowded() => ("remove", fs::remove_file(&path)),
        true => ("rename", fs::rename(&path, over)),
        false => return Ok(false),
    };
    was_there(done).map_err(|source| FileError::Io { action, path, source })
}

/// Removes a pending login as it was read. One that was closed since then lies under its other name, and is still to be read there.
///
/// # Errors
/// What the kernel says.
pub fn remove(paths: &Paths, read: &Pending) -> Result<(), FileError> {
    for name in names(read) {
        let (path, over) = places(paths, &name);
        let path = if read.closed.is_some() { over } else { path };
        was_there(fs::remove_file(&path)).map_err(|source| FileError::Io { action: "remove", path, source })?;
    }
    Ok(())
}

/// What its file may go by. A module of before this version, which lives on in programs that had it then, names it by its leader alone.
fn names(pending: &Pending) -> [String; 2] {
    [name(pending.leader, &pending.id), pending.leader.to_string()]
}

/// One process may open a session after another, and each is to be found.
fn name(leader: ProcessId, id: &str) -> String {
    format!("{leader}.{id}")
}

fn places(paths: &Paths, name: &str) -> (PathBuf, PathBuf) {
    (paths.pending().join(name), paths.pending().join(format!("{name}{OVER}")))
}

fn was_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// All that are there, the unreadable ones as errors to be logged. In the order in which they began, and those that are over before those that
/// go on: one process leads one session at a time.
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
        let Some(name) = name.to_str() else { continue };
        let over = name.strip_suffix(OVER);
        let name = over.unwrap_or(name);
        if name.split('.').next().is_some_and(|leader| leader.parse::<ProcessId>().is_ok()) {
            match read(entry.path(), (name, over.is_some()), trust) {
                // Closed since the folder was read, or written down anew: whoever hears of such changes comes again.
                Err(PendingError::File(error)) if error.is_missing() => {}
                read => found.push(read),
            }
        }
    }
    found.sort_by_key(|read| read.as_ref().ok().map(|login: &Pending| (login.closed.is_none(), login.opened_boot)));
    Ok(found)
}

fn read(path: PathBuf, (name, is_over): (&str, bool), trust: Trust) -> Result<Pending, PendingError> {
    let text = file::read_trusted(&path, trust)?;
    let closed = if is_over { Some(changed(&path)?) } else { None };
    match toml_text::from_str::<Pending>(&text) {
        Ok(pending) if names(&pending).iter().any(|its| its == name) => Ok(Pending { closed, ..pending }),
        Ok(_) | Err(_) => Err(PendingError::Syntax(path)),
    }
}

/// When the file was last renamed.
fn changed(path: &Path) -> Result<WallTime, FileError> {
    let meta = path.symlink_metadata();
    let meta = meta.map_err(|source| FileError::Io { action: "look at", path: path.to_owned(), source })?;
    Ok(WallTime::new(Duration::from_secs(meta.ctime().try_into().unwrap_or_default())))
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
            closed: None,
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
        remove(&paths, &found).unwrap();
        remove(&paths, &found).unwrap();
        assert_eq!(list(&paths, trust).unwrap().len(), 1);
    }

    #[test]
    fn a_login_that_is_over_is_still_found_until_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        fs::create_dir(folder.path().join("run")).unwrap();
        pending().write(&paths).unwrap();
        assert!(close(&paths, pending().leader, &pending().id).unwrap());
        assert!(!close(&paths, pending().leader, &pending().id).unwrap());
        let found = list(&paths, trust).unwrap().pop().unwrap().unwrap();
        assert!(found.closed.is_some());
        assert_eq!(Pending { closed: None, ..found.clone() }, pending());
        remove(&paths, &found).unwrap();
        assert!(list(&paths, trust).unwrap().is_empty());
        (0..MOST).for_each(|n| fs::write(paths.pending().join(format!("{}-1{OVER}", n + 100)), "").unwrap());
        pending().write(&paths).unwrap();
        assert!(close(&paths, pending().leader, &pending().id).unwrap());
        assert_eq!(fs::read_dir(paths.pending()).unwrap().count(), MOST);
    }

    #[test]
    fn one_process_leaves_each_of_its_logins() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        fs::create_dir(folder.path().join("run")).unwrap();
        let second = Pending { id: "f".repeat(32), ..pending() };
        for login in [&pending(), &second] {
            login.write(&paths).unwrap();
            assert!(close(&paths, login.leader, &login.id).unwrap());
        }
        pending().write(&paths).unwrap();
        assert!(!close(&paths, second.leader, &second.id).unwrap(), "the other one goes on");
        let found: Vec<_> = list(&paths, trust).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(found.iter().filter(|login| login.closed.is_some() && login.id == second.id).count(), 1);
        assert_eq!(found.iter().filter(|login| login.id == pending().id).count(), 2);
        found.iter().for_each(|login| remove(&paths, login).unwrap());
        assert!(list(&paths, trust).unwrap().is_empty());
    }

    #[test]
    fn what_is_over_comes_before_what_goes_on_and_each_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        fs::create_dir(folder.path().join("run")).unwrap();
        // Folders list in an order of their own, so either way round.
        for (n, secs) in [(1, 20), (2, 10), (3, 40), (4, 30)] {
            let opened_boot = BootTime::new(Duration::from_secs(secs));
            let login = Pending { id: n.to_string().repeat(32), opened_boot, ..pending() };
            login.write(&paths).unwrap();
            if secs > 20 {
                assert!(close(&paths, login.leader, &login.id).unwrap());
            }
        }
        let found = list(&paths, Trust::of(nix::unistd::geteuid().as_raw())).unwrap().into_iter().map(Result::unwrap);
        let secs: Vec<_> = found.map(|login| login.opened_boot.as_secs()).collect();
        assert_eq!(secs, [30, 40, 10, 20]);
    }

    #[test]
    fn a_file_of_another_name_than_its_logins_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        fs::create_dir(folder.path().join("run")).unwrap();
        pending().write(&paths).unwrap();
        let written = paths.pending().join(name(pending().leader, &pending().id));
        fs::rename(written, paths.pending().join(format!("7-42.{}", "f".repeat(32)))).unwrap();
        let found = list(&paths, Trust::of(nix::unistd::geteuid().as_raw())).unwrap().pop().unwrap();
        assert!(matches!(found, Err(PendingError::Syntax(_))));
    }

    #[test]
    fn what_an_older_module_left_is_found_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        fs::create_dir(folder.path().join("run")).unwrap();
        for older in ["7-42", "7-42.over"] {
            pending().write(&paths).unwrap();
            let written = paths.pending().join(name(pending().leader, &pending().id));
            fs::rename(written, paths.pending().join(older)).unwrap();
            let found = list(&paths, trust).unwrap().pop().unwrap().unwrap();
            assert_eq!((&found.id, found.closed.is_some()), (&pending().id, older == "7-42.over"));
            remove(&paths, &found).unwrap();
            assert!(list(&paths, trust).unwrap().is_empty());
        }
    }

    #[test]
    fn a_login_that_is_closed_between_the_look_and_the_removal_is_still_found_as_over() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        fs::create_dir(folder.path().join("run")).unwrap();
        pending().write(&paths).unwrap();
        let seen = list(&paths, trust).unwrap().pop().unwrap().unwrap();
        assert!(close(&paths, pending().leader, &pending().id).unwrap());
        remove(&paths, &seen).unwrap();
        let over = list(&paths, trust).unwrap().pop().unwrap().unwrap();
        assert!(over.closed.is_some());
        // The leader's next login is another file.
        pending().write(&paths).unwrap();
        remove(&paths, &over).unwrap();
        assert_eq!(list(&paths, trust).unwrap().pop().unwrap().unwrap(), pending());
    }
}
