//! Passwords of ours that are older than the system's: somebody changed the one that does not count.

use std::collections::BTreeMap;

use authflow_core::account::Authenticators;
use authflow_host::shadow;

use super::{Ground, Place, catalogue::Defect, finding::Finding};

/// Whose system password was changed since. An image's shadow file is not asked.
pub(super) fn findings(ground: &Ground<'_>, records: &BTreeMap<String, Authenticators>) -> Vec<Finding> {
    if ground.context.is_image() {
        return Vec::new();
    }
    let is_outdated = |(user, record): &(&String, &Authenticators)| {
        let entry = shadow::by_name(user).ok().flatten().filter(shadow::Entry::has_password);
        record.password.as_ref().zip(entry).is_some_and(|(password, entry)| entry.is_changed_after(password.changed))
    };
    let finding = |user: &String| {
        Finding::new(
            Defect::PasswordOutdated,
            Place::file(&ground.context.paths.users()),
            format!("the system's password of {user:?} was changed after authflow's own (chpasswd, usermod, Ansible)"),
            format!(
                "authflow passwd --user {user}; or let the system's count: authflow factor remove password --user {user}"
            ),
        )
    };
    records.iter().filter(is_outdated).map(|(user, _)| finding(user)).collect()
}
