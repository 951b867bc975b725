//! The judgement: everything at once, from all answers, the user's authenticators and state, and the time. Pure. What it decides is
//! sealed until the state that the decision depends on is written.

use super::{
    Answered, Denial, Enrolling, Enrolment, Finding, HashOutcome, Judgement, Receipt, Sealed, Verdict, choose,
};
use crate::{
    account::Authenticators,
    enrolment::{Enroll, Leave},
    factor::{Factor, Factors},
    news::{Event, Item},
    rule::Method,
    secret::Secret,
    stand_in::{CodeDigest, StandIn},
    state::State,
    throttle::{Caller, Gate, Source, Success, ThrottlePolicy},
    time::WallTime,
    totp::TotpKey,
};

/// What the user is and has, as host found it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Whether the user may log in at all.
    pub standing: Standing,
    /// The user's record; empty for a user without one.
    pub keys: Authenticators,
    /// What the user can prove when asked: the record's factors, and `password` where another source has one.
    pub has: Factors,
    /// Whether an authenticator can be enrolled in this very login.
    pub enrollable: Enrollable,
}

/// Whether an authenticator can be enrolled in a login, as far as the machine is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrollable {
    /// It can.
    Yes,
    /// There is no screen to show a QR code on.
    NoScreen,
    /// Configuration management owns the user's record.
    Managed,
}

/// Whether a user may log in at all. Only the log tells the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A user of this machine.
    Good,
    /// No such user.
    Unknown,
    /// Disabled by an administrator.
    Disabled,
    /// The service is governed, and no rule matches this login.
    Unruled,
}

/// The numbers a judgement goes by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Failures and locks.
    pub throttle: ThrottlePolicy,
    /// Steps accepted on each side of now.
    pub skew: u8,
}

/// What a granted flow proved, and what it uses up.
pub(super) struct Proof {
    pub(super) factors: Factors,
    pub(super) spent: Option<Spent>,
    pub(super) enrolment: Enrolment,
}

/// How far the answers reach.
enum Reach {
    /// They prove the whole method.
    All(Proof),
    /// They prove all but `totp`, which the user has no authenticator for; the bypass code that admits to enrolling is used up.
    AllButTotp(Factors, Option<Spent>),
}

/// What passes once.
pub(super) enum Spent {
    /// That authenticator's codes up to this step.
    Step(Box<TotpKey>, u64),
    /// That recovery code.
    Recovery(CodeDigest),
    /// The bypass code.
    Bypass,
}

impl Answered {
    /// Judges everything at once: throttle, password, code, replay. `state` is the user's, read under its lock; `now` is read
    /// after the lock was got.
    pub fn judge(
        self,
        password: HashOutcome,
        holder: &Holder,
        state: &State,
        (terms, now): (&Terms, WallTime),
    ) -> Judgement<Finding> {
        let mut next = state.clone();
        let caller = self.caller();
        let gate = next.throttle.gate(&terms.throttle, &caller, now);
        let finding = match (self.subject.uid, self.examine(gate, password, holder, state, (terms, now))) {
            (Some(uid), Ok(Reach::All(proof))) => {
                let receipt = self.grant((uid, proof), (holder, &mut next), now);
                Finding::Verdict(Verdict::Granted(Box::new(receipt)))
            }
            (Some(uid), Ok(Reach::AllButTotp(factors, ticket))) => match self.obstacle(holder) {
                None => {
                    if let Some(ticket) = ticket {
                        ticket.use_up(&mut next, holder, (&caller.source, now));
                    }
                    Finding::Enrol(Box::new(Enrolling::begin(self, factors, (holder, &mut next), now)))
                }
                // Lockers and the like have no screen: what can be put off is, or a grace would hold for some services only.
                Some(obstacle) => Finding::Verdict(match self.leave(&mut next, now) {
                    Leave::None => deny(obstacle, &mut next, (&caller, terms), now),
                    Leave::For(_) | Leave::Always => {
                        let proof = Proof { factors, spent: None, enrolment: Enrolment::PutOff };
                        Verdict::Granted(Box::new(self.grant((uid, proof), (holder, &mut next), now)))
                    }
                }),
            },
            (None, Ok(_)) => Finding::Verdict(deny(Denial::UnknownUser, &mut next, (&caller, terms), now)),
            (_, Err(denial)) => Finding::Verdict(deny(denial, &mut next, (&caller, terms), now)),
        };
        // Who has an account here knows whose there are; and locked out himself, he is not to keep the lock from others for a sync's time.
        let has_account = matches!(caller.source, Source::Local(uid) if uid != 0);
        let is_as_it_was = gate != Gate::Open && has_account && next == *state;
        Judgement { next, is_as_it_was, record: None, verdict: Sealed::new(finding) }
    }

