//! User records: authenticators and state on disk. [`Records::settle`] is the one way from a judgement to a verdict: under the user's
//! lock, and only after the next state is durable.

use std::path::{Path, PathBuf};

use authflow_core::{
    account::{Authenticators, BadRecord},
    flow::{Judgement, Written},
    name::{self, BadName},
    state::{BadState, State},
};

use crate::{
    file::{self, FileError, Trust},
    lock::{self, Lock, LockError},
    paths::Paths,
    slots::{Slots, SlotsError},
};

/// Why a record cannot be used. Each denies: an unreadable record is never "not enrolled".
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The user name cannot have a record.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A file cannot be read, trusted or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What stands in the record.
    #[error("{}: {why}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: BadRecord,
    },
    /// What stands in the state.
    #[error("{}: {why}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: BadState,
    },
    /// The state's file holds no whole text.
    #[error("{}: the state is cut short, or not written by authflow", .0.display())]
    BrokenState(PathBuf),
    /// Other logins of the user held the lock for too long.
    #[error("busy: other logins of the same user hold the lock")]
    Busy,
    /// Configuration management owns the record.
    #[error("{} is managed: it is never written here", .0.display())]
    Managed(PathBuf),
}

impl From<SlotsError> for RecordError {
    fn from(error: SlotsError) -> Self {
        match error {
            SlotsError::File(error) => Self::File(error),
            SlotsError::Broken(path) => Self::BrokenState(path),
        }
    }
}

impl From<LockError> for RecordError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy => Self::Busy,
            LockError::File(error) => Self::File(error),
        }
    }
}

/// All users' records.
#[derive(Clone, Debug)]
pub struct Records {
    pub(crate) paths: Paths,
    trust: Trust,
}

/// Whose state an attempt goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot<'a> {
    /// A user of this machine.
    User(&'a str),
    /// A name that is none: one of a fixed number of decoys takes the same lock and the same write, and no file is made a name.
    Decoy(&'a str),
}

impl Slot<'_> {
    fn file_name(self) -> Result<String, BadName> {
        match self {
            Self::User(user) => name::file_name(user),
            Self::Decoy(user) => Ok(name::decoy_name(user)),
        }
    }
}

impl Records {
    /// Root's records in those places.
    #[must_use]
    pub const fn new(paths: Paths) -> Self {
        Self { paths, trust: Trust::root() }
    }

    /// Records that somebody else owns: for image builds and tests without root.
    #[must_use]
    pub const fn trusting(paths: Paths, trust: Trust) -> Self {
        Self { paths, trust }
    }

    /// What the user can prove with. A managed record wins; `None` is a user without any.
    ///
    /// # Errors
    /// Anything but "there is none".
    pub fn authenticators(&self, user: &str) -> Result<Option<Authenticators>, RecordError> {
        let file_name = format!("{}.toml", name::file_name(user)?);
        if let Some(record) = self.read(self.paths.managed_users().join(&file_name), Authenticators::parse)? {
            return Ok(Some(record));
        }
        self.read(self.paths.users().join(&file_name), Authenticators::parse_own)
    }

    /// Whether configuration management owns the user's record.
    ///
    /// # Errors
    /// The managed record cannot be read.
    pub fn is_managed(&self, user: &str) -> Result<bool, RecordError> {
        let path = self.paths.managed_users().join(format!("{}.toml", name::file_name(user)?));
        Ok(self.read(path, Authenticators::parse)?.is_some())
    }

    /// The user's counters and used steps as they stand, to be shown.
    ///
    /// # Errors
    /// They cannot be read. A user who never tried has empty ones.
    pub fn state(&self, user: &str) -> Result<State, RecordError> {
        Ok(self.read_state(&name::file_name(user)?, Slots::read)?.0)
    }

