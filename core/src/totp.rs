//! Time-based one-time codes (RFC 6238): which step a code belongs to. Whether that step may still be used is the
//! judge's question, since only it sees the state.

use std::time::Duration;

use totp_rs::{Algorithm, Builder, Totp};

use crate::{secret::Secret, time::WallTime};

/// The hash inside the code. Most authenticator apps know SHA-1 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hash {
    /// HMAC-SHA-1.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Hash {
    /// The word for it in records and otpauth URIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// The hash that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha512].into_iter().find(|hash| hash.as_str() == word)
    }
}

/// Why an authenticator cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadKey {
    /// No Base32 (RFC 4648 §6).
    #[error("the secret is not Base32: letters A to Z and digits 2 to 7")]
    NotBase32,
    /// Under 128 bits (RFC 4226 §4 R6).
    #[error("the secret is shorter than 128 bits (26 Base32 characters)")]
    TooShort,
    /// Not 6 to 8 digits.
    #[error("a code has 6 to 8 digits")]
    Digits,
    /// Not 15 to 120 seconds (NIST SP 800-63B-4 §3.1.4: at most two minutes).
    #[error("the period is 15 to 120 seconds")]
    Period,
    /// More than [`MOST_DRIFT`].
    #[error("the drift is {MOST_DRIFT} steps at most, either way")]
    Drift,
    /// Nothing, too much, or unprintable text.
    #[error("an authenticator's name is 1 to 64 printable characters")]
    Name,
}

/// How far an authenticator's clock may be off, in steps: a day of the usual ones.
pub const MOST_DRIFT: i16 = 2880;

/// A user's authenticator: a shared secret and how codes are made from it.
#[derive(Clone, Debug)]
pub struct TotpKey {
    name: String,
    secret: Secret,
    hash: Hash,
    digits: u8,
    period_seconds: u64,
    drift: i16,
    added: WallTime,
}

impl TotpKey {
    /// An authenticator as enrolment makes it: SHA-1, six digits, thirty seconds, which every app understands.
    ///
    /// # Errors
    /// A secret under 128 bits, or a bad name.
    pub fn new(name: &str, secret: Secret, added: WallTime) -> Result<Self, BadKey> {
        Self::with_parameters(name, secret, added, (Hash::Sha1, 6, 30))
    }

