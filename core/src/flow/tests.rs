//! Every path of a flow, from the first question to the verdict.

mod any_method;
mod every_path;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    account::Authenticators,
    news::Event,
    rule::{AccountMode, Method, SessionPolicy},
    stand_in::{self, Bypass, CodeDigest, RecoverySet, StandIn},
    state::{self, State},
    throttle::{Caller, Source, ThrottlePolicy},
    time::WallTime,
    totp::TotpKey,
};

/// RFC 4226 appendix D: code of counter n, which is step n.
const CODES: [&str; 10] =
    ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
const RIGHT: &str = "correct horse";
const TERMS: Terms = Terms {
    throttle: ThrottlePolicy { attempts: 5, window: Duration::from_secs(900), lock: Duration::from_secs(900) },
    skew: 1,
};

use Factor::{Password, Publickey, Session, Totp};

fn rule(methods: &[&[Factor]]) -> Rule {
    Rule {
        name: "ssh".into(),
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

fn alice() -> Holder {
    let mut keys = Authenticators::default();
    let secret = Secret::from("12345678901234567890");
    keys.add_totp(TotpKey::new("phone", secret, WallTime::default()).unwrap()).unwrap();
    Holder { standing: Standing::Good, keys, has: [Password, Totp].into_iter().collect(), enrollable: Enrollable::Yes }
}

fn without_totp() -> Holder {
    Holder { keys: Authenticators::default(), has: Factors::none().with(Password), ..alice() }
}

/// The start of step `n`.
fn step(n: u64) -> WallTime {
    WallTime::new(Duration::from_secs(n * 30))
}

struct Attempt<'a> {
    rule: Rule,
    proved: Factors,
    answers: &'a [&'a str],
    holder: Holder,
    uid: Option<u32>,
    at: WallTime,
    one_prompt: bool,
    remote: Remote,
    /// What comparing the password comes to, where that is not to follow from the answers.
    outcome: Option<HashOutcome>,
}

fn attempt<'a>(methods: &[&[Factor]], answers: &'a [&'a str]) -> Attempt<'a> {
    Attempt {
        rule: rule(methods),
        proved: Factors::none(),
        answers,
        holder: alice(),
        uid: Some(1000),
        at: step(4),
        one_prompt: false,
        remote: Remote::from_rhost(Some("192.0.2.1")),
        outcome: None,
    }
}

impl Attempt<'_> {
    /// Runs it to the end. Every scripted answer must be asked for, and nothing else may be.
    fn run(self, state: &mut State) -> Result<Receipt, Denial> {
        let subject = Subject {
            user: "alice".into(),
            uid: self.uid,
            service: "sshd".into(),
            remote: self.remote,
            calling_uid: 0,
            is_sshd: true,
        };
        let manner = Manner { one_prompt: self.one_prompt };
        let mut flow = Flow::begin(FlowId::new([7; 16]), &self.rule, subject, self.proved, manner);
        let mut answers = self.answers.iter();
        let answered = loop {
            match flow {
                Step::Ask(ask) => flow = ask.answer(Secret::from(*answers.next().expect("one question too many"))),
                Step::Answered(answered) => break answered,
            }
        };
        assert!(answers.next().is_none(), "one question too few");
        let given = answered.password(&self.holder.keys);
        let right = given.is_some_and(|password| password.matches(&Secret::from(RIGHT)));
        let hash = if right { HashOutcome::Matched } else { HashOutcome::Mismatched };
        let judgement = answered.judge(self.outcome.unwrap_or(hash), &self.holder, state, (&TERMS, self.at));
        *state = judgement.next;
        assert!(judgement.record.is_none());
        match judgement.verdict.commit(Written::after_durable_write()) {
            Finding::Verdict(Verdict::Granted(receipt)) => Ok(*receipt),
            Finding::Verdict(Verdict::Denied(denial)) => Err(denial),
            Finding::Enrol(_) => panic!("no rule here enrols"),
        }
    }

    fn denial(self) -> Denial {
        self.denial_in(&mut State::default())
    }

    fn denial_in(self, state: &mut State) -> Denial {
        self.run(state).unwrap_err()
    }
}

