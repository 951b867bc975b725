//! What people can be asked for.

use authflow_core::factor::{Factor, Factors};
use authflow_host::{local_accounts, records::Records, shadow};

use super::Ground;

/// How many users of a rule are looked up at most: a directory that is away may be slow to say so.
pub(super) fn most_users(ground: &Ground<'_>) -> usize {
    if local_accounts::has_directory(&ground.context.paths) { 100 } else { usize::MAX }
}

/// What a user can be asked for; nothing is known of it where it cannot be read. An image's accounts may have passwords set at its first
/// boot.
pub(super) fn factors(ground: &Ground<'_>, user: &str) -> Option<Factors> {
    let records = Records::trusting(ground.context.paths.clone(), ground.trust);
    let mut own = records.authenticators(user).ok()?.map(|record| record.factors()).unwrap_or_default();
    let has_password =
        ground.context.is_image() || shadow::by_name(user).ok()?.is_some_and(|entry| entry.has_password());
    if has_password {
        own.insert(Factor::Password);
    }
    Some(own)
}
