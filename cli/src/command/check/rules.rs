//! Rules by themselves, and the users, groups and services that they name.

use std::collections::BTreeSet;

use authflow_core::{config::Warning, factor::Factor, rule::Rule};
use authflow_host::{accounts, local_accounts};

use super::{Ground, catalogue::Defect, finding::Finding, names, own};
use crate::command::setup::anew;

/// What is probably not meant.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let own = ground.config.warnings().into_iter().map(|warning| of_core(ground, &warning));
    let mut found: Vec<Finding> = own.collect();
    found.extend(ground.config.rules.iter().filter_map(|rule| key_elsewhere(ground, rule)));
    found.extend(without_catch_all(ground));
    // An image's users and groups may be made by its first boot.
    if !ground.context.is_image() {
        found.extend(ground.config.rules.iter().flat_map(|rule| unknown_names(ground, rule)));
        found.extend(ground.config.rules.iter().flat_map(|rule| spellings(ground, rule)));
    }
    found
}

fn of_core(ground: &Ground<'_>, warning: &Warning) -> Finding {
    let (defect, rule, fix) = match warning {
        Warning::WeakerMethod { rule, .. } => {
            (Defect::RuleWeakerMethod, rule, "take the later method out, or have people enrol (enroll)")
        }
        Warning::Shadowed { rule, .. } => (Defect::RuleShadowed, rule, "put it before the other, or take it out"),
        Warning::NoSession { rule } => {
            (Defect::RuleSessionTooEarly, rule, "take \"session\" out; it is for sudo and the like")
        }
        Warning::ShortLimit { rule, .. } => (Defect::RuleShortLimit, rule, "write 30s at least"),
        Warning::NothingWeaker { rule, key } => {
            let place = ground.place_of_key(rule.as_deref(), key).unwrap_or_else(|| ground.place_of_config());
            let files = ground.files.filter(|_| !ground.context.is_image());
            let by_setup = rule.as_ref().and_then(|rule| anew::command_for(files?, rule));
            let fix = by_setup.map_or_else(
                || "take weaker_than_preset out".to_owned(),
                |command| format!("`{command}` writes these rules of setup's anew"),
            );
            return Finding::new(Defect::PresetNothingWeaker, place, warning.to_string(), fix);
        }
        Warning::LongLock { .. } => {
            // Where nobody wrote a lock it is the preset's.
            let place = ["throttle.lock", "preset"].iter().find_map(|key| ground.place_of_key(None, key));
            let fix = "see that root can reach a console, or write a shorter lock";
            let place = place.unwrap_or_else(|| ground.place_of_config());
            return Finding::new(Defect::ThrottleLongLock, place, warning.to_string(), fix);
        }
        Warning::LockedForGood { rule, .. } => {
            (Defect::RuleLockedForGood, rule, "write at_lifetime = \"terminate\" in the rule's session")
        }
    };
    Finding::new(defect, ground.place_of_rule(rule), warning.to_string(), fix)
}

/// A rule that takes a key where nobody can show one.
fn key_elsewhere(ground: &Ground<'_>, rule: &Rule) -> Option<Finding> {
    let is_elsewhere = |service: &String| service != "*" && !ground.config.is_sshd(service);
    (takes_keys(rule) && rule.services.iter().all(is_elsewhere)).then(|| {
        Finding::new(
            Defect::RuleKeyElsewhere,
            ground.place_of(rule),
            format!("every method of rule {:?} takes a key, at {}", rule.name, rule.services.join(", ")),
            "add a method without one, or name the service in sshd_services if it is sshd's",
        )
    })
}

/// Whether nobody gets in by that rule without a key.
pub(super) fn takes_keys(rule: &Rule) -> bool {
    rule.methods.iter().all(|method| method.factors().contains(Factor::Publickey))
}

/// Whether a rule is for whoever comes.
pub(super) fn is_for_everybody(rule: &Rule) -> bool {
    rule.users.is_empty() && rule.groups.is_empty() && rule.from.is_empty()
}

/// Services where whoever no rule is for is denied.
fn without_catch_all(ground: &Ground<'_>) -> Vec<Finding> {
    let rules = &ground.config.rules;
    let services: BTreeSet<&String> = rules.iter().flat_map(|rule| &rule.services).collect();
    let is_open = |service: &&String| rules.iter().any(|rule| is_for_everybody(rule) && rule.governs(service));
    let lacking = services.into_iter().filter(|service| !is_open(service));
    let finding = |service: &String| {
        let last = rules.iter().rfind(|rule| rule.governs(service))?;
        Some(Finding::new(
            Defect::RuleNoCatchAll,
            ground.place_of(last),
            format!("{service}: no rule is for everybody"),
            "if others are to be let in, root among them, add a last rule without user, group and from",
        ))
    };
    lacking.filter_map(finding).collect()
}