    /// Notes the success, uses up what passes once, and writes the receipt.
    pub(super) fn grant(
        self,
        (uid, proof): (u32, Proof),
        (holder, next): (&Holder, &mut State),
        now: WallTime,
    ) -> Receipt {
        let caller = self.caller();
        let previous = next.throttle.last_success().map(|(at, source)| (at, source.clone()));
        let is_new_source = previous.is_some() && !next.throttle.knows(&caller.source);
        // What others have proved is no answer: a session that vouches must not wipe out the failures of whoever guesses inside it. Nor
        // may the password alone clear the count of guesses at the code.
        let is_answered = proof.factors.iter().any(|factor| !self.proved.contains(factor));
        let lacks_code = holder.has.contains(Factor::Totp) && !proof.factors.contains(Factor::Totp);
        let mut success = is_answered.then(|| Success { caller: caller.clone(), is_whole: !lacks_code });
        // A module before us that is `required` has us run after a wrong password as well.
        let unsettled = if self.proved.contains(Factor::Password) { success.take() } else { None };
        if let Some(success) = success {
            next.throttle.count(&success, now);
        }
        let stand_in = proof.spent.and_then(|spent| spent.use_up(next, holder, (&caller.source, now)));
        Receipt {
            flow: self.id,
            user: self.subject.user,
            uid,
            service: self.subject.service,
            remote: self.subject.remote,
            factors: proof.factors,
            granted_at: now,
            rule: self.rule.name,
            session: self.rule.session,
            previous,
            failures: next.failures.clone(),
            is_new_source,
            stand_in,
            enrolment: proof.enrolment,
            unsettled,
        }
    }

    fn examine(
        &self,
        gate: Gate,
        password: HashOutcome,
        holder: &Holder,
        state: &State,
        (terms, now): (&Terms, WallTime),
    ) -> Result<Reach, Denial> {
        gate.pass()?;
        if self.is_sshd_junk() {
            return Err(Denial::RefusedBySshd);
        }
        holder.standing.pass()?;
        let code = self.code(&holder.keys);
        let stand_in = code.as_ref().and_then(|code| self.stand_in(code, &holder.keys, state, now));
        let enrols = self.enrols(holder, stand_in.as_ref());
        let within_reach =
            if enrols || stand_in.is_some() { holder.has.clone().with(Factor::Totp) } else { holder.has.clone() };
        let method = choose(&self.rule.methods, &within_reach, &self.proved).ok_or(Denial::NotEnrolled)?;
        let mut factors = self.proved.clone();
        if !method.factors().contains(Factor::Session) {
            // Nothing rested on it: the whole method was proved.
            factors = factors.without(Factor::Session);
        }
        if method.factors().contains(Factor::Password) && !factors.contains(Factor::Password) {
            match password {
                HashOutcome::Matched => factors.insert(Factor::Password),
                HashOutcome::Mismatched => return Err(Denial::WrongPassword),
                HashOutcome::Expired => return Err(Denial::PasswordExpired),
                HashOutcome::Replaced => return Err(Denial::RecordChanged),
            }
        }
        if enrols && method.factors().contains(Factor::Totp) {
            let ticket = stand_in.transpose()?;
            return if may_enrol(method, &factors) {
                Ok(Reach::AllButTotp(factors, ticket))
            } else {
                Err(Denial::NotEnrolled)
            };
        }
        let mut spent = None;
        if method.factors().contains(Factor::Totp) {
            let code = code.as_ref().ok_or(Denial::NoCode)?;
            let proof = match stand_in {
                Some(stand_in) => stand_in?,
                None => self.spend(code, &holder.keys, state, (terms, now))?,
            };
            factors.insert(Factor::Totp);
            match proof {
                Spent::Step(..) => {}
                Spent::Recovery(_) => factors.insert(Factor::Recovery),
                Spent::Bypass => factors.insert(Factor::Bypass),
            }
            spent = Some(proof);
        } else if code.is_some() {
            // Whoever gives a code believes to have an authenticator; one that is not known here proves nothing.
            return Err(Denial::WrongCode);
        }
        let proof = Proof { factors, spent, enrolment: Enrolment::NotAsked };
        if method.is_satisfied_by(&proof.factors) { Ok(Reach::All(proof)) } else { Err(Denial::NotEnrolled) }
    }

