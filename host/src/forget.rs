//! Forgets what goes by a name: the record, the state and the mark, so that whoever is given the name next inherits nothing. A managed
//! record is never touched. The lock stays, as it always does.

use std::{fs, io::ErrorKind, path::PathBuf};

use authflow_core::name;

use crate::{
    file::{self, FileError},
    records::{RecordError, Records},
};

/// What goes by a name, or went by it until it was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Held {
    /// The password and authenticators.
    pub record: bool,
    /// Counters and used codes.
    pub state: bool,
    /// The mark of a disabled user.
    pub mark: bool,
}

impl Held {
    /// Whether there is anything.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.record || self.state || self.mark
    }
}

impl Records {
    /// What goes by that name, whether or not it can be read.
    ///
    /// # Errors
    /// The name cannot have a record.
    pub fn held(&self, user: &str) -> Result<Held, RecordError> {
        let [record, state, mark] = self.places(user)?.map(|path| path.symlink_metadata().is_ok());
        Ok(Held { record, state, mark })
    }

    /// Forgets all of it; tells what was there.
    ///
    /// # Errors
    /// The record is managed, or something cannot be taken away.
    pub fn forget(&self, user: &str) -> Result<Held, RecordError> {
        let file_name = name::file_name(user)?;
        let managed = self.paths.managed_users().join(format!("{file_name}.toml"));
        if managed.symlink_metadata().is_ok() {
            return Err(RecordError::Managed(managed));
        }
        if !self.held(user)?.is_any() {
            return Ok(Held::default());
        }
        let _lock = self.lock(&file_name)?;
        // The record first: a state without one opens nothing, and a record without its state would take used codes again.
        let [record, state, mark] = self.places(user)?;
        Ok(Held { record: remove(record)?, state: remove(state)?, mark: remove(mark)? })
    }

    fn places(&self, user: &str) -> Result<[PathBuf; 3], RecordError> {
        let file_name = name::file_name(user)?;
        let record = self.paths.users().join(format!("{file_name}.toml"));
        Ok([record, self.paths.state().join(file_name), self.mark_path(user)?])
    }
}

/// Takes the file away for good; tells whether it was there.
fn remove(path: PathBuf) -> Result<bool, FileError> {
    match fs::remove_file(&path) {
        Ok(()) => path.parent().map_or(Ok(()), file::sync_folder).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(FileError::Io { action: "remove", path, source }),
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::{account::Authenticators, deactivation::Mark};

    use super::*;
    use crate::{file::Trust, paths::Paths};

    fn records() -> (tempfile::TempDir, Records) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        let records = Records::trusting(Paths::new(folder.path()), Trust::of(nix::unistd::geteuid().as_raw()));
        (folder, records)
    }

    #[test]
    fn nothing_is_left_that_the_next_of_that_name_could_inherit() {
        let (_folder, records) = records();
        for user in ["carol", "dora"] {
            let enrolled = |record: &mut Authenticators| {
                *record = Authenticators::default();
                Ok::<_, RecordError>(())
            };
            records.update(user, enrolled).unwrap();
            records.update_state(user, |state| state.throttle.unlock()).unwrap();
            assert!(records.disable(user, &Mark::default()).unwrap());
        }
        fs::write(records.paths.state().join("carol"), "cut").unwrap();
        let all = Held { record: true, state: true, mark: true };
        assert_eq!(records.forget("carol").unwrap(), all, "whatever stands in it");
        assert!(!records.is_known("carol").unwrap() && !records.held("carol").unwrap().is_any());
        assert!(records.is_known("dora").unwrap() && records.is_disabled("dora").unwrap());
        assert_eq!(records.forget("carol").unwrap(), Held::default());
    }

    #[test]
    fn what_is_managed_stays_and_so_does_its_state() {
        let (_folder, records) = records();
        assert!(records.disable("carol", &Mark::default()).unwrap());
        fs::create_dir_all(records.paths.managed_users()).unwrap();
        fs::write(records.paths.managed_users().join("carol.toml"), "cut").unwrap();
        assert!(matches!(records.forget("carol"), Err(RecordError::Managed(_))));
        assert!(records.is_disabled("carol").unwrap());
    }

    #[test]
    fn a_name_that_nothing_goes_by_leaves_no_file() {
        let (folder, records) = records();
        assert_eq!(records.forget("carol").unwrap(), Held::default());
        assert!(!folder.path().join("var/lib/authflow").exists());
    }
}
