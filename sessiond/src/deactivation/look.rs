//! Looks users up, as they are now. Asks name services and reads files, so it runs beside the loop.

use std::collections::BTreeSet;

use authflow_core::{
    config::Config,
    deactivation::{Facts, Seen},
    policy::LockedPassword,
    time::Clock,
};
use authflow_host::{
    accounts::{self, Account, AccountError},
    clock::SystemClock,
    config::{self, LoadError},
    local_accounts,
    paths::Paths,
    records::{RecordError, Records},
    shadow,
};

/// Shells that let nobody in.
const NO_SHELLS: [&str; 2] = ["nologin", "false"];

/// A user of live sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The uid.
    pub(super) uid: u32,
    /// The name that it was opened by.
    pub(super) name: String,
    /// The rules of the sessions.
    pub(super) rules: BTreeSet<String>,
    /// Whether the account was once seen in the machine's own files.
    pub(super) was_local: bool,
}

/// The users of the machine's own files, and those who must be asked for elsewhere, which may take long.
pub(super) fn split(paths: &Paths, subjects: Vec<Subject>) -> std::io::Result<(Vec<Subject>, Vec<Subject>)> {
    let names: BTreeSet<String> = local_accounts::names(paths)?.into_iter().collect();
    let has_directory = local_accounts::has_directory(paths);
    let marked = subjects.into_iter().map(|subject| {
        let was_local = subject.was_local || !has_directory || names.contains(&subject.name);
        Subject { was_local, ..subject }
    });
    Ok(marked.partition(|subject| subject.was_local))
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
pub(super) fn look(paths: &Paths, subjects: &[Subject]) -> Vec<(u32, Result<Seen, Unknown>)> {
    let config = Rules::load(paths);
    subjects.iter().map(|subject| (subject.uid, look_at(paths, &config, subject))).collect()
}

/// The configuration, as far as it can be used. With none, nobody loses a session for what it would say.
struct Rules(Config);

impl Rules {
    fn load(paths: &Paths) -> Self {
        Self(
            config::load(paths)
                .map(|loaded| loaded.config)
                .unwrap_or_else(|_logged_at_every_login: LoadError| Config::default()),
        )
    }

    /// The rules of these names that name groups, none of which the user is in.
    fn outside(&self, account: &Account, rules: &BTreeSet<String>) -> Result<BTreeSet<String>, AccountError> {
        let mut outside = BTreeSet::new();
        for rule in self.0.rules.iter().filter(|rule| rules.contains(&rule.name) && !rule.groups.is_empty()) {
            if account.groups_among(rule.groups.iter().map(String::as_str))?.is_empty() {
                outside.insert(rule.name.clone());
            }
        }
        Ok(outside)
    }
}

fn look_at(paths: &Paths, rules: &Rules, subject: &Subject) -> Result<Seen, Unknown> {
    let records = Records::new(paths.clone());
    let found = accounts::by_name(&subject.name)?.filter(|account| account.uid == subject.uid);
    let Some(account) = found else {
        return absent(rules, subject);
    };
    let entry = shadow::by_name(&subject.name)?;
    let locked_counts = rules.0.accounts.locked_password == LockedPassword::Deactivate;
    let shell = account.shell.file_name().and_then(|name| name.to_str());
    Ok(Seen::There(Facts {
        is_disabled: records.is_disabled(&subject.name)?,
        is_expired: entry.as_ref().is_some_and(|entry| entry.is_expired(SystemClock.now().wall)),
        has_no_shell: shell.is_some_and(|shell| NO_SHELLS.contains(&shell)),
        is_locked: locked_counts && entry.is_some_and(|entry| entry.is_locked()),
        outside: rules.outside(&account, &subject.rules)?,
    }))
}

/// Nobody of that name and uid was found. That counts while somebody is found who must be there.
fn absent(rules: &Rules, subject: &Subject) -> Result<Seen, Unknown> {
    let control = if subject.was_local { Some("root") } else { rules.0.accounts.control.as_deref() };
    let control = control.filter(|control| *control != subject.name).ok_or(Unknown::NoControl)?;
    accounts::by_name(control)?.map(|_found| Seen::Absent).ok_or(Unknown::NoControl)
}
