//! The guard: a login whose proofs do not satisfy its method is refused even if another module or sshd let it through. sshd never
//! runs PAM's auth phase for a key and tells late, hence two steps.

use super::{Enrolment, choose};
use crate::{
    enrolment::Enroll,
    factor::{Factor, Factors},
    rule::{Method, Rule},
};

/// What the guard says.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The proofs satisfy the method.
    Pass,
    /// They do not.
    Refuse {
        /// What it takes; `None` if no method of the rule is within the user's reach.
        needed: Option<Method>,
    },
}

/// At the account phase, where sshd has told only the earlier, partial methods: refuses what could not be satisfied even if the method
/// under way were a key.
pub fn at_account(methods: &[Method], has: &Factors, proved: &Factors) -> Guard {
    match at_session(methods, has, proved) {
        Guard::Pass => Guard::Pass,
        Guard::Refuse { .. } => at_session(methods, has, &proved.clone().with(Factor::Publickey)),
    }
}

/// At the opening of the session, where everything is known.
pub fn at_session(methods: &[Method], has: &Factors, proved: &Factors) -> Guard {
    match choose(methods, has, proved) {
        Some(method) if method.is_satisfied_by(proved) => Guard::Pass,
        needed => Guard::Refuse { needed: needed.cloned() },
    }
}

/// What counts as proved after a flow under `rule` that put enrolling off: what was, and `totp` as well, as long as the user has no
/// authenticator for it and the rule can give that leave.
#[must_use]
pub fn counted(rule: &Rule, has: &Factors, proved: &Factors, enrolment: Enrolment) -> Factors {
    let is_excused = match enrolment {
        Enrolment::PutOff => !has.contains(Factor::Totp) && rule.enroll.is_some_and(Enroll::can_be_put_off),
        Enrolment::NotAsked | Enrolment::Done => false,
    };
    if is_excused { proved.clone().with(Factor::Totp) } else { proved.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{AccountMode, SessionPolicy};

    use Factor::{Password, Publickey, Totp};

    fn methods(lists: &[&[Factor]]) -> Vec<Method> {
        lists.iter().map(|factors| Method::new(factors).unwrap()).collect()
    }

    fn set(factors: &[Factor]) -> Factors {
        factors.iter().copied().collect()
    }

    fn passes(guard: Guard) -> bool {
        guard == Guard::Pass
    }

    const ENROLLED: &[Factor] = &[Password, Totp];

    #[test]
    fn a_plain_key_passes_account_but_not_the_session_of_a_rule_that_wants_a_code_too() {
        let rule = methods(&[&[Publickey, Totp]]);
        assert!(!passes(at_account(&rule, &set(ENROLLED), &set(&[]))), "the code cannot come any more");
        assert!(!passes(at_session(&rule, &set(ENROLLED), &set(&[Publickey]))));
        let key_alone = methods(&[&[Publickey]]);
        assert!(passes(at_account(&key_alone, &set(ENROLLED), &set(&[]))));
        assert!(passes(at_session(&key_alone, &set(ENROLLED), &set(&[Publickey]))));
        assert!(!passes(at_session(&key_alone, &set(ENROLLED), &set(&[]))), "it was no key after all");
    }

    #[test]
    fn code_and_password_pass_with_or_without_a_key_behind_them() {
        let rule = methods(&[&[Publickey, Totp], &[Password, Totp]]);
        let receipt = set(&[Password, Totp]);
        assert!(passes(at_account(&rule, &set(ENROLLED), &receipt)));
        assert!(passes(at_session(&rule, &set(ENROLLED), &receipt)));
        assert!(passes(at_session(&rule, &set(ENROLLED), &receipt.with(Publickey))));
    }

    #[test]
    fn a_flow_that_put_enrolling_off_passes_as_long_as_nothing_has_changed() {
        let rule = |enroll| Rule {
            name: "ssh".into(),
            services: vec!["sshd".into()],
            users: vec![],
            groups: vec![],
            from: vec![],
            methods: methods(&[&[Password, Totp]]),
            from_session: None,
            account: AccountMode::Auto,
            recovery: true,
            enroll,
            session: SessionPolicy::default(),
        };
        let has_passed = |enroll, has: &[Factor], enrolment| {
            let (rule, has) = (rule(enroll), set(has));
            passes(at_session(&rule.methods, &has, &counted(&rule, &has, &set(&[Password]), enrolment)))
        };
        let optional = Some(Enroll::Optional);
        assert!(has_passed(optional, &[Password], Enrolment::PutOff));
        assert!(!has_passed(optional, &[Password], Enrolment::NotAsked), "no flow gave that leave");
        assert!(!has_passed(optional, ENROLLED, Enrolment::PutOff), "there is an authenticator by now");
        assert!(!has_passed(Some(Enroll::Required), &[Password], Enrolment::PutOff), "the rule gives none by now");
        assert!(!has_passed(None, &[Password], Enrolment::PutOff));
    }

    #[test]
    fn a_user_without_a_code_passes_only_where_a_later_method_says_so() {
        let strict = methods(&[&[Password, Totp]]);
        let lenient = methods(&[&[Password, Totp], &[Password]]);
        assert_eq!(at_session(&strict, &set(&[Password]), &set(&[Password])), Guard::Refuse { needed: None });
        assert!(passes(at_session(&lenient, &set(&[Password]), &set(&[Password]))));
        assert!(!passes(at_session(&lenient, &set(ENROLLED), &set(&[Password]))));
    }
}
