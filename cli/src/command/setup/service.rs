//! What `authflow setup` protects: the services, their files under /etc/pam.d, and the methods that they get.

use std::fmt;

/// A way into the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// Logins over the network, by OpenSSH
    Sshd,
    /// Logins at the machine's own consoles
    Login,
    /// Becoming another user by that user's password; --user is whom su leads to
    Su,
    /// Commands as another user
    Sudo,
}

impl Service {
    /// Every service.
    pub(crate) const ALL: [Self; 4] = [Self::Sshd, Self::Login, Self::Su, Self::Sudo];

    /// The word for it, which is that of its first PAM service.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sshd => "sshd",
            Self::Login => "login",
            Self::Su => "su",
            Self::Sudo => "sudo",
        }
    }

    /// The PAM services that a rule has to name.
    pub(crate) const fn pam_services(self) -> &'static [&'static str] {
        match self {
            Self::Sshd => &["sshd"],
            Self::Login => &["login"],
            Self::Su => &["su", "su-l"],
            Self::Sudo => &["sudo", "sudo-i"],
        }
    }

    /// The files that get our lines: the first must be there. `su-l` includes `su`.
    pub(crate) const fn pam_files(self) -> &'static [&'static str] {
        match self {
            Self::Sshd => &["sshd"],
            Self::Login => &["login"],
            Self::Su => &["su"],
            Self::Sudo => &["sudo", "sudo-i"],
        }
    }

    /// What our lines say besides. At the console root is let in by pam_unix should authflow's own files be unusable.
    pub(crate) const fn options(self) -> &'static str {
        match self {
            Self::Login => " breakglass",
            Self::Sshd | Self::Su | Self::Sudo => "",
        }
    }

    /// What is enough there, and what goes with it, in the words of the configuration.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::Sshd => "methods = [[\"publickey\", \"totp\"], [\"password\", \"totp\"]]\n",
            Self::Login | Self::Su => "methods = [[\"password\", \"totp\"]]\n",
            // sudo goes on asking for the password; the code only where the login's is no longer fresh.
            Self::Sudo => {
                "methods = [[\"session\", \"password\"], [\"password\", \"totp\"]]\n\
                 from_session = { proved = [\"totp\"], within = \"5m\" }\n"
            }
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
