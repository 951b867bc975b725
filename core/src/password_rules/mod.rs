//! What a new password must be (NIST SP 800-63B-4 section 3.1.1.2): long enough for what it guards, and none of those that are tried
//! first. No classes of characters, no expiry, no hint. Command and module both judge by this.

mod guessed;
mod minimum;

pub use guessed::{CommonPasswords, KnownNames};
pub use minimum::{Minimum, asks_for_password};

use crate::{
    password::{self, LONGEST_PASSWORD},
    secret::Secret,
};

/// What a new password of one user must be.
#[derive(Clone, Debug)]
pub struct PasswordRules {
    /// How long.
    pub minimum: Minimum,
    /// Not made of these.
    pub names: KnownNames,
    /// None of these.
    pub common: CommonPasswords,
}

/// Why a new password is not taken, as its user reads it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing there.
    #[error("the password is empty")]
    Empty,
    /// Too short for what it guards.
    #[error("the password has {characters} characters, at least {} are needed: {}", minimum.characters, minimum.why)]
    Short {
        /// How many it has.
        characters: usize,
        /// How many it needs.
        minimum: Minimum,
    },
    /// Longer than any login looks at.
    #[error("the password is {0} bytes long, at most {LONGEST_PASSWORD} are taken")]
    Long(usize),
    /// It holds what no prompt can take.
    #[error("the password holds a NUL byte, which no login prompt can take")]
    Nul,
    /// Of those that everybody tries first, perhaps with a few digits or repeated.
    #[error(
        "the password is one of those that are tried first, or differs from it by case, digits or repetition alone"
    )]
    Common,
    /// Made of what can be looked up.
    #[error("the password is made of the names of the user, the host or this program alone, which are tried first")]
    Names,
    /// Made of what the hand does by itself.
    #[error("the password is made of repeated characters or of rows of the alphabet or keyboard alone")]
    Pattern,
}

impl PasswordRules {
    /// Whether `password` will do.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, password: &Secret) -> Result<(), Refusal> {
        let bytes = password.expose();
        if bytes.is_empty() {
            return Err(Refusal::Empty);
        }
        if bytes.len() > LONGEST_PASSWORD {
            return Err(Refusal::Long(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(Refusal::Nul);
        }
        let characters = password::characters(password);
        if characters < self.minimum.characters {
            return Err(Refusal::Short { characters, minimum: self.minimum.clone() });
        }
        guessed::check(password, &self.names, &self.common)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> PasswordRules {
        PasswordRules {
            minimum: Minimum { characters: 8, why: "it is a test".into() },
            names: KnownNames::new(["alice", "Alice Liddell", "wonder.example.org"]),
            common: CommonPasswords::new("# words\nelephant\ntrustno1\n".into()),
        }
    }

    fn check(password: &str) -> Result<(), Refusal> {
        rules().check(&Secret::from(password))
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(check("pässwürd"), Ok(()));
        assert_eq!(check("pa\u{308}sswu\u{308}d").unwrap_err().to_string(), {
            "the password has 7 characters, at least 8 are needed: it is a test"
        });
        assert_eq!(check(""), Err(Refusal::Empty));
        let long = "Zq8 ".repeat(300) + &"y7_k".repeat(724);
        assert_eq!((long.len(), check(&long)), (4096, Ok(())));
        assert_eq!(check(&(long + "x")), Err(Refusal::Long(4097)));
        assert_eq!(check("12345678\0"), Err(Refusal::Nul));
    }

    #[test]
    fn bytes_that_are_no_text_are_a_password_like_any() {
        assert_eq!(rules().check(&Secret::new(vec![0xff; 7])), {
            Err(Refusal::Short { characters: 7, minimum: rules().minimum })
        });
        assert_eq!(rules().check(&Secret::new(vec![0xff, 1, 0xfe, 3, 0xfd, 5, 0xfc, 7])), Ok(()));
    }

    #[test]
    fn every_refusal_is_one_sentence_that_does_not_repeat_the_password() {
        for password in ["elephant", "alicealice", "aaaaaaaa", "qwertyui", "zq7"] {
            let said = check(password).unwrap_err().to_string();
            assert!(!said.contains(password) && !said.contains('\n'), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_password_makes_the_check_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = rules().check(&Secret::new(bytes));
        }

        #[test]
        fn what_is_common_stays_so_in_any_case_with_a_few_digits(capitals in any::<u8>(), digits in "[0-9]{0,8}") {
            let word: String = "elephant".chars().enumerate()
                .map(|(place, c)| if capitals & (1 << place) == 0 { c } else { c.to_ascii_uppercase() }).collect();
            prop_assert_eq!(check(&format!("{word}{digits}")), Err(Refusal::Common));
            prop_assert_eq!(check(&format!("{digits}{word}")), Err(Refusal::Common));
        }
    }
}