const BOTH: &[&[Factor]] = &[&[Password, Totp]];

#[test]
fn password_and_code_grant_level_two() {
    let receipt = attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut State::default()).unwrap();
    assert_eq!((receipt.user(), receipt.uid(), receipt.rule()), ("alice", 1000, "ssh"));
    assert_eq!(receipt.factors().aal(), 2);
    assert_eq!(receipt.granted_at(), step(4));
}

#[test]
fn what_is_wrong_is_denied_and_only_the_log_knows_why() {
    assert_eq!(attempt(BOTH, &["wrong", CODES[4]]).denial(), Denial::WrongPassword);
    assert_eq!(attempt(BOTH, &[RIGHT, "000000"]).denial(), Denial::WrongCode);
    assert_eq!(attempt(BOTH, &[RIGHT, CODES[6]]).denial(), Denial::WrongCode, "two steps ahead");
    assert_eq!(attempt(BOTH, &[RIGHT, ""]).denial(), Denial::NoCode);
    assert_eq!(attempt(BOTH, &["", CODES[4]]).denial(), Denial::WrongPassword);
    assert_eq!(attempt(BOTH, &["", ""]).denial(), Denial::WrongPassword);
}

#[test]
fn a_step_that_was_used_is_denied_even_with_the_right_password() {
    let mut state = State::default();
    attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state).unwrap();
    assert_eq!(attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state), Err(Denial::CodeUsed));
    assert_eq!(attempt(BOTH, &[RIGHT, CODES[3]]).run(&mut state), Err(Denial::CodeUsed), "an older one as well");
    assert!(attempt(BOTH, &[RIGHT, CODES[5]]).run(&mut state).is_ok());
}

#[test]
fn a_wrong_password_does_not_use_the_code_up() {
    let mut state = State::default();
    attempt(BOTH, &["wrong", CODES[4]]).run(&mut state).unwrap_err();
    assert!(attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state).is_ok());
}

#[test]
fn users_that_may_not_log_in_are_asked_the_same_and_denied() {
    let unknown = Attempt {
        holder: Holder {
            standing: Standing::Unknown,
            keys: Authenticators::default(),
            has: Factors::none(),
            ..alice()
        },
        uid: None,
        ..attempt(BOTH, &[RIGHT, CODES[4]])
    };
    assert_eq!(unknown.denial(), Denial::UnknownUser);
    let disabled =
        Attempt { holder: Holder { standing: Standing::Disabled, ..alice() }, ..attempt(BOTH, &[RIGHT, CODES[4]]) };
    assert_eq!(disabled.denial(), Denial::Disabled);
    let empty = Holder { keys: Authenticators::default(), has: Factors::none(), ..alice() };
    assert_eq!(Attempt { holder: empty, ..attempt(BOTH, &[RIGHT, CODES[4]]) }.denial(), Denial::NotEnrolled);
    let no_uid = Attempt { uid: None, ..attempt(BOTH, &[RIGHT, CODES[4]]) };
    assert_eq!(no_uid.denial(), Denial::UnknownUser, "a grant needs somebody to grant to");
}

#[test]
fn an_empty_code_passes_only_for_who_has_none_and_where_a_method_says_so() {
    const LENIENT: &[&[Factor]] = &[&[Password, Totp], &[Password]];
    let lenient = Attempt { holder: without_totp(), ..attempt(LENIENT, &[RIGHT, ""]) };
    assert_eq!(lenient.run(&mut State::default()).unwrap().factors().aal(), 1);
    assert_eq!(attempt(LENIENT, &[RIGHT, ""]).denial(), Denial::NoCode, "alice has an authenticator");
    assert_eq!(Attempt { holder: without_totp(), ..attempt(BOTH, &[RIGHT, ""]) }.denial(), Denial::NotEnrolled);
    assert_eq!(Attempt { holder: without_totp(), ..attempt(LENIENT, &[RIGHT, "123456"]) }.denial(), Denial::WrongCode);
}

