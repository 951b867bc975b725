//! The lines of pam_oath's users file: `HOTP/T30/6 user pin secret-in-hex [moving-factor [last-code [time]]]`. Pure.

use authflow_core::{
    secret::Secret,
    time::WallTime,
    totp::{BadKey, Hash, TotpKey},
};

/// One line that says something.
#[derive(Debug)]
pub(super) struct OathLine<'a> {
    /// Counted from 1.
    pub number: usize,
    /// Whose it is.
    pub user: &'a str,
    /// The authenticator, or why it cannot be carried over.
    pub key: Result<OathKey<'a>, Refusal>,
}

/// An authenticator as a line has it.
#[derive(Debug)]
pub(super) struct OathKey<'a> {
    secret: Secret,
    digits: u8,
    period: u64,
    /// Whether a PIN of pam_oath's own stood before the code.
    pub has_pin: bool,
    /// The code that passed last.
    last_code: Option<&'a str>,
}

/// Why a line cannot be carried over.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Fields are missing.
    #[error("expected: type user pin secret")]
    Fields,
    /// Codes that count, and not the time.
    #[error("it counts codes ({0}), and authflow knows time-based ones alone (HOTP/T30). The user has to enrol anew")]
    Counter(String),
    /// No type of pam_oath's.
    #[error("expected a type like HOTP/T30 or HOTP/T30/6")]
    Type,
    /// No hexadecimal digits.
    #[error("its secret is not hexadecimal")]
    Hex,
    /// Not a usable secret.
    #[error("{0}. The user has to enrol anew")]
    Key(#[from] BadKey),
}

/// No code further from now than this can pass at a login.
const WIDEST_SKEW: u8 = 10;

/// All lines but comments and empty ones.
pub(super) fn lines(text: &str) -> impl Iterator<Item = OathLine<'_>> {
    text.lines().enumerate().filter_map(|(place, line)| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let first = fields.first()?;
        let line = || OathLine { number: place + 1, user: fields.get(1).copied().unwrap_or("?"), key: key(&fields) };
        (!first.starts_with('#')).then(line)
    })
}

fn key<'a>(fields: &[&'a str]) -> Result<OathKey<'a>, Refusal> {
    let [kind, _user, pin, secret, rest @ ..] = fields else { return Err(Refusal::Fields) };
    let (period, digits) = period_and_digits(kind)?;
    Ok(OathKey {
        secret: from_hex(secret).ok_or(Refusal::Hex)?,
        digits,
        period,
        has_pin: !matches!(*pin, "-" | "+"),
        last_code: rest.get(1).copied(),
    })
}

/// `HOTP` and `HOTP/E` count; `HOTP/T30` goes by the time, and `/8` behind either is how many digits a code has.
fn period_and_digits(kind: &str) -> Result<(u64, u8), Refusal> {
    let mut parts = kind.split('/');
    if parts.next() != Some("HOTP") {
        return Err(Refusal::Type);
    }
    let mover = parts.next().unwrap_or("E");
    let digits = parts.next().map_or(Ok(6), |digits| digits.parse().map_err(|_no_number| Refusal::Type))?;
    if mover.starts_with('E') {
        return Err(Refusal::Counter(kind.to_owned()));
    }
    let period = mover.strip_prefix('T').and_then(|period| period.parse().ok());
    period.filter(|_| parts.next().is_none()).map(|period| (period, digits)).ok_or(Refusal::Type)
}

fn from_hex(text: &str) -> Option<Secret> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.len().is_multiple_of(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = is_hex.then(|| text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<_>>>());
    bytes.flatten().map(Secret::new)
}

impl OathKey<'_> {
    /// The authenticator under that name.
    pub(super) fn to_totp(&self, name: &str, now: WallTime) -> Result<TotpKey, Refusal> {
        let parameters = (Hash::Sha1, self.digits, self.period);
        Ok(TotpKey::with_parameters(name, self.secret.clone(), now, parameters)?)
    }

    /// The step of the code that passed last, if that is so near that it could pass again.
    pub(super) fn last_used(&self, key: &TotpKey, now: WallTime) -> Option<u64> {
        key.step_of(&Secret::from(self.last_code?), WIDEST_SKEW, now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "3132333435363738393031323334353637383930";

    fn parsed(line: &str) -> Result<OathKey<'_>, Refusal> {
        lines(line).next().unwrap().key
    }

    #[test]
    fn a_time_based_line_becomes_an_authenticator_with_its_own_numbers() {
        let text = format!(
            "# users\n\nHOTP/T30\talice\t-\t{SECRET}\nHOTP/T60/8 bob 1234 {SECRET} 1 94287082 2009-12-07T00:23:48L\n"
        );
        let lines: Vec<_> = lines(&text).collect();
        let [alice, bob] = lines.as_slice() else { panic!("two lines") };
        assert_eq!((alice.number, alice.user, bob.number, bob.user), (3, "alice", 4, "bob"));
        let key = alice.key.as_ref().unwrap().to_totp("pam_oath", WallTime::default()).unwrap();
        assert_eq!((key.digits(), key.period_seconds(), key.secret().expose()), (6, 30, &b"12345678901234567890"[..]));
        let bob = bob.key.as_ref().unwrap();
        assert!(bob.has_pin && !alice.key.as_ref().unwrap().has_pin);
        assert_eq!(bob.to_totp("pam_oath", WallTime::default()).unwrap().digits(), 8);
    }

    #[test]
    fn the_code_that_passed_last_is_found_again_while_it_could_pass() {
        // RFC 6238, Appendix B: 94287082 at 59 s is step 1.
        let line = format!("HOTP/T30/8 alice - {SECRET} 1 94287082");
        let oath = parsed(&line).unwrap();
        let key = oath.to_totp("pam_oath", WallTime::default()).unwrap();
        let at = |seconds: u64| WallTime::from_micros(seconds * 1_000_000);
        assert_eq!(oath.last_used(&key, at(89)), Some(1));
        assert_eq!(oath.last_used(&key, at(3600)), None);
    }

    #[test]
    fn what_cannot_be_carried_over_is_refused_with_the_reason() {
        for (line, expected) in [
            ("HOTP alice - 00", Refusal::Counter("HOTP".into())),
            ("HOTP/E/8 alice - 00", Refusal::Counter("HOTP/E/8".into())),
            ("TOTP alice - 00", Refusal::Type),
            ("HOTP/T30/6/7 alice - 00", Refusal::Type),
            ("HOTP/Tx alice - 00", Refusal::Type),
            ("HOTP/T30 alice -", Refusal::Fields),
            ("HOTP/T30 alice - zz", Refusal::Hex),
            ("HOTP/T30 alice - +1", Refusal::Hex),
            ("HOTP/T30 alice - 123", Refusal::Hex),
        ] {
            assert_eq!(parsed(line).unwrap_err(), expected, "{line}");
        }
        let short = parsed("HOTP/T30 alice - 00").unwrap().to_totp("pam_oath", WallTime::default());
        assert_eq!(short.unwrap_err(), Refusal::Key(BadKey::TooShort));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC|\n){0,200}") {
            let _ = lines(&text).count();
        }
    }
}
