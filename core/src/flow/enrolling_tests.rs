//! Every path of a flow that enrols: what each mode asks, grants and denies, and what it leaves behind.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    account::Authenticators,
    enrolment::{Enroll, Leave},
    factor::Factor::{Password, Totp},
    news::Event,
    rule::{AccountMode, Method, SessionPolicy},
    stand_in::{Bypass, CodeDigest, RecoverySet},
    state::State,
    throttle::ThrottlePolicy,
    time::WallTime,
    totp::TotpKey,
};

const RIGHT: &str = "correct horse";
const BYPASS: &str = "0123-4567-89ab-cdef-ghjk-mnpq";
/// RFC 4226 appendix D: the codes of steps 4 and 5 of the new authenticator.
const CODE: &str = "338314";
const NEXT_CODE: &str = "254676";
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const TERMS: Terms = Terms {
    throttle: ThrottlePolicy { attempts: 5, window: Duration::from_secs(900), lock: Duration::from_secs(900) },
    skew: 1,
};
const MODES: [Enroll; 4] = [Enroll::Required, Enroll::Grace(WEEK), Enroll::Optional, Enroll::Ticket];

/// The start of step 4.
const START: WallTime = WallTime::new(Duration::from_secs(120));

/// A user with a password and nothing else, at a screen.
fn alice() -> Holder {
    let has = Factors::none().with(Password);
    Holder { standing: Standing::Good, keys: Authenticators::default(), has, enrollable: Enrollable::Yes }
}

fn new_key() -> TotpKey {
    TotpKey::new("totp", Secret::from("12345678901234567890"), START).unwrap()
}

fn with_bypass() -> State {
    let code = CodeDigest::of(&Secret::from(BYPASS)).unwrap();
    let until = START.saturating_add(WEEK);
    State { bypass: Some(Bypass { code, issued: START, until, reason: "new".into() }), ..State::default() }
}

/// One login, with what was found and what is true at its end.
struct Login<'a> {
    enroll: Enroll,
    /// The password, then the code.
    answers: [&'a str; 2],
    /// What is typed at the pages.
    typed: &'a [&'a str],
    before: Holder,
    after: Holder,
    at: WallTime,
    takes: Duration,
}

fn login<'a>(enroll: Enroll, typed: &'a [&'a str]) -> Login<'a> {
    let answers = [RIGHT, if enroll == Enroll::Ticket { BYPASS } else { "" }];
    Login { enroll, answers, typed, before: alice(), after: alice(), at: START, takes: Duration::ZERO }
}

/// How a login ended.
#[derive(Debug)]
enum End {
    Granted(Box<Receipt>, Option<Box<Authenticators>>),
    Denied(Denial),
    /// More would have been asked.
    BrokenOff,
}

impl End {
    fn denial(self) -> Denial {
        match self {
            Self::Denied(denial) => denial,
            Self::Granted(..) | Self::BrokenOff => panic!("not denied: {self:?}"),
        }
    }

    fn granted(self) -> (Receipt, Option<Authenticators>) {
        match self {
            Self::Granted(receipt, record) => (*receipt, record.map(|record| *record)),
            Self::Denied(_) | Self::BrokenOff => panic!("not granted: {self:?}"),
        }
    }
}

impl Login<'_> {
    fn run(self, state: &mut State) -> End {
        let end = self.at.saturating_add(self.takes);
        let (before, after) = (self.before.clone(), self.after.clone());
        let typed = self.typed;
        let judgement = self.judgement(state);
        *state = judgement.next;
        assert!(judgement.record.is_none(), "nothing is enrolled by the first judgement");
        let enrolling = match judgement.verdict.commit(Written::after_durable_write()) {
            Finding::Verdict(verdict) => return ended(verdict, None),
            Finding::Enrol(enrolling) => enrolling,
        };
        assert!(!before.has.contains(Totp));
        let mut confirm = enrolling.with(new_key());
        for answer in typed {
            match confirm.answer(&Secret::from(*answer), (TERMS.skew, START)) {
                Confirmation::Again(again) => confirm = *again,
                Confirmation::Denied(denial) => return End::Denied(denial),
                Confirmation::Concluded(concluded) => {
                    let judgement = concluded.judge(&after, state, (&TERMS, end));
                    *state = judgement.next;
                    return ended(judgement.verdict.commit(Written::after_durable_write()), judgement.record);
                }
            }
        }
        End::BrokenOff
    }

    fn judgement(self, state: &State) -> Judgement<Finding> {
        let rule = Rule {
            name: "ssh".into(),
            services: vec!["sshd".into()],
            users: vec![],
            groups: vec![],
            from: vec![],
            methods: vec![Method::new(&[Password, Totp]).unwrap()],
            from_session: None,
            account: AccountMode::Auto,
            recovery: true,
            enroll: Some(self.enroll),
            session: SessionPolicy::default(),
        };
        let remote = Remote::from_rhost(Some("192.0.2.1"));
        let subject = Subject {
            user: "alice".into(),
            uid: Some(1000),
            service: "sshd".into(),
            remote,
            calling_uid: 0,
            is_sshd: true,
        };
        let mut flow = Flow::begin(FlowId::new([7; 16]), &rule, subject, Factors::none(), Manner::default());
        let mut answers = self.answers.iter();
        let answered = loop {
            match flow {
                Step::Ask(ask) => flow = ask.answer(Secret::from(*answers.next().expect("one question too many"))),
                Step::Answered(answered) => break answered,
            }
        };
        let is_right = self.answers[0] == RIGHT;
        let hash = if is_right { HashOutcome::Matched } else { HashOutcome::Mismatched };
        answered.judge(hash, &self.before, state, (&TERMS, self.at))
    }
}

