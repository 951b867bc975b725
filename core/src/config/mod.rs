//! `authflow.toml`: the configuration as values that cannot be wrong, and errors that name file, line, column and what was expected.
//! An empty configuration governs no service; it never opens a door.

mod file;
mod lint;
mod place;
pub mod preset;
mod value;

use std::time::Duration;

pub use lint::Warning;
pub use place::key_offset;
pub use value::written;

use self::preset::Preset;
use crate::{
    password::Cost,
    policy::AccountsPolicy,
    rule::{Request, Rule, SessionPolicy},
    throttle::ThrottlePolicy,
};

/// The system bus, where it is on every Linux that has one.
pub const DEFAULT_BUS_ADDRESS: &str = "unix:path=/run/dbus/system_bus_socket";

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The standard that it is held to.
    pub preset: Option<Preset>,
    /// Why it is weaker than that here and there.
    pub reasons: Reasons,
    /// PAM services that are sshd's: only there `SSH_AUTH_INFO_0` counts.
    pub sshd_services: Vec<String>,
    /// Where the daemon is reached.
    pub bus_address: String,
    /// How long one exchange with the daemon may take as a whole.
    pub bus_timeout: Duration,
    /// Passwords.
    pub password: PasswordPolicy,
    /// Codes.
    pub totp: TotpPolicy,
    /// Failures and locks.
    pub throttle: ThrottlePolicy,
    /// How the accounts of live sessions are watched.
    pub accounts: AccountsPolicy,
    /// How long the daemon keeps what it knows of sessions that are over, and of configurations that were replaced.
    pub history_keep: Duration,
    /// What a rule grants that says nothing else.
    pub session: SessionPolicy,
    /// The rules, in the order in which they are tried.
    pub rules: Vec<Rule>,
}

/// What was written down as `weaker_than_preset`. Never blank. There are few, so they are lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// By the table, as `session`.
    pub tables: Vec<(&'static str, String)>,
    /// By the rule's name.
    pub rules: Vec<(String, String)>,
}

impl Reasons {
    /// Why that table is weaker.
    #[must_use]
    pub fn of_table(&self, table: &str) -> Option<&String> {
        self.tables.iter().find(|(name, _)| *name == table).map(|(_, reason)| reason)
    }

    /// Why that rule is weaker.
    #[must_use]
    pub fn of_rule(&self, rule: &str) -> Option<&String> {
        self.rules.iter().find(|(name, _)| name == rule).map(|(_, reason)| reason)
    }
}

/// The shortest password that is ever taken (NIST SP 800-63B-4 section 3.1.1.2).
pub const SHORTEST_PASSWORD: u32 = 8;

/// Passwords: the cost of new hashes, what a new one must be, and where passwords are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The cost of new hashes.
    pub cost: Cost,
    /// Where a password is looked up; the first that has one decides.
    pub sources: Vec<Source>,
    /// Whether a login with the system's password makes it the record's.
    pub adopt: bool,
    /// How many characters a new one has at least, also beside another factor.
    pub minimum: u32,
}

/// Where passwords are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The user's record.
    Authflow,
    /// The system's own hash, through crypt(3).
    Shadow,
}

/// The most that `[totp] skew` takes.
pub const WIDEST_SKEW: u64 = 10;

/// The most that `[throttle] attempts` takes.
pub const MOST_ATTEMPTS: u64 = 100;

/// Codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpPolicy {
    /// Steps accepted on each side of now.
    pub skew: u8,
    /// What an authenticator app shows above the code.
    pub issuer: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            preset: None,
            reasons: Reasons::default(),
            sshd_services: vec!["sshd".to_owned()],
            bus_address: DEFAULT_BUS_ADDRESS.to_owned(),
            bus_timeout: Duration::from_secs(3),
            password: PasswordPolicy {
                cost: Cost::default(),
                sources: vec![Source::Authflow, Source::Shadow],
                adopt: false,
                minimum: SHORTEST_PASSWORD,
            },
            totp: TotpPolicy { skew: 1, issuer: "authflow".to_owned() },
            throttle: ThrottlePolicy::default(),
            accounts: AccountsPolicy::default(),
            history_keep: Duration::from_secs(400 * 24 * 3600),
            session: SessionPolicy::default(),
            rules: Vec::new(),
        }
    }
}