    /// Whether an administrator disabled the user.
    ///
    /// # Errors
    /// It cannot be found out.
    pub fn is_disabled(&self, user: &str) -> Result<bool, RecordError> {
        let path = self.mark(user)?;
        match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(FileError::Io { action: "look at", path, source }.into()),
        }
    }

    /// Where the mark of a disabled user is.
    pub(crate) fn mark(&self, user: &str) -> Result<PathBuf, RecordError> {
        Ok(self.paths.state().join(format!("{}.disabled", name::file_name(user)?)))
    }

    /// The folder of states, made where it is not there.
    pub(crate) fn state_folder(&self) -> Result<PathBuf, RecordError> {
        self.ensure_folder(self.paths.state())?;
        Ok(self.paths.state())
    }

    /// Takes the lock of the slot, has `judge` judge by its state, makes what it wants written durable, and only then opens the verdict.
    /// `judge` is called under the lock, so a time it reads is later than that of any judgement before.
    ///
    /// # Errors
    /// Without lock, state or durable write there is no verdict.
    pub fn settle<T>(&self, slot: Slot<'_>, judge: impl FnOnce(&State) -> Judgement<T>) -> Result<T, RecordError> {
        self.try_settle(slot, |state| Ok(judge(state)))
    }

    /// The same for a judgement that may fail, since it reads records under the lock.
    ///
    /// # Errors
    /// As [`Records::settle`], and what `judge` fails with.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that may say that a state is durable")]
    pub fn try_settle<T, E: From<RecordError>>(
        &self,
        slot: Slot<'_>,
        judge: impl FnOnce(&State) -> Result<Judgement<T>, E>,
    ) -> Result<T, E> {
        let file_name = slot.file_name().map_err(RecordError::from)?;
        let _lock = self.lock(&file_name)?;
        let (state, slots) = self.read_state(&file_name, Slots::read_to_write)?;
        let Judgement { next, record, verdict } = judge(&state)?;
        slots.write(&next.to_text()).map_err(RecordError::from)?;
        if let (Slot::User(user), Some(record)) = (slot, record) {
            self.write_own(user, &record)?;
        }
        Ok(verdict.commit(Written::after_durable_write()))
    }

    /// Changes the user's authenticators under the lock; tells what `change` tells. Writes only if the text differs, so a change that
    /// changes nothing leaves the file alone.
    ///
    /// # Errors
    /// The record is managed, cannot be read or written, or `change` refuses.
    pub fn update<T, E: From<RecordError>>(
        &self,
        user: &str,
        change: impl FnOnce(&mut Authenticators) -> Result<T, E>,
    ) -> Result<T, E> {
        let file_name = name::file_name(user).map_err(RecordError::from)?;
        self.must_be_ours(user, &file_name)?;
        let _lock = self.lock(&file_name)?;
        let before = self.authenticators(user)?;
        let mut record = before.clone().unwrap_or_default();
        let told = change(&mut record)?;
        if before.is_none_or(|before| *before.to_text() != *record.to_text()) {
            self.write_own(user, &record)?;
        }
        Ok(told)
    }

    /// Changes the user's state under the lock.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn update_state<T>(&self, user: &str, change: impl FnOnce(&mut State) -> T) -> Result<T, RecordError> {
        let file_name = name::file_name(user)?;
        let _lock = self.lock(&file_name)?;
        let (mut state, slots) = self.read_state(&file_name, Slots::read_to_write)?;
        let before = state.clone();
        let told = change(&mut state);
        if state != before {
            slots.write(&state.to_text())?;
        }
        Ok(told)
    }

    fn must_be_ours(&self, user: &str, file_name: &str) -> Result<(), RecordError> {
        if self.is_managed(user)? {
            return Err(RecordError::Managed(self.paths.managed_users().join(format!("{file_name}.toml"))));
        }
        Ok(())
    }

    /// Writes a record of ours; the user's lock is held.
    fn write_own(&self, user: &str, record: &Authenticators) -> Result<(), RecordError> {
        let file_name = name::file_name(user)?;
        self.must_be_ours(user, &file_name)?;
        self.ensure_folder(self.paths.users())?;
        let (record_name, text) = (format!("{file_name}.toml"), record.to_text());
        Ok(file::write_durably(&self.paths.users(), &record_name, text.as_bytes(), 0o600)?)
    }

    fn lock(&self, file_name: &str) -> Result<Lock, RecordError> {
        let path = self.paths.state().join(format!("{file_name}.lock"));
        match lock::take(&path, self.trust) {
            // The first login of all.
            Err(LockError::File(error)) if error.is_missing() => {
                self.ensure_folder(self.paths.state())?;
                Ok(lock::take(&path, self.trust)?)
            }
            taken => Ok(taken?),
        }
    }

    fn ensure_folder(&self, folder: PathBuf) -> Result<(), RecordError> {
        if !folder.is_dir() {
            file::ensure_folder(&self.paths.state_home(), 0o755)?;
            file::ensure_folder(&folder, 0o700)?;
        }
        Ok(())
    }

    fn read_state(
        &self,
        file_name: &str,
        read: impl FnOnce(&Path, Trust) -> Result<Slots, SlotsError>,
    ) -> Result<(State, Slots), RecordError> {
        let path = self.paths.state().join(file_name);
        let slots = read(&path, self.trust)?;
        let state = slots.text().map(State::parse).transpose().map_err(|why| RecordError::State { path, why })?;
        Ok((state.unwrap_or_default(), slots))
    }

    fn read(
        &self,
        path: PathBuf,
        parse: impl FnOnce(&str) -> Result<Authenticators, BadRecord>,
    ) -> Result<Option<Authenticators>, RecordError> {
        match file::read_trusted(&path, self.trust).map(zeroize::Zeroizing::new) {
            Ok(text) => parse(&text).map(Some).map_err(|why| RecordError::Record { path, why }),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use authflow_core::{secret::Secret, time::WallTime, totp::TotpKey};

    use super::*;

    fn records() -> (tempfile::TempDir, Records) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        let paths = Paths::new(folder.path());
        let trust = Trust::of(nix::unistd::geteuid().as_raw());
        (folder, Records::trusting(paths, trust))
    }

    fn enrol(records: &Records) -> Result<(), RecordError> {
        let key = TotpKey::new("phone", Secret::new(vec![7; 20]), WallTime::default()).unwrap();
        records.update("alice", |record| {
            record.add_totp(key).unwrap();
            Ok(())
        })
    }

    #[test]
    fn a_record_is_there_once_written_and_root_alone_reads_it() {
        let (_folder, records) = records();
        assert!(records.authenticators("alice").unwrap().is_none());
        enrol(&records).unwrap();
        assert_eq!(records.authenticators("alice").unwrap().unwrap().totp().len(), 1);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(records.paths.users()), 0o700);
        assert_eq!(mode(records.paths.users().join("alice.toml")), 0o600);
    }

    #[test]
    fn a_managed_record_wins_and_is_never_written() {
        let (_folder, records) = records();
        enrol(&records).unwrap();
        fs::create_dir_all(records.paths.managed_users()).unwrap();
        fs::write(records.paths.managed_users().join("alice.toml"), "version = 1\n").unwrap();
        assert!(records.authenticators("alice").unwrap().unwrap().totp().is_empty());
        assert!(matches!(enrol(&records), Err(RecordError::Managed(_))));
    }

    #[test]
    fn a_broken_record_or_state_is_an_error_and_not_an_empty_one() {
        let (_folder, records) = records();
        enrol(&records).unwrap();
        let path = records.paths.users().join("alice.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(matches!(records.authenticators("alice"), Err(RecordError::Record { .. })));
        fs::write(records.paths.state().join("alice"), "").unwrap();
        assert!(matches!(records.state("alice"), Err(RecordError::BrokenState(_))));
        let unlocked = records.update_state("alice", |state| state.throttle.unlock());
        assert!(matches!(unlocked, Err(RecordError::BrokenState(_))), "nor is it repaired in silence");
    }

    #[test]
    fn a_mark_disables_a_user() {
        let (_folder, records) = records();
        assert!(!records.is_disabled("alice").unwrap());
        records.update_state("alice", |_| ()).unwrap();
        fs::write(records.paths.state().join("alice.disabled"), "").unwrap();
        assert!(records.is_disabled("alice").unwrap());
        assert!(!records.is_disabled("alice.disabled").unwrap());
    }
}
