//! Given passwords: compared with the hash of the first source that has one, and kept up afterwards. What a comparison means is judged
//! in core.

use std::io;

use authflow_core::{
    account::{Authenticators, Password},
    config::{Config, Source},
    flow::HashOutcome,
    password::PasswordHash,
    secret::Secret,
    time::WallTime,
};

use crate::{
    accounts::Account,
    crypt,
    hashing::{self, HashingError},
    records::{RecordError, Records},
    shadow,
};

/// Users' passwords, wherever the configuration looks for them.
#[derive(Clone, Copy, Debug)]
pub struct Passwords<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The users' records.
    pub records: &'a Records,
}

/// Why a password cannot be looked up or kept.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The shadow data base could not be asked.
    #[error("cannot look up the system's password hash: {0}")]
    Shadow(#[source] io::Error),
    /// The user's record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It cannot be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
}

/// What came of comparing a password.
#[derive(Debug)]
pub struct Compared {
    /// What it proves.
    pub outcome: HashOutcome,
    /// The hash that it matched, if it did. It must still be the user's when that is judged.
    pub matched: Option<Matched>,
    /// What is to be done with the user's hash if the login succeeds.
    pub upkeep: Upkeep,
}

/// A hash that a password matched.
#[derive(Clone, Debug)]
pub enum Matched {
    /// The record's.
    Own(Password),
    /// The system's.
    System(Secret),
}

impl Matched {
    /// Whether that is the hash which was matched. Hashing takes time, and meanwhile the password may have become another.
    #[must_use]
    pub fn is_still(&self, now: Option<&Self>) -> bool {
        match (self, now) {
            (Self::Own(proved), Some(Self::Own(own))) => own.hash == proved.hash,
            (Self::System(proved), Some(Self::System(hash))) => hash.matches(proved),
            (Self::Own(_) | Self::System(_), _) => false,
        }
    }

    /// The record's password, if it is that one.
    #[must_use]
    pub fn into_own(self) -> Option<Password> {
        match self {
            Self::Own(password) => Some(password),
            Self::System(_) => None,
        }
    }
}

/// What is to be done with a user's hash.
#[derive(Debug)]
pub enum Upkeep {
    /// Nothing.
    Keep,
    /// This hash is cheaper than hashes are now.
    Rehash(PasswordHash),
    /// The system's password, which this is the hash of, becomes the record's.
    Adopt(Secret),
}

