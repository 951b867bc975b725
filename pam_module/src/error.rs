//! Why a phase refuses, in the log's words. What it means to PAM is in `code.rs`, what the user reads in `conversation.rs`.

use std::io;

use authflow_core::{factor::Factors, flow::Denial, password_rules::Refusal, rule::Method};
use authflow_host::{
    accounts::AccountError, config::LoadError, desk::DeskError, file::FileError, hashing::HashingError,
    new_password::SetError, passwords::PasswordError, records::RecordError,
};

use crate::{
    args::BadOption, daemon::DaemonError, flow::FlowError, handle::NoAnswer, log::Priority, receipt::BadReceipt,
    tracking::Unwatched,
};

/// Why a phase refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The PAM line is not understood.
    #[error("the PAM line: {0}")]
    Options(#[from] BadOption),
    /// There is no configuration that can be used.
    #[error("no usable configuration: {0}")]
    Config(#[from] LoadError),
    /// The user data base cannot be asked.
    #[error("the account cannot be looked up: {0}")]
    Account(#[from] AccountError),
    /// The user's record cannot be used.
    #[error("the user's record: {0}")]
    Record(#[from] RecordError),
    /// The flow could not be run to its end.
    #[error("{0}")]
    Desk(#[from] DeskError),
    /// A password cannot be looked up or hashed.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// There is no new password, or it will not do.
    #[error("{0}")]
    NewPassword(#[from] BadNewPassword),
    /// The flow was denied.
    #[error("{0}")]
    Denied(#[from] Denial),
    /// The application gives no user name, or cannot keep what we note.
    #[error("{0}")]
    Application(#[from] NoAnswer),
    /// The user is another than at the first phase.
    #[error("PAM_USER was {before:?} and is {now:?}")]
    UserChanged {
        /// Who it was.
        before: String,
        /// Who it is.
        now: String,
    },
    /// The name is no text.
    #[error("the user name is not UTF-8")]
    NameIsNoText,
    /// The account does not exist.
    #[error("there is no such account")]
    NoAccount,
    /// An administrator disabled the user.
    #[error("the user is disabled (authflow user enable)")]
    Disabled,
    /// The service is governed, and no rule is for this login.
    #[error("the service is governed, and no rule matches this login")]
    NoRule,
    /// The account was closed by its shell or its password while this login was under way.
    #[error("the account's shell or password was taken away during this login")]
    ClosedMeanwhile,
    /// The account has ended.
    #[error("the account has expired (chage -E)")]
    Expired,
    /// The guard: what was proved does not satisfy the method.
    #[error("what was proved is not enough: {proved}; needed: {}", name_of(needed.as_ref()))]
    NotProved {
        /// What was.
        proved: Factors,
        /// What it takes, if anything does.
        needed: Option<Method>,
    },
    /// The receipt cannot be used.
    #[error("{0}")]
    Receipt(#[from] BadReceipt),
    /// The daemon refuses, or is away where the rule says "deny".
    #[error("{0}")]
    Daemon(#[from] DaemonError),
    /// The caller could have brought it about that nobody watches the session.
    #[error("{0}")]
    Unwatched(#[from] Unwatched),
    /// The daemon has not granted a flow.
    #[error("{0}")]
    Flow(#[from] FlowError),
    /// A process that is not root asks about another user than its own.
    #[error("this process is not root, and may ask about its own user alone")]
    NotOneself,
    /// This process cannot be looked up in /proc.
    #[error("this process: {0}")]
    Process(#[source] io::Error),
    /// The shadow data base cannot be asked.
    #[error("the account's end cannot be looked up: {0}")]
    Shadow(#[source] io::Error),
    /// The folder for receipts cannot be made.
    #[error("{0}")]
    Folder(#[source] FileError),
}

/// Why there is no new password. Each sentence is for the user as well as for the log.
#[derive(Debug, thiserror::Error)]
pub enum BadNewPassword {
    /// It will not do.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It was typed differently the second time.
    #[error("these were two different passwords")]
    Different,
    /// It is the one that there is.
    #[error("this is the password already")]
    Unchanged,
    /// Nobody gave one.
    #[error("no new password was given")]
    NotGiven,
    /// It cannot be compared with the common ones.
    #[error("new passwords cannot be compared with the common ones, so only an administrator can set one: {0}")]
    NoList(FileError),
    /// Somebody set another one since the old one was proved.
    #[error("the password was changed by somebody else meanwhile")]
    ChangedMeanwhile,
}

impl From<SetError> for Error {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Record(error) => Self::Record(error),
            SetError::ChangedMeanwhile => Self::NewPassword(BadNewPassword::ChangedMeanwhile),
        }
    }
}

impl From<HashingError> for Error {
    fn from(error: HashingError) -> Self {
        Self::Password(error.into())
    }
}

impl Error {
    /// Whether something of ours is broken, as opposed to a login that is not good enough. Only then does break-glass open.
    #[must_use]
    pub const fn is_breakage(&self) -> bool {
        match self {
            Self::Config(_) | Self::Process(_) | Self::Shadow(_) | Self::Folder(_) => true,
            Self::Record(why) => is_broken(why),
            Self::Desk(why) => why.is_breakage(),
            Self::Password(_) => true,
            Self::Options(_)
            | Self::Account(_)
            | Self::Denied(_)
            | Self::Application(_)
            | Self::UserChanged { .. }
            | Self::NameIsNoText
            | Self::NoAccount
            | Self::Disabled
            | Self::ClosedMeanwhile
            | Self::Expired
            | Self::NoRule
            | Self::NotProved { .. }
            | Self::Receipt(_)
            | Self::NewPassword(_)
            | Self::Flow(_)
            | Self::NotOneself
            | Self::Daemon(_)
            | Self::Unwatched(_) => false,
        }
    }

    /// How urgent it is.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        if self.is_breakage() || matches!(self, Self::Options(_) | Self::Account(_)) {
            Priority::Error
        } else {
            Priority::Notice
        }
    }
}

/// A crowd of logins of one user, or an impossible name, is no breakage: strangers can bring about both.
const fn is_broken(why: &RecordError) -> bool {
    match why {
        RecordError::Busy | RecordError::Name(_) => false,
        RecordError::File(_)
        | RecordError::Record { .. }
        | RecordError::State { .. }
        | RecordError::BrokenState(_)
        | RecordError::Managed(_) => true,
    }
}

fn name_of(needed: Option<&Method>) -> String {
    needed.map_or_else(|| "a method that the user has enrolled for".to_owned(), ToString::to_string)
}
