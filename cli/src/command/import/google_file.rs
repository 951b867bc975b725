//! The text of `~/.google_authenticator`: a secret in Base32, then options in lines that begin with a quotation mark, then scratch codes.
//! Pure. Its user wrote it, so nothing in it is trusted to be what it should be, and no error repeats what stands there.

use authflow_core::{
    secret::Secret,
    totp::{BadKey, MOST_DRIFT, secret_from_base32},
};

/// What a file says, as far as it can be carried over.
#[derive(Debug)]
pub(super) struct GoogleFile {
    /// The shared secret.
    pub secret: Secret,
    /// Seconds in a step.
    pub period: u64,
    /// How many steps are accepted, the current one and those around it.
    pub window: u64,
    /// Steps by which the phone's clock was found to be off.
    pub clock_skew: i16,
    /// The steps that were used, if that is written down.
    pub used: Option<Vec<u64>>,
    /// Logins in so many seconds.
    pub rate_limit: Option<(u64, u64)>,
    /// Codes that pass once each.
    pub scratch_codes: Vec<Secret>,
}

/// Why a file cannot be carried over.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not what it should be.
    #[error("it is no text")]
    NoText,
    /// Not a usable secret.
    #[error("{0}. The user has to enrol anew")]
    Secret(#[from] BadKey),
    /// Codes that count, and not the time.
    #[error("it counts codes (HOTP_COUNTER), and authflow knows time-based ones alone. The user has to enrol anew")]
    Counter,
    /// Codes are switched off.
    #[error("its user has switched codes off (OTP_DISABLED)")]
    Disabled,
    /// Neither the one nor the other.
    #[error("it says neither TOTP_AUTH nor HOTP_COUNTER, so pam_google_authenticator takes no code by it either")]
    NoKind,
    /// An option without its number.
    #[error("{0} has no number that can be")]
    Option(&'static str),
}

/// pam_google_authenticator's own values.
const PERIOD: u64 = 30;
const WINDOW: u64 = 3;
const WIDEST_WINDOW: u64 = 100;

/// Digits of a scratch code.
const SCRATCH_DIGITS: usize = 8;

impl GoogleFile {
    /// Reads a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(bytes).map_err(|_not_text| Refusal::NoText)?;
        let mut lines = text.lines();
        let secret = lines.next().unwrap_or_default();
        let option = |name: &str| text.lines().find_map(|line| values(line, name));
        if option("HOTP_COUNTER").is_some() {
            return Err(Refusal::Counter);
        }
        if option("OTP_DISABLED").is_some() {
            return Err(Refusal::Disabled);
        }
        if option("TOTP_AUTH").is_none() {
            return Err(Refusal::NoKind);
        }
        let is_scratch = |line: &&str| line.len() == SCRATCH_DIGITS && line.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Self {
            secret: secret_from_base32(secret.trim())?,
            period: number(option("STEP_SIZE"), "STEP_SIZE", PERIOD)?,
            window: number(option("WINDOW_SIZE"), "WINDOW_SIZE", WINDOW)?.clamp(1, WIDEST_WINDOW),
            clock_skew: clock_skew(option("TIME_SKEW"))?,
            used: option("DISALLOW_REUSE")
                .map(|steps| steps.split_whitespace().filter_map(|step| step.parse().ok()).collect()),
            rate_limit: option("RATE_LIMIT").and_then(|limit| {
                let mut numbers = limit.split_whitespace().map_while(|number| number.parse().ok());
                Some((numbers.next()?, numbers.next()?))
            }),
            scratch_codes: lines.map(str::trim_end).filter(is_scratch).map(Secret::from).collect(),
        })
    }

    /// The last step whose code may have passed already, at the step `now`. Where it was not written down which ones did, that is the last
    /// one that could have.
    pub(super) fn last_used(&self, now: u64) -> Option<u64> {
        let last_accepted = now.saturating_add_signed(self.clock_skew.into()).saturating_add(self.window / 2);
        // No code of a later step can have been taken of late, whatever stands there.
        let possible = last_accepted.max(now.saturating_add(WIDEST_WINDOW));
        match &self.used {
            Some(used) => used.iter().copied().filter(|step| *step <= possible).max(),
            None => Some(last_accepted),
        }
    }
}