#[test]
fn a_code_that_echoes_the_password_is_no_code() {
    assert_eq!(attempt(BOTH, &[RIGHT, RIGHT]).denial(), Denial::NoCode);
    let mut state = State::default();
    for _ in 0..20 {
        assert_eq!(attempt(BOTH, &[RIGHT, RIGHT]).run(&mut state), Err(Denial::NoCode), "and counts as no failed one");
    }
}

#[test]
fn a_key_that_sshd_verified_leaves_the_code_to_be_asked() {
    const KEY_FIRST: &[&[Factor]] = &[&[Publickey, Totp], &[Password, Totp]];
    let proved = Factors::none().with(Publickey);
    let with_key = |answers| Attempt { proved: proved.clone(), ..attempt(KEY_FIRST, answers) };
    let receipt = with_key(&[CODES[4]]).run(&mut State::default()).unwrap();
    assert_eq!((receipt.factors().to_string().as_str(), receipt.factors().aal()), ("totp+publickey", 1));
    assert_eq!(with_key(&["000000"]).denial(), Denial::WrongCode);
    assert!(attempt(KEY_FIRST, &[RIGHT, CODES[4]]).run(&mut State::default()).is_ok(), "without a key");
}

#[test]
fn a_rule_that_wants_a_key_denies_who_has_none_after_a_question() {
    assert_eq!(attempt(&[&[Publickey]], &[RIGHT]).denial(), Denial::NotEnrolled);
    assert_eq!(attempt(&[&[Publickey, Totp]], &[CODES[4]]).denial(), Denial::NotEnrolled);
}

#[test]
fn a_password_proved_by_another_module_is_not_asked_again() {
    let proved = Factors::none().with(Password);
    let receipt = Attempt { proved, ..attempt(BOTH, &[CODES[4]]) }.run(&mut State::default()).unwrap();
    assert_eq!(receipt.factors().aal(), 2);
}

/// That module may be `required`, and the password wrong.
#[test]
fn a_code_beside_a_password_that_another_module_proved_clears_no_count_by_itself() {
    let proved = Factors::none().with(Password);
    let mut state = State::default();
    assert!(attempt(BOTH, &[RIGHT, "000000"]).run(&mut state).is_err());
    let failed = state.throttle.clone();
    let receipt = Attempt { proved, ..attempt(BOTH, &[CODES[4]]) }.run(&mut state).unwrap();
    assert_eq!(state.throttle, failed);
    state.throttle.count(receipt.unsettled().unwrap(), step(4));
    assert_eq!((state.throttle.consecutive, state.throttle.last_success().is_some()), (0, true));
    let receipt = attempt(BOTH, &[RIGHT, CODES[5]]).run(&mut State::default()).unwrap();
    assert_eq!(receipt.unsettled(), None, "what is all our own counts at once");
}

const STEP_UP: &[&[Factor]] = &[&[Session], &[Password, Totp]];

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

#[test]
fn one_field_takes_password_and_code() {
    let one = |answers| Attempt { one_prompt: true, ..attempt(BOTH, answers) };
    assert!(one(&["correct horse338314"]).run(&mut State::default()).is_ok());
    assert_eq!(one(&["correct horse"]).denial(), Denial::NoCode);
    assert_eq!(one(&["338314"]).denial(), Denial::WrongPassword);
    assert_eq!(one(&[""]).denial(), Denial::WrongPassword);
}

