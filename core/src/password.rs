//! Argon2id password hashes (RFC 9106) as PHC strings: made, checked, and held to a policy before any work is done for them.
//! The memory to work in comes from the caller, since only it can say where it lives and that it is wiped.

use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash::phc};
use icu_normalizer::ComposingNormalizerBorrowed;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest password that is looked at, in bytes. Longer ones are refused, never cut.
pub const LONGEST_PASSWORD: usize = 4096;

/// Bytes of salt in a new hash (RFC 9106 §4).
pub const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 32;

/// What one hash costs. One lane: more would start threads inside the login's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    iterations: u32,
}

/// Why a cost is refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadCost {
    /// Outside the memory that guards a password and still lets twenty people log in at once.
    #[error("memory is 7MiB to 256MiB")]
    Memory,
    /// Too many passes for a login.
    #[error("iterations are 1 to 16")]
    Iterations,
    /// Below the weakest setting that OWASP lists.
    #[error("memory times iterations is at least 35MiB (as 19MiB and 2)")]
    TooCheap,
}

impl Cost {
    /// A cost of `memory_kib` KiB and `iterations` passes.
    ///
    /// # Errors
    /// Outside the range, or cheaper than the weakest that OWASP lists.
    pub const fn new(memory_kib: u32, iterations: u32) -> Result<Self, BadCost> {
        if memory_kib < 7 * 1024 || memory_kib > 256 * 1024 {
            return Err(BadCost::Memory);
        }
        if iterations < 1 || iterations > 16 {
            return Err(BadCost::Iterations);
        }
        if memory_kib * iterations < 35 * 1024 {
            return Err(BadCost::TooCheap);
        }
        Ok(Self { memory_kib, iterations })
    }

    /// KiB of memory.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn iterations(self) -> u32 {
        self.iterations
    }

    /// How many blocks of 1 KiB the caller must lend.
    #[must_use]
    pub const fn blocks(self) -> usize {
        self.memory_kib as usize
    }

    /// Whether a hash of this cost is weaker in any respect than `wanted`.
    #[must_use]
    pub const fn is_below(self, wanted: Self) -> bool {
        self.memory_kib < wanted.memory_kib || self.iterations < wanted.iterations
    }
}

/// 19 MiB, which a hundred logins at a time can have, and three passes (RFC 9106 §4 where memory is scarce). OWASP's minimum is two, which
/// would make a password cheaper to guess here than in the shadow file that it came from (yescrypt at Debian's cost).
impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 3 }
    }
}

/// Why a stored hash is not used.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadHash {
    /// No PHC string.
    #[error("the password hash is no PHC string ($argon2id$v=19$m=..,t=..,p=1$salt$hash)")]
    Malformed,
    /// Another algorithm, or another version of it.
    #[error("the password hash is not argon2id of version 19")]
    Algorithm,
    /// A cost that the policy refuses.
    #[error("the cost of the password hash is refused: {0}")]
    Cost(#[from] BadCost),
    /// More than one lane.
    #[error("the password hash has more than one lane (p=1 is expected)")]
    Lanes,
    /// Salt or tag too short to guard anything.
    #[error("the password hash has a salt under 8 bytes or a tag under 16")]
    TooShort,
    /// The computation could not be done.
    #[error("the password hash could not be computed: too little memory was lent")]
    Memory,
}

/// A password's hash. `Debug` shows its cost only.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    tag: Vec<u8>,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl PasswordHash {
    /// Reads a PHC string under the policy: argon2id, version 19, one lane, cost within floor and cap.
    ///
    /// # Errors
    /// Whatever the policy refuses, before any computation.
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        let hash = phc::PasswordHash::new(text).map_err(|_malformed| BadHash::Malformed)?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(19) {
            return Err(BadHash::Algorithm);
        }
        let number = |name: &str| hash.params.get_decimal(name).ok_or(BadHash::Malformed);
        let cost = Cost::new(number("m")?, number("t")?)?;
        if number("p")? != 1 || hash.params.iter().count() != 3 {
            return Err(BadHash::Lanes);
        }
        let (Some(salt), Some(tag)) = (hash.salt, hash.hash) else { return Err(BadHash::Malformed) };
        if salt.as_ref().len() < 8 || tag.len() < 16 {
            return Err(BadHash::TooShort);
        }
        Ok(Self { cost, salt: salt.as_ref().to_vec(), tag: tag.as_bytes().to_vec() })
    }

    /// Hashes a password with a fresh salt, in `memory` of at least [`Cost::blocks`] blocks.
    ///
    /// # Errors
    /// Too little memory.
    pub fn create(
        cost: Cost,
        salt: [u8; SALT_BYTES],
        password: &Secret,
        memory: &mut [Block],
    ) -> Result<Self, BadHash> {
        let mut tag = vec![0; TAG_BYTES];
        compute(cost, &salt, password, memory, &mut tag)?;
        Ok(Self { cost, salt: salt.to_vec(), tag })
    }

    /// Whether `password` is the one, in `memory` of at least [`Cost::blocks`] blocks of this hash's cost. An empty password and
    /// one over [`LONGEST_PASSWORD`] never are, at the same cost.
    ///
    /// # Errors
    /// Too little memory.
    pub fn verify(&self, password: &Secret, memory: &mut [Block]) -> Result<bool, BadHash> {
        let mut tag = Zeroizing::new(vec![0; self.tag.len()]);
        compute(self.cost, &self.salt, password, memory, &mut tag)?;
        let same: bool = tag.ct_eq(&self.tag).into();
        Ok(same && is_acceptable(password))
    }

    /// What it costs.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// A hash that no password has, of that cost: users without one are as slow to refuse as others.
    #[must_use]
    pub fn impossible(cost: Cost) -> Self {
        Self { cost, salt: vec![0; SALT_BYTES], tag: vec![0; TAG_BYTES] }
    }
}

