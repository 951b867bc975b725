//! From a user name to a file name: the only way, so that no name is ever joined raw to a path.

/// Longest file name that the file systems take, less room for what we put around it (`.NAME.disabled.new`).
const LONGEST: usize = 255 - 24;

/// Endings that the state folder gives a meaning to; a name that ends so must not collide with another user's files.
const RESERVED_ENDINGS: [&str; 4] = [".lock", ".disabled", ".new", ".toml"];

/// A name that no user record can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadName {
    /// Nothing in it.
    #[error("the user name is empty")]
    Empty,
    /// A NUL byte in it.
    #[error("the user name holds a NUL byte")]
    Nul,
    /// Too long for a file name.
    #[error("the user name is {0} bytes long as a file name, at most {LONGEST} fit")]
    TooLong(usize),
}

/// The file name for a user's records. Letters, digits, `_`, `-`, `@`, `+`, and dots inside stay as they are; every other byte
/// becomes `%XX`. Distinct names give distinct file names.
///
/// # Errors
/// A name that is empty, holds a NUL byte, or is too long.
pub fn file_name(user: &str) -> Result<String, BadName> {
    if user.is_empty() {
        return Err(BadName::Empty);
    }
    let reserved_dot = RESERVED_ENDINGS.iter().find(|ending| user.ends_with(**ending)).map(|e| user.len() - e.len());
    let mut name = String::with_capacity(user.len());
    for (place, byte) in user.bytes().enumerate() {
        match byte {
            0 => return Err(BadName::Nul),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'@' | b'+' => name.push(char::from(byte)),
            b'.' if place > 0 && reserved_dot != Some(place) => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > LONGEST { Err(BadName::TooLong(name.len())) } else { Ok(name) }
}

/// The user whose records go by that file name. `None` for a name that [`file_name`] gives nobody.
#[must_use]
pub fn user_of(name: &str) -> Option<String> {
    let mut user = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    loop {
        match rest {
            [b'%', high, low, after @ ..] => {
                let digits = [*high, *low];
                user.push(u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = after;
            }
            [byte, after @ ..] => {
                user.push(*byte);
                rest = after;
            }
            [] => break,
        }
    }
    String::from_utf8(user).ok().filter(|user| file_name(user).is_ok_and(|again| again == name))
}

/// How many decoys share the work of all names that have no record of their own.
pub const DECOYS: u32 = 256;

/// The file name of the decoy that stands in for a user without a record. `=` occurs in no [`file_name`].
///
/// FNV-1a spreads names well enough: a decoy is no secret and proves nothing.
#[must_use]
pub fn decoy_name(user: &str) -> String {
    let hash = user.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("=decoy-{:02x}", (hash ^ (hash >> 16)) % DECOYS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_names_stay_as_they_are() {
        for name in ["alice", "first.last", "bob@example.org", "_svc-1"] {
            assert_eq!(file_name(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn no_name_leaves_the_folder_or_meets_another_users_files() {
        assert_eq!(file_name("..").unwrap(), "%2E.");
        assert_eq!(file_name("../../etc/shadow").unwrap(), "%2E.%2F..%2Fetc%2Fshadow");
        assert_eq!(file_name("alice.lock").unwrap(), "alice%2Elock");
        assert_eq!(file_name("\u{1b}[2J").unwrap(), "%1B%5B2J");
        assert_eq!(file_name(""), Err(BadName::Empty));
        assert_eq!(file_name("a\0b"), Err(BadName::Nul));
        assert!(matches!(file_name(&"x".repeat(300)), Err(BadName::TooLong(300))));
    }

    #[test]
    fn a_file_that_is_nobodys_names_nobody() {
        for name in ["=decoy-00", "%", "%2", "%zz", "%61lice", "alice.lock", ".alice.toml", "%FF", "%+1", ""] {
            assert_eq!(user_of(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_file_name_tells_its_user(user in ".{1,40}") {
            if let Ok(name) = file_name(&user) {
                prop_assert_eq!(user_of(&name), Some(user));
            }
        }

        #[test]
        fn distinct_names_give_distinct_files(one in ".{1,40}", other in ".{1,40}") {
            if let (Ok(a), Ok(b)) = (file_name(&one), file_name(&other)) {
                prop_assert_eq!(one == other, a == b);
                prop_assert!(!a.contains('/') && !a.starts_with('.') && !a.contains('='));
            }
        }
    }
}
