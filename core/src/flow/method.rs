//! Which method it is: one pure choice, the same in authentication, account and session.

use crate::{
    factor::{Factor, Factors},
    rule::Method,
};

/// The method that this user's login must satisfy: the first, in the order written, that the user's own authenticators and what
/// is already proved can satisfy. `None` if there is none.
///
/// `has` is what the user can prove when asked (`password`, `totp`); `proved` is what was verified, by us or by sshd.
#[must_use]
pub fn choose<'a>(methods: &'a [Method], has: &Factors, proved: &Factors) -> Option<&'a Method> {
    let within_reach = has.union(proved);
    methods.iter().find(|method| method.is_satisfied_by(&within_reach))
}

/// What everybody is asked: the questions of the first method whose outside factors are proved, less what is proved. Where there is
/// no such method the login will be denied, but only after questions like any other's.
#[must_use]
pub fn asked(methods: &[Method], proved: &Factors) -> Factors {
    let ready = methods.iter().find(|method| outside(method).all(|factor| proved.contains(factor)));
    let hopeless = || methods.iter().find(|method| askable(method).next().is_some());
    match ready.or_else(hopeless) {
        Some(method) => askable(method).filter(|factor| !proved.contains(*factor)).collect(),
        None => Factors::none().with(Factor::Password),
    }
}

/// Whether other modules decide, since the first method that is ready is `stack`. Looks at the rule and at what sshd verified, never at
/// the user, so the answer is the same for all names.
#[must_use]
pub fn is_left_to_the_stack(methods: &[Method], proved: &Factors) -> bool {
    methods.iter().find(|method| outside(method).all(|factor| proved.contains(factor))).is_some_and(Method::is_stack)
}

fn outside(method: &Method) -> impl Iterator<Item = Factor> + '_ {
    method.factors().iter().filter(|factor| matches!(factor, Factor::Publickey | Factor::Session))
}

fn askable(method: &Method) -> impl Iterator<Item = Factor> + '_ {
    method.factors().iter().filter(|factor| matches!(factor, Factor::Password | Factor::Totp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods(lists: &[&[Factor]]) -> Vec<Method> {
        lists.iter().map(|factors| Method::new(factors).unwrap()).collect()
    }

    fn set(factors: &[Factor]) -> Factors {
        factors.iter().copied().collect()
    }

    use Factor::{Password, Publickey, Stack, Totp};

    #[test]
    fn the_first_method_within_reach_is_the_method() {
        let methods = methods(&[&[Publickey, Totp], &[Password, Totp], &[Password]]);
        let chosen = |has: &[Factor], proved: &[Factor]| {
            choose(&methods, &set(has), &set(proved)).map(|method| method.factors().clone())
        };
        assert_eq!(chosen(&[Password, Totp], &[Publickey]), Some(set(&[Publickey, Totp])));
        assert_eq!(chosen(&[Password, Totp], &[]), Some(set(&[Password, Totp])));
        assert_eq!(chosen(&[Password], &[Publickey]), Some(set(&[Password])));
        assert_eq!(chosen(&[Totp], &[]), None);
        assert_eq!(chosen(&[], &[]), None);
    }

    #[test]
    fn who_has_more_cannot_fall_back_to_less() {
        let methods = methods(&[&[Password, Totp], &[Password]]);
        let chosen = choose(&methods, &set(&[Password, Totp]), &set(&[Password])).unwrap();
        assert!(!chosen.is_satisfied_by(&set(&[Password])));
    }

    #[test]
    fn what_is_asked_depends_on_the_rule_and_on_what_is_proved_alone() {
        let both = methods(&[&[Publickey, Totp], &[Password, Totp]]);
        assert_eq!(asked(&both, &set(&[Publickey])), set(&[Totp]));
        assert_eq!(asked(&both, &set(&[])), set(&[Password, Totp]));
        assert_eq!(asked(&both, &set(&[Password])), set(&[Totp]), "proved=password");
    }

    #[test]
    fn a_rule_that_only_a_key_satisfies_still_asks_before_it_denies() {
        assert_eq!(asked(&methods(&[&[Publickey]]), &set(&[])), set(&[Password]));
        assert_eq!(asked(&methods(&[&[Publickey, Totp]]), &set(&[])), set(&[Totp]));
    }

    #[test]
    fn a_key_login_is_not_left_to_the_stack_but_what_is_no_key_may_be() {
        let methods = methods(&[&[Publickey], &[Stack]]);
        assert!(is_left_to_the_stack(&methods, &set(&[])));
        assert!(!is_left_to_the_stack(&methods, &set(&[Publickey])));
    }
}
