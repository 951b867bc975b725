//! What a user reads who enrols within a login. Each page ends with its question, since sshd holds back whatever is not part of one. The
//! QR code, the secret and the question share one screen of 80x24.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{
    enrolment::Leave,
    otpauth,
    qr::{self, Background},
    totp::{TotpKey, secret_to_base32},
};

/// The page with the QR code. `issuer` and `account` are what the app shows.
#[must_use]
pub fn with_qr_code(
    key: &TotpKey,
    (issuer, account): (&str, &str),
    leave: Leave,
    background: Background,
) -> Zeroizing<String> {
    let uri = otpauth::uri(key, issuer, account);
    // Without a code there still is the secret.
    let code = qr::render(&uri, background).unwrap_or_default();
    let secret = secret_to_base32(key.secret());
    Zeroizing::new(format!(
        "You need an authenticator app. Scan this with it, or type the secret in:\n{}\n{}Secret: {}  {}",
        *uri,
        *code,
        *secret,
        question(leave)
    ))
}

/// The page after a code that was none of the app's.
#[must_use]
pub fn again(leave: Leave) -> String {
    format!(
        "That is not the code. Are the clocks of the phone and of this machine right?\nThe next one decides. {}",
        question(leave)
    )
}

/// What is asked for, and what an empty answer means.
fn question(leave: Leave) -> String {
    match leave {
        Leave::None => "Code from the app: ".to_owned(),
        Leave::Always => "Code (Enter: not now): ".to_owned(),
        Leave::For(left) => format!("Code (Enter: later, {} left): ", span(left)),
    }
}

/// A duration in its largest unit, rounded down: nobody counts on time that is not there.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7200.. => format!("{} h", seconds / 3600),
        60.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{secret::Secret, time::WallTime};

    const LONG_LEAVE: Leave = Leave::For(Duration::from_secs(365 * 86_400));

    fn page(issuer: &str, account: &str) -> Zeroizing<String> {
        let key = TotpKey::new("totp", Secret::new(vec![0xa5; 20]), WallTime::default()).unwrap();
        with_qr_code(&key, (issuer, account), LONG_LEAVE, Background::Dark)
    }

    #[test]
    fn code_secret_and_question_share_one_screen() {
        for (issuer, account) in [("authflow", "alice@web1"), ("Example Corporation", "alice.liddell@bastion-2")] {
            let page = page(issuer, account);
            let below_the_uri: Vec<&str> = page.lines().skip(2).collect();
            assert!(below_the_uri.len() <= 24, "{} lines", below_the_uri.len());
            assert!(below_the_uri.iter().all(|line| line.chars().count() < 80), "{}", *page);
        }
    }

    #[test]
    fn a_page_ends_with_its_question_and_has_the_secret_in_text() {
        let page = page("authflow", "alice");
        assert!(
            page.ends_with("Secret: UWS2LJNFUWS2LJNFUWS2LJNFUWS2LJNF  Code (Enter: later, 365 days left): "),
            "{}",
            *page
        );
        assert!(again(Leave::None).ends_with("Code from the app: "));
    }

    #[test]
    fn a_text_too_long_for_a_code_still_shows_the_secret() {
        assert!(page(&"x".repeat(4000), "alice").contains("Secret: UWS2"));
    }

    #[test]
    fn what_is_left_is_never_said_to_be_more() {
        for (seconds, expected) in [(604_799, "6 days"), (90_000, "25 h"), (7199, "119 min"), (59, "59 s")] {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }
}
