//! What the word of a session is worth: the caller's own login has proved it a moment ago.

use super::*;

fn vouched_for<'a>(methods: &[&[Factor]], answers: &'a [&'a str]) -> Attempt<'a> {
    Attempt { proved: Factors::none().with(Session), ..attempt(methods, answers) }
}

#[test]
fn who_is_vouched_for_is_asked_for_what_is_missing_and_nobody_else_is_spared() {
    let receipt = vouched_for(STEP_UP, &[]).run(&mut State::default()).unwrap();
    assert_eq!((receipt.factors().to_string().as_str(), receipt.factors().aal()), ("session", 0));
    let and_password = vouched_for(&[&[Session, Password], &[Password, Totp]], &[RIGHT]);
    assert_eq!(and_password.run(&mut State::default()).unwrap().factors().to_string(), "password+session");
    assert_eq!(vouched_for(&[&[Session, Totp]], &["000000"]).denial(), Denial::WrongCode);
    let in_full = attempt(STEP_UP, &[RIGHT, CODES[4]]).run(&mut State::default()).unwrap();
    assert_eq!(in_full.factors().to_string(), "password+totp");
    assert_eq!(attempt(STEP_UP, &["", ""]).denial(), Denial::WrongPassword);
}

#[test]
fn a_method_that_takes_no_session_is_proved_without_one() {
    let receipt = vouched_for(&[&[Password, Totp], &[Session]], &[RIGHT, CODES[4]]).run(&mut State::default());
    assert_eq!(receipt.unwrap().factors().to_string(), "password+totp");
}

#[test]
fn a_session_that_vouches_wipes_out_no_failures() {
    let mut state = State::default();
    for _ in 0..4 {
        attempt(BOTH, &["wrong", CODES[4]]).run(&mut state).unwrap_err();
        vouched_for(STEP_UP, &[]).run(&mut state).unwrap();
    }
    attempt(BOTH, &["wrong", CODES[4]]).run(&mut state).unwrap_err();
    assert!(matches!(attempt(BOTH, &[RIGHT, CODES[4]]).denial_in(&mut state), Denial::Locked(_)));
}

#[test]
fn a_disabled_user_is_not_vouched_for() {
    let disabled = Attempt { holder: Holder { standing: Standing::Disabled, ..alice() }, ..vouched_for(STEP_UP, &[]) };
    assert_eq!(disabled.denial(), Denial::Disabled);
}