/// The PHC string.
impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let salt = phc::Salt::new(&self.salt).map_err(|_unrepresentable| std::fmt::Error)?.to_salt_string();
        let tag = phc::Output::new(&self.tag).map_err(|_unrepresentable| std::fmt::Error)?;
        let Cost { memory_kib, iterations } = self.cost;
        write!(f, "$argon2id$v=19$m={memory_kib},t={iterations},p=1${salt}${tag}")
    }
}

/// How many characters a password has, as people count them: code points of its composed form, or bytes where it is no text.
#[must_use]
pub fn characters(password: &Secret) -> usize {
    let bytes = password.expose();
    str::from_utf8(bytes).map_or(bytes.len(), |text| composed(text).chars().count())
}

/// The composed form (Unicode NFC): one keyboard sends `ü` as one code point and another as two, and it is the same password.
fn composed(text: &str) -> Zeroizing<String> {
    if text.is_ascii() {
        return Zeroizing::new(text.to_owned());
    }
    // The composed form of a text is at most three times as long (UAX #15), so this never grows and leaves nothing behind.
    let mut composed = Zeroizing::new(String::with_capacity(3 * text.len()));
    composed.extend(ComposingNormalizerBorrowed::new_nfc().normalize_iter(text.chars()));
    composed
}

fn is_acceptable(password: &Secret) -> bool {
    !password.is_empty() && password.expose().len() <= LONGEST_PASSWORD
}

fn compute(cost: Cost, salt: &[u8], password: &Secret, memory: &mut [Block], tag: &mut [u8]) -> Result<(), BadHash> {
    // An overlong password is hashed as nothing: it costs the same, and verify refuses it anyway.
    let bytes = if is_acceptable(password) { password.expose() } else { &[] };
    let composed = str::from_utf8(bytes).map(composed);
    let bytes = composed.as_ref().map_or(bytes, |text| text.as_bytes());
    let params = Params::new(cost.memory_kib, cost.iterations, 1, Some(tag.len())).map_err(|_range| BadHash::Memory)?;
    let blocks = memory.get_mut(..params.block_count()).ok_or(BadHash::Memory)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(bytes, salt, tag, blocks)
        .map_err(|_range| BadHash::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Vec<Block> {
        vec![Block::default(); Cost::default().blocks()]
    }

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::create(Cost::default(), [7; SALT_BYTES], &Secret::from(password), &mut memory()).unwrap()
    }

    #[test]
    fn the_password_itself_and_no_other_verifies() {
        let hash = PasswordHash::parse(&hash("correct horse").to_string()).unwrap();
        let verify = |password: &str| hash.verify(&Secret::from(password), &mut memory()).unwrap();
        assert!(verify("correct horse"));
        assert!(!verify("correct horsf"));
        assert!(!verify(""));
    }

    #[test]
    fn composed_and_decomposed_are_one_password() {
        let hash = hash("Zürich, 한글");
        let verify = |password: &str| hash.verify(&Secret::from(password), &mut memory()).unwrap();
        assert!(verify("Zu\u{308}rich, \u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"));
        assert!(!verify("Zurich, 한글"));
        assert_eq!(characters(&Secret::from("Zu\u{308}rich")), 6);
    }

    #[test]
    fn the_composed_form_never_outgrows_its_room() {
        // These grow most: each becomes three code points of three or four bytes.
        for text in ["\u{1d160}".repeat(50), "\u{fb2c}".repeat(50), "\u{390}".repeat(50)] {
            assert!(composed(&text).len() <= 3 * text.len());
        }
    }

    #[test]
    fn an_empty_or_overlong_password_never_verifies() {
        assert!(!hash("").verify(&Secret::from(""), &mut memory()).unwrap());
        let overlong = "x".repeat(LONGEST_PASSWORD + 1);
        assert!(!hash(&overlong).verify(&Secret::from(overlong.as_str()), &mut memory()).unwrap());
        assert!(!PasswordHash::impossible(Cost::default()).verify(&Secret::from("x"), &mut memory()).unwrap());
    }

    #[test]
    fn what_the_policy_refuses_is_refused_before_any_work() {
        let good = hash("x").to_string();
        let parse = |from: &str, to: &str| PasswordHash::parse(&good.replace(from, to)).unwrap_err();
        assert_eq!(parse("argon2id", "argon2i"), BadHash::Algorithm);
        assert_eq!(parse("v=19", "v=16"), BadHash::Algorithm);
        assert_eq!(parse("$v=19", ""), BadHash::Algorithm);
        assert_eq!(parse("m=19456", "m=64"), BadHash::Cost(BadCost::Memory));
        assert_eq!(parse("m=19456", "m=4294967295"), BadHash::Cost(BadCost::Memory));
        assert_eq!(parse("t=3", "t=4294967295"), BadHash::Cost(BadCost::Iterations));
        assert_eq!(parse("p=1", "p=4"), BadHash::Lanes);
        assert_eq!(PasswordHash::parse("!").unwrap_err(), BadHash::Malformed);
        assert_eq!(PasswordHash::parse("").unwrap_err(), BadHash::Malformed);
        let (head, _tag) = good.rsplit_once('$').unwrap();
        assert_eq!(PasswordHash::parse(head).unwrap_err(), BadHash::Malformed);
    }

    #[test]
    fn too_little_memory_is_an_error_and_no_answer() {
        assert_eq!(hash("x").verify(&Secret::from("x"), &mut []), Err(BadHash::Memory));
    }

    #[test]
    fn debug_output_shows_no_hash() {
        let shown = format!("{:?}", hash("x"));
        assert!(shown.contains("Cost") && !shown.contains("tag"), "{shown}");
    }
}
