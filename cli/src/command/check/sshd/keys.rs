//! Accounts that have a key for ssh, and that nothing lets in: neither the key nor whatever else they have is what a rule takes. Those of programs are
//! such, as a rule, and nobody is there to tell.

use std::path::Path;

use authflow_core::{factor::Factors, flow::is_left_to_the_stack, rule::Rule};
use authflow_host::{
    accounts::{self, Account},
    records::Records,
    shadow,
};

use super::{
    Sshd,
    judge::{ASK_BOTH, QUESTIONS},
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
    let mut locked_out: Vec<(LockedOut<'_>, Vec<&str>)> = Vec::new();
    // Root has a finding of its own.
    for one in people.accounts().iter().filter(|one| one.user != "root" && !is_put_out(ground, &one.user)) {
        let Some(by) = refusing(sshd, rules, one, &homes) else { continue };
        match locked_out.iter_mut().find(|(other, _)| *other == by) {
            Some((_, names)) => names.push(&one.user),
            None => locked_out.push((by, vec![&one.user])),
        }
    }
    let locked_out = locked_out.into_iter().map(|(by, names)| told(ground, &by, &names));
    locked_out.chain(not_looked_at(&homes.untold().iter().map(String::as_str).collect::<Vec<_>>())).collect()
}

/// What keeps somebody out who has a key.
#[derive(Debug, PartialEq)]
enum LockedOut<'a> {
    /// The rule, which takes nothing that one has.
    Rule(&'a Rule),
    /// A setting by which sshd never asks for what one has.
    Setting { place: Place, set: String, fix: &'static str },
}

/// What refuses somebody who has a key, if no rule lets that one in, from wherever it may be.
fn refusing<'a>(sshd: &Sshd<'_>, rules: &[&'a Rule], one: &Somebody, homes: &Homes) -> Option<LockedOut<'a>> {
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
    if views.iter().any(gets_in) {
        return None;
    }
    let view = views.iter().find(|view| has_a_key(view, &account, homes))?;
    Some(if met.iter().any(|rule| would_do(rule, &own)) { of_setting(view) } else { LockedOut::Rule(last) })
}

/// Whether the key and what that one has would be enough, if sshd took the key and asked for the rest.
fn would_do(rule: &Rule, own: &Factors) -> bool {
    lets_in(&["publickey", "keyboard-interactive"].map(str::to_owned), rule, own)
}

/// The setting by which sshd asks for too little.
fn of_setting(view: &View) -> LockedOut<'static> {
    if view.is_on(QUESTIONS) {
        let written = view.value("authenticationmethods");
        let set = format!("AuthenticationMethods {}", if written.is_empty() { "any" } else { written });
        return LockedOut::Setting { place: view.place("authenticationmethods"), set, fix: ASK_BOTH };
    }
    let set = format!("KbdInteractiveAuthentication {}", view.value(QUESTIONS));
    LockedOut::Setting { place: view.place(QUESTIONS), set, fix: "write KbdInteractiveAuthentication yes" }
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

fn told(ground: &Ground<'_>, by: &LockedOut<'_>, names: &[&str]) -> Finding {
    let names = some(names);
    let (place, what, fix) = match by {
        LockedOut::Rule(rule) => (
            ground.place_of(rule),
            format!("with a key for ssh, and with nothing that rule {:?} takes: {names}", rule.name),
            "give people an authenticator (authflow factor add totp --user NAME); for programs put a rule before it, user = [\"NAME\"] and \
             methods = [[\"publickey\"]], and in sshd_config \"Match User NAME\" with \"AuthenticationMethods publickey\"",
        ),
        LockedOut::Setting { place, set, fix } => (
            place.clone(),
            format!(
                "with a key for ssh and all that a rule asks of them, and sshd does not ask for it ({set}): {names}"
            ),
            *fix,
        ),
    };
    Finding::new(Defect::SshdKeyLockedOut, place, what, fix)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use authflow_core::factor::Factor;

    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, config};

    #[test]
    fn who_has_what_the_rule_takes_is_locked_out_by_a_setting_of_sshds() {
        let why = |said: &str| of_setting(&View::global(Some(said), &BTreeMap::new(), Place::none()));
        let set = |by: LockedOut<'_>| match by {
            LockedOut::Setting { set, .. } => set,
            LockedOut::Rule(rule) => rule.name.clone(),
        };
        assert_eq!(set(why("kbdinteractiveauthentication no\n")), "KbdInteractiveAuthentication no");
        assert_eq!(set(why("authenticationmethods publickey\n")), "AuthenticationMethods publickey");
        assert_eq!(set(why("")), "AuthenticationMethods any");
        let (password, code) = (Factors::none().with(Factor::Password), Factors::none().with(Factor::Totp));
        let key_and_code = TWO_FACTORS.replace("[['password','totp']]", "[['publickey','totp']]");
        let is_enough = |rule: &str, own: &Factors| would_do(&config(rule).rules[0], own);
        assert!(is_enough(&key_and_code, &code) && !is_enough(&key_and_code, &password));
        let enrolling = format!("{key_and_code}enroll={{mode='required'}}\n");
        assert!(is_enough(&enrolling, &password), "who would enrol if asked");
    }
}