fn ended(verdict: Verdict, record: Option<Authenticators>) -> End {
    match verdict {
        Verdict::Granted(receipt) => End::Granted(receipt, record.map(Box::new)),
        Verdict::Denied(denial) => {
            assert!(record.is_none(), "who is denied leaves no record behind");
            End::Denied(denial)
        }
    }
}

/// A state in which every mode admits to enrolment.
fn state_for(enroll: Enroll) -> State {
    if enroll == Enroll::Ticket { with_bypass() } else { State::default() }
}

#[test]
fn a_code_from_the_new_authenticator_enrols_it_and_grants_both_factors_in_every_mode() {
    for enroll in MODES {
        let mut state = state_for(enroll);
        let (receipt, record) = login(enroll, &[CODE]).run(&mut state).granted();
        assert_eq!((receipt.factors().to_string().as_str(), receipt.enrolment()), ("password+totp", Enrolment::Done));
        assert_eq!(record.unwrap().totp().len(), 1);
        assert_eq!(state.last_steps.last(&new_key()), Some(4), "the code that confirmed it is used up");
        let told: Vec<_> = state.news.items().iter().map(|item| item.event).collect();
        assert!(told.ends_with(&[Event::FactorAdded]), "{told:?}");
    }
}

#[test]
fn the_code_that_confirmed_is_used_up_and_the_next_one_passes() {
    let mut state = State::default();
    let (_, record) = login(Enroll::Required, &[CODE]).run(&mut state).granted();
    let enrolled = Holder { keys: record.unwrap(), has: Factors::none().with(Password).with(Totp), ..alice() };
    let with = |code| Login { answers: [RIGHT, code], before: enrolled.clone(), ..login(Enroll::Required, &[]) };
    assert_eq!(with(CODE).run(&mut state).denial(), Denial::CodeUsed);
    assert_eq!(with("").run(&mut state).denial(), Denial::NoCode, "and there is no second enrolment");
    assert_eq!(with(NEXT_CODE).run(&mut state).granted().0.enrolment(), Enrolment::NotAsked);
}

#[test]
fn a_wrong_password_never_reaches_enrolment() {
    for enroll in MODES {
        let mut state = state_for(enroll);
        let bypass = state.bypass.clone();
        let wrong = Login { answers: ["wrong", BYPASS], ..login(enroll, &[]) };
        assert_eq!(wrong.run(&mut state).denial(), Denial::WrongPassword);
        assert_eq!((state.bypass, state.graces), (bypass, <_>::default()), "nothing is used up");
    }
}

#[test]
fn what_was_typed_as_a_code_does_not_matter_to_who_has_none() {
    for enroll in [Enroll::Required, Enroll::Grace(WEEK), Enroll::Optional] {
        let with = Login { answers: [RIGHT, "123456"], ..login(enroll, &[CODE]) };
        assert_eq!(with.run(&mut State::default()).granted().0.enrolment(), Enrolment::Done);
    }
}

#[test]
fn an_empty_answer_puts_it_off_only_where_the_rule_gives_leave() {
    for (enroll, gives_leave) in MODES.into_iter().zip([false, true, true, false]) {
        let mut state = state_for(enroll);
        match login(enroll, &[""]).run(&mut state) {
            End::Granted(receipt, record) => {
                assert!(gives_leave && record.is_none());
                assert_eq!((receipt.factors().aal(), receipt.enrolment()), (1, Enrolment::PutOff));
            }
            End::BrokenOff => assert!(!gives_leave, "it counts as a mistyped code"),
            End::Denied(denial) => panic!("{denial}"),
        }
    }
}

