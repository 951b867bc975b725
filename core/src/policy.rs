//! What a rule grants a session: how long it may idle and live, and what happens then. Plain data, shared by flows
//! (which carry it in a receipt) and sessions (which live by it).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits of one session. `None` is no limit.
///
/// In text that we write for ourselves (receipts, pending logins) a limit that is missing is none: TOML has no other way to say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Longest inactivity.
    #[serde(default)]
    pub idle: Option<Duration>,
    /// Longest time since the last (re)authentication, whatever the activity.
    #[serde(default)]
    pub lifetime: Option<Duration>,
    /// How long before an end its ttys are told.
    pub warn: Duration,
    /// How long a process gets between the polite signal and the next harder one.
    pub grace: Duration,
    /// What happens at the idle limit.
    pub at_idle: AtLimit,
    /// What happens at the end of the lifetime.
    pub at_lifetime: AtLimit,
    /// What becomes of what a logout leaves running.
    pub at_logout: AtLogout,
    /// What counts as activity on a tty.
    pub activity: ActivityKind,
    /// What counts for a session without a tty.
    pub without_tty: WithoutTty,
    /// How many sessions of one user there may be at once.
    pub max_sessions: Option<u32>,
    /// What happens to the login that would be one too many.
    pub at_max: AtMax,
    /// How often the user may push the idle deadline without activity.
    pub user_extend: u32,
    /// How long after the last activity a command may keep the session from idling; zero is not at all.
    pub inhibit_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(15 * 60)),
            lifetime: Some(Duration::from_secs(12 * 3600)),
            warn: Duration::from_secs(120),
            grace: Duration::from_secs(5),
            at_idle: AtLimit::Lock,
            at_lifetime: AtLimit::Terminate,
            at_logout: AtLogout::Keep,
            activity: ActivityKind::Input,
            without_tty: WithoutTty::default(),
            max_sessions: None,
            at_max: AtMax::Refuse,
            user_extend: 0,
            inhibit_max: Duration::ZERO,
        }
    }
}

/// What ends at a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtLimit {
    /// The ttys are revoked, what runs on them is hung up, the leader ends; what detached itself lives on.
    Hangup,
    /// Every process of the session ends.
    Terminate,
    /// The screen is locked (logind). A session without one is hung up: a limit must not go by without effect.
    Lock,
}

/// What becomes of what a session leaves running when its user leaves it, or its leader is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtLogout {
    /// It lives on.
    Keep,
    /// It ends.
    Terminate,
}

/// What counts as activity on a tty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivityKind {
    /// Somebody typed.
    #[serde(rename = "input")]
    Input,
    /// Somebody typed, or a program wrote.
    #[serde(rename = "input+output")]
    InputOutput,
}

/// What counts as activity where there is no tty to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutTty {
    /// The session's processes moved more than that many bytes since the last look.
    Io(u64),
    /// Idleness does not govern such a session; its lifetime does.
    Ignore,
    /// It is idle from the start.
    Idle,
}

impl Default for WithoutTty {
    fn default() -> Self {
        Self::Io(64 * 1024)
    }
}

/// What happens to a login beyond `max_sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtMax {
    /// It is refused.
    Refuse,
    /// The session that idled longest makes room.
    Supersede,
}

/// What the module does when the daemon cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnavailable {
    /// Let the user in; the daemon adopts the session when it comes back.
    #[default]
    Open,
    /// Refuse.
    Deny,
}

/// What happens to open sessions when the account's password is locked (`usermod -L`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockedPassword {
    /// They end: whoever locks it wants the user out.
    #[default]
    Deactivate,
    /// Nothing: the user has other ways in, and may use them.
    Ignore,
}

/// How the accounts of live sessions are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountsPolicy {
    /// What a password that is locked means.
    pub locked_password: LockedPassword,
    /// How often accounts are looked up that no file tells about.
    pub recheck: Duration,
    /// A name that the directory always has. Only while it is found does another name that is not mean a removed account.
    pub control: Option<String>,
}

impl Default for AccountsPolicy {
    fn default() -> Self {
        Self { locked_password: LockedPassword::default(), recheck: Duration::from_secs(15 * 60), control: None }
    }
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// The word that stands for this value in configuration and on the bus.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { word: word.to_owned(), expected: concat!($($word, " "),+) }),
                }
            }
        }
    };
}

/// A word that is none of those that are expected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{word:?} is not one of: {}", expected.trim_end())]
pub struct UnknownWord {
    /// What was written.
    pub word: String,
    /// The words there are, separated by blanks.
    pub expected: &'static str,
}

words!(AtLimit { Hangup = "hangup", Terminate = "terminate", Lock = "lock" });
words!(AtLogout { Keep = "keep", Terminate = "terminate" });
words!(ActivityKind { Input = "input", InputOutput = "input+output" });
words!(LockedPassword { Deactivate = "deactivate", Ignore = "ignore" });
words!(AtMax { Refuse = "refuse", Supersede = "supersede" });
words!(WhenUnavailable { Open = "open", Deny = "deny" });

impl std::fmt::Display for WithoutTty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(bytes) if bytes.is_multiple_of(1024) => write!(f, "io:{}KiB", bytes / 1024),
            Self::Io(bytes) => write!(f, "io:{bytes}B"),
            Self::Ignore => f.write_str("ignore"),
            Self::Idle => f.write_str("idle"),
        }
    }
}

impl std::str::FromStr for WithoutTty {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "ignore" => Ok(Self::Ignore),
            "idle" => Ok(Self::Idle),
            _ => word
                .strip_prefix("io:")
                .and_then(parse_size)
                .filter(|bytes| *bytes > 0)
                .map(Self::Io)
                .ok_or_else(|| UnknownWord { word: word.to_owned(), expected: "io:SIZE (as io:64KiB) ignore idle" }),
        }
    }
}

/// Bytes from `19MiB`, `64KiB` or `512B`. `None` if it is none of these or too large to count.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_unit_and_must_fit() {
        assert_eq!(parse_size("64KiB"), Some(65536));
        assert_eq!(parse_size("19MiB"), Some(19 * 1024 * 1024));
        for bad in ["64", "KiB", "-1KiB", "64kb", "99999999999999999999GiB", ""] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_limit_stays_no_limit_through_text() {
        let limits = Limits { idle: None, lifetime: None, ..Limits::default() };
        let text = toml::to_string(&limits).unwrap();
        assert_eq!(crate::toml_text::from_str::<Limits>(&text), Ok(limits));
    }

    #[test]
    fn what_counts_without_a_tty_is_read_as_it_is_printed() {
        for basis in [WithoutTty::Io(65536), WithoutTty::Io(100), WithoutTty::Ignore, WithoutTty::Idle] {
            assert_eq!(basis.to_string().parse(), Ok(basis));
        }
        assert!("io:0B".parse::<WithoutTty>().is_err());
        assert!("output".parse::<WithoutTty>().is_err());
    }
}
