//! Where everything lies. One value, so that an image can be built under another root.

use std::path::{Path, PathBuf};

/// The places of authflow's files, under a root that is `/` outside of image builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
    config: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self::new("/")
    }
}

impl Paths {
    /// The places under `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let config = root.join("etc/authflow/authflow.toml");
        Self { root, config }
    }

    /// The same, with another configuration file.
    #[must_use]
    pub fn with_config(self, config: impl Into<PathBuf>) -> Self {
        Self { config: config.into(), ..self }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder of drop-ins, whose rules follow the configuration's.
    #[must_use]
    pub fn config_drop_ins(&self) -> PathBuf {
        beside(&self.config, ".d")
    }

    /// What is used while the configuration cannot be.
    #[must_use]
    pub fn config_last_good(&self) -> PathBuf {
        beside(&self.config, ".last-good")
    }

    /// Records that configuration management pushes; never written here.
    #[must_use]
    pub fn managed_users(&self) -> PathBuf {
        self.root.join("etc/authflow/users")
    }

    /// The passwords that everybody tries first.
    #[must_use]
    pub fn common_passwords(&self) -> PathBuf {
        self.root.join("usr/share/authflow/common-passwords.txt")
    }

    /// The folder that holds all that is kept.
    #[must_use]
    pub fn state_home(&self) -> PathBuf {
        self.root.join("var/lib/authflow")
    }

    /// Users' authenticators.
    #[must_use]
    pub fn users(&self) -> PathBuf {
        self.state_home().join("users")
    }

    /// What changes at every attempt.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.state_home().join("state")
    }

    /// The daemon's sessions and history.
    #[must_use]
    pub fn sessions_db(&self) -> PathBuf {
        self.state_home().join("sessions.db")
    }

    /// What `authflow setup` changed, and what stood there before.
    #[must_use]
    pub fn setup(&self) -> PathBuf {
        self.state_home().join("setup")
    }

    /// What a reboot may forget.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run/authflow")
    }

    /// The daemon's socket for root's login programs.
    #[must_use]
    pub fn door(&self) -> PathBuf {
        self.run().join("door")
    }

    /// Receipts on their way between sshd's processes.
    #[must_use]
    pub fn flows(&self) -> PathBuf {
        self.run().join("flows")
    }

    /// The daemon's spare copies of live sessions.
    #[must_use]
    pub fn live(&self) -> PathBuf {
        self.run().join("live")
    }

    /// Logins that the daemon has yet to adopt.
    #[must_use]
    pub fn pending(&self) -> PathBuf {
        self.run().join("pending")
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_moves_with_the_root() {
        let paths = Paths::new("/image");
        assert_eq!(paths.users(), Path::new("/image/var/lib/authflow/users"));
        assert_eq!(paths.config_drop_ins(), Path::new("/image/etc/authflow/authflow.toml.d"));
        assert_eq!(paths.with_config("/x/y.toml").config_last_good(), Path::new("/x/y.toml.last-good"));
    }
}
