//! How long a new password must be: 15 characters where some rule takes it alone, 8 where it only ever stands beside another factor.

use crate::{factor::Factor, rule::Rule};

const ALONE: usize = 15;
const BESIDE_ANOTHER: usize = 8;

/// The shortest that a password may be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// In characters, as people count them.
    pub characters: usize,
    /// Which rule wants it so.
    pub why: String,
}

impl Minimum {
    /// What the rules that may concern a user of these groups ask of the user's password. A method that takes it alone counts also behind a
    /// stronger one: it is what is left once the second factor is removed. Where no rule asks for a password yet, it depends on whether
    /// the user has a second factor.
    #[must_use]
    pub fn for_user(rules: &[Rule], user: &str, groups: &[String], has_second_factor: bool) -> Self {
        let mut beside = None;
        for rule in rules.iter().filter(|rule| may_concern(rule, user, groups)) {
            for method in rule.methods.iter().filter(|method| method.factors().contains(Factor::Password)) {
                let others = [Factor::Totp, Factor::Publickey];
                if !others.into_iter().any(|factor| method.factors().contains(factor)) {
                    return Self { characters: ALONE, why: format!("rule {:?} takes it alone", rule.name) };
                }
                beside.get_or_insert_with(|| format!("rule {:?} asks for it beside another factor", rule.name));
            }
        }
        match (beside, has_second_factor) {
            (Some(why), _) => Self { characters: BESIDE_ANOTHER, why },
            (None, true) => Self { characters: BESIDE_ANOTHER, why: "it stands beside a second factor".to_owned() },
            (None, false) => {
                Self { characters: ALONE, why: "the user has no second factor, and no rule asks for one".to_owned() }
            }
        }
    }
}

impl Minimum {
    /// This one, or the configuration's where that is more.
    #[must_use]
    pub fn at_least(self, characters: u32) -> Self {
        match usize::try_from(characters) {
            Ok(more) if more > self.characters => {
                Self { characters: more, why: "the machine's configuration says so".to_owned() }
            }
            Ok(_) | Err(_) => self,
        }
    }
}

/// Whether any rule that may concern a user of these groups asks for a password at all.
#[must_use]
pub fn asks_for_password(rules: &[Rule], user: &str, groups: &[String]) -> bool {
    let asks = |rule: &&Rule| rule.methods.iter().any(|method| method.factors().contains(Factor::Password));
    rules.iter().filter(asks).any(|rule| may_concern(rule, user, groups))
}

/// Where from and for which service cannot be known beforehand, so a rule that the user might meet counts.
fn may_concern(rule: &Rule, user: &str, groups: &[String]) -> bool {
    (rule.users.is_empty() || rule.users.iter().any(|name| name == user))
        && (rule.groups.is_empty() || rule.groups.iter().any(|group| groups.contains(group)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{AccountMode, Method, SessionPolicy};

    fn rule(name: &str, methods: &[&[Factor]]) -> Rule {
        Rule {
            name: name.into(),
            services: vec!["sshd".into()],
            users: vec![],
            groups: vec![],
            from: vec![],
            methods: methods.iter().map(|factors| Method::new(factors).unwrap()).collect(),
            from_session: None,
            account: AccountMode::Auto,
            recovery: true,
            enroll: None,
            session: SessionPolicy::default(),
        }
    }

    fn minimum(rules: &[Rule], has_second_factor: bool) -> usize {
        Minimum::for_user(rules, "alice", &[], has_second_factor).characters
    }

    #[test]
    fn a_password_that_some_method_takes_alone_must_be_long() {
        let both = rule("both", &[&[Factor::Password, Factor::Totp]]);
        let alone = rule("alone", &[&[Factor::Password, Factor::Totp], &[Factor::Password]]);
        assert_eq!(minimum(std::slice::from_ref(&both), false), 8);
        assert_eq!(minimum(&[both, alone], true), 15);
    }

    #[test]
    fn rules_for_others_do_not_count() {
        let alone = Rule { users: vec!["bob".into()], ..rule("alone", &[&[Factor::Password]]) };
        assert_eq!(minimum(std::slice::from_ref(&alone), true), 8);
        assert_eq!(Minimum::for_user(&[alone], "bob", &[], true).characters, 15);
    }

    #[test]
    fn the_configuration_raises_a_minimum_and_lowers_none() {
        let of = |characters, least| Minimum { characters, why: String::new() }.at_least(least).characters;
        assert_eq!([of(8, 12), of(15, 12), of(15, 15)], [12, 15, 15]);
    }

    #[test]
    fn without_rules_a_second_factor_decides() {
        assert_eq!(minimum(&[], true), 8);
        assert_eq!(minimum(&[], false), 15);
        assert_eq!(minimum(&[rule("key", &[&[Factor::Publickey]])], false), 15);
    }
}
