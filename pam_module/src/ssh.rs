//! What sshd tells a PAM module: the methods that it has verified itself, and the client's address. Both count for services that the
//! configuration lists as sshd's, and for no other.

use authflow_core::{
    factor::{Factor, Factors},
    rule::Remote,
};

/// What sshd has verified, from `SSH_AUTH_INFO_0`: one line a method, the method's name its first word.
///
/// Only a key counts, and only by its exact name: `hostbased` and `gssapi-with-mic` are no key of the user's, and a password went
/// through our own flow or through nobody's.
#[must_use]
pub fn proved(auth_info: &str) -> Factors {
    let is_key = |line: &str| line.split([' ', '\t', '\r']).next() == Some("publickey");
    if auth_info.split('\n').any(is_key) { Factors::none().with(Factor::Publickey) } else { Factors::none() }
}

/// Where the client is: `PAM_RHOST` if that is an address; else, where sshd looked the name up, the address that sshd itself puts
/// into the PAM environment.
#[must_use]
pub fn remote(remote_host: Option<&str>, connection: Option<&str>) -> Remote {
    match Remote::from_rhost(remote_host) {
        // A connection means a client: sshd without a remote host would be a surprise, and no local login.
        Remote::Local if connection.is_none() => Remote::Local,
        known @ Remote::Address(_) => known,
        Remote::Local | Remote::Unknown => connection.map_or(Remote::Unknown, client_address),
    }
}

/// The client's address from `SSH_CONNECTION`: client address, client port, server address, server port.
fn client_address(connection: &str) -> Remote {
    match Remote::from_rhost(connection.split(' ').next()) {
        known @ Remote::Address(_) => known,
        Remote::Local | Remote::Unknown => Remote::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_proved_by_the_exact_first_word_of_a_line() {
        let key = Factors::none().with(Factor::Publickey);
        assert_eq!(proved("publickey ssh-ed25519 AAAAC3Nza\n"), key);
        assert_eq!(proved("publickey"), key);
        assert_eq!(proved("keyboard-interactive/pam\npublickey ecdsa-sha2-nistp256 AAAA\n"), key);
    }

    #[test]
    fn nothing_else_is_taken_for_a_key() {
        for text in [
            "",
            "\n",
            "password\n",
            "hostbased ssh-rsa AAAA\n",
            "gssapi-with-mic alice@EXAMPLE.ORG\n",
            "publickeys x\n",
            "PublicKey x\n",
            " publickey x\n",
            "keyboard-interactive publickey\n",
            "publickey-hostbound x\n",
            "publickey/x\n",
        ] {
            assert_eq!(proved(text), Factors::none(), "{text:?}");
        }
    }

    #[test]
    fn an_address_in_the_remote_host_is_believed_first() {
        let address = |text: &str| Remote::Address(text.parse().unwrap());
        assert_eq!(remote(Some("10.0.0.5"), Some("10.0.0.6 1 10.0.0.1 22")), address("10.0.0.5"));
        assert_eq!(remote(Some("host.example.org"), Some("10.0.0.6 1 10.0.0.1 22")), address("10.0.0.6"));
        assert_eq!(remote(Some("UNKNOWN"), Some("UNKNOWN 65535 UNKNOWN 65535")), Remote::Unknown);
        assert_eq!(remote(Some("host.example.org"), None), Remote::Unknown);
        assert_eq!(remote(None, None), Remote::Local);
        assert_eq!(remote(None, Some("")), Remote::Unknown);
    }

    proptest! {
        #[test]
        fn a_key_is_never_read_from_text_without_that_word(text in "[a-z0-9/ \n-]{0,80}") {
            prop_assert_eq!(!proved(&text).is_empty(), text.lines().any(|line| line == "publickey" || line.starts_with("publickey ")));
        }

        #[test]
        fn a_client_is_never_taken_for_a_local_login(host in ".{0,20}", connection in ".{0,40}") {
            prop_assert_ne!(remote(Some(&host), Some(&connection)), Remote::Local);
        }
    }
}
