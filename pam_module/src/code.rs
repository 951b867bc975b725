//! The only place where an outcome becomes a PAM code.

use authflow_host::{desk::DeskError, records::RecordError};
use pam::constants::PamResultCode;

use crate::{daemon::DaemonError, error::Error, flow::FlowError, phase::Phase};

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
    /// Yes, once the user has set a new password.
    NewPasswordNeeded,
}

/// The code for an answer.
#[must_use]
pub const fn of_answer(phase: Phase, answer: Answer) -> PamResultCode {
    match (phase, answer) {
        (_, Answer::Yes) => PamResultCode::PAM_SUCCESS,
        (Phase::Account, Answer::NewPasswordNeeded) => PamResultCode::PAM_NEW_AUTHTOK_REQD,
        (Phase::Authenticate, Answer::NotOurs) => PamResultCode::PAM_USER_UNKNOWN,
        // Nobody may be let in by a module that has asked nothing, wherever it stands in the stack.
        (Phase::Authenticate, Answer::NoObjection | Answer::NewPasswordNeeded) => PamResultCode::PAM_AUTH_ERR,
        (
            Phase::Account | Phase::OpenSession | Phase::CloseSession | Phase::CheckPassword | Phase::ChangePassword,
            Answer::NotOurs | Answer::NoObjection,
        ) => PamResultCode::PAM_IGNORE,
        // The account phase alone says so; a session or a change that came to it would be a defect.
        (
            Phase::OpenSession | Phase::CloseSession | Phase::CheckPassword | Phase::ChangePassword,
            Answer::NewPasswordNeeded,
        ) => PamResultCode::PAM_SYSTEM_ERR,
    }
}

/// The code for an error. Never success, never "ignore", and in sessions never `PAM_SESSION_ERR`, which sudo takes for success. What
/// fails while closing is logged; there is nothing left to refuse.
#[must_use]
pub const fn of_error(phase: Phase, error: &Error) -> PamResultCode {
    match phase {
        Phase::Authenticate => match kind(error) {
            Kind::Refused | Kind::Ended | Kind::Busy => PamResultCode::PAM_AUTH_ERR,
            Kind::Managed | Kind::Broken => PamResultCode::PAM_AUTHINFO_UNAVAIL,
        },
        Phase::Account => match kind(error) {
            Kind::Refused | Kind::Busy => PamResultCode::PAM_PERM_DENIED,
            Kind::Ended => PamResultCode::PAM_ACCT_EXPIRED,
            Kind::Managed | Kind::Broken => PamResultCode::PAM_AUTHINFO_UNAVAIL,
        },
        Phase::OpenSession => match kind(error) {
            Kind::Refused | Kind::Ended | Kind::Busy => PamResultCode::PAM_PERM_DENIED,
            Kind::Managed | Kind::Broken => PamResultCode::PAM_SYSTEM_ERR,
        },
        Phase::CloseSession => PamResultCode::PAM_SUCCESS,
        Phase::CheckPassword => match kind(error) {
            Kind::Refused => PamResultCode::PAM_AUTHTOK_RECOVERY_ERR,
            Kind::Ended | Kind::Managed => PamResultCode::PAM_PERM_DENIED,
            Kind::Busy => PamResultCode::PAM_TRY_AGAIN,
            Kind::Broken => PamResultCode::PAM_AUTHTOK_ERR,
        },
        Phase::ChangePassword => match kind(error) {
            Kind::Refused | Kind::Broken => PamResultCode::PAM_AUTHTOK_ERR,
            Kind::Ended | Kind::Managed => PamResultCode::PAM_PERM_DENIED,
            Kind::Busy => PamResultCode::PAM_AUTHTOK_LOCK_BUSY,
        },
    }
}

/// What an error comes down to.
enum Kind {
    /// This login is not good enough.
    Refused,
    /// This account is at its end.
    Ended,
    /// Other logins of the user hold the lock.
    Busy,
    /// Configuration management owns the record.
    Managed,
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
        | Error::NewPassword(_)
        | Error::NotOneself
        | Error::Flow(FlowError::Denied | FlowError::Gone | FlowError::NotNow(_))
        | Error::Daemon(DaemonError::TooManySessions(_)) => Kind::Refused,
        Error::Disabled | Error::Expired => Kind::Ended,
        Error::Record(RecordError::Busy) | Error::Desk(DeskError::Record(RecordError::Busy)) => Kind::Busy,
        Error::Record(RecordError::Managed(_)) => Kind::Managed,
        Error::Desk(DeskError::Account(_)) => Kind::Broken,
        Error::Desk(_) | Error::Record(_) if !error.is_breakage() => Kind::Refused,
        Error::Options(_)
        | Error::Config(_)
        | Error::Account(_)
        | Error::Record(_)
        | Error::Desk(_)
        | Error::Password(_)
        | Error::Process(_)
        | Error::Shadow(_)
        | Error::Folder(_)
        | Error::Daemon(DaemonError::TimedOut(_) | DaemonError::Failed(_))
        | Error::Flow(FlowError::Daemon(_)) => Kind::Broken,
    }
}
