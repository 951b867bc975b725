//! A spare copy of each live session, in memory that only a reboot forgets. When the store is broken, full or gone, a daemon that starts
//! anew still finds every session: a lost one would be a shell that nothing ends.

use std::{fs, io::ErrorKind, path::PathBuf};

use authflow_core::session::{Session, SessionId};
use authflow_host::{
    file::{self, FileError, Trust},
    paths::Paths,
};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpareError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What stands in it, or does not fit into text.
    #[error("a spare copy of a session: {0}")]
    Record(#[from] serde_json::Error),
    /// A file that is no copy.
    #[error("{} is no spare copy of a session", .0.display())]
    Foreign(PathBuf),
}

/// The copies, a file a session.
#[derive(Clone, Debug)]
pub(crate) struct Spares {
    folder: PathBuf,
    trust: Trust,
}

impl Spares {
    /// Root's copies, in a folder that is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn open(paths: &Paths) -> Result<Self, SpareError> {
        file::ensure_folder(&paths.run(), 0o755)?;
        file::ensure_folder(&paths.live(), 0o700)?;
        Ok(Self { folder: paths.live(), trust: Trust::root() })
    }

    /// Copies a session as it is now.
    ///
    /// # Errors
    /// It cannot be written. Then there is no older copy either, which could be taken for the newest.
    pub(crate) fn copy(&self, session: &Session) -> Result<(), SpareError> {
        let name = session.id.to_string();
        let written = serde_json::to_string(session)
            .map_err(SpareError::from)
            .and_then(|text| Ok(file::write_durably(&self.folder, &name, text.as_bytes(), 0o600)?));
        if written.is_err() {
            self.remove(session.id)?;
        }
        written
    }

    /// Removes the copy of a session that is over.
    ///
    /// # Errors
    /// What the kernel says. One that is not there is removed.
    pub(crate) fn remove(&self, id: SessionId) -> Result<(), SpareError> {
        let path = self.folder.join(id.to_string());
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(FileError::Io { action: "remove", path, source }.into()),
        }
    }

    /// All copies, the unreadable ones as errors to be logged.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn all(&self) -> Result<Vec<Result<Session, SpareError>>, SpareError> {
        let failed = |source| FileError::Io { action: "read", path: self.folder.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // What a writer that died left behind begins with a dot.
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                found.push(self.read(entry.path()));
            }
        }
        Ok(found)
    }

    fn read(&self, path: PathBuf) -> Result<Session, SpareError> {
        let session: Session = serde_json::from_str(&file::read_trusted(&path, self.trust)?)?;
        let is_its_own = path.file_name().is_some_and(|name| *name == *session.id.to_string());
        if is_its_own { Ok(session) } else { Err(SpareError::Foreign(path)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::session;

    impl Spares {
        /// Copies in a folder of this test's own.
        pub(crate) fn in_folder(folder: PathBuf) -> Self {
            Self { folder, trust: Trust::of(rustix::process::geteuid().as_raw()) }
        }
    }

    fn ids(spares: &Spares) -> Vec<Option<SessionId>> {
        let mut ids: Vec<_> =
            spares.all().unwrap().into_iter().map(|copy| copy.ok().map(|session| session.id)).collect();
        ids.sort();
        ids
    }

    #[test]
    fn a_session_is_there_until_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let spares = Spares::in_folder(folder.path().to_owned());
        spares.copy(&session(1)).unwrap();
        spares.copy(&session(1)).unwrap();
        spares.copy(&session(2)).unwrap();
        assert_eq!(ids(&spares), [Some(session(1).id), Some(session(2).id)]);
        spares.remove(session(1).id).unwrap();
        spares.remove(session(1).id).unwrap();
        assert_eq!(ids(&spares), [Some(session(2).id)]);
    }

    #[test]
    fn a_file_that_is_no_copy_is_told_and_the_others_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let spares = Spares::in_folder(folder.path().to_owned());
        spares.copy(&session(1)).unwrap();
        fs::copy(folder.path().join(session(1).id.to_string()), folder.path().join("0".repeat(32))).unwrap();
        fs::write(folder.path().join("f".repeat(32)), "{").unwrap();
        fs::write(folder.path().join(".left-over.new"), "{").unwrap();
        assert_eq!(ids(&spares), [None, None, Some(session(1).id)]);
    }
}
