//! What people can be asked for.

use authflow_core::{
    factor::{Factor, Factors},
    rule::Rule,
};
use authflow_host::{local_accounts, records::Records, shadow};

use super::{people::People, view};
use crate::command::check::Ground;

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

/// What each of those whom a rule is for can be asked for. Where not all of them are known, somebody has everything.
pub(super) fn of_rule(ground: &Ground<'_>, people: &People<'_>, rule: &Rule) -> Vec<Factors> {
    let is_known = !ground.context.is_image() && !local_accounts::has_directory(&ground.context.paths);
    let accounts = people.accounts_of(rule).filter(|_| is_known && ground.context.is_root());
    let all: Option<Vec<Factors>> =
        accounts.and_then(|accounts| accounts.map(|somebody| factors(ground, &somebody.user)).collect());
    all.unwrap_or_else(|| vec![view::askable()])
}
