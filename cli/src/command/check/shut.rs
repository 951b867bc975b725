//! The services that would let nobody in: authflow is called there, and whoever comes finds only rules that nobody can meet.

use std::collections::BTreeSet;

use authflow_core::rule::Rule;

use super::{
    Ground, records,
    rules::{is_for_everybody, takes_keys},
};

/// Their names. An image's users are given their factors later, and a rule whose service never calls authflow shuts nothing yet.
pub(super) fn services(ground: &Ground<'_>) -> Vec<String> {
    if ground.context.is_image() {
        return Vec::new();
    }
    of_calling(ground)
}

fn of_calling(ground: &Ground<'_>) -> Vec<String> {
    let hopeless = records::rules_for_nobody(ground);
    let calls_us = |service: &String| ground.stacks.of(service).is_some_and(|stack| stack.calls_us());
    let is_shut = |service: &String| {
        let rules: Vec<&Rule> = ground.config.rules.iter().filter(|rule| rule.governs(service)).collect();
        !rules.is_empty() && reached(&rules).iter().all(|rule| is_for_nobody(ground, service, rule, &hopeless))
    };
    ground.stacks.names().into_iter().filter(|service| calls_us(service) && is_shut(service)).collect()
}

/// The first of these rules that is for everybody, and those before it: behind it nobody comes.
fn reached<'a, 'b>(rules: &'b [&'a Rule]) -> &'b [&'a Rule] {
    let end = rules.iter().position(|rule| is_for_everybody(rule)).map_or(rules.len(), |last| last + 1);
    rules.get(..end).unwrap_or(rules)
}

fn is_for_nobody(ground: &Ground<'_>, service: &str, rule: &Rule, hopeless: &BTreeSet<String>) -> bool {
    hopeless.contains(&rule.name) || takes_keys(rule) && !ground.config.is_sshd(service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    fn shut(rules: &str, files: &[(&str, &str)]) -> Vec<String> {
        let names = std::cell::RefCell::new(Vec::new());
        let none = found(rules, files, |ground| {
            names.borrow_mut().extend(of_calling(ground));
            Vec::new()
        });
        assert!(none.is_empty());
        names.into_inner()
    }

    const CALLS: (&str, &str) = ("etc/pam.d/sshd", "auth required pam_authflow.so\n");
    const ALICE: (&str, &str) = (
        "etc/authflow/users/alice.toml",
        "version = 1\n\n[[totp]]\nname = \"phone\"\nsecret = \"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\"\n\n# end of record\n",
    );

    #[test]
    fn a_service_is_shut_where_nobody_meets_any_rule_that_is_reached() {
        let none = Vec::<String>::new();
        assert_eq!(shut(TWO_FACTORS, &[CALLS]), ["sshd"]);
        assert_eq!(shut(TWO_FACTORS, &[]), none, "nothing calls authflow yet");
        assert_eq!(shut(TWO_FACTORS, &[CALLS, ALICE]), none, "somebody is enrolled");
        let disabled = ("var/lib/authflow/state/alice.disabled", "by root: \nuid 1777\n");
        assert_eq!(shut(TWO_FACTORS, &[CALLS, ALICE, disabled]), ["sshd"], "who is enrolled is kept out");
        let broken = ("etc/authflow/users/bob.toml", "version = 1\n[[totp\n");
        assert_eq!(shut(TWO_FACTORS, &[CALLS, broken]), ["sshd"], "whose record is broken is denied");
        assert_eq!(shut(TWO_FACTORS, &[CALLS, broken, ALICE]), none, "somebody else gets in");
        assert_eq!(shut(&format!("{TWO_FACTORS}enroll={{mode='ticket'}}\n"), &[CALLS]), none, "people enrol later");
        let for_a_group = format!("{TWO_FACTORS}group=['later']\n");
        assert_eq!(shut(&for_a_group, &[CALLS]), ["sshd"]);
        let others = TWO_FACTORS.replace("'two'", "'others'").replace("'password','totp'", "'password'");
        assert_eq!(shut(&format!("{for_a_group}{others}"), &[CALLS]), none, "the others get in");
        assert_eq!(shut(&format!("{TWO_FACTORS}{others}"), &[CALLS]), ["sshd"], "nobody comes to the second rule");
    }

    #[test]
    fn a_service_that_is_not_sshds_is_shut_by_keys() {
        let rule = TWO_FACTORS.replace("'sshd'", "'sudo'").replace("'password','totp'", "'publickey'");
        let sudo = ("etc/pam.d/sudo", CALLS.1);
        assert_eq!(shut(&rule, &[sudo]), ["sudo"]);
    }
}