#[test]
fn the_second_wrong_code_is_the_last() {
    for enroll in MODES {
        let mut state = state_for(enroll);
        assert_eq!(login(enroll, &["000000", "000001"]).run(&mut state).denial(), Denial::NotConfirmed);
        assert!(state.last_steps.is_empty() && state.failures.count == 0);
        let mut state = state_for(enroll);
        assert_eq!(login(enroll, &["000000", CODE]).run(&mut state).granted().0.enrolment(), Enrolment::Done);
    }
}

#[test]
fn a_grace_ends_for_good() {
    let mut state = State::default();
    let at = |time| Login { at: time, ..login(Enroll::Grace(WEEK), &[""]) };
    let first = at(START).judgement(&state);
    let Finding::Enrol(enrolling) = first.verdict.commit(Written::after_durable_write()) else {
        panic!("no enrolment")
    };
    assert_eq!(enrolling.leave(), Leave::For(WEEK));
    assert!(matches!(at(START).run(&mut state), End::Granted(..)));
    let last_day = START.saturating_add(WEEK.saturating_sub(Duration::from_secs(1)));
    assert!(matches!(at(last_day).run(&mut state), End::Granted(..)));
    assert!(matches!(at(START.saturating_add(WEEK)).run(&mut state), End::BrokenOff));
    assert!(matches!(at(START).run(&mut state), End::BrokenOff), "the clock was set back");
}

#[test]
fn a_grace_that_ends_while_the_question_stands_is_over() {
    let late = Login { takes: Duration::from_secs(60), ..login(Enroll::Grace(Duration::from_secs(30)), &[""]) };
    assert_eq!(late.run(&mut State::default()).denial(), Denial::TooLate);
}

#[test]
fn a_ticket_is_used_up_when_it_is_given() {
    let mut state = with_bypass();
    assert!(matches!(login(Enroll::Ticket, &[]).run(&mut state), End::BrokenOff));
    assert!(state.bypass.is_none());
    assert_eq!(login(Enroll::Ticket, &[CODE]).run(&mut state).denial(), Denial::NotEnrolled);
    for code in ["", "123456"] {
        let without = Login { answers: [RIGHT, code], ..login(Enroll::Ticket, &[]) };
        assert_eq!(without.run(&mut with_bypass()).denial(), Denial::NotEnrolled);
    }
}

#[test]
fn where_nothing_can_be_enrolled_only_the_rules_own_leave_lets_in() {
    for enroll in MODES {
        for (enrollable, denial) in [(Enrollable::NoScreen, Denial::NoScreen), (Enrollable::Managed, Denial::Managed)] {
            let mut state = state_for(enroll);
            let before = Holder { enrollable, ..alice() };
            match (Login { before, ..login(enroll, &[]) }).run(&mut state) {
                End::Granted(receipt, None) => {
                    assert!(enroll.can_be_put_off());
                    assert_eq!((receipt.factors().aal(), receipt.enrolment()), (1, Enrolment::PutOff));
                }
                end @ (End::Granted(..) | End::Denied(_) | End::BrokenOff) => {
                    assert!(!enroll.can_be_put_off() && end.denial() == denial)
                }
            }
            assert_eq!(state.bypass.is_some(), enroll == Enroll::Ticket, "a ticket is not wasted on it");
        }
    }
}

#[test]
fn a_grace_ends_where_there_is_no_screen_too() {
    let mut state = State::default();
    let at = |time| {
        let before = Holder { enrollable: Enrollable::NoScreen, ..alice() };
        Login { at: time, before, ..login(Enroll::Grace(WEEK), &[]) }
    };
    assert!(matches!(at(START).run(&mut state), End::Granted(..)));
    assert_eq!(at(START.saturating_add(WEEK)).run(&mut state).denial(), Denial::NoScreen);
}

#[test]
fn who_answers_every_question_alike_is_shown_nothing() {
    for enroll in MODES {
        let echo = Login { answers: [RIGHT, RIGHT], ..login(enroll, &[]) };
        match echo.run(&mut state_for(enroll)) {
            End::Granted(receipt, None) => assert_eq!(receipt.enrolment(), Enrolment::PutOff),
            end @ (End::Granted(..) | End::Denied(_) | End::BrokenOff) => {
                let denial = end.denial();
                assert!(matches!((enroll, denial), (Enroll::Ticket, Denial::NotEnrolled) | (_, Denial::NoCode)));
            }
        }
        assert_eq!(login(enroll, &[RIGHT]).run(&mut state_for(enroll)).denial(), Denial::NoScreen);
    }
}