/// Users and groups that are not there.
fn unknown_names(ground: &Ground<'_>, rule: &Rule) -> Vec<Finding> {
    let missing = |defect, kind: &str, names: &[&String]| {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let names = Some(names.join(", ")).filter(|names| !names.is_empty())?;
        let what = format!("there is no {kind} {names} on this machine, and rule {:?} names it", rule.name);
        Some(Finding::new(defect, ground.place_of(rule), what, format!("make the {kind}, or correct the name")))
    };
    // A data base that cannot be asked has not said that there is none.
    let untold: Vec<&String> = rule.groups.iter().filter(|group| accounts::gid_of(group).is_err()).collect();
    let groups: Vec<&String> = rule.groups.iter().filter(|group| matches!(accounts::gid_of(group), Ok(None))).collect();
    // A directory that is away does not know its users.
    let own = if local_accounts::has_directory(&ground.context.paths) { &[] } else { rule.users.as_slice() };
    let users: Vec<&String> = own.iter().filter(|user| matches!(accounts::by_name(user), Ok(None))).collect();
    let groups = missing(Defect::RuleGroupMissing, "group", &groups);
    let untold = (!untold.is_empty()).then(|| {
        let what = format!("no source of names tells of the group {untold:?}, and rule {:?} names it", rule.name);
        let fix = "have the last source for groups in nsswitch.conf answer, or correct the name: till then who could be in it is denied";
        Finding::new(Defect::RuleGroupMissing, ground.place_of(rule), what, fix)
    });
    groups.into_iter().chain(untold).chain(missing(Defect::RuleUserMissing, "user", &users)).collect()
}

/// Users whom a rule names as a directory knows them, too. Logins go by the account's own name.
fn spellings(ground: &Ground<'_>, rule: &Rule) -> Vec<Finding> {
    let spelt = rule.users.iter().take(own::most_users(ground)).filter_map(|user| Some((user, names::own_name(user)?)));
    let finding = |(user, own): (&String, String)| {
        Finding::new(
            Defect::RuleUserSpelling,
            ground.place_of(rule),
            format!("rule {:?} names {user:?}, and the account's own name is {own:?}", rule.name),
            format!("write {own:?}"),
        )
    };
    spelt.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{
        Place,
        fixture::{TWO_FACTORS, found},
    };

    fn told(rules: &str) -> Vec<String> {
        let told = found(rules, &[], findings);
        told.iter().map(|told| told.split(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_a_long_lock_comes_to_is_told_once() {
        let long = Warning::LongLock { lock: std::time::Duration::from_secs(2 * 24 * 3600) }.to_string();
        let told = Finding::new(Defect::ThrottleLongLock, Place::none(), long, "see to it").on_one_line();
        assert_eq!(told.matches("another administrator").count(), 1, "{told}");
        assert_eq!(told.matches("sudo").count(), 1, "{told}");
    }

    #[test]
    fn a_key_that_nobody_can_show_is_told() {
        let keys = |service: &str| TWO_FACTORS.replace("sshd", service).replace("'password'", "'publickey'");
        assert_eq!(told(&keys("login")), ["rule-key-elsewhere"]);
        assert_eq!(told(&keys("sshd")), Vec::<String>::new());
        assert_eq!(told(&format!("sshd_services=['ssh2']\n{}", keys("ssh2"))), Vec::<String>::new());
        assert_eq!(told(&keys("*")), Vec::<String>::new());
    }

    #[test]
    fn a_service_where_others_are_denied_is_told_once() {
        let for_alice = format!("{TWO_FACTORS}user=['alice']\n");
        assert_eq!(told(&for_alice), ["rule-no-catch-all"]);
        let and_all = format!("{for_alice}{}", TWO_FACTORS.replace("'two'", "'others'"));
        assert_eq!(told(&and_all), Vec::<String>::new());
    }

    #[test]
    fn what_core_warns_of_has_an_id() {
        let weaker = TWO_FACTORS.replace("'totp']]", "'totp'],['password']]");
        assert_eq!(told(&weaker), ["rule-weaker-method"]);
        let twice = format!("{TWO_FACTORS}{}", TWO_FACTORS.replace("'two'", "'never'"));
        assert_eq!(told(&twice), ["rule-shadowed"]);
    }
}
