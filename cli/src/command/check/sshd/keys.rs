//! Accounts that have a key for ssh, and that nothing lets in: neither the key nor whatever else they have is what a rule takes. Those of programs are
//! such, as a rule, and nobody is there to tell.

use std::path::Path;

use authflow_core::{flow::is_left_to_the_stack, rule::Rule};
use authflow_host::{
    accounts::{self, Account},
    records::Records,
    shadow,
};

use super::{
    Sshd,
    people::{People, from_everywhere},
    root::{lets_in, rules_met},
    view::{View, provable},
    whom::Somebody,
};
use crate::{
    command::{
        check::{Ground, Place, catalogue::Defect, finding::Finding, own},
        setup,
    },
    homes::Homes,
};

/// So many are named.
const NAMED: usize = 5;

/// One finding for each of `rules`, those about sshd, and one for the homes that could not be looked at.
pub(super) fn findings(sshd: &Sshd<'_>, people: &People<'_>, rules: &[&Rule]) -> Vec<Finding> {
    let ground = sshd.ground;
    if !people.are_known(ground) {
        return Vec::new();
    }
    let homes = Homes::new();
    let mut locked_out: Vec<(&Rule, Vec<&str>)> = Vec::new();
    // Root has a finding of its own.
    for one in people.accounts().iter().filter(|one| one.user != "root" && !is_put_out(ground, &one.user)) {
        let Some(rule) = refusing(sshd, rules, one, &homes) else { continue };
        match locked_out.iter_mut().find(|(other, _)| std::ptr::eq(*other, rule)) {
            Some((_, names)) => names.push(&one.user),
            None => locked_out.push((rule, vec![&one.user])),
        }
    }
    let locked_out = locked_out.into_iter().map(|(rule, names)| told(ground, rule, &names));
    locked_out.chain(not_looked_at(&homes.untold().iter().map(String::as_str).collect::<Vec<_>>())).collect()
}

/// The rule that refuses somebody who has a key, if none lets that one in, from wherever it may be.
fn refusing<'a>(sshd: &Sshd<'_>, rules: &[&'a Rule], one: &Somebody, homes: &Homes) -> Option<&'a Rule> {
    let own = own::factors(sshd.ground, &one.user)?;
    let met = rules_met(rules, (&one.user, &one.groups));
    let last = *met.last()?;
    let everywhere = from_everywhere(one.clone(), &sshd.file.matches);
    let gets_in = |view: &View| {
        let ways = view.ways();
        met.iter().any(|rule| ways.iter().any(|way| lets_in(way, rule, &own) || is_left(rule, way)))
    };
    // sshd is run anew for each question: most people get in, and nobody needs to ask for them.
    if everywhere.iter().any(|one| gets_in(&sshd.view_as_read(one))) {
        return None;
    }
    let account = accounts::by_name(&one.user).ok().flatten()?;
    let views: Vec<View> = everywhere.iter().map(|one| sshd.view_of(one)).collect();
    (!views.iter().any(gets_in) && views.iter().any(|view| has_a_key(view, &account, homes))).then_some(last)
}

/// Whether the rule leaves that way to the other modules.
fn is_left(rule: &Rule, way: &[String]) -> bool {
    is_left_to_the_stack(&rule.methods, &provable(way).1)
}

/// Whether sshd would take a key of that account, and finds something in a file for it. What `AuthorizedKeysCommand` would say is not asked.
fn has_a_key(view: &View, account: &Account, homes: &Homes) -> bool {
    let find = |file: &str| homes.have_something(account, Path::new(&setup::key_file(file, account)));
    view.is_on("pubkeyauthentication") && view.key_files().any(find) && !setup::is_kept_out(&view.lists(), account)
}

/// Whether somebody is to come no more.
fn is_put_out(ground: &Ground<'_>, user: &str) -> bool {
    let records = Records::trusting(ground.context.paths.clone(), ground.trust);
    let is_expired =
        || shadow::by_name(user).is_ok_and(|entry| entry.is_some_and(|entry| entry.is_expired(ground.context.now())));
    records.is_disabled(user).unwrap_or(false) || is_expired()
}

fn told(ground: &Ground<'_>, rule: &Rule, names: &[&str]) -> Finding {
    Finding::new(
        Defect::SshdKeyLockedOut,
        ground.place_of(rule),
        format!("with a key for ssh, and with nothing that rule {:?} takes: {}", rule.name, some(names)),
        "give people an authenticator (authflow factor add totp --user NAME); for programs put a rule before it, user = [\"NAME\"] and methods = \
         [[\"publickey\"]], and in sshd_config \"Match User NAME\" with \"AuthenticationMethods publickey\"",
    )
}

fn not_looked_at(names: &[&str]) -> Option<Finding> {
    (!names.is_empty()).then(|| {
        Finding::new(
            Defect::SshdKeysNotLookedAt,
            Place::none(),
            format!("their homes did not tell in time whether a key for ssh is there: {}", some(names)),
            "see that the file systems of their homes answer, and run it again",
        )
    })
}

/// The first of these names.
fn some(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let who = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{who} and {more} more") } else { who }
}
