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
    /// The questions were put; a line of ours that stands further behind decides.
    Asked,
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
        // It neither lets anybody in nor keeps anybody out: where nobody else speaks, libpam refuses.
        (Phase::Authenticate, Answer::Asked) => PamResultCode::PAM_IGNORE,
        (
            Phase::Account | Phase::OpenSession | Phase::CloseSession | Phase::CheckPassword | Phase::ChangePassword,
            Answer::NotOurs | Answer::NoObjection,
        ) => PamResultCode::PAM_IGNORE,
        // Each is one phase's alone to say; another that came to it would be a defect.
        (
            Phase::Account | Phase::OpenSession | Phase::CloseSession | Phase::CheckPassword | Phase::ChangePassword,
            Answer::Asked,
        )
        | (
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
        Error::Disabled | Error::ClosedMeanwhile | Error::Expired => Kind::Ended,
        Error::Record(RecordError::Busy) | Error::Desk(DeskError::Record(RecordError::Busy)) => Kind::Busy,
        Error::Record(RecordError::Managed(_)) => Kind::Managed,
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
        | Error::Unwatched(_)
        | Error::Daemon(DaemonError::TimedOut(_) | DaemonError::NoDescriptors | DaemonError::Failed(_))
        | Error::Flow(FlowError::Daemon(_)) => Kind::Broken,
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf, time::Duration};

    use authflow_core::{
        factor::Factors, flow::Denial, name::BadName, password::BadHash, password_rules::Refusal, time::WallTime,
    };
    use authflow_host::{
        accounts::{Account, AccountError},
        config::{self, LoadError},
        desk::Refused,
        file::{FileError, Trust},
        hashing::HashingError,
        passwords::PasswordError,
        paths::Paths,
        records::RecordError,
    };

    use super::*;
    use crate::{
        args::BadOption, error::BadNewPassword, flow::FlowError, handle::NoAnswer, receipt::BadReceipt,
        tracking::Unwatched,
    };

    /// A sample for every variant, each beside its pattern: the match that nobody calls makes the compiler ask for those of a variant that
    /// is new.
    macro_rules! every {
        ($type:ty: $($pattern:pat => $sample:expr),+ $(,)?) => {{
            let _complete = |error: &$type| match error { $($pattern => ()),+ };
            let samples: Vec<$type> = vec![$($sample),+];
            samples
        }};
    }

    fn io_error() -> io::Error {
        io::Error::from_raw_os_error(5)
    }

    fn account_error() -> AccountError {
        let nobody = Account {
            name: "\0".into(),
            uid: 1,
            gid: 1,
            gecos: String::new(),
            home: PathBuf::new(),
            shell: PathBuf::new(),
        };
        nobody.groups_among(["root"].into_iter()).unwrap_err()
    }

    fn load_error() -> LoadError {
        config::load_trusting(&Paths::new("/nonexistent"), Trust::root()).unwrap_err()
    }

    fn records() -> Vec<RecordError> {
        let path = PathBuf::from("/x");
        every!(RecordError:
            RecordError::Name(_) => RecordError::Name(BadName::Empty),
            RecordError::File(_) => RecordError::File(FileError::Missing(path.clone())),
            RecordError::Record { .. } =>
                RecordError::Record { path: path.clone(), why: authflow_core::account::BadRecord::Truncated },
            RecordError::State { .. } =>
                RecordError::State { path: path.clone(), why: authflow_core::state::BadState::Version(9) },
            RecordError::BrokenState(_) => RecordError::BrokenState(path.clone()),
            RecordError::Busy => RecordError::Busy,
            RecordError::Managed(_) => RecordError::Managed(path.clone()),
        )
    }

    fn desks() -> Vec<DeskError> {
        let mut desks = every!(DeskError:
            DeskError::Account(_) => DeskError::Account(account_error()),
            DeskError::Password(_) => DeskError::Password(PasswordError::Shadow(io_error())),
            DeskError::Record(_) => DeskError::Record(RecordError::Busy),
            DeskError::Refused(_) => DeskError::Refused(Refused),
            DeskError::Kernel(_) => DeskError::Kernel(io_error()),
        );
        desks.extend(records().into_iter().map(DeskError::Record));
        desks.extend(passwords().into_iter().map(DeskError::Password));
        desks
    }

    fn passwords() -> Vec<PasswordError> {
        let hashing = |error: HashingError| PasswordError::Hashing(error);
        let mut passwords = every!(PasswordError:
            PasswordError::Shadow(_) => PasswordError::Shadow(io_error()),
            PasswordError::Record(_) => PasswordError::Record(RecordError::Busy),
            PasswordError::Hashing(_) => hashing(HashingError::Kernel(io_error())),
        );
        passwords.push(hashing(HashingError::Hash(BadHash::Malformed)));
        passwords.extend(records().into_iter().map(PasswordError::Record));
        passwords
    }

    fn new_passwords() -> Vec<BadNewPassword> {
        every!(BadNewPassword:
            BadNewPassword::Refused(_) => BadNewPassword::Refused(Refusal::Empty),
            BadNewPassword::Different => BadNewPassword::Different,
            BadNewPassword::Unchanged => BadNewPassword::Unchanged,
            BadNewPassword::NotGiven => BadNewPassword::NotGiven,
            BadNewPassword::NoList(_) => BadNewPassword::NoList(FileError::Missing(PathBuf::new())),
            BadNewPassword::ChangedMeanwhile => BadNewPassword::ChangedMeanwhile,
        )
    }

    fn denials() -> Vec<Denial> {
        every!(Denial:
            Denial::UnknownUser => Denial::UnknownUser,
            Denial::Disabled => Denial::Disabled,
            Denial::NoRule => Denial::NoRule,
            Denial::NoScreen => Denial::NoScreen,
            Denial::Managed => Denial::Managed,
            Denial::NotConfirmed => Denial::NotConfirmed,
            Denial::RecordChanged => Denial::RecordChanged,
            Denial::TooLate => Denial::TooLate,
            Denial::NotEnrolled => Denial::NotEnrolled,
            Denial::Locked(_) => Denial::Locked(WallTime::default()),
            Denial::Stopped => Denial::Stopped,
            Denial::RefusedBySshd => Denial::RefusedBySshd,
            Denial::WrongPassword => Denial::WrongPassword,
            Denial::PasswordExpired => Denial::PasswordExpired,
            Denial::NoCode => Denial::NoCode,
            Denial::WrongCode => Denial::WrongCode,
            Denial::CodeUsed => Denial::CodeUsed,
        )
    }

    fn daemons() -> Vec<DaemonError> {
        every!(DaemonError:
            DaemonError::TooManySessions(_) => DaemonError::TooManySessions(String::new()),
            DaemonError::TimedOut(_) => DaemonError::TimedOut(Duration::from_secs(3)),
            DaemonError::NoDescriptors => DaemonError::NoDescriptors,
            DaemonError::Failed(_) => DaemonError::Failed(String::new()),
        )
    }

    fn flows() -> Vec<FlowError> {
        let mut flows = every!(FlowError:
            FlowError::Denied => FlowError::Denied,
            FlowError::Gone => FlowError::Gone,
            FlowError::NotNow(_) => FlowError::NotNow(String::new()),
            FlowError::Daemon(_) => FlowError::Daemon(DaemonError::Failed(String::new())),
        );
        flows.extend(daemons().into_iter().map(FlowError::Daemon));
        flows
    }

    fn errors() -> Vec<Error> {
        let mut errors = every!(Error:
            Error::Options(_) => Error::Options(BadOption::Unknown(String::new())),
            Error::Config(_) => Error::Config(load_error()),
            Error::Account(_) => Error::Account(account_error()),
            Error::Record(_) => Error::Record(RecordError::Busy),
            Error::Desk(_) => Error::Desk(DeskError::Refused(Refused)),
            Error::Denied(_) => Error::Denied(Denial::NoCode),
            Error::Application(_) => Error::Application(NoAnswer(19)),
            Error::UserChanged { .. } => Error::UserChanged { before: "alice".into(), now: "root".into() },
            Error::NameIsNoText => Error::NameIsNoText,
            Error::NoAccount => Error::NoAccount,
            Error::Disabled => Error::Disabled,
            Error::ClosedMeanwhile => Error::ClosedMeanwhile,
            Error::NoRule => Error::NoRule,
            Error::Expired => Error::Expired,
            Error::NotProved { .. } => Error::NotProved { proved: Factors::none(), needed: None },
            Error::Receipt(_) => Error::Receipt(BadReceipt::Boot),
            Error::Daemon(_) => Error::Daemon(DaemonError::Failed(String::new())),
            Error::Unwatched(_) => Error::Unwatched(Unwatched::NoRoom(io_error())),
            Error::Process(_) => Error::Process(io_error()),
            Error::Shadow(_) => Error::Shadow(io_error()),
            Error::Folder(_) => Error::Folder(FileError::Missing(PathBuf::new())),
            Error::Flow(_) => Error::Flow(FlowError::Denied),
            Error::NotOneself => Error::NotOneself,
            Error::Password(_) => Error::Password(PasswordError::Shadow(io_error())),
            Error::NewPassword(_) => Error::NewPassword(BadNewPassword::Different),
        );
        errors.extend(records().into_iter().map(Error::Record));
        errors.extend(desks().into_iter().map(Error::Desk));
        errors.extend(denials().into_iter().map(Error::Denied));
        errors.extend(daemons().into_iter().map(Error::Daemon));
        errors.extend(flows().into_iter().map(Error::Flow));
        errors.extend(passwords().into_iter().map(Error::Password));
        errors.extend(new_passwords().into_iter().map(Error::NewPassword));
        errors
    }

    #[test]
    fn no_error_of_any_phase_lets_anybody_through() {
        use PamResultCode::{
            PAM_ACCT_EXPIRED, PAM_AUTH_ERR, PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR, PAM_AUTHTOK_LOCK_BUSY,
            PAM_AUTHTOK_RECOVERY_ERR, PAM_PERM_DENIED, PAM_SUCCESS, PAM_SYSTEM_ERR, PAM_TRY_AGAIN,
        };
        for error in errors() {
            for (phase, allowed) in [
                // Not PAM_USER_UNKNOWN: where it means "not governed" the stack goes on.
                (Phase::Authenticate, &[PAM_AUTH_ERR, PAM_AUTHINFO_UNAVAIL][..]),
                (Phase::Account, &[PAM_PERM_DENIED, PAM_ACCT_EXPIRED, PAM_AUTHINFO_UNAVAIL]),
                // Not PAM_SESSION_ERR: sudo goes on after it.
                (Phase::OpenSession, &[PAM_PERM_DENIED, PAM_SYSTEM_ERR]),
                (Phase::CheckPassword, &[PAM_AUTHTOK_RECOVERY_ERR, PAM_AUTHTOK_ERR, PAM_PERM_DENIED, PAM_TRY_AGAIN]),
                (Phase::ChangePassword, &[PAM_AUTHTOK_ERR, PAM_AUTHTOK_LOCK_BUSY, PAM_PERM_DENIED]),
                // The session is over; there is nothing left to refuse.
                (Phase::CloseSession, &[PAM_SUCCESS]),
            ] {
                let code = of_error(phase, &error);
                assert!(allowed.contains(&code), "{phase:?}: {error:?} answers {code:?}");
            }
        }
    }

    #[test]
    fn the_manual_tells_every_code_of_every_phase() {
        let manual = include_str!("../../docs/man/pam_authflow.8");
        let answers = [Answer::Yes, Answer::NotOurs, Answer::NoObjection, Answer::Asked, Answer::NewPasswordNeeded];
        for (head, phases) in [
            ("auth", &[Phase::Authenticate][..]),
            ("account", &[Phase::Account]),
            ("session", &[Phase::OpenSession, Phase::CloseSession]),
            ("password", &[Phase::CheckPassword, Phase::ChangePassword]),
        ] {
            let (_, section) = manual.split_once(&format!("\n.Ss {head}\n")).unwrap();
            let section = section.split("\n.S").next().unwrap();
            for phase in phases {
                // What another phase alone may say answers "system error", and is a defect.
                let may_say = |answer: &Answer| of_answer(*phase, *answer) != PamResultCode::PAM_SYSTEM_ERR;
                let answered = answers.iter().filter(|answer| may_say(answer)).map(|answer| of_answer(*phase, *answer));
                for code in answered.chain(errors().iter().map(|error| of_error(*phase, error))) {
                    assert!(section.contains(&format!("{code:?}")), "pam_authflow.8, {head}: {code:?}");
                }
            }
        }
    }

    #[test]
    fn the_troubleshooting_page_tells_every_reason_for_a_denial() {
        let page = include_str!("../../docs/troubleshooting.md");
        for denial in denials() {
            let words = denial.to_string();
            let words = words.split(" until ").next().unwrap().split(" (").next().unwrap();
            assert!(page.contains(&format!("`{words}")), "{words}");
        }
    }

    #[test]
    fn only_a_yes_is_a_success() {
        for phase in [
            Phase::Authenticate,
            Phase::Account,
            Phase::OpenSession,
            Phase::CloseSession,
            Phase::CheckPassword,
            Phase::ChangePassword,
        ] {
            for answer in [Answer::NotOurs, Answer::NoObjection, Answer::NewPasswordNeeded, Answer::Asked] {
                assert_ne!(of_answer(phase, answer), PamResultCode::PAM_SUCCESS, "{phase:?} {answer:?}");
            }
        }
    }
}
