//! A flow that the daemon runs, as this process calls it: what to ask, and the answers, each in a sealed memory file.

use std::{os::fd::AsFd, time::Duration};

use authflow_bus as bus;
use authflow_core::{flow::Prompt, secret::Secret};
use authflow_host::sealed;
use zbus::Fd;

use crate::{
    call::Call,
    daemon::{Daemon, DaemonError, Unanswered, failed},
};

/// How long a judgement may take beyond an ordinary exchange: it may wait for its turn, and hashes.
const JUDGING: Duration = Duration::from_secs(10);

/// A flow whose answers the daemon waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub flow: String,
    /// What to ask.
    pub prompts: Vec<Prompt>,
}

/// Why the daemon has not granted a flow.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// It was judged. The daemon's log says why.
    #[error("the daemon denied the flow")]
    Denied,
    /// The answers came too late, or another flow of the user took its place.
    #[error("the daemon knows no such flow any more")]
    Gone,
    /// The user, or all users together, ask too much.
    #[error("the daemon refused: {0}")]
    NotNow(String),
    /// It could not be asked, or failed.
    #[error("{0}")]
    Daemon(#[from] DaemonError),
}

impl Daemon {
    /// Begins a flow of this process's own user for a PAM service.
    ///
    /// # Errors
    /// The daemon refuses, cannot be asked, or asks what this module does not know.
    pub fn begin_flow(&self, service: &str, one_prompt: bool) -> Result<Begun, FlowError> {
        let reply = self.exchange(&Call::BeginFlow(service, one_prompt), self.limit())?;
        let (flow, words): (String, Vec<String>) = reply.body().deserialize().map_err(failed)?;
        let prompts = words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Begun { flow, prompts })
    }

    /// Gives the answers to all prompts of a flow. Comes back when it is granted.
    ///
    /// # Errors
    /// It is not.
    pub fn answer_flow(&self, flow: &str, answers: &[Secret]) -> Result<(), FlowError> {
        let sealed = answers.iter().map(sealed::seal).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let descriptors: Vec<Fd<'_>> = sealed.iter().map(|answer| Fd::from(answer.as_fd())).collect();
        self.exchange(&Call::AnswerFlow(flow, descriptors), self.limit().max(JUDGING))?;
        Ok(())
    }
}

impl From<Unanswered> for FlowError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Refused(bus::Error::Denied(_)) => Self::Denied,
            Unanswered::Refused(bus::Error::NoSuchFlow(_)) => Self::Gone,
            Unanswered::Refused(bus::Error::RateLimited(text)) => Self::NotNow(text),
            other @ (Unanswered::Refused(_) | Unanswered::TimedOut(_)) => Self::Daemon(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_is_a_grant_and_every_refusal_is_told_apart() {
        let of = |error| FlowError::from(Unanswered::Refused(error));
        assert!(matches!(of(bus::Error::Denied("x".into())), FlowError::Denied));
        assert!(matches!(of(bus::Error::NoSuchFlow("x".into())), FlowError::Gone));
        assert!(matches!(of(bus::Error::RateLimited("x".into())), FlowError::NotNow(_)));
        assert!(matches!(of(bus::Error::NotSupported("x".into())), FlowError::Daemon(DaemonError::Failed(_))));
        let late = FlowError::from(Unanswered::TimedOut(Duration::from_secs(10)));
        assert!(matches!(late, FlowError::Daemon(DaemonError::TimedOut(_))));
    }

    #[test]
    fn a_daemon_that_is_not_there_grants_nothing() {
        let daemon = Daemon::new("unix:path=/nonexistent/bus".to_owned(), Duration::from_millis(50));
        assert!(daemon.begin_flow("door", false).is_err());
        assert!(daemon.answer_flow("f", &[Secret::from("x")]).is_err());
        assert!(daemon.answer_flow("f", &[Secret::new(vec![b'x'; 100_000])]).is_err());
    }
}
