//! The names that records and marks go by: nobody's, or another spelling of somebody's.

use std::collections::BTreeSet;

use authflow_core::name;
use authflow_host::{accounts, local_accounts};

use super::{Ground, Place, catalogue::Defect, finding::Finding};

/// What goes by a name that no account has as its own. An image's users may be made by its first boot.
pub(super) fn findings(ground: &Ground<'_>, users: &BTreeSet<String>, disabled: &BTreeSet<String>) -> Vec<Finding> {
    if ground.context.is_image() {
        return Vec::new();
    }
    let spellings = disabled.iter().filter_map(|user| disabled_by_spelling(ground, user));
    of_nobody(ground, users, disabled).into_iter().chain(spellings).collect()
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
