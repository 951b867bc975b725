//! The judgement: everything at once, from all answers, the user's authenticators and state, and the time. Pure. What it decides is
//! sealed until the state that the decision depends on is written.

use std::fmt;

use super::{Answered, HashOutcome, Receipt, choose};
use crate::{
    account::Authenticators,
    factor::{Factor, Factors},
    news::{Event, Item},
    secret::Secret,
    stand_in::{CodeDigest, StandIn},
    state::State,
    throttle::{Caller, Gate, Source, ThrottlePolicy},
    time::WallTime,
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

/// What must be written before the verdict may be seen.
#[must_use]
#[derive(Debug)]
pub struct Judgement {
    /// The user's next state.
    pub next: State,
    /// The verdict.
    pub verdict: Sealed,
}

/// A verdict that nobody can read yet.
#[must_use]
pub struct Sealed(Verdict);

/// The proof that the next state is durable. Only host can honestly make one.
#[derive(Debug)]
pub struct Written(());

impl Written {
    /// To be called by `host::records` alone, after the state was written and synced.
    #[must_use]
    pub const fn after_durable_write() -> Self {
        Self(())
    }
}

impl Sealed {
    /// Opens the verdict.
    pub fn commit(self, _proof: Written) -> Verdict {
        self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// How a flow ends.
#[must_use]
#[derive(Debug)]
pub enum Verdict {
    /// The user is in.
    Granted(Box<Receipt>),
    /// The user is not. The reason is for the log alone.
    Denied(Denial),
}

/// Why a flow was denied. The user never learns it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Denial {
    /// No such user.
    #[error("no such user")]
    UnknownUser,
    /// Disabled by an administrator.
    #[error("the user is disabled")]
    Disabled,
    /// The service is governed, and no rule matches this login.
    #[error("no rule matches this login")]
    NoRule,
    /// No method of the rule is within the user's reach.
    #[error("the user has no authenticators for any method of the rule")]
    NotEnrolled,
    /// Too many failures from this source; nothing was judged.
    #[error("locked for this source until {0}")]
    Locked(WallTime),
    /// At the ceiling of consecutive failures; only known sources and the console are judged.
    #[error("stopped for unknown sources after too many failures (authflow user unlock)")]
    Stopped,
    /// sshd had refused the user already; no attempt at the account.
    #[error("sshd had refused the user already")]
    RefusedBySshd,
    /// Wrong or no password.
    #[error("wrong password")]
    WrongPassword,
    /// The right password, past its end.
    #[error("the initial password has run out (authflow passwd --initial)")]
    PasswordExpired,
    /// No code was given where one is needed.
    #[error("no code was given")]
    NoCode,
    /// The code is none of the user's.
    #[error("wrong code")]
    WrongCode,
    /// The code's step was used up already.
    #[error("the code was used already")]
    CodeUsed,
}

impl Denial {
    /// Whether it counts as a failed attempt.
    const fn counts(self) -> bool {
        match self {
            Self::UnknownUser
            | Self::Disabled
            | Self::NoRule
            | Self::NotEnrolled
            | Self::WrongPassword
            | Self::PasswordExpired
            | Self::WrongCode
            | Self::CodeUsed => true,
            Self::Locked(_) | Self::Stopped | Self::RefusedBySshd | Self::NoCode => false,
        }
    }
}

/// What a granted flow proved, and what it uses up.
struct Proof {
    factors: Factors,
    spent: Option<Spent>,
}

impl Proof {
    /// Whether the user has proved anything. A session that vouches is no answer: it must not wipe out the failures of whoever guesses
    /// inside it.
    fn was_answered(&self) -> bool {
        !self.factors.clone().without(Factor::Session).is_empty()
    }
}

/// What passes once.
enum Spent {
    /// That authenticator's codes up to this step.
    Step(String, u64),
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
    ) -> Judgement {
        let mut next = state.clone();
        let caller = Caller { source: self.subject.remote.into(), is_root: self.subject.uid == Some(0) };
        let gate = next.throttle.gate(&terms.throttle, &caller, now);
        let judged = match (self.subject.uid, self.examine(gate, password, holder, state, (terms, now))) {
            (Some(uid), Ok(proof)) => Ok((uid, proof)),
            (None, Ok(_)) => Err(Denial::UnknownUser),
            (_, Err(denial)) => Err(denial),
        };
        let verdict = match judged {
            Ok((uid, proof)) => {
                let previous = next.throttle.last_success().map(|(at, source)| (at, source.clone()));
                let is_new_source = previous.is_some() && !next.throttle.knows(&caller.source);
                let failures = if proof.was_answered() {
                    next.throttle.succeeded(&caller, now);
                    std::mem::take(&mut next.failures)
                } else {
                    <_>::default()
                };
                let stand_in = proof.spent.and_then(|spent| spent.use_up(&mut next, holder, (&caller.source, now)));
                Verdict::Granted(Box::new(Receipt {
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
                    failures,
                    is_new_source,
                    stand_in,
                }))
            }
            Err(denial) => {
                if denial.counts() {
                    next.throttle.failed(&terms.throttle, &caller, now);
                    next.failures.add(now, caller.source.clone());
                }
                if denial == Denial::CodeUsed {
                    let (event, from) = (Event::CodeReused, Some(caller.source));
                    next.news.push(Item { at: now, event, from, detail: String::new() });
                }
                Verdict::Denied(denial)
            }
        };
        Judgement { next, verdict: Sealed(verdict) }
    }

    fn examine(
        &self,
        gate: Gate,
        password: HashOutcome,
        holder: &Holder,
        state: &State,
        (terms, now): (&Terms, WallTime),
    ) -> Result<Proof, Denial> {
        match gate {
            Gate::Open => {}
            Gate::Wait(until) => return Err(Denial::Locked(until)),
            Gate::Stopped => return Err(Denial::Stopped),
        }
        if self.is_sshd_junk() {
            return Err(Denial::RefusedBySshd);
        }
        match holder.standing {
            Standing::Good => {}
            Standing::Unknown => return Err(Denial::UnknownUser),
            Standing::Disabled => return Err(Denial::Disabled),
            Standing::Unruled => return Err(Denial::NoRule),
        }
        let code = self.code(&holder.keys);
        let stand_in = code.as_ref().and_then(|code| self.stand_in(code, &holder.keys, state, now));
        let within_reach = if stand_in.is_some() { holder.has.clone().with(Factor::Totp) } else { holder.has.clone() };
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
            }
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
        if method.is_satisfied_by(&factors) { Ok(Proof { factors, spent }) } else { Err(Denial::NotEnrolled) }
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
            let is_newer = state.last_steps.get(key.name()).is_none_or(|last| step > *last);
            if is_newer {
                return Ok(Spent::Step(key.name().to_owned(), step));
            }
            denial = Denial::CodeUsed;
        }
        Err(denial)
    }
}

impl Spent {
    /// Uses it up, and notes for the user what stood in for the authenticator.
    fn use_up(self, next: &mut State, holder: &Holder, (from, now): (&Source, WallTime)) -> Option<StandIn> {
        let mut tell = |event, detail: String| {
            next.news.push(Item { at: now, event, from: Some(from.clone()), detail });
        };
        match self {
            Self::Step(name, step) => {
                next.last_steps.insert(name, step);
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
