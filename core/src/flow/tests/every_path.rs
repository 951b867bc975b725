//! A row for every way through a flow: what is proved before it, whose it is, what is answered, and how it ends. What becomes of an
//! enrolment inside it stands with the tests of that.

use super::*;

const BYPASS: &str = "zzzz-4567-89ab-cdef-ghjk-mnpq";
const RECOVERY: &str = "0123-4567-89ab-cdef-ghjk-mnpq";
const KEY_FIRST: &[&[Factor]] = &[&[Publickey, Totp], &[Password, Totp]];
const LENIENT: &[&[Factor]] = &[&[Password, Totp], &[Password]];

type Row = (Attempt<'static>, State, Result<&'static str, Denial>);

/// Each of these denials, and no other, is one that a flow without an enrolment comes to.
macro_rules! ends {
    (here: $($here:pat),+ => enrolling: $($enrolling:pat),+) => {{
        let _complete = |denial: Denial| match denial { $($here => (),)+ $($enrolling => (),)+ };
        [$((stringify!($here), (|denial: &Denial| matches!(denial, $here)) as fn(&Denial) -> bool)),+]
    }};
}

#[test]
fn every_way_ends_as_it_must() {
    for (attempt, mut state, end) in granted().into_iter().chain(denied()) {
        let row = format!("{:?} {:?} {:?}", attempt.rule.methods, attempt.proved, attempt.answers);
        let receipt = attempt.run(&mut state).map(|receipt| receipt.factors().to_string());
        assert_eq!(receipt.as_deref(), end.as_ref().copied(), "{row}");
    }
}

#[test]
fn no_way_is_left_out() {
    use Denial::*;
    let ends = ends!(
        here: UnknownUser, Disabled, NoRule, NotEnrolled, Locked(_), Stopped, RefusedBySshd, WrongPassword,
            PasswordExpired, NoCode, WrongCode, CodeUsed, RecordChanged =>
        enrolling: NoScreen, Managed, NotConfirmed, TooLate
    );
    let rows = denied();
    for (name, is_it) in ends {
        assert!(rows.iter().any(|(_, _, end)| end.as_ref().is_err_and(is_it)), "no row ends in {name}");
    }
}

pub(super) fn granted() -> Vec<Row> {
    let fresh = State::default;
    let proving = |factor, attempt| Attempt { proved: Factors::none().with(factor), ..attempt };
    let without_code = |answers| Attempt { holder: without_totp(), ..attempt(LENIENT, answers) };
    vec![
        (attempt(BOTH, &[RIGHT, CODES[4]]), fresh(), Ok("password+totp")),
        (Attempt { one_prompt: true, ..attempt(BOTH, &["correct horse338314"]) }, fresh(), Ok("password+totp")),
        (attempt(&[&[Password]], &[RIGHT]), fresh(), Ok("password")),
        (attempt(&[&[Totp]], &[CODES[4]]), fresh(), Ok("totp")),
        (attempt(KEY_FIRST, &[RIGHT, CODES[4]]), fresh(), Ok("password+totp")),
        (proving(Publickey, attempt(KEY_FIRST, &[CODES[4]])), fresh(), Ok("totp+publickey")),
        (proving(Publickey, attempt(&[&[Publickey]], &[])), fresh(), Ok("publickey")),
        (proving(Session, attempt(STEP_UP, &[])), fresh(), Ok("session")),
        (proving(Password, attempt(BOTH, &[CODES[4]])), fresh(), Ok("password+totp")),
        (proving(Password, attempt(&[&[Password]], &[])), fresh(), Ok("password")),
        (with_codes(&[RIGHT, RECOVERY]), fresh(), Ok("password+totp+recovery")),
        (attempt(BOTH, &[RIGHT, BYPASS]), with_bypass(), Ok("password+totp+bypass")),
        (without_code(&[RIGHT, ""]), fresh(), Ok("password")),
    ]
}

