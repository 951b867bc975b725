//! The user whom a command is about, and that user's records. Records are root's: they hold secrets, and users change
//! their own through the daemon.

use authflow_core::{
    account::{Authenticators, BadRecord, Password},
    config::Config,
    news::Item,
    state::State,
    totp::TotpKey,
};
use authflow_host::{
    accounts::Account,
    new_password::{self, SetError},
    records::{RecordError, Records},
};

use crate::error::Error;

/// A user and the way to the user's records.
pub(crate) struct Subject {
    name: String,
    account: Option<Account>,
    records: Records,
}

impl Subject {
    /// A user of this machine.
    pub(crate) fn new(account: Account, records: Records) -> Self {
        Self { name: account.name.clone(), account: Some(account), records }
    }

    /// A user whom an image may yet have.
    pub(crate) const fn of_image(name: String, records: Records) -> Self {
        Self { name, account: None, records }
    }

    /// The user's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The user's name, for the report.
    pub(crate) fn into_name(self) -> String {
        self.name
    }

    /// The user's full name, and what else the account says for people.
    pub(crate) fn gecos(&self) -> &str {
        self.account.as_ref().map_or("", |account| &account.gecos)
    }

    /// Those of the groups that rules name which the user may be in.
    pub(crate) fn groups(&self, config: &Config) -> Vec<String> {
        self.account.as_ref().map(|account| new_password::groups_that_count(config, account)).unwrap_or_default()
    }

    /// What the user can prove with; nothing if there is no record.
    pub(crate) fn authenticators(&self) -> Result<Authenticators, Error> {
        Ok(self.records.authenticators(&self.name)?.unwrap_or_default())
    }

    /// The user's counters and used-up steps.
    pub(crate) fn state(&self) -> Result<State, Error> {
        Ok(self.records.state(&self.name)?)
    }

    /// Changes what the user can prove with, under the user's lock.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Authenticators) -> Result<T, Error>) -> Result<T, Error> {
        self.records.update(&self.name, change)
    }

    /// Changes the user's counters, under the user's lock.
    pub(crate) fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        Ok(self.records.update_state(&self.name, change)?)
    }

    /// Sets the password, whatever there is.
    pub(crate) fn set_password(&self, new: Password) -> Result<(), Error> {
        new_password::set(&self.records, &self.name, new, None).map_err(|error| match error {
            SetError::Record(error) => error.into(),
            SetError::ChangedMeanwhile => Error::failed("cannot set the password", &error),
        })
    }

    /// Notes what the user is to be told at the next login.
    pub(crate) fn tell(&self, item: Item) -> Result<(), Error> {
        self.change_state(|state| state.news.push(item))
    }

    /// Adds an authenticator. The step that confirmed it is used up first: were that to fail, the code could log in. It is step 0 where none
    /// did: what is left in the state tells an import that there was an authenticator, also when this one is removed before its first use.
    pub(crate) fn enrol(&self, key: &TotpKey, confirmed: Option<u64>) -> Result<(), Error> {
        self.change_state(|state| state.last_steps.use_up(key, confirmed.unwrap_or_default()))?;
        self.update(|keys| add(keys, key.clone()))
    }
}

/// Adds `key` to `keys`; the error says what its reader can do about it.
pub(crate) fn add(keys: &mut Authenticators, key: TotpKey) -> Result<(), Error> {
    let name = key.name().to_owned();
    keys.add_totp(key).map_err(|error| {
        if error == BadRecord::Twice {
            Error::Failed(format!(
                "the user already has an authenticator named {name:?}, or one with this secret: remove it first, or give \
                 --name"
            ))
        } else {
            Error::failed("cannot enrol", &error)
        }
    })
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Managed(_) => Self::NotAllowed(error.to_string()),
            RecordError::Name(_)
            | RecordError::File(_)
            | RecordError::Record { .. }
            | RecordError::State { .. }
            | RecordError::BrokenState(_)
            | RecordError::Busy => Self::failed("the user's record", &error),
        }
    }
}
