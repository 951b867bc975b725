//! The mark of a disabled user: a file, so that the module finds it without a daemon, and no other state is touched by it. That it is
//! there is all that counts; what stands in it is for people.

use std::{fs, io::ErrorKind};

use authflow_core::name;

use crate::{
    file::{self, FileError},
    records::{RecordError, Records},
};

impl Records {
    /// Marks the user as disabled; tells whether that changed anything. `note` says who did it and why.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub fn disable(&self, user: &str, note: &str) -> Result<bool, RecordError> {
        if self.is_disabled(user)? {
            return Ok(false);
        }
        let mark = format!("{}.disabled", name::file_name(user)?);
        let folder = self.state_folder()?;
        file::write_durably(&folder, &mark, format!("{note}\n").as_bytes(), 0o600)?;
        Ok(true)
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
        let path = self.mark(user)?;
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
        assert!(!records.enable("alice").unwrap());
        assert!(records.disable("alice", "by root").unwrap());
        assert!(!records.disable("alice", "by another").unwrap());
        assert!(records.is_disabled("alice").unwrap() && !records.is_disabled("bob").unwrap());
        assert!(records.is_known("alice").unwrap() && !records.is_known("bob").unwrap());
        assert!(records.enable("alice").unwrap() && !records.is_disabled("alice").unwrap());
        assert!(!records.enable("alice").unwrap());
        assert!(records.disable("", "no name").is_err());
    }
}