#[test]
fn the_fifth_failure_locks_the_source_for_the_right_answers_too() {
    let mut state = State::default();
    for _ in 0..5 {
        attempt(BOTH, &["wrong", CODES[4]]).run(&mut state).unwrap_err();
    }
    let locked = attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state).unwrap_err();
    assert_eq!(locked, Denial::Locked(WallTime::new(Duration::from_secs(120 + 900))));
    let later = Attempt { at: step(40), holder: without_totp(), ..attempt(&[&[Password]], &[RIGHT]) };
    assert!(later.run(&mut state).is_ok());
}

/// What is written for nobody else would tell users from decoys by the time it takes.
#[test]
fn only_who_calls_here_and_is_kept_waiting_has_nothing_written() {
    let judged = |remote: Remote, calling_uid, failures| {
        let caller = Caller {
            source: Source::new(remote, calling_uid, crate::throttle::ServiceName::new("sshd")),
            is_root: false,
        };
        let mut state = State::default();
        (0..failures).for_each(|_| state.throttle.failed(&TERMS.throttle, &caller, step(4)));
        let subject = Subject { remote, calling_uid, ..subject() };
        let flow =
            Flow::begin(FlowId::new([7; 16]), &rule(&[&[Password]]), subject, Factors::none(), Manner::default());
        let Step::Ask(ask) = flow else { panic!("a question") };
        let Step::Answered(answered) = ask.answer(Secret::from(RIGHT)) else { panic!("one question") };
        let judgement = answered.judge(HashOutcome::Matched, &alice(), &state, (&TERMS, step(4)));
        assert!(!judgement.is_as_it_was || judgement.next == state);
        judgement.is_as_it_was
    };
    let far = Remote::from_rhost(Some("192.0.2.1"));
    assert!(judged(Remote::Local, 1001, 5));
    for (remote, calling_uid, failures) in [(Remote::Local, 1001, 4), (Remote::Local, 0, 5), (far, 1001, 5)] {
        assert!(!judged(remote, calling_uid, failures), "{remote:?} {calling_uid} {failures}");
    }
}

#[test]
fn junk_from_sshd_is_no_attempt_at_the_account() {
    let mut state = State::default();
    let junk = "\u{8}\n\r\u{7f}INCORRECT\u{8}\n\r\u{7f}INC";
    for _ in 0..50 {
        let denial = attempt(BOTH, &[junk, junk]).run(&mut state).unwrap_err();
        assert_eq!(denial, Denial::RefusedBySshd);
    }
    assert_eq!(attempt(BOTH, &["\u{8}\n\r\u{7f}INCO", "x"]).denial(), Denial::RefusedBySshd, "cut to what was typed");
    assert_eq!(attempt(BOTH, &["\u{8}", "x"]).denial(), Denial::WrongPassword, "a stray key is an attempt");
}

#[test]
fn a_success_tells_of_the_one_before() {
    let mut state = State::default();
    assert_eq!(attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state).unwrap().previous(), None);
    let again = Attempt { at: step(5), ..attempt(BOTH, &[RIGHT, CODES[5]]) }.run(&mut state).unwrap();
    assert_eq!(again.previous().unwrap().0, step(4));
}

/// The codes of alice's recovery set.
fn recovery_codes() -> [String; 3] {
    [1, 2, 3].map(|n| stand_in::code_from(&[n; stand_in::CODE_BYTES]).to_string())
}

fn digest(code: &str) -> CodeDigest {
    CodeDigest::of(&Secret::from(code)).unwrap()
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

#[test]
fn a_success_tells_of_the_failures_before_it_and_of_a_new_source() {
    let mut state = State::default();
    assert!(!attempt(BOTH, &[RIGHT, CODES[3]]).run(&mut state).unwrap().is_new_source(), "there is no old one");
    attempt(BOTH, &["wrong", CODES[4]]).run(&mut state).unwrap_err();
    attempt(BOTH, &["wrong", CODES[4]]).run(&mut state).unwrap_err();
    let receipt = attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state).unwrap();
    assert_eq!((receipt.failures().count, receipt.is_new_source()), (2, false));
    let from_elsewhere = Remote::from_rhost(Some("198.51.100.7"));
    let elsewhere = Attempt { remote: from_elsewhere, ..attempt(BOTH, &[RIGHT, CODES[5]]) };
    let receipt = elsewhere.run(&mut state).unwrap();
    assert_eq!((receipt.failures().count, receipt.is_new_source()), (2, true), "nobody has been told of them yet");
}

