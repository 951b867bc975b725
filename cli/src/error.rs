//! Everything that can go wrong in a command, in the words that its user reads, and the exit code that a script gets.

use std::{io, process::ExitCode};

use authflow_core::password_rules::Refusal;

use crate::output::time::BadTime;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// A time that is none.
    #[error(transparent)]
    Time(#[from] BadTime),
    /// No session's id begins like that.
    #[error("no session {0:?} (or it is not yours to see)")]
    NoSession(String),
    /// More than one session's id begins like that.
    #[error("{count} sessions begin with {prefix:?}: write more of the id")]
    Ambiguous {
        /// What was written.
        prefix: String,
        /// How many it fits.
        count: usize,
    },
    /// The caller's process belongs to no session.
    #[error("this process is in no session of authflow")]
    InNoSession,
    /// The caller's process belongs to no session of its own user's: sudo's and su's are of whoever proved himself to them.
    #[error("this process is in no session of yours; leave a shell of sudo or su first, and renew outside")]
    NothingToRenew,
    /// No such account.
    #[error("no user {0:?} on this machine")]
    NoUser(String),
    /// No such authenticator, as has been said.
    #[error("there is no such authenticator")]
    NoFactor,
    /// Only root can.
    #[error("{0} (run it as root)")]
    NeedsRoot(&'static str),
    /// The daemon refused.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// A flow was denied. Nobody is told why.
    #[error("that was not right, and nothing was changed")]
    Denied,
    /// A flow was granted that is worth less than the session.
    #[error(
        "you are who you say, but what the rule asks here is less than the session was opened with: it was not renewed"
    )]
    NotRenewed,
    /// The command that was to be run could not be.
    #[error("{program}: {why}")]
    NotRun {
        /// Which.
        program: String,
        /// What the kernel said.
        why: io::Error,
    },
    /// The daemon cannot be talked to.
    #[error("the daemon (authflow-sessiond) cannot be reached at {address}: {why}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What came instead.
        why: String,
    },
    /// The daemon answered with an error of its own.
    #[error("the daemon could not do it: {0}")]
    Daemon(String),
    /// There is no terminal to ask at.
    #[error("there is no terminal to ask at: {0}")]
    NoTerminal(&'static str),
    /// Asked, and the answer was no.
    #[error("nothing was changed")]
    Declined,
    /// A password that will not do.
    #[error(transparent)]
    TooWeak(#[from] Refusal),
    /// The files or the input are not as they should be.
    #[error("{0}")]
    Failed(String),
    /// A check found defects, and has already said which.
    #[error("defects were found")]
    Defects,
    /// A login that was tested does not get in; why has been said.
    #[error("this login is refused")]
    WouldBeDenied,
    /// One that is told by its exit code alone.
    #[error(transparent)]
    Untold(Box<Error>),
    /// Input or output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// Any error of a library, told with what was being done.
    pub(crate) fn failed(doing: &str, error: &dyn std::error::Error) -> Self {
        let mut text = format!("{doing}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Many errors already tell their cause, some with more behind it.
            if !text.contains(&cause_text) {
                text.push_str(&format!(": {cause_text}"));
            }
            source = cause.source();
        }
        Self::Failed(text)
    }

    /// Whether there is nobody to tell in words: the exit code is enough, or the reader of our output went away, as `head` does.
    pub(crate) fn is_untold(&self) -> bool {
        matches!(self, Self::Untold(_)) || self.is_gone_reader()
    }

    fn is_gone_reader(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code that stands for it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Untold(error) => return error.exit_code(),
            Self::Io(_) if self.is_gone_reader() => 0,
            Self::Defects
            | Self::WouldBeDenied
            | Self::Daemon(_)
            | Self::Declined
            | Self::TooWeak(_)
            | Self::Failed(_)
            | Self::Io(_) => 1,
            Self::Usage(_) | Self::Time(_) | Self::Ambiguous { .. } | Self::NoTerminal(_) => 2,
            Self::NoSession(_) | Self::InNoSession | Self::NothingToRenew | Self::NoUser(_) | Self::NoFactor => 3,
            Self::NeedsRoot(_) | Self::NotAllowed(_) | Self::Denied | Self::NotRenewed => 4,
            Self::Unreachable { .. } => 5,
            // As every shell has them, env(1) and sudo(8).
            Self::NotRun { why, .. } if why.kind() == io::ErrorKind::NotFound => 127,
            Self::NotRun { .. } => 126,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}. Enrol anew")]
    struct Around(#[from] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("it cannot be read")]
    struct Silent(#[from] io::Error);

    #[test]
    fn a_cause_is_told_once_wherever_it_stands() {
        let cause = || io::Error::other("the secret is too short");
        let told = |error: &dyn std::error::Error| Error::failed("line 3", error).to_string();
        assert_eq!(told(&Around(cause())), "line 3: the secret is too short. Enrol anew");
        assert_eq!(told(&Silent(cause())), "line 3: it cannot be read: the secret is too short");
    }
}
