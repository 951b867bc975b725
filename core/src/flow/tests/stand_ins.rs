//! What stands in for a code: recovery codes, and an administrator's bypass.

use super::*;

/// The codes of alice's recovery set.
fn recovery_codes() -> [String; 3] {
    [1, 2, 3].map(|n| stand_in::code_from(&[n; stand_in::CODE_BYTES]).to_string())
}

fn with_recovery() -> Holder {
    let mut holder = alice();
    let codes = recovery_codes().iter().map(|code| digest(code)).collect();
    holder.keys.recovery = Some(RecoverySet { made: WallTime::default(), codes });
    holder
}

#[test]
fn a_recovery_code_stands_in_for_a_code_once_and_says_how_many_are_left() {
    let [first, second, _] = recovery_codes();
    let mut state = State::default();
    let try_with =
        |code: &str, state: &mut State| Attempt { holder: with_recovery(), ..attempt(BOTH, &[RIGHT, code]) }.run(state);
    let receipt = try_with(&first.to_uppercase().replace('-', " "), &mut state).unwrap();
    assert_eq!(receipt.stand_in(), Some(&StandIn::Recovery { left: 2 }));
    assert_eq!((receipt.factors().to_string().as_str(), receipt.factors().aal()), ("password+totp+recovery", 2));
    assert_eq!(try_with(&first, &mut state), Err(Denial::CodeUsed));
    assert_eq!(try_with(&second, &mut state).unwrap().stand_in(), Some(&StandIn::Recovery { left: 1 }));
    assert!(try_with(CODES[4], &mut state).unwrap().stand_in().is_none(), "the phone is still good");
    let told: Vec<_> = state.news.items().iter().map(|item| item.event).collect();
    assert_eq!(told, [Event::RecoveryCodeUsed, Event::CodeReused, Event::RecoveryCodeUsed]);
}

#[test]
fn a_recovery_code_is_not_used_up_by_a_wrong_password() {
    let [first, ..] = recovery_codes();
    let mut state = State::default();
    let wrong = Attempt { holder: with_recovery(), ..attempt(BOTH, &["wrong", &first]) }.run(&mut state);
    assert_eq!(wrong, Err(Denial::WrongPassword));
    assert!(state.news.items().is_empty());
    assert!(Attempt { holder: with_recovery(), ..attempt(BOTH, &[RIGHT, &first]) }.run(&mut state).is_ok());
}

#[test]
fn a_new_set_of_recovery_codes_voids_the_old_and_forgets_what_was_used() {
    let [first, second, third] = recovery_codes();
    let mut state = State::default();
    Attempt { holder: with_recovery(), ..attempt(BOTH, &[RIGHT, &first]) }.run(&mut state).unwrap();
    let mut renewed = with_recovery();
    renewed.keys.recovery.as_mut().unwrap().codes = [digest(&third)].into();
    let with_old = Attempt { holder: renewed.clone(), ..attempt(BOTH, &[RIGHT, &second]) }.run(&mut state);
    assert_eq!(with_old, Err(Denial::WrongCode));
    let last = Attempt { holder: renewed, ..attempt(BOTH, &[RIGHT, &third]) }.run(&mut state).unwrap();
    assert_eq!(last.stand_in(), Some(&StandIn::Recovery { left: 0 }));
    assert_eq!(state.spent_codes.len(), 1);
}

#[test]
fn a_rule_may_refuse_what_stands_in_for_a_code() {
    let [first, ..] = recovery_codes();
    let answers = [RIGHT, &first];
    let mut strict = Attempt { holder: with_recovery(), ..attempt(BOTH, &answers) };
    strict.rule.recovery = false;
    assert_eq!(strict.denial(), Denial::WrongCode);
}

#[test]
fn a_bypass_code_lets_in_once_until_its_end_even_who_has_no_authenticator() {
    const BYPASS: &str = "0123-4567-89ab-cdef-ghjk-mnpq";
    let issued = |state: &mut State| {
        let (issued, until, reason) = (step(0), step(10), "phone lost".to_owned());
        state.bypass = Some(Bypass { code: digest(BYPASS), issued, until, reason });
    };
    let try_at =
        |at, state: &mut State| Attempt { holder: without_totp(), at, ..attempt(BOTH, &[RIGHT, BYPASS]) }.run(state);
    let mut state = State::default();
    issued(&mut state);
    let receipt = try_at(step(4), &mut state).unwrap();
    assert_eq!((receipt.stand_in(), receipt.factors().aal()), (Some(&StandIn::Bypass), 2));
    assert!(state.bypass.is_none());
    assert!(try_at(step(5), &mut state).is_err(), "it passed once");
    issued(&mut state);
    assert!(try_at(step(10), &mut state).is_err(), "it has run out");
}

#[test]
fn one_field_takes_a_recovery_code_behind_the_password() {
    let [first, ..] = recovery_codes();
    let both = format!("{RIGHT}{first}");
    let receipt =
        Attempt { one_prompt: true, holder: with_recovery(), ..attempt(BOTH, &[&both]) }.run(&mut State::default());
    assert!(receipt.unwrap().stand_in().is_some());
}
