//! Verdicts: what a judgement comes to, sealed until the state that it depends on is written.

use std::fmt;

use super::{Enrolling, Receipt};
use crate::{account::Authenticators, state::State, time::WallTime};

/// What must be written before the verdict may be seen.
#[must_use]
#[derive(Debug)]
pub struct Judgement<T = Verdict> {
    /// The user's next state.
    pub next: State,
    /// Whether nothing has to be written: somebody of this machine was kept waiting, and all is as it was. Whoever comes by is written for
    /// even then, since the time it takes would tell decoys from users.
    pub is_as_it_was: bool,
    /// The user's next record, if it changes. To be written after the state: an authenticator is worth nothing before the code that
    /// confirmed it is used up.
    pub record: Option<Authenticators>,
    /// The verdict.
    pub verdict: Sealed<T>,
}

impl Judgement {
    /// A denial that changes nothing but the state.
    pub(super) const fn denied(next: State, denial: Denial) -> Self {
        Self { next, is_as_it_was: false, record: None, verdict: Sealed::new(Verdict::Denied(denial)) }
    }
}

/// A verdict that nobody can read yet.
#[must_use]
pub struct Sealed<T = Verdict>(T);

/// The proof that the next state is durable. Only host can honestly make one.
#[derive(Debug)]
pub struct Written(());

impl Written {
    /// To be called by `host::records` alone, after the state was written and synced, or where it is as it was.
    #[must_use]
    pub const fn after_durable_write() -> Self {
        Self(())
    }
}

impl<T> Sealed<T> {
    pub(super) const fn new(verdict: T) -> Self {
        Self(verdict)
    }

    /// Opens the verdict.
    pub fn commit(self, _proof: Written) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// What the answers of a flow come to.
#[must_use]
#[derive(Debug)]
pub enum Finding {
    /// It is decided.
    Verdict(Verdict),
    /// All is right but for an authenticator that the user has not got: one is to be enrolled first.
    Enrol(Box<Enrolling>),
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
    /// There is no screen to enrol at.
    #[error("the user has no authenticator, and no screen to enrol one at")]
    NoScreen,
    /// Configuration management owns the record, so nothing is enrolled here.
    #[error("the user has no authenticator, and the record is managed: it is never written here")]
    Managed,
    /// The new authenticator was not confirmed.
    #[error("no code confirmed the new authenticator")]
    NotConfirmed,
    /// The user's record is another than when the answers were looked at. No guess, so it does not count.
    #[error("the user's record changed during the login")]
    RecordChanged,
    /// The enrolment took too long, or the time to put it off ended meanwhile.
    #[error("the enrolment took too long")]
    TooLate,
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
    pub(super) const fn counts(self) -> bool {
        match self {
            Self::UnknownUser
            | Self::Disabled
            | Self::NoRule
            | Self::NotEnrolled
            | Self::NoScreen
            | Self::Managed
            | Self::WrongPassword
            | Self::PasswordExpired
            | Self::WrongCode
            | Self::CodeUsed => true,
            Self::Locked(_)
            | Self::Stopped
            | Self::RefusedBySshd
            | Self::NoCode
            | Self::NotConfirmed
            | Self::RecordChanged
            | Self::TooLate => false,
        }
    }
}
