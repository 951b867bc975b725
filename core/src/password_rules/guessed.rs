//! Passwords that are tried first: the common ones, names that can be looked up, rows of the keyboard. The whole password is compared,
//! in simple variations; a word inside a longer password makes it no worse.

use zeroize::Zeroizing;

use super::Refusal;
use crate::secret::Secret;

/// The name of this program.
const PRODUCT: &str = "authflow";

/// So many digits and signs around a word change little (a date); with more of them it is no longer the word that guards.
const MOST_LEFT_OUT: usize = 8;

/// Shorter ones occur in too many good passwords.
const SHORTEST_NAME: usize = 3;

/// Repeating fewer characters than this is no password, whatever they are.
const SHORTEST_PERIOD: usize = 5;

/// Rows that hands follow by themselves, in either direction.
const ROWS: [&str; 11] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
];
const SHORTEST_PIECE: usize = 3;

/// The list of common passwords: a text of one a line, in small letters. Lines that begin with `#` are comments.
#[derive(Clone, Debug, Default)]
pub struct CommonPasswords(String);

impl CommonPasswords {
    /// A list from that text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    fn has_one_of(&self, candidates: &[Zeroizing<String>]) -> bool {
        let is_candidate = |line: &str| candidates.iter().any(|candidate| candidate.as_str() == line);
        self.0.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#')).any(is_candidate)
    }
}

/// Names that everybody can look up: the user's, the host's, this program's.
#[derive(Clone, Debug, Default)]
pub struct KnownNames(Vec<String>);

impl KnownNames {
    /// The words of these texts (a user name, a full name, a host name).
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts = texts.into_iter().chain([PRODUCT]);
        let words = texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).map(folded).chain([folded(text)]));
        Self(words.filter(|word| word.chars().count() >= SHORTEST_NAME).map(|word| word.to_string()).collect())
    }

    /// Whether names and digits are all that there is.
    fn make_up(&self, text: &str) -> bool {
        if !text.contains(char::is_alphabetic) || text.chars().filter(char::is_ascii_digit).count() > MOST_LEFT_OUT {
            return false;
        }
        let mut ends = std::collections::BTreeSet::from([0]);
        while let Some(place) = ends.pop_first() {
            let rest = text.get(place..).unwrap_or_default();
            if rest.is_empty() {
                return true;
            }
            ends.extend(self.0.iter().filter(|name| rest.starts_with(name.as_str())).map(|name| place + name.len()));
            if rest.starts_with(|c: char| c.is_ascii_digit()) {
                ends.insert(place + 1);
            }
        }
        false
    }
}

/// Whether `password` is none of those that are tried first.
pub(super) fn check(password: &Secret, names: &KnownNames, common: &CommonPasswords) -> Result<(), Refusal> {
    // What is no text is in no list.
    let Ok(text) = str::from_utf8(password.expose()) else { return Ok(()) };
    let small = Zeroizing::new(text.to_lowercase());
    let plain = folded(&small);
    let letters = Zeroizing::new(plain.chars().filter(|c| !c.is_ascii_digit()).collect::<String>());
    let trimmed = Zeroizing::new(plain.trim_matches(|c: char| c.is_ascii_digit()).to_owned());
    let length = small.chars().count();
    let is_near = |variation: &Zeroizing<String>| length - variation.chars().count().min(length) <= MOST_LEFT_OUT;
    let near: Vec<_> = [small, plain.clone(), trimmed, letters].into_iter().filter(is_near).collect();
    if near
        .iter()
        .any(|variation| variation.chars().count() >= SHORTEST_PERIOD && repeated(variation).is_some_and(is_short))
        || (is_near(&plain) && is_a_walk(&plain))
    {
        return Err(Refusal::Pattern);
    }
    if is_near(&plain) && names.make_up(&plain) {
        return Err(Refusal::Names);
    }
    let units: Vec<_> =
        near.iter().filter_map(|text| repeated(text)).map(|unit| Zeroizing::new(unit.to_owned())).collect();
    let candidates = [near, units].concat();
    if common.has_one_of(&candidates) { Err(Refusal::Common) } else { Ok(()) }
}

/// Small letters and digits alone.
fn folded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
}

fn is_short(unit: &str) -> bool {
    unit.chars().count() < SHORTEST_PERIOD
}

/// What `text` is a repetition of, if it repeats anything at least once; the last time may be cut short.
fn repeated(text: &str) -> Option<&str> {
    let starts = text.char_indices().map(|(place, _)| place).skip(1);
    starts.take_while(|period| period * 2 <= text.len()).find_map(|period| {
        let (unit, rest) = text.split_at_checked(period)?;
        text.starts_with(rest).then_some(unit)
    })
}

/// Whether pieces of rows are all that there is.
fn is_a_walk(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let piece = ROWS.iter().map(|row| piece_of(rest, row)).max().unwrap_or(0);
        match rest.get(piece..) {
            Some(behind) if piece >= SHORTEST_PIECE => rest = behind,
            _ => return false,
        }
    }
    !text.is_empty()
}

/// How long `text` follows the row, forwards or backwards, from wherever in the row it begins.
fn piece_of(text: &str, row: &str) -> usize {
    let backwards: String = row.chars().rev().collect();
    [row, &backwards].into_iter().map(|row| longest_common_front(text, row)).max().unwrap_or(0)
}

fn longest_common_front(text: &str, row: &str) -> usize {
    let starts = (0..row.len()).filter_map(|start| row.get(start..));
    starts.map(|row| text.bytes().zip(row.bytes()).take_while(|(one, other)| one == other).count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), Refusal> {
        let names = KnownNames::new(["alice", "Alice Liddell,,555-1234", "wonder.example.org"]);
        let common = CommonPasswords::new("# comment\nmonkey\npassword\np@ssword\n12345678\n".to_owned());
        super::check(&Secret::from(password), &names, &common)
    }

    #[test]
    fn a_common_password_is_refused_in_its_simple_variations() {
        for password in [
            "password",
            "PassWord",
            "password2026",
            "1password1",
            "PasswordPassword",
            "password1password2",
            "passwordpasswordpass",
            "p@ssword",
            "P@ssword",
            "monkey!!!",
            "mon-key-99",
            "monkey12345678",
        ] {
            assert_eq!(check(password), Err(Refusal::Common), "{password}");
        }
    }

    #[test]
    fn a_word_inside_something_longer_is_no_reason() {
        for password in
            ["my password is long", "monkeys on stairs", "monkey773019446521", "# comment", "alice fell down"]
        {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn names_that_can_be_looked_up_are_refused_alone_and_together() {
        for password in [
            "alice",
            "AliceAlice",
            "alice1999alice",
            "liddell-alice",
            "Alice Liddell 2026",
            "authflow",
            "wonderauthflow",
            "wonder.example.org",
        ] {
            assert_eq!(check(password), Err(Refusal::Names), "{password}");
        }
    }

    #[test]
    fn what_the_hand_does_by_itself_is_refused() {
        for password in [
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "!!!!!!!!!!!!!!!!",
            "ünnünnünnünnünn",
            "123456789012345",
            "qwertyuiopasdfghjkl",
            "QWERTZUIOP-1234567",
            "abcdefgh87654321",
            "1qaz2wsx3edc4rfv",
        ] {
            assert_eq!(check(password), Err(Refusal::Pattern), "{password}");
        }
    }

    #[test]
    fn good_passwords_pass() {
        for password in [
            "correct horse battery",
            "kR7#qv!2xLp",
            "zwölf Boxkämpfer jagen",
            "9f86d081884c7d65",
            "日本語のパスワードです",
        ] {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }
}
