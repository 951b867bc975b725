//! The `otpauth://` URI that authenticator apps read from a QR code.

use zeroize::Zeroizing;

use crate::totp::{TotpKey, secret_to_base32};

/// The URI for `key`: shown in the app as `issuer` and `account`. What apps assume anyway (SHA1, six digits, thirty seconds)
/// is left out, so that the QR code stays small.
#[must_use]
pub fn uri(key: &TotpKey, issuer: &str, account: &str) -> Zeroizing<String> {
    let secret = secret_to_base32(key.secret());
    let (issuer, account) = (encoded(issuer), encoded(account));
    let label = if issuer.is_empty() { account } else { format!("{issuer}:{account}") };
    let mut uri = Zeroizing::new(String::with_capacity(512));
    uri.push_str(&format!("otpauth://totp/{label}?secret="));
    uri.push_str(&secret);
    for (name, value, assumed) in [
        ("issuer", issuer, String::new()),
        ("algorithm", key.hash().as_str().to_owned(), "SHA1".to_owned()),
        ("digits", key.digits().to_string(), "6".to_owned()),
        ("period", key.period_seconds().to_string(), "30".to_owned()),
    ] {
        if value != assumed {
            uri.push_str(&format!("&{name}={value}"));
        }
    }
    uri
}

/// Percent-encoding (RFC 3986) of all but the unreserved characters and `@`, which apps show as it stands.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        time::WallTime,
        totp::{Hash, secret_from_base32},
    };

    fn key(parameters: (Hash, u8, u64)) -> TotpKey {
        let secret = secret_from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        TotpKey::with_parameters("phone", secret, WallTime::default(), parameters).unwrap()
    }

    #[test]
    fn the_usual_parameters_are_left_out() {
        assert_eq!(
            *uri(&key((Hash::Sha1, 6, 30)), "example.org", "alice@bastion"),
            "otpauth://totp/example.org:alice@bastion?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=example.org"
        );
    }

    #[test]
    fn unusual_parameters_are_named() {
        let uri = uri(&key((Hash::Sha256, 8, 60)), "", "alice");
        assert!(uri.starts_with("otpauth://totp/alice?"), "{}", *uri);
        assert!(uri.ends_with("&algorithm=SHA256&digits=8&period=60"), "{}", *uri);
    }

    #[test]
    fn no_name_can_add_a_parameter() {
        let uri = uri(&key((Hash::Sha1, 6, 30)), "A&B: C", "x?secret=Y#Ä");
        assert!(uri.starts_with("otpauth://totp/A%26B%3A%20C:x%3Fsecret%3DY%23%C3%84?secret=GEZD"), "{}", *uri);
    }
}
