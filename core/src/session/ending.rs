//! How a session ends: for one reason, in steps that grow harder.

use serde::{Deserialize, Serialize};

use super::{Class, Opening};
use crate::{
    policy::{AtLimit, AtLogout, UnknownWord},
    time::{BootTime, Now},
};

/// Why a session ended. The first cause wins and is never overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The application closed it.
    Logout,
    /// Its leader is gone, and no member is left.
    LeaderExited,
    /// Nobody used it for too long.
    Idle,
    /// Its user authenticated too long ago.
    Lifetime,
    /// Somebody ended it.
    Revoked,
    /// The account is no more to be used.
    Deactivated,
    /// A newer session of the same user took its place.
    Superseded,
    /// The machine was restarted.
    Reboot,
}

impl EndReason {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LeaderExited => "leader-exited",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Revoked => "revoked",
            Self::Deactivated => "deactivated",
            Self::Superseded => "superseded",
            Self::Reboot => "reboot",
        }
    }

    /// What it does to the session's processes.
    #[must_use]
    pub const fn manner(self, opening: &Opening) -> Manner {
        let keeps = matches!(opening.limits.at_logout, AtLogout::Keep);
        let at = match self {
            Self::Idle => opening.limits.at_idle,
            Self::Lifetime => opening.limits.at_lifetime,
            // A logout leaves running what detached itself, as closing the terminal does. What is nested ends with what is around it.
            Self::Logout if keeps && !matches!(opening.class, Class::Nested) => AtLimit::Hangup,
            Self::Logout | Self::LeaderExited | Self::Revoked | Self::Deactivated | Self::Superseded | Self::Reboot => {
                AtLimit::Terminate
            }
        };
        match at {
            AtLimit::Terminate => Manner::Terminate,
            // What cannot be locked is hung up: a limit must not go by without effect.
            AtLimit::Hangup | AtLimit::Lock => Manner::Hangup,
        }
    }
}

impl std::str::FromStr for EndReason {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [
            Self::Logout,
            Self::LeaderExited,
            Self::Idle,
            Self::Lifetime,
            Self::Revoked,
            Self::Deactivated,
            Self::Superseded,
            Self::Reboot,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == word)
        .ok_or_else(|| UnknownWord {
            word: word.to_owned(),
            expected: "logout leader-exited idle lifetime revoked deactivated superseded reboot",
        })
    }
}

/// What an end does to the session's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    /// What runs on its ttys ends, and the leader. What detached itself lives on.
    Hangup,
    /// Every process of it ends.
    Terminate,
    /// What it left ends. The leader, who closed it, goes its own way, with what it starts from then on.
    Remains,
}

/// How hard the next signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// SIGHUP: what a lost terminal would have sent.
    Hangup,
    /// SIGTERM, and SIGCONT so that stopped processes hear it.
    Term,
    /// SIGKILL, again and again until none is left.
    Kill,
}

impl Step {
    /// The step after this one.
    #[must_use]
    pub const fn harder(self) -> Self {
        match self {
            Self::Hangup => Self::Term,
            Self::Term | Self::Kill => Self::Kill,
        }
    }
}

/// An end under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The first cause.
    pub reason: EndReason,
    /// Which of its processes it ends.
    pub manner: Manner,
    /// Who ended it, if somebody did.
    pub by: Option<String>,
    /// What its user was told.
    pub message: Option<String>,
    /// When the limit was, if it was one.
    pub due: Option<BootTime>,
    /// When the end began.
    pub began: Now,
    /// The step that was taken last. `None` while its user has only been told.
    pub step: Option<Step>,
    /// When the next one follows.
    pub next: BootTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_none_is_answered_with_those_there_are() {
        let unknown = "nonsense".parse::<EndReason>().unwrap_err();
        for word in unknown.expected.split(' ') {
            assert_eq!(word.parse::<EndReason>().unwrap().as_str(), word);
        }
        assert_eq!(unknown.expected.split(' ').count(), 8);
    }
}
