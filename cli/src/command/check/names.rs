//! The names that records and marks go by: nobody's, or another spelling of somebody's.

use std::collections::BTreeSet;

use authflow_core::name;
use authflow_host::{accounts, gone::Found, local_accounts, records::Records};

use super::{Ground, Place, catalogue::Defect, finding::Finding};

/// What goes by a name that no account has as its own. An image's users may be made by its first boot.
pub(super) fn findings(ground: &Ground<'_>, users: &BTreeSet<String>, disabled: &BTreeSet<String>) -> Vec<Finding> {
    if ground.context.is_image() {
        return Vec::new();
    }
    let paths = &ground.context.paths;
    // A directory that is away finds nobody, so with one only those count who were the machine's own until the last change of its file.
    let former = local_accounts::has_directory(paths).then(|| local_accounts::former_names(paths));
    let counts = |user: &str| former.as_ref().is_none_or(|former| former.contains(user));
    let records = users.iter().filter(|user| counts(user)).filter_map(|user| record_of_nobody(ground, user));
    let spellings = disabled.iter().filter_map(|user| disabled_by_spelling(ground, user));
    let marks = disabled.iter().flat_map(|user| {
        let renamed = renamed(ground, user, disabled);
        // What is to be done about that is another thing.
        let is_nobodys = renamed.is_empty() && counts(user);
        renamed.into_iter().chain(is_nobodys.then(|| disabled_nobody(ground, user)).flatten())
    });
    records.chain(spellings).chain(marks).collect()
}

/// The account's own name, where the name services know it by this one as well.
pub(super) fn own_name(user: &str) -> Option<String> {
    let account = accounts::by_name(user).ok().flatten()?;
    (account.name != user).then_some(account.name)
}

/// Whether nobody has that name, as far as that can be told.
enum Nobody {
    Certainly,
    /// The account was the machine's own, and a directory may know the name.
    Perhaps,
}

fn nobody(ground: &Ground<'_>, user: &str) -> Option<Nobody> {
    match ground.look_for(user) {
        Found::Account(_) => None,
        Found::Nobody => Some(Nobody::Certainly),
        Found::Untold(_) => local_accounts::has_directory(&ground.context.paths).then_some(Nobody::Perhaps),
    }
}

fn record_of_nobody(ground: &Ground<'_>, user: &str) -> Option<Finding> {
    let paths = &ground.context.paths;
    let told = nobody(ground, user)?;
    let managed = paths.managed_users().join(format!("{}.toml", name::file_name(user).unwrap_or_default()));
    let first = if managed.exists() {
        format!("remove {} where it comes from, and then: ", managed.display())
    } else {
        String::new()
    };
    let renamed = "where the account was renamed, move what goes by the name (docs/sessions.md)";
    let (what, fix) = match told {
        Nobody::Certainly => ("and no such user", format!("{renamed}; otherwise {first}authflow user forget {user}")),
        Nobody::Perhaps => (
            "who is in /etc/passwd no more, and whether a directory knows the name cannot be told",
            format!("{renamed}; where no directory knows it: {first}authflow user forget {user}"),
        ),
    };
    let what = format!("there is a record for {user:?}, {what}");
    Some(Finding::new(Defect::RecordOfNobody, Place::file(&paths.users()), what, fix))
}

fn disabled_nobody(ground: &Ground<'_>, user: &str) -> Option<Finding> {
    let (what, when) = match nobody(ground, user)? {
        Nobody::Certainly => ("and there is no such user", "if the name is to be given again"),
        Nobody::Perhaps => (
            "who is in /etc/passwd no more, and whether a directory knows the name cannot be told",
            "if no directory knows it, and it is to be given again",
        ),
    };
    Some(Finding::new(
        Defect::DisabledNobody,
        Place::file(&ground.context.paths.state()),
        format!("{user:?} is marked as disabled, {what}"),
        format!("authflow user enable {user}, which takes the mark alone, {when}"),
    ))
}

/// A mark that keeps nobody out: logins go by the account's own name.
fn disabled_by_spelling(ground: &Ground<'_>, user: &str) -> Option<Finding> {
    let own = own_name(user)?;
    Some(Finding::new(
        Defect::DisabledSpelling,
        Place::file(&ground.context.paths.state().join(format!("{}.disabled", name::file_name(user).ok()?))),
        format!("{user:?} is marked as disabled, and the account's own name is {own:?}"),
        format!("authflow user disable {own}, and take this file away"),
    ))
}

/// Accounts that have the uid of a disabled one whose name is gone: `usermod -l` leaves the mark behind.
fn renamed(ground: &Ground<'_>, user: &str, disabled: &BTreeSet<String>) -> Vec<Finding> {
    let paths = &ground.context.paths;
    let mark = Records::trusting(paths.clone(), ground.trust).mark(user).ok().flatten();
    let Some(uid) = mark.and_then(|mark| mark.uid) else { return Vec::new() };
    let names = local_accounts::names_of(paths, uid).unwrap_or_default();
    // Another account of a uid that is shared is an account of its own, and so is one that went to a directory and keeps its name.
    let is_account = |found| matches!(found, Found::Account(account) if account.name == user);
    if names.iter().any(|name| name == user) || is_account(ground.look_for(user)) {
        return Vec::new();
    }
    let finding = |name: &String| {
        Finding::new(
            Defect::DisabledRenamed,
            Place::file(&paths.state()),
            format!("{user:?} is marked as disabled, and the account with its uid {uid} is now {name:?}"),
            format!(
                "find out whose account {name} is; where it is that of {user}, renamed: move what goes by {user} in users/ and state/ \
                 (docs/sessions.md), authflow user disable {name}, and then authflow user enable {user}, which takes the old mark alone; where it \
                 is somebody else's: authflow user enable {user}"
            ),
        )
    };
    names.iter().filter(|name| !disabled.contains(*name)).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    #[test]
    fn a_mark_whose_account_has_another_name_now_is_told_until_that_one_is_disabled() {
        let told = |accounts: &str, disabled: &[&str]| {
            let files = [("etc/passwd", accounts), ("var/lib/authflow/state/dora.disabled", "by root: \nuid 1777\n")];
            let disabled: BTreeSet<String> = disabled.iter().map(|name| (*name).to_owned()).collect();
            found(TWO_FACTORS, &files, |ground| renamed(ground, "dora", &disabled)).len()
        };
        let left = "dora-left:x:1777:1777::/:/bin/sh\n";
        assert_eq!(told(left, &["dora"]), 1);
        assert_eq!(told(left, &["dora", "dora-left"]), 0);
        assert_eq!(told(&format!("{left}dora:x:1777:1777::/:/bin/sh\n"), &["dora"]), 0, "a uid that is shared");
        assert_eq!(told("alice:x:1000:1000::/:/bin/sh\n", &["dora"]), 0);
    }
}
