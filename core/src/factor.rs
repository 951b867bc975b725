//! What can be proved in a flow, and the assurance level that a set of proofs reaches.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One thing that can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Factor {
    /// Something known: the password.
    Password,
    /// Something had: a time-based one-time code (RFC 6238).
    Totp,
    /// Something had: a key that sshd verified.
    Publickey,
    /// The caller's own live session proved the named factors recently.
    Session,
    /// Other modules of the PAM stack decide.
    Stack,
    /// A detail of a key: an authority signed it. Shown, and never asked for.
    Certificate,
    /// A detail of a key: it lies in hardware of its own (`sk-` keys of OpenSSH). Shown, and never asked for.
    SecurityKey,
    /// Said beside `totp`: a recovery code stood in for it.
    Recovery,
    /// Said beside `totp`: an administrator's bypass code stood in for it.
    Bypass,
}

/// The kind of a factor; two proofs of one kind are still one kind (NIST SP 800-63B-4 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Know,
    Have,
}

impl Factor {
    /// Every factor, in the order in which lists of them are shown.
    pub const ALL: [Self; 9] = [
        Self::Password,
        Self::Totp,
        Self::Publickey,
        Self::Session,
        Self::Stack,
        Self::Certificate,
        Self::SecurityKey,
        Self::Recovery,
        Self::Bypass,
    ];

    /// The word that stands for this factor in configuration, logs and on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Publickey => "publickey",
            Self::Session => "session",
            Self::Stack => "stack",
            Self::Certificate => "certificate",
            Self::SecurityKey => "security-key",
            Self::Recovery => "recovery",
            Self::Bypass => "bypass",
        }
    }

    const fn kind(self) -> Option<Kind> {
        match self {
            Self::Password => Some(Kind::Know),
            Self::Totp | Self::Publickey => Some(Kind::Have),
            Self::Session | Self::Stack | Self::Certificate | Self::SecurityKey | Self::Recovery | Self::Bypass => None,
        }
    }

    /// Whether it only says how another factor was proved, and so cannot be asked for.
    #[must_use]
    pub const fn is_detail(self) -> bool {
        matches!(self, Self::Certificate | Self::SecurityKey | Self::Recovery | Self::Bypass)
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no factor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no factor: expected password, totp, publickey, session or stack")]
pub struct UnknownFactor(pub String);

impl FromStr for Factor {
    type Err = UnknownFactor;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|factor| factor.as_str() == word).ok_or_else(|| UnknownFactor(word.to_owned()))
    }
}

/// A set of factors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Factors(BTreeSet<Factor>);

impl Factors {
    /// The empty set.
    #[must_use]
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether `factor` is in the set.
    #[must_use]
    pub fn contains(&self, factor: Factor) -> bool {
        self.0.contains(&factor)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one factor.
    pub fn insert(&mut self, factor: Factor) {
        self.0.insert(factor);
    }

    /// This set and `factor`.
    #[must_use]
    pub fn with(mut self, factor: Factor) -> Self {
        self.insert(factor);
        self
    }

    /// This set without `factor`.
    #[must_use]
    pub fn without(mut self, factor: Factor) -> Self {
        self.0.remove(&factor);
        self
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// The factors in their fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Factor> + '_ {
        self.0.iter().copied()
    }

    /// The level that these proofs reach: 0 nothing seen by us, 1 one kind, 2 both kinds. A key and a code are two
    /// of one kind, since sshd does not tell whether the key was guarded by a passphrase.
    #[must_use]
    pub fn aal(&self) -> u8 {
        let know = self.iter().any(|factor| factor.kind() == Some(Kind::Know));
        let have = self.iter().any(|factor| factor.kind() == Some(Kind::Have));
        u8::from(know) + u8::from(have)
    }

    /// How many proofs it takes to make this set. What only says how another factor was proved is none.
    #[must_use]
    pub fn proofs(&self) -> usize {
        self.iter().filter(|factor| factor.kind().is_some()).count()
    }
}

impl FromIterator<Factor> for Factors {
    fn from_iter<I: IntoIterator<Item = Factor>>(factors: I) -> Self {
        Self(factors.into_iter().collect())
    }
}

/// The factors joined by `+`, or `none`.
impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (place, factor) in self.iter().enumerate() {
            if place > 0 {
                f.write_str("+")?;
            }
            f.write_str(factor.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_factors_of_one_kind_are_level_one() {
        let key_and_code: Factors = [Factor::Publickey, Factor::Totp].into_iter().collect();
        assert_eq!(key_and_code.aal(), 1);
        assert_eq!(key_and_code.with(Factor::Password).aal(), 2);
        assert_eq!(Factors::none().with(Factor::Stack).aal(), 0);
    }

    #[test]
    fn a_detail_makes_no_level() {
        let details: Factors = Factor::ALL.into_iter().filter(|factor| factor.is_detail()).collect();
        assert_eq!((details.to_string().as_str(), details.aal()), ("certificate+security-key+recovery+bypass", 0));
        assert_eq!(details.with(Factor::Publickey).aal(), 1);
    }

    #[test]
    fn a_word_and_its_factor_name_each_other() {
        for factor in Factor::ALL {
            assert_eq!(factor.as_str().parse(), Ok(factor));
        }
        assert_eq!("otp".parse::<Factor>(), Err(UnknownFactor("otp".into())));
    }
}
