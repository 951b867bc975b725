//! Initial passwords: drawn at random, to be typed once from a note.

use std::time::Duration;

use authflow_host::random;
use zeroize::Zeroizing;

use crate::error::Error;

/// Without what is mistaken for something else on paper; 32 of them are five bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUPS: usize = 4;
const CHARACTERS: usize = 4;

/// Longest life of an initial password: what lies about for longer is found.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A password of 80 random bits, in four groups.
pub(crate) fn draw() -> Result<Zeroizing<String>, Error> {
    let bits = Zeroizing::new(random::bytes::<{ GROUPS * CHARACTERS }>()?);
    let mut drawn = Zeroizing::new(String::with_capacity(GROUPS * (CHARACTERS + 1)));
    for (place, byte) in bits.iter().enumerate() {
        if place > 0 && place.is_multiple_of(CHARACTERS) {
            drawn.push('-');
        }
        // 32 divides 256, so every character is as likely as any other.
        drawn.extend(ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map(|letter| char::from(*letter)));
    }
    Ok(drawn)
}

/// Reads how long one is good for.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_why| "expected a time like 24h or 3d".to_owned())?;
    if span.is_zero() || span > LONGEST {
        Err("expected more than nothing and at most 30d".to_owned())
    } else {
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_password_is_long_enough_alone_and_never_the_same() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        assert_ne!(*one, *other);
        assert_eq!((one.len(), one.split('-').count()), (19, 4));
        assert!(one.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{}", *one);
    }

    #[test]
    fn an_initial_password_always_runs_out() {
        assert_eq!(parse_span("2h"), Ok(Duration::from_secs(7200)));
        for bad in ["0s", "31d", "never", "", "24"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
