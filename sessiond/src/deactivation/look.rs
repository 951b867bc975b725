//! Looks users up, as they are now. Asks name services and reads files, so it runs beside the loop.

use std::collections::{BTreeMap, BTreeSet};

use authflow_core::{
    config::Config,
    deactivation::{Facts, Membership, Seen, User},
    policy::LockedPassword,
    time::Clock,
};
use authflow_host::{
    accounts::{self, Account, AccountError},
    clock::SystemClock,
    config, local_accounts,
    paths::Paths,
    records::{RecordError, Records},
    shadow,
};

/// A user of live sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// Who.
    pub(super) user: User,
    /// The rules of the sessions.
    pub(super) rules: BTreeSet<String>,
    /// Whether the account was once seen in the machine's own files.
    pub(super) was_local: bool,
}

/// Those of whom something can be told at once, and those who must be asked for elsewhere, which may take long.
pub(super) struct Split {
    /// The users of the machine's own files, and those who are disabled, wherever they are from.
    pub(super) at_once: Vec<Subject>,
    /// All others.
    pub(super) elsewhere: Vec<Subject>,
}

/// Parts the users by where they are looked up.
pub(super) fn split(paths: &Paths, subjects: Vec<Subject>) -> std::io::Result<Split> {
    let names: BTreeSet<String> = local_accounts::names(paths)?.into_iter().collect();
    let has_directory = local_accounts::has_directory(paths);
    let records = Records::new(paths.clone());
    let marked = subjects.into_iter().map(|subject| {
        let was_local = subject.was_local || !has_directory || names.contains(&subject.user.name);
        Subject { was_local, ..subject }
    });
    // A mark that cannot be read is told of when the user is looked up.
    let is_disabled = |subject: &Subject| records.is_disabled(&subject.user.name).unwrap_or(false);
    let (at_once, elsewhere) = marked.partition(|subject| subject.was_local || is_disabled(subject));
    Ok(Split { at_once, elsewhere })
}

/// What could not be found out about a user.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    /// The name services.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The shadow data base.
    #[error("the account's end: {0}")]
    Shadow(#[from] std::io::Error),
    /// The mark.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nobody of that name, but the source of accounts cannot be trusted to say so.
    #[error("not found, but without `accounts.control` that is found nobody knows whether the directory answers")]
    NoControl,
}

/// Looks all of them up. What could not be found out is told beside.
pub(super) fn look(paths: &Paths, subjects: &[Subject]) -> Vec<(User, Result<Seen, Unknown>)> {
    // With none that can be used nobody loses a session for what it would say. Every login logs why.
    let config = config::load(paths).ok().map(|loaded| loaded.config);
    subjects.iter().map(|subject| (subject.user.clone(), look_at(paths, config.as_ref(), subject))).collect()
}

fn look_at(paths: &Paths, config: Option<&Config>, subject: &Subject) -> Result<Seen, Unknown> {
    let User { uid, name } = &subject.user;
    // Before all else: that word is to be obeyed also where no directory answers.
    let disabled = Records::new(paths.clone()).mark(name)?;
    if disabled.is_some() {
        return Ok(Seen::There(Facts { disabled, ..Facts::default() }));
    }
    let found = accounts::by_name(name)?.filter(|account| account.uid == *uid);
    let Some(account) = found else {
        return if source_answers(config, subject)? { Ok(Seen::Absent) } else { Err(Unknown::NoControl) };
    };
    let entry = shadow::by_name(name)?;
    Ok(Seen::There(Facts {
        disabled,
        is_expired: entry.as_ref().is_some_and(|entry| entry.is_expired(SystemClock.now().wall)),
        has_no_shell: account.has_no_shell(),
        is_locked: config.map(|config| match config.accounts.locked_password {
            LockedPassword::Deactivate => entry.is_some_and(|entry| entry.is_locked()),
            LockedPassword::Ignore => false,
        }),
        // An error there must not hide what is known of the account itself.
        groups: config.and_then(|config| groups(config, subject, &account).ok()),
    }))
}

/// Whether not to be found means not to be there: somebody is found who must be there.
fn source_answers(config: Option<&Config>, subject: &Subject) -> Result<bool, AccountError> {
    let control = match config {
        _ if subject.was_local => Some("root"),
        Some(config) => config.accounts.control.as_deref(),
        None => None,
    };
    let control = control.filter(|control| *control != subject.user.name);
    control.map_or(Ok(false), |control| Ok(accounts::by_name(control)?.is_some()))
}

/// How the user stands to the groups of the rules of the sessions. Outside of them only where the source of accounts answers.
fn groups(config: &Config, subject: &Subject, account: &Account) -> Result<BTreeMap<String, Membership>, Unknown> {
    let mut memberships = BTreeMap::new();
    for name in &subject.rules {
        let rule = config.rules.iter().find(|rule| rule.name == *name);
        let named = rule.map(|rule| rule.groups.as_slice()).unwrap_or_default();
        let mut membership = Membership::default();
        for group in named {
            if accounts::gid_of(group)?.is_none() {
                membership.missing.insert(group.clone());
            }
        }
        let is_in_none = account.groups_among(named.iter().map(String::as_str))?.is_empty();
        membership.is_outside = !named.is_empty() && is_in_none;
        if membership.is_outside && !source_answers(Some(config), subject)? {
            return Err(Unknown::NoControl);
        }
        memberships.insert(name.clone(), membership);
    }
    Ok(memberships)
}
