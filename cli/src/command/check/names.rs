//! The names that records and marks go by: nobody's, or another spelling of somebody's.

use std::collections::BTreeSet;

use authflow_core::name;
use authflow_host::{accounts, local_accounts, records::Records};

use super::{Ground, Place, catalogue::Defect, finding::Finding};

/// What goes by a name that no account has as its own. An image's users may be made by its first boot.
pub(super) fn findings(ground: &Ground<'_>, users: &BTreeSet<String>, disabled: &BTreeSet<String>) -> Vec<Finding> {
    if ground.context.is_image() {
        return Vec::new();
    }
    let spellings = disabled.iter().filter_map(|user| disabled_by_spelling(ground, user));
    let renamed = disabled.iter().flat_map(|user| renamed(ground, user, disabled));
    of_nobody(ground, users, disabled).into_iter().chain(spellings).chain(renamed).collect()
}

/// The account's own name, where the name services know it by this one as well.
pub(super) fn own_name(user: &str) -> Option<String> {
    let account = accounts::by_name(user).ok().flatten()?;
    (account.name != user).then_some(account.name)
}

/// What is there for users who are not. A directory that is away has none, so with one only those count who were the machine's own until
/// the last change of its file.
fn of_nobody(ground: &Ground<'_>, users: &BTreeSet<String>, disabled: &BTreeSet<String>) -> Vec<Finding> {
    let paths = &ground.context.paths;
    let (has_directory, former) = (local_accounts::has_directory(paths), local_accounts::former_names(paths));
    let is_nobody =
        |user: &&String| (!has_directory || former.contains(*user)) && matches!(accounts::by_name(user), Ok(None));
    let record = |user: &String| {
        let managed = paths.managed_users().join(format!("{}.toml", name::file_name(user).unwrap_or_default()));
        let first = if managed.exists() {
            format!("remove {} where it comes from, and then: ", managed.display())
        } else {
            String::new()
        };
        Finding::new(
            Defect::RecordOfNobody,
            Place::file(&paths.users()),
            format!("there is a record for {user:?}, and no such user"),
            format!("{first}authflow user forget {user}"),
        )
    };
    let mark = |user: &String| {
        Finding::new(
            Defect::DisabledNobody,
            Place::file(&paths.state()),
            format!("{user:?} is marked as disabled, and there is no such user"),
            format!("authflow user forget {user}, if the name is to be given again"),
        )
    };
    let records = users.iter().filter(is_nobody).map(record);
    records.chain(disabled.iter().filter(is_nobody).map(mark)).collect()
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
    // Another account of a uid that is shared is an account of its own.
    if names.iter().any(|name| name == user) {
        return Vec::new();
    }
    let finding = |name: &String| {
        Finding::new(
            Defect::DisabledRenamed,
            Place::file(&paths.state()),
            format!("{user:?} is marked as disabled, and the account with its uid {uid} is now {name:?}"),
            format!(
                "authflow user disable {name}; and then, or where it is somebody else: authflow user forget {user}"
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
