//! How long a new password must be (NIST SP 800-63B-4 section 3.1.1.2): 15 characters where it is enough alone, 8 beside another
//! factor. Length is the only rule: no classes of characters, no expiry.

use authflow_core::{factor::Factor, password::LONGEST_PASSWORD, rule::Rule, secret::Secret};

const ALONE: usize = 15;
const BESIDE_ANOTHER: usize = 8;

/// The shortest that a password may be, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Minimum {
    /// In characters, as people count them.
    pub characters: usize,
    why: String,
}

/// Why a password is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TooWeak {
    /// Nothing there.
    #[error("the password is empty")]
    Empty,
    /// Too short for what it guards.
    #[error("the password has {characters} characters, at least {} are needed: {}", minimum.characters, minimum.why)]
    Short {
        /// How many it has.
        characters: usize,
        /// How many it needs.
        minimum: Minimum,
    },
    /// Longer than any login looks at.
    #[error("the password is {0} bytes long, at most {LONGEST_PASSWORD} are taken")]
    Long(usize),
    /// It holds what no prompt can take.
    #[error("the password holds a NUL byte, which no login prompt can take")]
    Nul,
}

impl Minimum {
    /// What the rules that may concern a user of these groups ask of his password. Where no rule asks for a password yet, it
    /// depends on whether the user has a second factor.
    pub(crate) fn for_user(rules: &[Rule], user: &str, groups: &[String], has_second_factor: bool) -> Self {
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

    /// Whether `password` will do.
    pub(crate) fn check(&self, password: &Secret) -> Result<(), TooWeak> {
        let bytes = password.expose();
        // A character is a code point; where the bytes are no text, a byte is one.
        let characters = std::str::from_utf8(bytes).map_or(bytes.len(), |text| text.chars().count());
        if bytes.is_empty() {
            Err(TooWeak::Empty)
        } else if bytes.len() > LONGEST_PASSWORD {
            Err(TooWeak::Long(bytes.len()))
        } else if bytes.contains(&0) {
            Err(TooWeak::Nul)
        } else if characters < self.characters {
            Err(TooWeak::Short { characters, minimum: self.clone() })
        } else {
            Ok(())
        }
    }
}

/// Where from and for which service cannot be known beforehand, so a rule that the user might meet counts.
fn may_concern(rule: &Rule, user: &str, groups: &[String]) -> bool {
    (rule.users.is_empty() || rule.users.iter().any(|name| name == user))
        && (rule.groups.is_empty() || rule.groups.iter().any(|group| groups.contains(group)))
}

#[cfg(test)]
mod tests {
    use authflow_core::rule::{AccountMode, Method, SessionPolicy};

    use super::*;

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
    fn without_rules_a_second_factor_decides() {
        assert_eq!(minimum(&[], true), 8);
        assert_eq!(minimum(&[], false), 15);
        assert_eq!(minimum(&[rule("key", &[&[Factor::Publickey]])], false), 15);
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        let minimum = Minimum { characters: 8, why: "it is a test".into() };
        assert_eq!(minimum.check(&Secret::from("pässwörd")), Ok(()));
        assert_eq!(minimum.check(&Secret::from("")), Err(TooWeak::Empty));
        let error = minimum.check(&Secret::from("sieben7")).unwrap_err();
        assert_eq!(error.to_string(), "the password has 7 characters, at least 8 are needed: it is a test");
        assert_eq!(minimum.check(&Secret::new(vec![b'x'; 4096])), Ok(()));
        assert_eq!(minimum.check(&Secret::new(vec![b'x'; 4097])), Err(TooWeak::Long(4097)));
        assert_eq!(minimum.check(&Secret::from("12345678\0")), Err(TooWeak::Nul));
    }
}
