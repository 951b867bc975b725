//! A user's authenticators, and the text they are kept in: one TOML file a user, readable by root alone. Errors about it never
//! repeat what stands in it, since it holds secrets and errors reach logs.

use std::{collections::BTreeSet, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    factor::{Factor, Factors},
    password::{BadHash, PasswordHash},
    secret::Secret,
    stand_in::{CodeDigest, RecoverySet},
    time::WallTime,
    toml_text,
    totp::{self, BadKey, Hash, TotpKey},
};

const VERSION: u32 = 1;

/// The last line of a record. One cut short might still parse, and would have lost a factor.
const END: &str = "# end of record\n";

/// Most authenticators a user may have: each is a chance for a guess.
pub const MOST_TOTP_KEYS: usize = 8;

/// Most recovery codes a user may have, for the same reason.
pub const MOST_RECOVERY_CODES: usize = 20;

/// What a user can prove with.
#[derive(Clone, Debug, Default)]
pub struct Authenticators {
    /// The password, if authflow has one of its own.
    pub password: Option<Password>,
    /// The recovery codes, used ones among them: which were used is the state's to know.
    pub recovery: Option<RecoverySet>,
    totp: Vec<TotpKey>,
}

/// A password and when it was set.
#[derive(Clone, Debug)]
pub struct Password {
    /// Its hash.
    pub hash: PasswordHash,
    /// When it was set.
    pub changed: WallTime,
    /// Whether the user must set another one before the next session opens: an administrator chose this one.
    pub must_change: bool,
    /// From when on it proves nothing any more.
    pub expires: Option<WallTime>,
}

impl Password {
    /// A password of the user's own choice.
    #[must_use]
    pub const fn chosen(hash: PasswordHash, changed: WallTime) -> Self {
        Self { hash, changed, must_change: false, expires: None }
    }

    /// A password that an administrator hands to the user: to be changed at its first use, and good for nothing after `expires`.
    #[must_use]
    pub const fn initial(hash: PasswordHash, changed: WallTime, expires: WallTime) -> Self {
        Self { hash, changed, must_change: true, expires: Some(expires) }
    }

    /// Whether its time is over. Where it has an end and was set in the future, the clock was set back, and nobody knows how much of it is gone.
    #[must_use]
    pub fn is_over(&self, now: WallTime) -> bool {
        self.expires.is_some_and(|expires| now >= expires || now < self.changed)
    }
}