    /// An authenticator with its own hash, number of digits, and period in seconds.
    ///
    /// # Errors
    /// Parameters outside the ranges that [`BadKey`] names.
    pub fn with_parameters(
        name: &str,
        secret: Secret,
        added: WallTime,
        (hash, digits, period_seconds): (Hash, u8, u64),
    ) -> Result<Self, BadKey> {
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(BadKey::Name);
        }
        if secret.expose().len() < 16 {
            return Err(BadKey::TooShort);
        }
        if !(6..=8).contains(&digits) {
            return Err(BadKey::Digits);
        }
        if !(15..=120).contains(&period_seconds) {
            return Err(BadKey::Period);
        }
        Ok(Self { name: name.to_owned(), secret, hash, digits, period_seconds, drift: 0, added })
    }

    /// The same, whose clock is so many steps ahead of ours, or behind it where that is negative. Its codes are looked for around that
    /// clock's time, in a window as wide as any other.
    ///
    /// # Errors
    /// More than [`MOST_DRIFT`].
    pub fn with_drift(self, steps: i16) -> Result<Self, BadKey> {
        if (-MOST_DRIFT..=MOST_DRIFT).contains(&steps) { Ok(Self { drift: steps, ..self }) } else { Err(BadKey::Drift) }
    }

    /// What its owner calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shared secret.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The hash inside the code.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// How many digits a code has.
    #[must_use]
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// How long a step lasts.
    #[must_use]
    pub const fn period_seconds(&self) -> u64 {
        self.period_seconds
    }

    /// By how many steps its clock is ahead of ours.
    #[must_use]
    pub const fn drift(&self) -> i16 {
        self.drift
    }

    /// The same in seconds.
    #[must_use]
    pub fn drift_seconds(&self) -> i64 {
        i64::from(self.drift).saturating_mul(i64::try_from(self.period_seconds).unwrap_or(i64::MAX))
    }

    /// When that step of its clock began, by ours.
    #[must_use]
    pub fn start_of(&self, step: u64) -> WallTime {
        let ours = step.saturating_add_signed(i64::from(self.drift).saturating_neg());
        WallTime::new(Duration::from_secs(ours.saturating_mul(self.period_seconds)))
    }

    /// When it was enrolled.
    #[must_use]
    pub const fn added(&self) -> WallTime {
        self.added
    }

    /// The step that `code` belongs to, `skew` steps around the authenticator's now at most; `None` if it belongs to none. Steps are those
    /// of the authenticator's clock: one of them is the same code whatever the drift is said to be. Blanks in the code are passed over,
    /// since apps show it in groups.
    #[must_use]
    pub fn step_of(&self, code: &Secret, skew: u8, now: WallTime) -> Option<u64> {
        let digits = zeroize::Zeroizing::new(
            std::str::from_utf8(code.expose()).ok()?.chars().filter(|c| *c != ' ').collect::<String>(),
        );
        self.generator(skew)?.check(&digits, now.as_secs().checked_add_signed(self.drift_seconds())?)
    }

    fn generator(&self, skew: u8) -> Option<Totp> {
        let algorithm = match self.hash {
            Hash::Sha1 => Algorithm::SHA1,
            Hash::Sha256 => Algorithm::SHA256,
            Hash::Sha512 => Algorithm::SHA512,
        };
        Builder::new()
            .with_algorithm(algorithm)
            .with_digits(self.digits)
            .with_secret(self.secret.expose().to_vec())
            .with_skew(u16::from(skew))
            .with_step_duration(self.period_seconds)
            .build()
            .ok()
    }
}

/// Reads a secret from Base32, as people type and paste it: any case, with blanks, dashes and padding.
///
/// # Errors
/// Characters that are not Base32.
pub fn secret_from_base32(text: &str) -> Result<Secret, BadKey> {
    let plain = zeroize::Zeroizing::new(
        text.chars()
            .filter(|c| !c.is_ascii_whitespace() && *c != '-' && *c != '=')
            .map(|c| c.to_ascii_uppercase())
            .collect::<String>(),
    );
    let secret = totp_rs::Secret::try_from_base32(plain.as_str()).map_err(|_malformed| BadKey::NotBase32)?;
    Ok(Secret::new(secret.as_bytes().to_vec()))
}