/// What stands behind the option of that name, if the line is that.
fn values<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("\" ")?.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r'])).then(|| rest.trim())
}

/// What pam_google_authenticator finds out by itself is less than a day of its usual steps.
fn clock_skew(text: Option<&str>) -> Result<i16, Refusal> {
    const NAME: &str = "TIME_SKEW";
    let steps = number(text, NAME, 0)?;
    if (-MOST_DRIFT..=MOST_DRIFT).contains(&steps) { Ok(steps) } else { Err(Refusal::Option(NAME)) }
}

fn number<T: std::str::FromStr>(text: Option<&str>, name: &'static str, default: T) -> Result<T, Refusal> {
    text.map_or(Ok(default), |text| text.parse().map_err(|_no_number| Refusal::Option(name)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n\" RATE_LIMIT 3 30 1700000000\n\" WINDOW_SIZE 17\n\
                        \" DISALLOW_REUSE 56666640 56666641\n\" TOTP_AUTH\n12345678\n87654321\n";

    fn refusal(text: &str) -> Refusal {
        GoogleFile::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_file_is_read_as_its_own_module_reads_it() {
        let file = GoogleFile::parse(FILE.as_bytes()).unwrap();
        assert_eq!((file.secret.expose().len(), file.period, file.window, file.clock_skew), (20, 30, 17, 0));
        assert_eq!((file.rate_limit, file.scratch_codes.len()), (Some((3, 30)), 2));
        assert_eq!(file.last_used(56_666_642), Some(56_666_641));
        let bare = GoogleFile::parse(b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\r\n\" TOTP_AUTH\r\n").unwrap();
        assert_eq!((bare.period, bare.window, bare.used.is_none()), (30, 3, true));
    }

    #[test]
    fn where_nobody_wrote_down_what_was_used_all_that_could_have_been_is() {
        let with = |options: &str| {
            let text = format!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n\" TOTP_AUTH\n{options}");
            GoogleFile::parse(text.as_bytes()).unwrap().last_used(1000)
        };
        assert_eq!(with(""), Some(1001));
        assert_eq!(with("\" WINDOW_SIZE 17\n\" TIME_SKEW 2\n"), Some(1010));
        assert_eq!(with("\" TIME_SKEW -20\n"), Some(981));
        assert_eq!(with("\" TIME_SKEW 1499\n"), Some(2500), "its codes pass here too");
        assert_eq!(with("\" DISALLOW_REUSE\n"), None, "nothing was");
        assert_eq!(with("\" DISALLOW_REUSE 998 4000000000 999 x\n"), Some(999), "nobody shuts himself out for ever");
    }

    #[test]
    fn what_cannot_be_carried_over_is_refused_with_the_reason() {
        assert_eq!(refusal(&FILE.replace("TOTP_AUTH", "HOTP_COUNTER 1")), Refusal::Counter);
        assert_eq!(refusal(&FILE.replace("\" TOTP_AUTH\n", "")), Refusal::NoKind);
        assert_eq!(refusal(&FILE.replace("TOTP_AUTH", "TOTP_AUTH\n\" OTP_DISABLED")), Refusal::Disabled);
        assert_eq!(refusal(&FILE.replace("WINDOW_SIZE 17", "WINDOW_SIZE many")), Refusal::Option("WINDOW_SIZE"));
        for far in ["2881", "-2881", "100000", "x"] {
            let text = format!("{FILE}\" TIME_SKEW {far}\n");
            assert_eq!(refusal(&text), Refusal::Option("TIME_SKEW"), "{far}");
        }
        assert_eq!(refusal("root:$6$x:1::::::\n\" TOTP_AUTH\n"), Refusal::Secret(BadKey::NotBase32));
        assert_eq!(GoogleFile::parse(&[0xff, 0xfe]).unwrap_err(), Refusal::NoText);
        assert_eq!(refusal(""), Refusal::NoKind);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC|\n){0,200}", now: u64) {
            let _ = GoogleFile::parse(format!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n\" TOTP_AUTH\n{text}").as_bytes())
                .map(|file| file.last_used(now));
            let _ = GoogleFile::parse(text.as_bytes());
        }
    }
}
