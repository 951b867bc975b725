//! New passwords: what this machine knows that they must not be, and how one is set. What a password must be is judged in core.

use authflow_core::{
    account::{Authenticators, Password},
    config::Config,
    factor::Factor,
    news::{Event, Item},
    password::PasswordHash,
    password_rules::{CommonPasswords, KnownNames, Minimum, PasswordRules},
};

use crate::{
    accounts::Account,
    file::{self, FileError, Trust},
    paths::Paths,
    records::{RecordError, Records},
};

/// The list of common passwords as it was found.
#[derive(Debug)]
pub enum List {
    /// It was read.
    Read,
    /// It cannot be used: nothing could be compared with it.
    Unusable(FileError),
}

/// Whom a new password is for.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The full name and what else stands there, if the account is one of this machine.
    pub gecos: &'a str,
    /// The names of the user's groups.
    pub groups: &'a [String],
}

/// What a new password of that user must be, and whether the list of common ones could be read.
#[must_use]
pub fn rules(
    config: &Config,
    holder: Holder<'_>,
    keys: &Authenticators,
    (paths, trust): (&Paths, Trust),
) -> (PasswordRules, List) {
    let has_second = keys.factors().contains(Factor::Totp);
    let minimum =
        Minimum::for_user(&config.rules, holder.name, holder.groups, has_second).at_least(config.password.minimum);
    // A name that cannot be found out is one fewer to compare with.
    let host = nix::unistd::gethostname().unwrap_or_default();
    let names = KnownNames::new([holder.name, holder.gecos, &host.to_string_lossy()]);
    let (common, list) = match file::read_trusted(&paths.common_passwords(), trust) {
        Ok(text) => (CommonPasswords::new(text), List::Read),
        Err(error) => (CommonPasswords::default(), List::Unusable(error)),
    };
    (PasswordRules { minimum, names, common }, list)
}

/// Those of the groups that rules name which the user may be in: each can only ask for more.
#[must_use]
pub fn groups_that_count(config: &Config, account: &Account) -> Vec<String> {
    account.groups_perhaps_among(config.rules.iter().flat_map(|rule| &rule.groups).map(String::as_str))
}

/// Why a new password was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Somebody else set another one since the old one was proved.
    #[error("the password was changed by somebody else meanwhile")]
    ChangedMeanwhile,
}

/// Sets the password, if the user's still is the one of `before`; `None` sets it whatever there is. The user reads of it at the next
/// login: it may have been somebody else.
///
/// # Errors
/// The record cannot be written, or has another password by now.
pub fn set(records: &Records, user: &str, new: Password, before: Option<&PasswordHash>) -> Result<(), SetError> {
    let at = new.changed;
    let replaced = records.update(user, |record| {
        let there = record.password.as_ref().map(|password| &password.hash);
        if before.is_some() && before != there {
            return Err(SetError::ChangedMeanwhile);
        }
        let replaced = record.password.replace(new).is_some();
        Ok(replaced)
    })?;
    if replaced {
        let item = Item { at, event: Event::PasswordChanged, from: None, detail: String::new() };
        // It is set; that the news of it is lost must not look as if it were not.
        let _told_or_not = records.update_state(user, |state| state.news.push(item));
    }
    Ok(())
}
