//! What users change of their own authenticators, after they have proved one. It runs on a thread beside the loop.

use std::collections::BTreeSet;

use authflow_core::{
    account::{Authenticators, BadRecord},
    config::Config,
    first_authenticator::{self, NotByPassword},
    news::{Event, Item},
    secret::Secret,
    stand_in::{CodeDigest, RecoverySet},
    time::{Clock, WallTime},
    totp::{BadKey, TotpKey},
};
use authflow_host::{
    accounts::{self, Account, AccountError},
    clock::SystemClock,
    config::{self, LoadError},
    paths::Paths,
    records::{RecordError, Records},
};

use super::permit::Permission;

/// The password's own name among the factors.
const PASSWORD: &str = "password";

/// An authenticator that somebody wants to have.
pub(crate) struct Wish {
    /// What it is called.
    pub(crate) name: String,
    /// Its secret.
    pub(crate) secret: Secret,
    /// A code that shows that the app has the secret.
    pub(crate) code: Secret,
    /// Digests of recovery codes, for a user who has none left.
    pub(crate) recovery: BTreeSet<CodeDigest>,
}

/// What a user had when a proof of it was judged.
#[derive(Debug, Default)]
pub(super) struct Seen(pub(super) Authenticators);

impl Seen {
    /// What was proved must not be worth anything any more once it was taken away, or replaced.
    fn still_holds(&self, keys: &Authenticators) -> Result<(), Unchanged> {
        if *self.0.to_text() == *keys.to_text() { Ok(()) } else { Err(Unchanged::Meanwhile) }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unchanged {
    /// The caller's uid is nobody's.
    #[error("there is no user with the uid {0}")]
    NoUser(u32),
    /// An administrator disabled the user.
    #[error("the user is disabled")]
    Disabled,
    /// The code is not of that authenticator, now.
    #[error("the code is not the one that the app shows now: nothing was saved")]
    NotConfirmed,
    /// The name or the secret will not do.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The name is the password's, or the name or the secret is taken.
    #[error("the name or the secret is taken already: choose another name")]
    Taken,
    /// There is no more room.
    #[error("{0}")]
    Full(BadRecord),
    /// What was proved has become another.
    #[error("what you have was changed meanwhile: begin anew")]
    Meanwhile,
    /// It takes more than the password.
    #[error(transparent)]
    NotByPassword(#[from] NotByPassword),
    /// Permitted was the first authenticator, and there is one by now.
    #[error("an authenticator was enrolled meanwhile, perhaps by somebody else")]
    NotFirst,
    /// Not by users themselves.
    #[error("only an administrator takes the password or the last authenticator away")]
    Last,
    /// The configuration cannot be used.
    #[error("no usable configuration: {0}")]
    Config(#[from] LoadError),
    /// The user data base cannot be asked.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The record is managed, or cannot be used.
    #[error("the user's record: {0}")]
    Record(#[from] RecordError),
}

impl Unchanged {
    /// Whether it is the caller's to mend, who may thus be told.
    pub(super) const fn is_callers(&self) -> bool {
        match self {
            Self::NotConfirmed | Self::Key(_) | Self::Taken | Self::Full(_) | Self::Last | Self::Meanwhile => true,
            Self::NotByPassword(_) | Self::NotFirst => true,
            Self::Record(RecordError::Managed(_)) => true,
            Self::NoUser(_) | Self::Disabled | Self::Config(_) | Self::Account(_) | Self::Record(_) => false,
        }
    }
}

/// Whether the user may enrol a first authenticator by the password alone, as the configuration is now.
///
/// # Errors
/// It takes more, by a rule that may be about the user.
pub(super) fn first_by_password(config: &Config, account: &Account) -> Result<(), NotByPassword> {
    let named = config.rules.iter().flat_map(|rule| &rule.groups).map(String::as_str);
    first_authenticator::by_password(config, &account.name, &account.groups_perhaps_among(named))
}

/// Adds an authenticator; tells whose, and whether the recovery codes were taken.
///
/// # Errors
/// Nothing was changed.
pub(super) fn add(
    paths: &Paths,
    uid: u32,
    wish: Wish,
    (permission, seen): (Permission, &Seen),
) -> Result<(String, bool), Unchanged> {
    let now = SystemClock.now().wall;
    let config = config::load(paths)?.config;
    let (account, records) = (account(paths, uid)?, Records::new(paths.clone()));
    if permission == Permission::First {
        first_by_password(&config, &account)?;
    }
    let (user, skew) = (account.name, config.totp.skew);
    let Wish { name, secret, code, recovery } = wish;
    if name == PASSWORD {
        return Err(Unchanged::Taken);
    }
    let key = TotpKey::new(&name, secret, now)?;
    let step = key.step_of(&code, skew, now).ok_or(Unchanged::NotConfirmed)?;
    // Used up before the authenticator is worth anything: were writing that to fail, the code could log in.
    let spent = records.update_state(&user, |state| {
        state.last_steps.use_up(&key, step);
        state.spent_codes.clone()
    })?;
    let takes_codes = records.update(&user, |keys| {
        seen.still_holds(keys)?;
        // Somebody else may have enrolled the first one since this was permitted.
        if permission == Permission::First && !keys.totp().is_empty() {
            return Err(Unchanged::NotFirst);
        }
        add_to(keys, key)?;
        let is_wanted = !recovery.is_empty() && keys.recovery.as_ref().is_none_or(|set| set.left(&spent) == 0);
        if is_wanted {
            keys.recovery = Some(RecoverySet { made: now, codes: recovery });
        }
        Ok::<_, Unchanged>(is_wanted)
    })?;
    tell(&records, &user, (Event::FactorAdded, &name), now)?;
    if takes_codes {
        tell(&records, &user, (Event::RecoveryCodesMade, ""), now)?;
    }
    Ok((user, takes_codes))
}

/// Takes an authenticator away; tells whose, and whether it was there.
///
/// # Errors
/// Nothing was changed.
pub(super) fn remove(paths: &Paths, uid: u32, name: &str, seen: &Seen) -> Result<(String, bool), Unchanged> {
    let (user, records) = (account(paths, uid)?.name, Records::new(paths.clone()));
    let removed = records.update(&user, |keys| {
        seen.still_holds(keys)?;
        let is_last = keys.totp().iter().all(|key| key.name() == name) && !keys.totp().is_empty();
        if name == PASSWORD || is_last {
            return Err(Unchanged::Last);
        }
        Ok(keys.remove_totp(name))
    })?;
    if removed {
        tell(&records, &user, (Event::FactorRemoved, name), SystemClock.now().wall)?;
    }
    Ok((user, removed))
}

fn account(paths: &Paths, uid: u32) -> Result<Account, Unchanged> {
    let account = accounts::by_uid(uid)?.ok_or(Unchanged::NoUser(uid))?;
    if Records::new(paths.clone()).is_disabled(&account.name)? { Err(Unchanged::Disabled) } else { Ok(account) }
}

fn add_to(keys: &mut Authenticators, key: TotpKey) -> Result<(), Unchanged> {
    keys.add_totp(key).map_err(|bad| if bad == BadRecord::Twice { Unchanged::Taken } else { Unchanged::Full(bad) })
}

fn tell(records: &Records, user: &str, (event, name): (Event, &str), at: WallTime) -> Result<(), Unchanged> {
    let item = Item { at, event, from: None, detail: name.to_owned() };
    Ok(records.update_state(user, |state| state.news.push(item))?)
}
