//! What a session is opened with: the facts that the PAM module hands to the daemon, over the bus or, while the daemon is
//! away, through a pending file.

use serde::{Deserialize, Serialize};

use super::SessionId;
use crate::{
    factor::Factors,
    policy::{Limits, UnknownWord},
    time::WallTime,
};

/// What kind of session it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A login.
    #[default]
    User,
    /// su or sudo inside a session: no idle timer of its own, ends with its parent.
    Nested,
    /// cron and its like: tracked only where a rule names the service.
    Background,
}

impl Class {
    /// The word for it in text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Nested => "nested",
            Self::Background => "background",
        }
    }
}

impl std::str::FromStr for Class {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "user" => Ok(Self::User),
            "nested" => Ok(Self::Nested),
            "background" => Ok(Self::Background),
            _ => Err(UnknownWord { word: word.to_owned(), expected: "user nested background" }),
        }
    }
}

/// The facts of an opening. The leader is not among them: the daemon takes it from the caller's own credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Who authenticated.
    pub user: String,
    /// That user's uid.
    pub uid: u32,
    /// Whom the session runs as; differs from `user` under su and sudo.
    pub target: String,
    /// The target's uid.
    pub target_uid: u32,
    /// The PAM service.
    pub service: String,
    /// The tty as PAM names it, if any (`sshd` gives "ssh", which is none).
    #[serde(default)]
    pub tty: Option<String>,
    /// The remote address or name, if any.
    #[serde(default)]
    pub remote_host: Option<String>,
    /// What kind of session.
    #[serde(default)]
    pub class: Class,
    /// What was proved.
    #[serde(default)]
    pub factors: Factors,
    /// The level that the factors reach.
    #[serde(default)]
    pub aal: u8,
    /// The name of the rule that granted it; empty if none governed.
    #[serde(default)]
    pub rule: String,
    /// The limits that the rule grants.
    #[serde(default)]
    pub limits: Limits,
    /// When the flow succeeded; the lifetime runs from here. The daemon clamps it to its own now.
    #[serde(default)]
    pub authenticated_at: Option<WallTime>,
    /// The flow's id, for the log.
    #[serde(default)]
    pub flow: Option<String>,
    /// The session that vouched for its user, where the flow rests on one: it must still live, and be the one around this.
    #[serde(default)]
    pub vouched_by: Option<SessionId>,
}
