//! Codes that stand in for `totp` at the same prompt: the user's own recovery codes, and the bypass code that an administrator
//! issues with an end and a reason. Kept as digests; each passes once.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{secret::Secret, time::WallTime};

/// Random bytes in a code. 120 bits: NIST SP 800-63B-4 §4.2.1.1 asks for 64, and from 112 on OWASP ASVS 6.5.2 takes a plain hash of it.
pub const CODE_BYTES: usize = 15;

/// Codes in a set.
pub const SET_SIZE: usize = 10;

/// The longest that a bypass code may be good for.
pub const LONGEST_BYPASS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Digits and letters, without those that people take for others (Crockford's Base32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const CHARACTERS: usize = CODE_BYTES * 8 / 5;
const GROUP: usize = 4;

/// Digits of a scratch code that was brought along from pam_google_authenticator. It is as hard to guess as two digits more than a code of
/// the authenticator; none is made here.
const SCRATCH_DIGITS: usize = 8;

/// How long a code is as it is printed.
pub const WRITTEN_LENGTH: usize = CHARACTERS + CHARACTERS / GROUP - 1;

/// Whether `text` is a code exactly as it is printed.
#[must_use]
pub fn is_written_code(text: &[u8]) -> bool {
    text.len() == WRITTEN_LENGTH
        && text
            .iter()
            .enumerate()
            .all(|(place, byte)| if place % (GROUP + 1) == GROUP { *byte == b'-' } else { ALPHABET.contains(byte) })
}

/// A code as a person writes it down: `k3vq-8d2m-0xpa-7rtn-c4yh-9wje`.
#[must_use]
pub fn code_from(random: &[u8; CODE_BYTES]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + CHARACTERS / GROUP));
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut written = 0;
    for byte in random {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            if written > 0 && written % GROUP == 0 {
                text.push('-');
            }
            let place = usize::try_from((bits >> held) & 31).unwrap_or(0);
            text.push(ALPHABET.get(place).copied().map_or('0', char::from));
            written += 1;
        }
    }
    text
}

/// What is kept of a code. A plain hash is enough: nobody tries 2^120 codes. Of a scratch code it hides nothing from who reads the record,
/// and that one has the secret beside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeDigest([u8; 32]);

impl CodeDigest {
    /// The digest of what somebody typed, if that has the form of such a code. Case, spaces and hyphens do not matter, nor whether
    /// somebody read an `o` for a zero.
    #[must_use]
    pub fn of(typed: &Secret) -> Option<Self> {
        let mut plain = Zeroizing::new(Vec::with_capacity(CHARACTERS));
        for byte in typed.expose() {
            let letter = match byte.to_ascii_lowercase() {
                b' ' | b'-' => continue,
                b'o' => b'0',
                b'i' | b'l' => b'1',
                letter => letter,
            };
            if !ALPHABET.contains(&letter) || plain.len() == CHARACTERS {
                return None;
            }
            plain.push(letter);
        }
        let is_scratch_code = plain.len() == SCRATCH_DIGITS && plain.iter().all(u8::is_ascii_digit);
        if plain.len() < CHARACTERS && !is_scratch_code {
            return None;
        }
        let sum = Sha256::new().chain_update(b"authflow code\0").chain_update(&*plain).finalize();
        Some(Self(sum.into()))
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for CodeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CodeDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeDigest(..)")
    }
}

/// A text that is no digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected 64 hexadecimal digits")]
pub struct BadDigest;

impl FromStr for CodeDigest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadDigest);
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = str::from_utf8(digits).map_err(|_not_text| BadDigest)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_no_digits| BadDigest)?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for CodeDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CodeDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A user's set of recovery codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySet {
    /// When it was made.
    pub made: WallTime,
    /// The codes' digests.
    pub codes: BTreeSet<CodeDigest>,
}

impl RecoverySet {
    /// How many are left, when those in `spent` are used up.
    #[must_use]
    pub fn left(&self, spent: &BTreeSet<CodeDigest>) -> usize {
        self.codes.difference(spent).count()
    }
}

/// A bypass code: for the phone lost at three in the morning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// The code's digest.
    pub code: CodeDigest,
    /// When it was issued.
    pub issued: WallTime,
    /// Until when it is good.
    pub until: WallTime,
    /// Why it was issued, in the administrator's words.
    pub reason: String,
}

impl Bypass {
    /// Whether it is good at `now`. A clock that was set back behind its issue revives nothing.
    #[must_use]
    pub fn is_good(&self, now: WallTime) -> bool {
        self.issued <= now && now < self.until && self.until.saturating_since(self.issued) <= LONGEST_BYPASS
    }
}

/// What stood in for a code of the authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// A recovery code; so many are left.
    Recovery {
        /// The codes that are left.
        left: usize,
    },
    /// The bypass code.
    Bypass,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(text: &str) -> Option<CodeDigest> {
        CodeDigest::of(&Secret::from(text))
    }

    #[test]
    fn a_code_is_recognised_however_it_is_typed() {
        let code = code_from(&[0, 68, 50, 20, 199, 66, 84, 182, 53, 207, 132, 101, 58, 86, 215]);
        assert_eq!(*code, "0123-4567-89ab-cdef-ghjk-mnpq");
        assert!(is_written_code(code.as_bytes()) && !is_written_code(&code.as_bytes()[1..]));
        let plain = digest(&code).unwrap();
        for typed in
            ["0123456789abcdefghjkmnpq", &code.to_uppercase().replace('-', " "), " ol23-4567-89ab-cdef-ghjk-mnpq "]
        {
            assert_eq!(digest(typed), Some(plain), "{typed}");
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_code_is_none() {
        let code = code_from(&[7; CODE_BYTES]);
        let (short, long, letter) = (&code[1..], format!("{}0", *code), code.replacen(&code[..1], "u", 1));
        for typed in ["", "338314", short, &long, &letter, &letter.replacen('u', "\u{e9}", 1)] {
            assert_eq!(digest(typed), None, "{typed}");
        }
    }

    #[test]
    fn eight_digits_are_a_scratch_code_that_was_brought_along_and_no_other_short_text_is_a_code() {
        assert!(digest("12345678").is_some());
        assert_eq!(digest("1234 5678"), digest("12345678"));
        assert_ne!(digest("12345678"), digest("12345679"));
        for typed in ["1234567", "123456789", "1234567a"] {
            assert_eq!(digest(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_bypass_is_good_between_its_issue_and_its_end_alone() {
        let at = |seconds| WallTime::new(Duration::from_secs(seconds));
        let code = digest(&code_from(&[7; CODE_BYTES])).unwrap();
        let bypass = Bypass { code, issued: at(100), until: at(200), reason: "lost".into() };
        assert_eq!([99, 100, 199, 200].map(|now| bypass.is_good(at(now))), [false, true, true, false]);
        let endless = Bypass { until: at(100 + 8 * 24 * 3600), ..bypass };
        assert!(!endless.is_good(at(150)), "nobody issues one for so long");
    }

    proptest! {
        #[test]
        fn every_code_has_its_own_digest_and_the_digest_its_text(a in any::<[u8; CODE_BYTES]>(), b in any::<[u8; CODE_BYTES]>()) {
            let [first, second] = [a, b].map(|bytes| digest(&code_from(&bytes)).unwrap());
            prop_assert_eq!(first == second, a == b);
            prop_assert_eq!(first.to_string().parse(), Ok(first));
        }

        #[test]
        fn no_typed_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = CodeDigest::of(&Secret::new(bytes));
        }
    }
}