#[test]
fn what_changed_meanwhile_denies() {
    let disabled = Holder { standing: Standing::Disabled, ..alice() };
    let managed = Holder { enrollable: Enrollable::Managed, ..alice() };
    let mut changed = alice();
    changed.keys.recovery = Some(RecoverySet { made: START, codes: <_>::default() });
    let mut enrolled = alice();
    enrolled.keys.add_totp(TotpKey::new("other", Secret::new(vec![9; 20]), START).unwrap()).unwrap();
    for (after, denial) in [
        (disabled, Denial::Disabled),
        (managed, Denial::Managed),
        (changed, Denial::RecordChanged),
        (enrolled, Denial::RecordChanged),
    ] {
        let mut state = State::default();
        assert_eq!(Login { after, ..login(Enroll::Required, &[CODE]) }.run(&mut state).denial(), denial);
        assert!(state.last_steps.is_empty() && state.news.items().is_empty());
    }
    let slow = Login { takes: Duration::from_secs(601), ..login(Enroll::Required, &[CODE]) };
    assert_eq!(slow.run(&mut State::default()).denial(), Denial::TooLate);
}

#[test]
fn a_source_that_was_locked_meanwhile_is_not_let_in() {
    let mut state = State::default();
    let first = login(Enroll::Required, &[]).judgement(&state);
    let Finding::Enrol(enrolling) = first.verdict.commit(Written::after_durable_write()) else {
        panic!("no enrolment")
    };
    for _ in 0..5 {
        let wrong = Login { answers: ["wrong", ""], ..login(Enroll::Required, &[]) };
        assert_eq!(wrong.run(&mut state).denial(), Denial::WrongPassword);
    }
    let Confirmation::Concluded(concluded) = enrolling.with(new_key()).answer(&Secret::from(CODE), (1, START)) else {
        panic!("not confirmed")
    };
    let judgement = concluded.judge(&alice(), &state, (&TERMS, START));
    assert!(judgement.record.is_none());
    let verdict = judgement.verdict.commit(Written::after_durable_write());
    assert!(matches!(verdict, Verdict::Denied(Denial::Locked(_))), "{verdict:?}");
}

proptest! {
    #[test]
    fn nobody_is_let_in_without_all_factors_but_by_the_rules_own_leave(
        mode in 0_usize..4,
        password in prop_oneof![Just(RIGHT), Just("wrong"), Just("")],
        code in prop_oneof![Just(""), Just(BYPASS), Just(CODE), Just(RIGHT)],
        typed in prop::collection::vec(prop_oneof![Just(""), Just(CODE), Just("000000"), Just(RIGHT), Just(BYPASS)], 0..4),
        has_ticket in any::<bool>(),
        is_disabled in any::<bool>(),
    ) {
        let enroll = MODES[mode];
        let mut state = if has_ticket { with_bypass() } else { State::default() };
        let after = Holder { standing: if is_disabled { Standing::Disabled } else { Standing::Good }, ..alice() };
        let end = Login { answers: [password, code], after, ..login(enroll, &typed) }.run(&mut state);
        if let End::Granted(receipt, record) = end {
            let is_enrolled = record.is_some_and(|record| record.totp().len() == 1);
            prop_assert!(password == RIGHT);
            match receipt.enrolment() {
                Enrolment::Done => {
                    prop_assert!(is_enrolled && typed.contains(&CODE) && !is_disabled);
                    prop_assert!(enroll != Enroll::Ticket || (has_ticket && code == BYPASS));
                    prop_assert_eq!(receipt.factors().aal(), 2);
                }
                Enrolment::PutOff => {
                    prop_assert!(enroll.can_be_put_off());
                    prop_assert!(code == RIGHT || (typed.contains(&"") && !is_disabled), "shown nothing, or put off by an answer");
                    prop_assert!(!is_enrolled && receipt.factors().aal() == 1);
                }
                Enrolment::NotAsked => {
                    prop_assert!(has_ticket && code == BYPASS && enroll != Enroll::Ticket, "the bypass code stood in");
                }
            }
            prop_assert!(!has_ticket || code != BYPASS || state.bypass.is_none(), "a code passes once");
        }
    }
}
