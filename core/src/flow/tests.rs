//! Every path of a flow, from the first question to the verdict.

mod any_method;
mod any_order;
mod every_path;
mod stand_ins;
mod vouched;

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

fn digest(code: &str) -> CodeDigest {
    CodeDigest::of(&Secret::from(code)).unwrap()
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