#[test]
fn a_password_that_was_replaced_meanwhile_opens_nothing_and_counts_as_no_guess() {
    let mut state = State::default();
    for _ in 0..20 {
        let mut flow =
            Flow::begin(FlowId::new([7; 16]), &rule(&[&[Password]]), subject(), Factors::none(), Manner::default());
        let answered = loop {
            match flow {
                Step::Ask(ask) => flow = ask.answer(Secret::from(RIGHT)),
                Step::Answered(answered) => break answered,
            }
        };
        let judgement = answered.judge(HashOutcome::Replaced, &alice(), &state, (&TERMS, step(4)));
        state = judgement.next;
        let finding = judgement.verdict.commit(Written::after_durable_write());
        assert!(matches!(finding, Finding::Verdict(Verdict::Denied(Denial::RecordChanged))));
    }
    assert_eq!(state, State::default());
}

fn subject() -> Subject {
    let remote = Remote::from_rhost(Some("192.0.2.1"));
    Subject { user: "alice".into(), uid: Some(1000), service: "sshd".into(), remote, calling_uid: 0, is_sshd: true }
}

#[test]
fn a_password_alone_clears_no_count_of_guesses_at_the_code() {
    let mut state = State::default();
    for _ in 0..4 {
        attempt(BOTH, &[RIGHT, "000000"]).run(&mut state).unwrap_err();
    }
    assert!(attempt(&[&[Password]], &[RIGHT]).run(&mut state).is_ok());
    assert_eq!(state.throttle.consecutive, 4);
    attempt(BOTH, &[RIGHT, "000000"]).run(&mut state).unwrap_err();
    assert!(matches!(attempt(BOTH, &[RIGHT, CODES[4]]).run(&mut state), Err(Denial::Locked(_))));
}

proptest! {
    #[test]
    fn no_attempt_adds_half_of_what_room_is_kept_for(
        before in state::tests::state(), network in any::<u64>(), which in any::<prop::sample::Index>(),
    ) {
        let rows: Vec<_> = every_path::granted().into_iter().chain(every_path::denied()).collect();
        let (attempt, _, _) = rows.into_iter().nth(which.index(34)).unwrap();
        let address = std::net::Ipv6Addr::from(u128::from(network) << 64 | u128::from(network)).to_string();
        let mut state = before.clone();
        let _either_way = Attempt { remote: Remote::from_rhost(Some(&address)), ..attempt }.run(&mut state);
        let (before, after) = (before.to_text().len(), state.to_text().len());
        prop_assert!(after <= before + state::GROWTH / 2, "{before} -> {after}");
    }

    #[test]
    fn no_order_of_attempts_lets_a_step_in_twice(tries in prop::collection::vec((0_usize..10, 0_u64..10), 1..40)) {
        let (mut state, mut used) = (State::default(), std::collections::BTreeSet::new());
        for (code, now) in tries {
            let answers = [RIGHT, CODES[code]];
            let granted = Attempt { at: step(now), ..attempt(BOTH, &answers) }.run(&mut state).is_ok();
            if granted {
                prop_assert!(used.insert(code), "step {code} passed twice");
                prop_assert!(now.abs_diff(code as u64) <= 1);
            }
        }
    }

    #[test]
    fn nobody_gets_in_without_the_password_and_a_code_of_the_hour(password in ".{0,20}", code in ".{0,12}") {
        prop_assume!(password != RIGHT || !CODES[3..=5].contains(&code.replace(' ', "").as_str()));
        let answers = [password.as_str(), code.as_str()];
        prop_assert!(attempt(BOTH, &answers).run(&mut State::default()).is_err());
    }
}
