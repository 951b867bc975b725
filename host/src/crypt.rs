//! The system's own password hashes, through libcrypt: yescrypt, sha512crypt, bcrypt, whatever it knows.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};

use authflow_core::secret::Secret;
use zeroize::Zeroizing;

// libxcrypt's reentrant entry, which works in memory of ours.
#[link(name = "crypt")]
unsafe extern "C" {
    fn crypt_rn(phrase: *const c_char, setting: *const c_char, data: *mut c_void, size: c_int) -> *mut c_char;
}

/// `sizeof (struct crypt_data)`, which its ABI fixes.
const DATA_BYTES: usize = 32_768;

/// A yescrypt setting of the usual cost: users without a hash are as slow to refuse as others.
const DECOY: &str = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$KdGw.rmMXrSOjGXWTbpqPXWx3ZuPPK2cWyQqPBnJqT1";

/// Whether `password` has that hash. Empty and marked hashes (`*`, `!`) and passwords with a NUL in them never match.
#[must_use]
pub fn verify(password: &Secret, hash: &Secret) -> bool {
    let usable = hash.expose().len() >= 2 && !password.is_empty();
    let matches = computed(password, hash).is_some_and(|text| Secret::new(text.to_vec()).matches(hash));
    usable && matches
}

/// Does the work of [`verify`] for a user who has no hash.
pub fn verify_nothing(password: &Secret) {
    let _never = verify(password, &Secret::from(DECOY));
}

fn computed(password: &Secret, hash: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let phrase = terminated(password)?;
    let setting = terminated(hash)?;
    // As words, so that it is aligned for whatever the structure holds. Left behind in it are the password and its hash.
    let mut data = Zeroizing::new(vec![0_u64; DATA_BYTES / 8]);
    let size = c_int::try_from(DATA_BYTES).ok()?;
    // SAFETY: both strings end in NUL and outlive the call, and the data is as large as we say.
    let result =
        unsafe { crypt_rn(phrase.as_ptr().cast(), setting.as_ptr().cast(), data.as_mut_ptr().cast::<c_void>(), size) };
    if result.is_null() {
        return None;
    }
    // SAFETY: on success it points at a string that ends in NUL, inside the data, which lives on.
    let text = unsafe { CStr::from_ptr(result) };
    // A failure token (`*0`) is a result that can match no hash.
    Some(Zeroizing::new(text.to_bytes().to_vec())).filter(|text| !text.starts_with(b"*"))
}

/// The secret with a NUL behind it, in memory that is wiped.
fn terminated(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = secret.expose();
    if bytes.contains(&0) {
        return None;
    }
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() + 1));
    text.extend_from_slice(bytes);
    text.push(0);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(password: &str, hash: &str) -> bool {
        verify(&Secret::from(password), &Secret::from(hash))
    }

    /// Made with `mkpasswd` and `openssl passwd`.
    const SHA512: &str =
        "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

    #[test]
    fn a_hash_of_the_system_matches_its_password_alone() {
        assert!(matches("password", SHA512));
        assert!(!matches("Password", SHA512));
        assert!(!matches("", SHA512));
        assert!(!matches("pass\0word", SHA512));
    }

    #[test]
    fn marks_failures_and_nothing_never_match() {
        for hash in ["", "*", "!", "*0", "*1", "!$6$saltsalt$x", "x", "$6$saltsalt$", "\0"] {
            assert!(!matches("password", hash) && !matches("", hash) && !matches(hash, hash), "{hash:?}");
        }
        assert!(!matches(&"x".repeat(100_000), SHA512));
    }

    #[test]
    fn the_decoy_is_a_hash_that_libcrypt_works_on() {
        assert!(computed(&Secret::from("x"), &Secret::from(DECOY)).is_some());
    }
}
