//! Of which users there is anything here, to look at all of them. No login asks for this.

use std::{collections::BTreeSet, fs, io, path::Path};

use authflow_core::name;

use crate::records::Records;

impl Records {
    /// The users who have a record, managed or not.
    ///
    /// # Errors
    /// A folder cannot be read. One that is not there holds none.
    pub fn users(&self) -> io::Result<BTreeSet<String>> {
        let own = users_in(&self.paths.users(), ".toml")?;
        Ok(own.into_iter().chain(users_in(&self.paths.managed_users(), ".toml")?).collect())
    }

    /// The users who are marked as disabled.
    ///
    /// # Errors
    /// The folder cannot be read. One that is not there holds none.
    pub fn disabled_users(&self) -> io::Result<BTreeSet<String>> {
        users_in(&self.paths.state(), ".disabled")
    }
}

/// Whose files with that ending there are. What is nobody's, as a file half written, is left out.
fn users_in(folder: &Path, ending: &str) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut users = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        users.extend(name.to_str().and_then(|name| name.strip_suffix(ending)).and_then(name::user_of));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{file::Trust, paths::Paths};

    #[test]
    fn every_user_is_named_once_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        let records = Records::trusting(paths.clone(), Trust::of(nix::unistd::geteuid().as_raw()));
        assert!(records.users().unwrap().is_empty() && records.disabled_users().unwrap().is_empty());
        for folder in [paths.users(), paths.managed_users(), paths.state()] {
            fs::create_dir_all(folder).unwrap();
        }
        for file in ["alice.toml", ".alice.toml.new", "%2E..toml", "notes"] {
            fs::write(paths.users().join(file), "").unwrap();
        }
        for file in ["alice.toml", "bob.toml"] {
            fs::write(paths.managed_users().join(file), "").unwrap();
        }
        for file in ["carol.disabled", "carol", "=decoy-00", "carol.lock"] {
            fs::write(paths.state().join(file), "").unwrap();
        }
        assert_eq!(records.users().unwrap().into_iter().collect::<Vec<_>>(), ["..", "alice", "bob"]);
        assert_eq!(records.disabled_users().unwrap().into_iter().collect::<Vec<_>>(), ["carol"]);
    }
}