pub(super) fn denied() -> Vec<Row> {
    let fresh = State::default;
    let right = || attempt(BOTH, &[RIGHT, CODES[4]]);
    let standing = |standing| Attempt { holder: Holder { standing, ..alice() }, ..right() };
    let outcome = |outcome| Attempt { outcome: Some(outcome), ..right() };
    let disabled = || Holder { standing: Standing::Disabled, ..alice() };
    let vouched = Attempt { proved: Factors::none().with(Session), holder: disabled(), ..attempt(STEP_UP, &[]) };
    let without_code = |answers| Attempt { holder: without_totp(), ..attempt(BOTH, answers) };
    vec![
        (attempt(BOTH, &["wrong", CODES[4]]), fresh(), Err(Denial::WrongPassword)),
        (attempt(BOTH, &["", ""]), fresh(), Err(Denial::WrongPassword)),
        (attempt(BOTH, &[RIGHT, "000000"]), fresh(), Err(Denial::WrongCode)),
        (Attempt { holder: without_totp(), ..attempt(LENIENT, &[RIGHT, "000000"]) }, fresh(), Err(Denial::WrongCode)),
        (attempt(BOTH, &[RIGHT, BYPASS]), fresh(), Err(Denial::WrongCode)),
        (attempt(BOTH, &[RIGHT, ""]), fresh(), Err(Denial::NoCode)),
        (attempt(BOTH, &[RIGHT, RIGHT]), fresh(), Err(Denial::NoCode)),
        (right(), after(right()), Err(Denial::CodeUsed)),
        (with_codes(&[RIGHT, RECOVERY]), after(with_codes(&[RIGHT, RECOVERY])), Err(Denial::CodeUsed)),
        (without_code(&[RIGHT, ""]), fresh(), Err(Denial::NotEnrolled)),
        (attempt(&[&[Publickey]], &[RIGHT]), fresh(), Err(Denial::NotEnrolled)),
        (standing(Standing::Unknown), fresh(), Err(Denial::UnknownUser)),
        (Attempt { uid: None, ..right() }, fresh(), Err(Denial::UnknownUser)),
        (standing(Standing::Disabled), fresh(), Err(Denial::Disabled)),
        (vouched, fresh(), Err(Denial::Disabled)),
        (standing(Standing::Unruled), fresh(), Err(Denial::NoRule)),
        (outcome(HashOutcome::Expired), fresh(), Err(Denial::PasswordExpired)),
        (outcome(HashOutcome::Replaced), fresh(), Err(Denial::RecordChanged)),
        (attempt(BOTH, &["\u{8}\n\r\u{7f}INCO", "x"]), fresh(), Err(Denial::RefusedBySshd)),
        (right(), guessed(5, "192.0.2.1"), Err(Denial::Locked(step(34)))),
        (right(), guessed(100, "198.51.100.7"), Err(Denial::Stopped)),
    ]
}

fn with_codes(answers: &'static [&'static str]) -> Attempt<'static> {
    let mut holder = alice();
    holder.keys.recovery = Some(RecoverySet { made: WallTime::default(), codes: [digest(RECOVERY)].into() });
    Attempt { holder, ..attempt(BOTH, answers) }
}

fn with_bypass() -> State {
    let (issued, until, reason) = (step(0), step(10), "phone lost".to_owned());
    State { bypass: Some(Bypass { code: digest(BYPASS), issued, until, reason }), ..State::default() }
}

/// The state that a success leaves.
fn after(attempt: Attempt<'_>) -> State {
    let mut state = State::default();
    attempt.run(&mut state).unwrap();
    state
}

/// The state after so many guesses from there.
fn guessed(count: u32, address: &str) -> State {
    let mut state = State::default();
    let caller = Caller { source: Source::from(address.parse::<std::net::IpAddr>().unwrap()), is_root: false };
    (0..count).for_each(|_| state.throttle.failed(&TERMS.throttle, &caller, step(4)));
    state
}