/// A file's name, for messages, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The file's name as an administrator knows it.
    pub name: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ConfigError {
    /// The file's name.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in bytes.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl ConfigError {
    /// The error at byte `offset` of `source`.
    fn at(source: Text<'_>, offset: usize, message: impl Into<String>) -> Self {
        let before = source.text.get(..offset).unwrap_or(source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let key = key_before(before.get(line_start..).unwrap_or_default());
        Self {
            file: source.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.len() - line_start + 1,
            message: key.map_or_else(String::new, |key| format!("{key}: ")) + &message.into(),
        }
    }
}

/// The key whose value begins behind `text`, the front of a line: `session = { idle = ` names `idle`.
fn key_before(text: &str) -> Option<&str> {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let assigned = text.trim_end_matches([' ', '\t', '[', '"', '\'']).strip_suffix('=')?.trim_end();
    let before = assigned.trim_end_matches(is_of_key);
    assigned.get(before.len()..).filter(|key| !key.is_empty())
}

impl Config {
    /// Reads the main file, and the drop-ins, whose rules follow its rules in the order given.
    ///
    /// # Errors
    /// The first thing that is wrong, or weaker than the preset without a reason. A configuration with an error is not used in part.
    pub fn parse(main: Text<'_>, drop_ins: &[Text<'_>]) -> Result<Self, ConfigError> {
        let config = Self::parse_unjudged(main, drop_ins)?;
        let Some(preset) = config.preset else { return Ok(config) };
        let mut weaker = preset::weaker_than(preset, &config);
        weaker.retain(|weaker| weaker.reason.is_none());
        match weaker.as_slice() {
            [] => Ok(config),
            [first, rest @ ..] => Err(place::error(first, rest.len(), (main, drop_ins))),
        }
    }

    /// Reads one file that was judged when it was put in force. It is not held to its preset again: a version of this program that knows
    /// a standard better must not take the last configuration that a machine has.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse_judged(text: Text<'_>) -> Result<Self, ConfigError> {
        Self::parse_unjudged(text, &[])
    }

    /// Reads the files as [`Config::parse`] does and holds them to no preset, for whoever asks what of them is weaker. Not to be put in
    /// force.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse_unjudged(main: Text<'_>, drop_ins: &[Text<'_>]) -> Result<Self, ConfigError> {
        file::parse(main, drop_ins)
    }

    /// Whether any rule is about that service. Where none is, authflow keeps out of the way.
    #[must_use]
    pub fn governs(&self, service: &str) -> bool {
        self.rules.iter().any(|rule| rule.governs(service))
    }

    /// The groups that rules about that service name: only whether the user is in one of these is worth a look-up.
    pub fn groups_named_for<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a str> {
        self.rules.iter().filter(|rule| rule.governs(service)).flat_map(|rule| &rule.groups).map(String::as_str)
    }

    /// The rule that decides that request: the first that matches. In a governed service, none means deny.
    #[must_use]
    pub fn rule_for(&self, request: &Request<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(request))
    }

    /// The rule whose questions are put to a login that no rule matches, so that it is asked like others before it is denied: the first for
    /// that service.
    #[must_use]
    pub fn stand_in_for(&self, service: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.governs(service))
    }

    /// Whether the service is one of sshd's.
    #[must_use]
    pub fn is_sshd(&self, service: &str) -> bool {
        self.sshd_services.iter().any(|name| name == service)
    }

    /// What is allowed and yet probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        lint::warnings(self)
    }
}

#[cfg(test)]
mod tests;