/// Why a record is not used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRecord {
    /// No TOML, or not of the known shape.
    #[error("line {line}: not what a user record has there (the content is not shown, since it may be secret)")]
    Syntax {
        /// Counted from 1.
        line: usize,
    },
    /// The last line of a record is missing.
    #[error("the record is cut short: its last line (\"{}\") is missing", END.trim_end())]
    Truncated,
    /// Written by a newer version.
    #[error("the record has version {0}, this program knows version {VERSION}")]
    Version(u32),
    /// The password hash is refused.
    #[error("[password] hash: {0}")]
    Password(#[from] BadHash),
    /// An authenticator is refused.
    #[error("[[totp]] number {number}: {why}")]
    Totp {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        why: BadKey,
    },
    /// An unknown hash inside the code.
    #[error("[[totp]] number {0}: algorithm is SHA1, SHA256 or SHA512")]
    Algorithm(usize),
    /// A time that is none.
    #[error("{0}: expected a time like 2026-11-24T08:33:00Z")]
    Time(&'static str),
    /// Two authenticators with one name or one secret: a code could pass twice.
    #[error("two authenticators have the same name or the same secret")]
    Twice,
    /// Too many of them.
    #[error("more than {MOST_TOTP_KEYS} authenticators")]
    TooMany,
    /// Too many recovery codes.
    #[error("[recovery] codes: more than {MOST_RECOVERY_CODES}")]
    TooManyCodes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    password: Option<PasswordEntry>,
    recovery: Option<RecoveryEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    totp: Vec<TotpEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordEntry {
    hash: String,
    changed: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    must_change: bool,
    expires: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecoveryEntry {
    made: Option<String>,
    codes: BTreeSet<CodeDigest>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TotpEntry {
    name: String,
    secret: String,
    #[serde(default = "default_algorithm")]
    algorithm: String,
    #[serde(default = "default_digits")]
    digits: u8,
    #[serde(default = "default_period")]
    period: u64,
    // Left out where there is none, so that an older version goes on reading what it can judge.
    #[serde(default, skip_serializing_if = "is_zero")]
    drift: i16,
    added: Option<String>,
}

impl Drop for TotpEntry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Authenticators {
    /// Reads a record that we wrote, which must be whole.
    ///
    /// # Errors
    /// As [`Authenticators::parse`].
    pub fn parse_own(text: &str) -> Result<Self, BadRecord> {
        if text.ends_with(END) { Self::read(text) } else { Err(BadRecord::Truncated) }
    }

    /// Reads a record from anywhere: people write managed ones by hand, so blanks behind the last line are no matter, and a slip is told
    /// with its line.
    ///
    /// # Errors
    /// Whatever is not exactly as it should be, with the place and without the content; a missing last line.
    pub fn parse(text: &str) -> Result<Self, BadRecord> {
        let record = Self::read(text)?;
        let is_whole = text.trim_end().lines().next_back().is_some_and(|line| line == END.trim_end());
        if is_whole { Ok(record) } else { Err(BadRecord::Truncated) }
    }

    fn read(text: &str) -> Result<Self, BadRecord> {
        let file: File = toml_text::from_str(text).map_err(|error| BadRecord::Syntax {
            line: 1 + text.bytes().take(error.offset).filter(|byte| *byte == b'\n').count(),
        })?;
        if file.version != VERSION {
            return Err(BadRecord::Version(file.version));
        }
        let password = file.password.map(read_password).transpose()?;
        let recovery = file.recovery.map(read_recovery).transpose()?;
        let mut record = Self { password, recovery, totp: Vec::new() };
        for (place, entry) in file.totp.iter().enumerate() {
            record.add_totp(read_totp(place + 1, entry)?)?;
        }
        Ok(record)
    }

    /// The text that [`Authenticators::parse_own`] reads.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let file = File {
            version: VERSION,
            password: self.password.as_ref().map(|password| PasswordEntry {
                hash: password.hash.to_string(),
                changed: Some(password.changed.to_string()),
                must_change: password.must_change,
                expires: password.expires.map(|time| time.to_string()),
            }),
            recovery: self
                .recovery
                .as_ref()
                .map(|set| RecoveryEntry { made: Some(set.made.to_string()), codes: set.codes.clone() }),
            totp: self
                .totp
                .iter()
                .map(|key| TotpEntry {
                    name: key.name().to_owned(),
                    secret: String::new(),
                    algorithm: key.hash().as_str().to_owned(),
                    digits: key.digits(),
                    period: key.period_seconds(),
                    drift: key.drift(),
                    added: Some(key.added().to_string()),
                })
                .collect(),
        };
        // Every value has a TOML form, so this cannot fail; an empty text would not parse and thus deny.
        with_secrets(&toml::to_string(&file).unwrap_or_default(), &self.totp)
    }

    /// The authenticators for codes, oldest first.
    #[must_use]
    pub fn totp(&self) -> &[TotpKey] {
        &self.totp
    }

    /// Adds an authenticator.
    ///
    /// # Errors
    /// One of the same name or secret is there, or too many.
    pub fn add_totp(&mut self, key: TotpKey) -> Result<(), BadRecord> {
        let same = |other: &TotpKey| other.name() == key.name() || other.secret().matches(key.secret());
        if self.totp.iter().any(same) {
            return Err(BadRecord::Twice);
        }
        if self.totp.len() >= MOST_TOTP_KEYS {
            return Err(BadRecord::TooMany);
        }
        self.totp.push(key);
        Ok(())
    }

    /// Removes the authenticator of that name; tells whether it was there.
    pub fn remove_totp(&mut self, name: &str) -> bool {
        let before = self.totp.len();
        self.totp.retain(|key| key.name() != name);
        self.totp.len() < before
    }

    /// What this record can prove.
    #[must_use]
    pub fn factors(&self) -> Factors {
        let password = self.password.as_ref().map(|_| Factor::Password);
        let totp = self.totp.first().map(|_| Factor::Totp);
        password.into_iter().chain(totp).collect()
    }
}

/// The record's text with each authenticator's secret in its line, in one piece of memory: a text that grew as it was written would leave
/// secrets behind in what it grew out of.
fn with_secrets(text: &str, keys: &[TotpKey]) -> Zeroizing<String> {
    if text.is_empty() {
        return Zeroizing::default();
    }
    let secrets: Vec<_> = keys.iter().map(|key| totp::secret_to_base32(key.secret())).collect();
    let length = text.len() + END.len() + secrets.iter().map(|secret| secret.len()).sum::<usize>();
    let mut whole = Zeroizing::new(String::with_capacity(length));
    let mut secrets = secrets.iter().peekable();
    for line in text.split_inclusive('\n') {
        // No other line reads so: a name has no line break in it.
        match secrets.next_if(|_| line == "secret = \"\"\n") {
            Some(secret) => ["secret = \"", secret, "\"\n"].iter().for_each(|part| whole.push_str(part)),
            None => whole.push_str(line),
        }
    }
    whole.push_str(END);
    whole
}

fn read_password(entry: PasswordEntry) -> Result<Password, BadRecord> {
    let changed = read_time(entry.changed.as_deref(), "[password] changed")?;
    let expires = entry.expires.as_deref();
    let expires = expires.map(|time| read_time(Some(time), "[password] expires")).transpose()?;
    Ok(Password { hash: PasswordHash::parse(&entry.hash)?, changed, must_change: entry.must_change, expires })
}

fn read_recovery(entry: RecoveryEntry) -> Result<RecoverySet, BadRecord> {
    if entry.codes.len() > MOST_RECOVERY_CODES {
        return Err(BadRecord::TooManyCodes);
    }
    Ok(RecoverySet { made: read_time(entry.made.as_deref(), "[recovery] made")?, codes: entry.codes })
}

fn read_totp(number: usize, entry: &TotpEntry) -> Result<TotpKey, BadRecord> {
    let refused = |why| BadRecord::Totp { number, why };
    let hash = Hash::from_word(&entry.algorithm).ok_or(BadRecord::Algorithm(number))?;
    let secret: Secret = totp::secret_from_base32(&entry.secret).map_err(refused)?;
    let added = read_time(entry.added.as_deref(), "[[totp]] added")?;
    TotpKey::with_parameters(&entry.name, secret, added, (hash, entry.digits, entry.period))
        .and_then(|key| key.with_drift(entry.drift))
        .map_err(refused)
}

fn read_time(text: Option<&str>, key: &'static str) -> Result<WallTime, BadRecord> {
    let Some(text) = text else { return Ok(WallTime::default()) };
    humantime::parse_rfc3339_weak(text)
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map(WallTime::new)
        .ok_or(BadRecord::Time(key))
}

fn default_algorithm() -> String {
    Hash::default().as_str().to_owned()
}

const fn default_digits() -> u8 {
    6
}

const fn default_period() -> u64 {
    30
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(steps: &i16) -> bool {
    *steps == 0
}

#[cfg(test)]
mod tests;