/// The secret in Base32 (RFC 4648 §6) without padding, as apps take it.
#[must_use]
pub fn secret_to_base32(secret: &Secret) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(totp_rs::Secret::from(secret.expose().to_vec()).to_base32())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> WallTime {
        WallTime::from_micros(seconds * 1_000_000)
    }

    fn key(secret: &str, hash: Hash, digits: u8) -> TotpKey {
        TotpKey::with_parameters("test", Secret::from(secret), at(0), (hash, digits, 30)).unwrap()
    }

    /// RFC 6238 appendix B; the SHA-256 and SHA-512 keys are the 20-byte one repeated to the hash's length.
    #[test]
    fn the_vectors_of_rfc_6238_appendix_b_match() {
        let ascii = "1234567890".repeat(7);
        let keys =
            [key(&ascii[..20], Hash::Sha1, 8), key(&ascii[..32], Hash::Sha256, 8), key(&ascii[..64], Hash::Sha512, 8)];
        let vectors = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        for (seconds, codes) in vectors {
            for (key, code) in keys.iter().zip(codes) {
                assert_eq!(key.step_of(&Secret::from(code), 0, at(seconds)), Some(seconds / 30), "{seconds} {code}");
            }
        }
    }

    /// RFC 4226 appendix D: counter n is step n.
    #[test]
    fn the_vectors_of_rfc_4226_appendix_d_match() {
        let key = key("12345678901234567890", Hash::Sha1, 6);
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, code) in (0_u64..).zip(codes) {
            assert_eq!(key.step_of(&Secret::from(code), 0, at(counter * 30)), Some(counter));
        }
    }

    #[test]
    fn the_window_ends_at_the_skew_on_both_sides() {
        let key = key("12345678901234567890", Hash::Sha1, 6);
        let code = Secret::from("338314"); // step 4: seconds 120 to 149
        assert_eq!(key.step_of(&code, 1, at(90)), Some(4));
        assert_eq!(key.step_of(&code, 1, at(179)), Some(4));
        assert_eq!(key.step_of(&code, 1, at(89)), None);
        assert_eq!(key.step_of(&code, 1, at(180)), None);
        assert_eq!(key.step_of(&code, 0, at(150)), None);
    }

    #[test]
    fn a_drift_moves_the_window_and_makes_it_no_wider() {
        let code = Secret::from("338314"); // step 4: seconds 120 to 149
        for drift in [-MOST_DRIFT, -20, -1, 1, 3] {
            let key = key("12345678901234567890", Hash::Sha1, 6).with_drift(drift).unwrap();
            let ours = u64::try_from(4 - i64::from(drift)).unwrap();
            let passing: Vec<_> = (ours.saturating_sub(4)..ours + 4)
                .filter(|step| key.step_of(&code, 1, at(step * 30)) == Some(4))
                .collect();
            // The step stays the authenticator's own, by which a code is used up.
            let expected: Vec<_> = (ours.saturating_sub(1)..=ours + 1).collect();
            assert_eq!(passing, expected, "{drift}");
            assert_eq!(key.start_of(4), at(ours * 30));
        }
    }

    #[test]
    fn a_drift_of_more_than_a_day_is_refused_and_none_leads_before_1970() {
        let make = |drift| key("12345678901234567890", Hash::Sha1, 6).with_drift(drift);
        for far in [-MOST_DRIFT - 1, MOST_DRIFT + 1, i16::MIN, i16::MAX] {
            assert_eq!(make(far).unwrap_err(), BadKey::Drift, "{far}");
        }
        let behind = make(-MOST_DRIFT).unwrap();
        assert_eq!(behind.step_of(&Secret::from("755224"), 1, at(0)), None);
        assert_eq!(behind.start_of(u64::MAX), WallTime::new(Duration::from_secs(u64::MAX)));
        assert_eq!(make(5).unwrap().start_of(4), at(0));
    }

    #[test]
    fn only_the_digits_of_a_code_pass() {
        let key = key("12345678901234567890", Hash::Sha1, 6);
        assert_eq!(key.step_of(&Secret::from("338 314"), 0, at(120)), Some(4), "apps show groups");
        for bad in ["", "33831", "3383140", "+38314", "３３８３１４", "338314\n"] {
            assert_eq!(key.step_of(&Secret::from(bad), 0, at(120)), None, "{bad:?}");
        }
        assert_eq!(key.step_of(&Secret::new(vec![0xff; 6]), 0, at(120)), None);
    }

    #[test]
    fn a_secret_is_read_as_people_paste_it() {
        let secret = secret_from_base32("gezd gnbv-gy3t qojq GEZDGNBVGY3TQOJQ====").unwrap();
        assert_eq!(secret.expose(), b"12345678901234567890");
        assert_eq!(*secret_to_base32(&secret), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(secret_from_base32("0189").unwrap_err(), BadKey::NotBase32);
    }

    #[test]
    fn weak_parameters_are_refused() {
        let make = |bytes: usize, digits, period| {
            TotpKey::with_parameters("x", Secret::new(vec![7; bytes]), at(0), (Hash::Sha1, digits, period)).err()
        };
        assert_eq!(make(15, 6, 30), Some(BadKey::TooShort));
        assert_eq!(make(20, 5, 30), Some(BadKey::Digits));
        assert_eq!(make(20, 6, 0), Some(BadKey::Period));
        assert_eq!(make(20, 6, 121), Some(BadKey::Period));
        assert_eq!(make(20, 6, 30), None);
    }
}
