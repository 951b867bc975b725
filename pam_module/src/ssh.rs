//! What sshd tells a PAM module: the methods that it has verified itself, and the client's address. Both count for services that the
//! configuration lists as sshd's, and for no other.

use authflow_core::{
    factor::{Factor, Factors},
    rule::Remote,
};

/// What sshd has verified, from `SSH_AUTH_INFO_0`: one line a method, the method's name its first word, a key's type its second.
///
/// Only a key counts, and only by its exact name: `hostbased` and `gssapi-with-mic` are no key of the user's, and a password went
/// through our own flow or through nobody's.
#[must_use]
pub fn proved(auth_info: &str) -> Factors {
    auth_info.split('\n').flat_map(key_of).collect()
}

/// The key that a line tells of, and which kind of key it is. Another method tells of none.
fn key_of(line: &str) -> Vec<Factor> {
    let mut words = line.split([' ', '\t', '\r']);
    if words.next() != Some("publickey") {
        return Vec::new();
    }
    let key_type = words.next().unwrap_or_default();
    let certificate = key_type.ends_with("-cert-v01@openssh.com").then_some(Factor::Certificate);
    let security_key = key_type.starts_with("sk-").then_some(Factor::SecurityKey);
    [Some(Factor::Publickey), certificate, security_key].into_iter().flatten().collect()
}

/// Whether sshd says that a method succeeded which runs PAM's auth phase. Only then has the whole stack of a flow: sshd tries method after
/// method in one connection, and what a flow proved in a try that another module refused is not completed by a key.
#[must_use]
pub fn tells_of_a_flow(auth_info: &str) -> bool {
    let methods = auth_info.split('\n').filter_map(|line| line.split([' ', '\t', '\r']).next());
    methods.into_iter().any(|method| matches!(method, "password" | "keyboard-interactive" | "keyboard-interactive/pam"))
}

/// Where the client is: `PAM_RHOST` if that is an address; else, where sshd looked the name up, the address that sshd itself puts
/// into the PAM environment.
#[must_use]
pub fn remote(remote_host: Option<&str>, connection: Option<&str>) -> Remote {
    match Remote::from_rhost(remote_host) {
        // A connection means a client: sshd without a remote host would be a surprise, and no local login.
        Remote::Local if connection.is_none() => Remote::Local,
        known @ Remote::Address(_) => known,
        Remote::Console | Remote::Local | Remote::Untold | Remote::Unknown => {
            connection.map_or(Remote::Unknown, client_address)
        }
    }
}

/// The client's address from `SSH_CONNECTION`: client address, client port, server address, server port.
fn client_address(connection: &str) -> Remote {
    match Remote::from_rhost(connection.split(' ').next()) {
        known @ Remote::Address(_) => known,
        Remote::Console | Remote::Local | Remote::Untold | Remote::Unknown => Remote::Unknown,
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
    fn certificates_and_keys_in_hardware_are_told_apart() {
        for (auth_info, expected) in [
            ("publickey ssh-ed25519 AAAAC3Nza\n", "publickey"),
            ("publickey ssh-ed25519-cert-v01@openssh.com AAAAIHNz\n", "publickey+certificate"),
            ("publickey sk-ssh-ed25519@openssh.com AAAAGnNr\n", "publickey+security-key"),
            ("publickey sk-ecdsa-sha2-nistp256@openssh.com AAAAInNr\n", "publickey+security-key"),
            ("publickey sk-ecdsa-sha2-nistp256-cert-v01@openssh.com AAAAK3Nr\n", "publickey+certificate+security-key"),
            ("publickey ssh-rsa AAAA\npublickey sk-ssh-ed25519@openssh.com AAAA\n", "publickey+security-key"),
            ("publickey ssh-rsa sk-ssh-ed25519@openssh.com\n", "publickey"),
            ("publickey  sk-ssh-ed25519@openssh.com AAAA\n", "publickey"),
            ("hostbased ssh-ed25519-cert-v01@openssh.com AAAA\n", "none"),
            ("keyboard-interactive/pam sk-ssh-ed25519@openssh.com\n", "none"),
        ] {
            assert_eq!(proved(auth_info).to_string(), expected, "{auth_info:?}");
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_key() {
        for text in [
            "",
            "\n",
            "password\n",
            "hostbased ssh-rsa AAAA\n",
            "gssapi-keyex\n",
            "none\n",
            "keyboard-interactive/pam\npassword\nhostbased publickey\n",
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
    fn a_flow_is_told_of_by_the_methods_that_run_one() {
        for told in ["password\n", "keyboard-interactive/pam\n", "publickey ssh-rsa AAAA\nkeyboard-interactive/pam\n"] {
            assert!(tells_of_a_flow(told), "{told:?}");
        }
        for other in
            ["", "publickey ssh-rsa AAAA\n", "publickey password\n", "passwords\n", "keyboard-interactive/skey\n"]
        {
            assert!(!tells_of_a_flow(other), "{other:?}");
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