impl Passwords<'_> {
    /// Where this user's password is looked up: the first source that has one.
    ///
    /// # Errors
    /// The shadow data base cannot be asked.
    pub fn source(&self, account: &Account, keys: &Authenticators) -> Result<Option<Source>, PasswordError> {
        for source in &self.config.password.sources {
            let has_one = match source {
                Source::Authflow => keys.password.is_some(),
                Source::Shadow => self.shadow_hash(account)?.is_some(),
            };
            if has_one {
                return Ok(Some(*source));
            }
        }
        Ok(None)
    }

    /// Compares a password with the hash of the first source that has one. Everybody costs the same: one Argon2 computation, and where the
    /// system's own hashes count, one of those; a stand-in takes the place of what a user does not have.
    ///
    /// # Errors
    /// The shadow data base cannot be asked, or it cannot be hashed.
    pub fn compare(
        &self,
        password: &Secret,
        (account, keys): (Option<&Account>, &Authenticators),
        now: WallTime,
    ) -> Result<Compared, PasswordError> {
        let own = keys.password.as_ref().filter(|_| self.uses(Source::Authflow));
        let stand_in = || PasswordHash::impossible(self.config.password.cost);
        let hash = own.map_or_else(stand_in, |own| own.hash.clone());
        let own_outcome = match (hashing::verify(&hash, password)?, own) {
            (_, None) => None,
            (true, Some(own)) if own.is_over(now) => Some(HashOutcome::Expired),
            (true, Some(_)) => Some(HashOutcome::Matched),
            (false, Some(_)) => Some(HashOutcome::Mismatched),
        };
        let system = self.compare_with_shadow(password, account)?;
        let by_source = |source: &Source| {
            let outcome = match source {
                Source::Authflow => own_outcome,
                Source::Shadow => system.as_ref().map(|(outcome, _hash)| *outcome),
            };
            outcome.map(|outcome| (*source, outcome))
        };
        let decided = self.config.password.sources.iter().find_map(by_source);
        let matched = match (decided, own, &system) {
            (Some((Source::Authflow, HashOutcome::Matched)), Some(own), _) => Some(Matched::Own(own.clone())),
            (Some((Source::Shadow, HashOutcome::Matched)), _, Some((_, system))) => {
                Some(Matched::System(system.clone()))
            }
            _ => None,
        };
        let upkeep = match &matched {
            Some(Matched::System(system)) if self.adopts(account, keys) => Upkeep::Adopt(system.clone()),
            _ if own_outcome == Some(HashOutcome::Matched) && hash.cost().is_below(self.config.password.cost) => {
                Upkeep::Rehash(hash)
            }
            _ => Upkeep::Keep,
        };
        Ok(Compared { outcome: decided.map_or(HashOutcome::Mismatched, |(_, outcome)| outcome), matched, upkeep })
    }

    /// The hash that decides about the user's password now. The same look-ups are made whatever was answered before: who may watch
    /// `/etc/shadow` being opened must not learn from it whether a password was right.
    ///
    /// # Errors
    /// The shadow data base cannot be asked.
    pub fn deciding(&self, account: &Account, keys: &Authenticators) -> Result<Option<Matched>, PasswordError> {
        for source in &self.config.password.sources {
            let there = match source {
                Source::Authflow => keys.password.clone().map(Matched::Own),
                Source::Shadow => self.shadow_hash(account)?.map(Matched::System),
            };
            if there.is_some() {
                return Ok(there);
            }
        }
        Ok(None)
    }

    /// Does what is to be done with the hash of a password that was just proved; not if it has been changed meanwhile, and not where
    /// configuration management owns the record. Gives the record's password where it is another than before.
    ///
    /// # Errors
    /// The record cannot be written, or it cannot be hashed.
    pub fn keep_up(
        &self,
        account: &Account,
        password: &Secret,
        (upkeep, now): (Upkeep, WallTime),
    ) -> Result<Option<Password>, PasswordError> {
        if matches!(upkeep, Upkeep::Keep) || self.records.is_managed(&account.name)? {
            return Ok(None);
        }
        let new = hashing::hash(self.config.password.cost, password)?;
        self.records.update(&account.name, |record| {
            match (&upkeep, &mut record.password) {
                (Upkeep::Rehash(old), Some(kept)) if kept.hash == *old => kept.hash = new,
                // Looked up again: what `passwd` has set meanwhile must not be shut out by the one before.
                (Upkeep::Adopt(old), none @ None) if self.is_systems(account, old)? => {
                    *none = Some(Password::chosen(new, now));
                }
                (Upkeep::Keep | Upkeep::Rehash(_) | Upkeep::Adopt(_), _) => return Ok(None),
            }
            Ok(record.password.clone())
        })
    }

    /// Whether the system has a password of the user's that counts.
    ///
    /// # Errors
    /// The shadow data base cannot be asked.
    pub fn shadow_has_one(&self, account: &Account) -> Result<bool, PasswordError> {
        Ok(self.shadow_hash(account)?.is_some())
    }

    /// Whether the configuration lists that source.
    #[must_use]
    pub fn uses(&self, source: Source) -> bool {
        self.config.password.sources.contains(&source)
    }

    /// Root keeps the system's own: single-user mode and break-glass know no other, and two that drift apart would be found out there.
    fn adopts(&self, account: Option<&Account>, keys: &Authenticators) -> bool {
        self.config.password.adopt && keys.password.is_none() && account.is_some_and(|account| account.uid != 0)
    }

    fn compare_with_shadow(
        &self,
        password: &Secret,
        account: Option<&Account>,
    ) -> Result<Option<(HashOutcome, Secret)>, PasswordError> {
        if !self.uses(Source::Shadow) {
            return Ok(None);
        }
        let Some(hash) = account.map(|account| self.shadow_hash(account)).transpose()?.flatten() else {
            crypt::verify_nothing(password);
            return Ok(None);
        };
        // As typed: the system made its hash of just these bytes.
        let outcome = if crypt::verify(password, &hash) { HashOutcome::Matched } else { HashOutcome::Mismatched };
        Ok(Some((outcome, hash)))
    }

    fn is_systems(&self, account: &Account, hash: &Secret) -> Result<bool, PasswordError> {
        Ok(self.shadow_hash(account)?.is_some_and(|there| there.matches(hash)))
    }

    fn shadow_hash(&self, account: &Account) -> Result<Option<Secret>, PasswordError> {
        if !self.uses(Source::Shadow) {
            return Ok(None);
        }
        let entry = shadow::by_name(&account.name).map_err(PasswordError::Shadow)?;
        Ok(entry.filter(shadow::Entry::has_password).map(|entry| entry.hash))
    }
}
