//! Enrolment within a login. Everything but `totp` was proved, and the user has no authenticator for that: the flow waits until one is
//! enrolled, or until it is put off where the rule gives leave. A person takes minutes for it, so no lock is held meanwhile; at the end
//! all is judged once more. Broken off anywhere, it leaves nothing behind.

use std::time::Duration;

use super::{
    Answered, Denial, Enrollable, Enrolment, Holder, Judgement, Sealed, Standing, Terms, Verdict, judge::Proof,
};
use crate::{
    account::Authenticators,
    enrolment::{Enroll, Leave},
    factor::{Factor, Factors},
    news::{Event, Item},
    secret::Secret,
    stand_in::RecoverySet,
    state::State,
    throttle::Gate,
    time::WallTime,
    totp::TotpKey,
};

/// How long an enrolment may take. What was proved before it is worth something for so long only.
const LIFE: Duration = Duration::from_secs(600);

/// How often the code that confirms may be mistyped, and once more.
const TRIES: u8 = 2;

/// A flow that waits for an authenticator.
#[derive(Debug)]
pub struct Enrolling {
    answered: Answered,
    factors: Factors,
    leave: Leave,
    keys: Authenticators,
    has_recovery_codes: bool,
    begun: WallTime,
}

impl Enrolling {
    /// Begins where `factors` and thus everything but `totp` was proved. `state` is the one that is about to be written.
    pub(super) fn begin(
        answered: Answered,
        factors: Factors,
        (holder, state): (&Holder, &mut State),
        now: WallTime,
    ) -> Self {
        let leave = answered.leave(state, now);
        let recovery = holder.keys.recovery.as_ref();
        let has_recovery_codes = recovery.is_some_and(|set| set.left(&state.spent_codes) > 0);
        Self { answered, factors, leave, keys: holder.keys.clone(), has_recovery_codes, begun: now }
    }

    /// Whether it can be put off.
    #[must_use]
    pub const fn leave(&self) -> Leave {
        self.leave
    }

    /// Goes on with this authenticator, which nobody has yet.
    pub const fn with(self, key: TotpKey) -> Confirm {
        Confirm { enrolling: self, key, tries: TRIES }
    }
}

/// A flow that waits for a code from the new authenticator.
#[derive(Debug)]
#[must_use]
pub struct Confirm {
    enrolling: Enrolling,
    key: TotpKey,
    tries: u8,
}

/// What an answer to the question for that code comes to.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// It was not the code, and may have been mistyped.
    Again(Box<Confirm>),
    /// The user has the authenticator, or puts it off.
    Concluded(Box<Concluded>),
    /// It comes to nothing.
    Denied(Denial),
}

impl Confirm {
    /// The authenticator to be shown.
    #[must_use]
    pub const fn key(&self) -> &TotpKey {
        &self.key
    }

    /// Whether it can be put off, by an empty answer.
    #[must_use]
    pub const fn leave(&self) -> Leave {
        self.enrolling.leave
    }

    /// Takes an answer.
    pub fn answer(self, answer: &Secret, (skew, now): (u8, WallTime)) -> Confirmation {
        let Self { enrolling, key, tries } = self;
        if enrolling.answered.was_given(answer) {
            // sshd's `password` method answers every question alike: nobody sees what is shown.
            return Confirmation::Denied(Denial::NoScreen);
        }
        if answer.is_empty() && enrolling.leave != Leave::None {
            return Confirmation::Concluded(Box::new(Concluded { enrolling, new: None }));
        }
        match (key.step_of(answer, skew, now), tries) {
            (Some(step), _) => {
                let new = Some(New { key, step, recovery: None });
                Confirmation::Concluded(Box::new(Concluded { enrolling, new }))
            }
            (None, 0 | 1) => Confirmation::Denied(Denial::NotConfirmed),
            (None, tries) => Confirmation::Again(Box::new(Self { enrolling, key, tries: tries - 1 })),
        }
    }
}

/// What is new with a user.
#[derive(Debug)]
struct New {
    key: TotpKey,
    /// The step of the code that confirmed it.
    step: u64,
    recovery: Option<RecoverySet>,
}

/// An enrolment that is done or put off, of which nothing is written yet.
#[derive(Debug)]
pub struct Concluded {
    enrolling: Enrolling,
    new: Option<New>,
}

