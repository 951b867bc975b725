//! The mark of a disabled user: a file, so that the module finds it without a daemon, and no other state is touched by it. That it is
//! there is all that counts for a login; what stands in it says who and why.

use std::{fs, io::ErrorKind};

use authflow_core::{deactivation::Mark, name};

use crate::{
    file::{self, FileError},
    local_accounts,
    records::{RecordError, Records},
};

impl Records {
    /// Marks the user as disabled, with the uid where the account is this machine's own; tells whether that changed anything.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub fn disable(&self, user: &str, mark: &Mark) -> Result<bool, RecordError> {
        if self.is_disabled(user)? {
            return Ok(false);
        }
        let file = format!("{}.disabled", name::file_name(user)?);
        let folder = self.state_folder()?;
        // By the machine's own file alone: no directory that is away may stand between.
        let uid = local_accounts::uid_of(&self.paths, user).ok().flatten();
        let mark = Mark { uid, ..mark.clone() };
        file::write_durably(&folder, &file, format!("{mark}\n").as_bytes(), 0o600)?;
        Ok(true)
    }

    /// What the mark of a disabled user says: nothing, where it cannot be read. `None` for whoever is not disabled.
    ///
    /// # Errors
    /// It cannot be found out whether there is one.
    pub fn mark(&self, user: &str) -> Result<Option<Mark>, RecordError> {
        if !self.is_disabled(user)? {
            return Ok(None);
        }
        let text = file::read_trusted(&self.mark_path(user)?, self.trust).unwrap_or_default();
        let Ok(mark) = text.parse();
        Ok(Some(mark))
    }

    /// Whether anything here goes by that name: a record, or the mark.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_known(&self, user: &str) -> Result<bool, RecordError> {
        Ok(self.is_disabled(user)? || self.authenticators(user)?.is_some())
    }

    /// Takes the mark away; tells whether it was there.
    ///
    /// # Errors
    /// It cannot be taken away.
    pub fn enable(&self, user: &str) -> Result<bool, RecordError> {
        let path = self.mark_path(user)?;
        match fs::remove_file(&path) {
            Ok(()) => {
                path.parent().map_or(Ok(()), file::sync_folder)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(FileError::Io { action: "remove", path, source }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{file::Trust, paths::Paths};

    #[test]
    fn a_mark_is_set_once_and_taken_away_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        let owner = nix::unistd::geteuid().as_raw();
        let records = Records::trusting(Paths::new(folder.path()), Trust::of(owner));
        let mark = |by: &str| Mark { by: by.to_owned(), message: "call 4711".to_owned(), uid: None };
        assert!(!records.enable("alice").unwrap());
        assert!(records.disable("alice", &mark("root")).unwrap());
        assert!(!records.disable("alice", &mark("another")).unwrap());
        assert_eq!(records.mark("alice").unwrap(), Some(mark("root")));
        assert!(records.is_disabled("alice").unwrap() && !records.is_disabled("bob").unwrap());
        assert!(records.is_known("alice").unwrap() && !records.is_known("bob").unwrap());
        assert!(records.enable("alice").unwrap() && !records.is_disabled("alice").unwrap());
        assert!(!records.enable("alice").unwrap());
        assert!(records.disable("", &mark("no name")).is_err());
        assert_eq!(records.mark("alice").unwrap(), None);
    }

    #[test]
    fn a_mark_knows_whose_account_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        fs::create_dir_all(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("etc/passwd"), "dora:x:1777:1777::/:/bin/sh\n").unwrap();
        let records = Records::trusting(Paths::new(folder.path()), Trust::of(nix::unistd::geteuid().as_raw()));
        assert!(records.disable("dora", &Mark::default()).unwrap());
        assert_eq!(records.mark("dora").unwrap().and_then(|mark| mark.uid), Some(1777));
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        fs::create_dir_all(paths.state().join("alice.disabled")).unwrap();
        let records = Records::trusting(paths, Trust::of(nix::unistd::geteuid().as_raw()));
        assert_eq!(records.mark("alice").unwrap(), Some(Mark::default()));
    }
}
