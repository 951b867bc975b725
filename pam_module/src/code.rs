//! The only place where an outcome becomes a PAM code.

use authflow_host::desk::DeskError;
use pam::constants::PamResultCode;

use crate::{daemon::DaemonError, error::Error, phase::Phase};

/// What a phase answers when nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// We have decided, and it is yes.
    Yes,
    /// It is not for us to decide: no rule governs the service, or the rule leaves it to the stack.
    NotOurs,
    /// Nothing speaks against it, and others must speak for it.
    NoObjection,
}

/// The code for an answer.
#[must_use]
pub const fn of_answer(phase: Phase, answer: Answer) -> PamResultCode {
    match (phase, answer) {
        (_, Answer::Yes) => PamResultCode::PAM_SUCCESS,
        (Phase::Authenticate, Answer::NotOurs) => PamResultCode::PAM_USER_UNKNOWN,
        // Nobody may be let in by a module that has asked nothing, wherever it stands in the stack.
        (Phase::Authenticate, Answer::NoObjection) => PamResultCode::PAM_AUTH_ERR,
        (Phase::Account | Phase::OpenSession | Phase::CloseSession, Answer::NotOurs | Answer::NoObjection) => {
            PamResultCode::PAM_IGNORE
        }
    }
}

/// The code for an error. Never success, never "ignore", and in sessions never `PAM_SESSION_ERR`, which sudo takes for success. What
/// fails while closing is logged; there is nothing left to refuse.
#[must_use]
pub const fn of_error(phase: Phase, error: &Error) -> PamResultCode {
    match (phase, kind(error)) {
        (Phase::CloseSession, _) => PamResultCode::PAM_SUCCESS,
        (Phase::Authenticate, Kind::Refused | Kind::Ended) => PamResultCode::PAM_AUTH_ERR,
        (Phase::Authenticate | Phase::Account, Kind::Broken) => PamResultCode::PAM_AUTHINFO_UNAVAIL,
        (Phase::Account, Kind::Ended) => PamResultCode::PAM_ACCT_EXPIRED,
        (Phase::Account | Phase::OpenSession, Kind::Refused) | (Phase::OpenSession, Kind::Ended) => {
            PamResultCode::PAM_PERM_DENIED
        }
        (Phase::OpenSession, Kind::Broken) => PamResultCode::PAM_SYSTEM_ERR,
    }
}

/// What an error comes down to.
enum Kind {
    /// This login is not good enough.
    Refused,
    /// This account is at its end.
    Ended,
    /// We cannot tell, or cannot do it.
    Broken,
}

const fn kind(error: &Error) -> Kind {
    match error {
        Error::Denied(_)
        | Error::Application(_)
        | Error::UserChanged { .. }
        | Error::NameIsNoText
        | Error::NoAccount
        | Error::NoRule
        | Error::NotProved { .. }
        | Error::Receipt(_)
        | Error::Daemon(DaemonError::TooManySessions(_)) => Kind::Refused,
        Error::Disabled | Error::Expired => Kind::Ended,
        Error::Desk(DeskError::Account(_)) => Kind::Broken,
        Error::Desk(_) | Error::Record(_) if !error.is_breakage() => Kind::Refused,
        Error::Options(_)
        | Error::Config(_)
        | Error::Account(_)
        | Error::Record(_)
        | Error::Desk(_)
        | Error::Process(_)
        | Error::Shadow(_)
        | Error::Folder(_)
        | Error::Daemon(DaemonError::TimedOut(_) | DaemonError::Failed(_)) => Kind::Broken,
    }
}