    /// Whether a user who is without an authenticator is to enrol one. A code that stands in for one lets in as ever, but for a ticket.
    fn enrols(&self, holder: &Holder, stand_in: Option<&Result<Spent, Denial>>) -> bool {
        let is_ticket = matches!(stand_in, Some(Ok(Spent::Bypass)));
        !holder.has.contains(Factor::Totp)
            && match self.rule.enroll {
                None => false,
                Some(Enroll::Ticket) => is_ticket,
                Some(Enroll::Required | Enroll::Grace(_) | Enroll::Optional) => stand_in.is_none(),
            }
    }

    /// Why nothing can be enrolled in this login, if so. sshd's `password` method shows no questions, and answers them all alike.
    fn obstacle(&self, holder: &Holder) -> Option<Denial> {
        if self.has_echo() { Some(Denial::NoCode) } else { holder.enrollable.pass().err() }
    }

    /// What stands in for a code of the authenticator, if what was typed is that. A recovery code that was used is told apart, for the log.
    fn stand_in(
        &self,
        code: &Secret,
        keys: &Authenticators,
        state: &State,
        now: WallTime,
    ) -> Option<Result<Spent, Denial>> {
        let digest = CodeDigest::of(code).filter(|_| self.rule.recovery)?;
        if state.bypass.as_ref().is_some_and(|bypass| bypass.code == digest && bypass.is_good(now)) {
            return Some(Ok(Spent::Bypass));
        }
        let is_ours = keys.recovery.as_ref().is_some_and(|set| set.codes.contains(&digest));
        is_ours.then(|| {
            if state.spent_codes.contains(&digest) { Err(Denial::CodeUsed) } else { Ok(Spent::Recovery(digest)) }
        })
    }

    /// The authenticator and step that a code belongs to, if that step is still unused.
    fn spend(
        &self,
        code: &Secret,
        keys: &Authenticators,
        state: &State,
        (terms, now): (&Terms, WallTime),
    ) -> Result<Spent, Denial> {
        let mut denial = Denial::WrongCode;
        for key in keys.totp() {
            let Some(step) = key.step_of(code, terms.skew, now) else { continue };
            if state.last_steps.allow(key, step) {
                return Ok(Spent::Step(Box::new(key.clone()), step));
            }
            denial = Denial::CodeUsed;
        }
        Err(denial)
    }
}

/// Whether what was proved admits to enrolling: everything else of the method, and of that something by the user. A session that vouches is
/// no proof that would admit to a new authenticator.
pub(crate) fn may_enrol(method: &Method, factors: &Factors) -> bool {
    let others = method.factors().clone().without(Factor::Totp);
    let is_proved = others.iter().all(|factor| factors.contains(factor));
    is_proved && !others.without(Factor::Session).is_empty()
}

/// Notes what a denial leaves behind.
fn deny(denial: Denial, next: &mut State, (caller, terms): (&Caller, &Terms), now: WallTime) -> Verdict {
    if denial.counts() {
        next.throttle.failed(&terms.throttle, caller, now);
        next.failures.add(now, caller.source.clone());
    }
    if denial == Denial::CodeUsed {
        let (event, from) = (Event::CodeReused, Some(caller.source.clone()));
        next.news.push(Item { at: now, event, from, detail: String::new() });
    }
    Verdict::Denied(denial)
}

impl Gate {
    pub(super) const fn pass(self) -> Result<(), Denial> {
        match self {
            Self::Open => Ok(()),
            Self::Wait(until) => Err(Denial::Locked(until)),
            Self::Stopped => Err(Denial::Stopped),
        }
    }
}

impl Spent {
    /// Uses it up, and notes for the user what stood in for the authenticator.
    fn use_up(self, next: &mut State, holder: &Holder, (from, now): (&Source, WallTime)) -> Option<StandIn> {
        let mut tell = |event, detail: String| {
            next.news.push(Item { at: now, event, from: Some(from.clone()), detail });
        };
        match self {
            Self::Step(key, step) => {
                next.last_steps.use_up(&key, step);
                None
            }
            Self::Recovery(digest) => {
                let set = holder.keys.recovery.as_ref();
                // What was used of an older set is of no more interest.
                next.spent_codes.retain(|spent| set.is_some_and(|set| set.codes.contains(spent)));
                next.spent_codes.insert(digest);
                let left = set.map_or(0, |set| set.left(&next.spent_codes));
                tell(Event::RecoveryCodeUsed, left.to_string());
                Some(StandIn::Recovery { left })
            }
            Self::Bypass => {
                next.bypass = None;
                tell(Event::BypassUsed, String::new());
                Some(StandIn::Bypass)
            }
        }
    }
}