impl Concluded {
    /// Whether recovery codes belong to it: the user has a new authenticator, none of these, and a rule that takes them.
    #[must_use]
    pub const fn wants_recovery_codes(&self) -> bool {
        self.new.is_some() && !self.enrolling.has_recovery_codes && self.enrolling.answered.rule.recovery
    }

    /// Goes on with these recovery codes, which the user has been shown.
    #[must_use]
    pub fn with_recovery_codes(mut self, set: RecoverySet) -> Self {
        if let Some(new) = &mut self.new {
            new.recovery = Some(set);
        }
        self
    }

    /// Judges once more, as things are now. `holder` and `state` are read under the user's lock, and `now` after it was got.
    pub fn judge(self, holder: &Holder, state: &State, (terms, now): (&Terms, WallTime)) -> Judgement {
        let mut next = state.clone();
        let gate = next.throttle.gate(&terms.throttle, &self.enrolling.answered.caller(), now);
        let checked = self.check(gate, (holder, &mut next), now);
        let (uid, record) = match (self.enrolling.answered.subject().uid, checked) {
            (Some(uid), Ok(record)) => (uid, record),
            (None, Ok(_)) => return Judgement::denied(next, Denial::UnknownUser),
            (_, Err(denial)) => return Judgement::denied(next, denial),
        };
        let Self { enrolling: Enrolling { answered, mut factors, .. }, new } = self;
        let enrolment = match new {
            None => Enrolment::PutOff,
            Some(new) => {
                factors.insert(Factor::Totp);
                new.note(&mut next, &answered, now);
                Enrolment::Done
            }
        };
        let proof = Proof { factors, spent: None, enrolment };
        let receipt = answered.grant((uid, proof), (holder, &mut next), now);
        Judgement { next, is_as_it_was: false, record, verdict: Sealed::new(Verdict::Granted(Box::new(receipt))) }
    }

    /// The record to be written, if the login may go on.
    fn check(
        &self,
        gate: Gate,
        (holder, next): (&Holder, &mut State),
        now: WallTime,
    ) -> Result<Option<Authenticators>, Denial> {
        gate.pass()?;
        holder.standing.pass()?;
        // It is the record that the password was right for, and in which there was no authenticator.
        if *holder.keys.to_text() != *self.enrolling.keys.to_text() {
            return Err(Denial::RecordChanged);
        }
        if now.saturating_since(self.enrolling.begun) > LIFE || now < self.enrolling.begun {
            return Err(Denial::TooLate);
        }
        match &self.new {
            None => match self.enrolling.answered.leave(next, now) {
                Leave::None => Err(Denial::TooLate),
                Leave::For(_) | Leave::Always => Ok(None),
            },
            Some(new) => {
                holder.enrollable.pass()?;
                let mut record = holder.keys.clone();
                record.add_totp(new.key.clone()).map_err(|_taken| Denial::RecordChanged)?;
                if new.recovery.is_some() {
                    record.recovery.clone_from(&new.recovery);
                }
                Ok(Some(record))
            }
        }
    }
}

impl New {
    /// Uses the code up that confirmed it, and notes for the user what was added.
    fn note(&self, next: &mut State, answered: &Answered, now: WallTime) {
        next.last_steps.use_up(&self.key, self.step);
        let from = Some(answered.caller().source);
        let mut tell = |event, detail| next.news.push(Item { at: now, event, from: from.clone(), detail });
        tell(Event::FactorAdded, self.key.name().to_owned());
        if self.recovery.is_some() {
            tell(Event::RecoveryCodesMade, String::new());
        }
    }
}

impl Answered {
    /// Whether enrolling can be put off at this login, which counts as one.
    pub(super) fn leave(&self, state: &mut State, now: WallTime) -> Leave {
        match self.rule.enroll {
            None | Some(Enroll::Required | Enroll::Ticket) => Leave::None,
            Some(Enroll::Optional) => Leave::Always,
            Some(Enroll::Grace(length)) => state.graces.login(&self.rule.name, length, now),
        }
    }
}

impl Enrollable {
    pub(super) const fn pass(self) -> Result<(), Denial> {
        match self {
            Self::Yes => Ok(()),
            Self::NoScreen => Err(Denial::NoScreen),
            Self::Managed => Err(Denial::Managed),
        }
    }
}

impl Standing {
    pub(super) const fn pass(self) -> Result<(), Denial> {
        match self {
            Self::Good => Ok(()),
            Self::Unknown => Err(Denial::UnknownUser),
            Self::Disabled => Err(Denial::Disabled),
            Self::Unruled => Err(Denial::NoRule),
        }
    }
}
