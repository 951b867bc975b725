//! User records: authenticators and state on disk. [`Records::settle`] is the one way from a judgement to a verdict: under the user's
//! lock, and only after the next state is durable.

use std::path::{Path, PathBuf};

use authflow_core::{
    account::{Authenticators, BadRecord},
    flow::{Judgement, Written},
    name::{self, BadName},
    state::{self, BadState, State},
};

use crate::{
    file::{self, FileError, Stamp, Trust},
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
    pub(crate) trust: Trust,
}

/// A user's record, and what it is known by.
#[derive(Debug, Default)]
pub struct Looked {
    /// The record, if there is one.
    pub record: Option<Authenticators>,
    /// What it is known by.
    pub seen: Seen,
}

/// What a record that was read is known by.
#[derive(Debug, Default)]
pub struct Seen {
    managed: Option<Stamp>,
    own: Option<Stamp>,
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
        Ok(self.look(user)?.record)
    }

    /// The same, and what [`is_still`](Self::is_still) knows it by.
    ///
    /// # Errors
    /// As [`authenticators`](Self::authenticators).
    pub fn look(&self, user: &str) -> Result<Looked, RecordError> {
        let [managed, own] = self.record_paths(user)?;
        if let Some((record, stamp)) = self.read(managed, Authenticators::parse)? {
            return Ok(Looked { record: Some(record), seen: Seen { managed: Some(stamp), own: None } });
        }
        let (record, own) = self.read(own, Authenticators::parse_own)?.unzip();
        Ok(Looked { record, seen: Seen { managed: None, own } })
    }

    /// Whether the user's record still is the one that was looked at: a third of what reading it again costs.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn is_still(&self, user: &str, seen: &Seen) -> Result<bool, RecordError> {
        let [managed, own] = self.record_paths(user)?;
        Ok(Stamp::at(&managed)? == seen.managed && (seen.managed.is_some() || Stamp::at(&own)? == seen.own))
    }

    fn record_paths(&self, user: &str) -> Result<[PathBuf; 2], RecordError> {
        let file_name = format!("{}.toml", name::file_name(user)?);
        Ok([self.paths.managed_users(), self.paths.users()].map(|folder| folder.join(&file_name)))
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
        let path = self.mark_path(user)?;
        match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(FileError::Io { action: "look at", path, source }.into()),
        }
    }

    /// Where the mark of a disabled user is.
    pub(crate) fn mark_path(&self, user: &str) -> Result<PathBuf, RecordError> {
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
        let (state, slots) = self.read_state_to_write(&file_name)?;
        let Judgement { next, is_as_it_was, record, verdict } = judge(&state)?;
        if !is_as_it_was {
            slots.write(&next.to_text()).map_err(RecordError::from)?;
        }
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
        let (mut state, slots) = self.read_state_to_write(&file_name)?;
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

    pub(crate) fn lock(&self, file_name: &str) -> Result<Lock, RecordError> {
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

    /// The state, with room for whatever comes next: without it nothing is judged, so that no answer is told apart by what fits.
    fn read_state_to_write(&self, file_name: &str) -> Result<(State, Slots), RecordError> {
        self.read_state(file_name, |path, trust| Slots::read_to_write(path, trust)?.with_room(state::GROWTH, trust))
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
    ) -> Result<Option<(Authenticators, Stamp)>, RecordError> {
        match file::read_stamped(&path, self.trust).map(|(text, stamp)| (zeroize::Zeroizing::new(text), stamp)) {
            Ok((text, stamp)) => {
                let record = parse(&text).map_err(|why| RecordError::Record { path, why })?;
                Ok(Some((record, stamp)))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
