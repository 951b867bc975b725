//! Whether there is an account no more, for what is done only then. A directory that is away finds nobody, and not every one says that it is
//! away: with one, only somebody who must be found tells that it answers.

use crate::{
    accounts::{self, Account, AccountError},
    local_accounts,
    paths::Paths,
};

/// What the name services tell of a name.
#[derive(Debug)]
#[must_use]
pub enum Found {
    /// An account that goes by it, as its own name or as another spelling of that.
    Account(Account),
    /// No account goes by it.
    Nobody,
    /// Whether one does cannot be told.
    Untold(Untold),
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// A source of accounts does not answer.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No name is known that the directory must find.
    #[error(
        "no account is found, but a directory that is away finds none, and no `accounts.control` that is the directory's alone tells whether it answers"
    )]
    NoControl,
    /// The directory does not find who must be there.
    #[error("no account is found, but the directory does not find {0:?} (`accounts.control`) either: it is away")]
    Away(String),
}

/// Asks all of the machine's sources for that name. `control` is whom the directory always has, if it has somebody.
pub fn look_for(paths: &Paths, control: Option<&str>, name: &str) -> Found {
    match ask(paths, control, name) {
        Ok(Some(account)) => Found::Account(account),
        Ok(None) => Found::Nobody,
        Err(why) => Found::Untold(why),
    }
}

fn ask(paths: &Paths, control: Option<&str>, name: &str) -> Result<Option<Account>, Untold> {
    let found = accounts::by_name_without_error(name)?;
    if found.is_some() || !local_accounts::has_directory(paths) {
        return Ok(found);
    }
    // Whom the machine's own file has is found without a directory.
    let is_directorys = |control: &&str| *control != name && matches!(local_accounts::uid_of(paths, control), Ok(None));
    let control = control.filter(is_directorys).ok_or(Untold::NoControl)?;
    if accounts::by_name_without_error(control)?.is_none() {
        return Err(Untold::Away(control.to_owned()));
    }
    // Once more: it may have come back just in between.
    Ok(accounts::by_name_without_error(name)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The accounts are this machine's; what is said of their sources is not.
    fn found(nsswitch: &str, control: Option<&str>, name: &str) -> Found {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        fs::write(root.path().join("etc/nsswitch.conf"), nsswitch).unwrap();
        look_for(&Paths::new(root.path()), control, name)
    }

    const NOBODY: &str = "no-such-user-here";

    #[test]
    fn without_a_directory_who_is_not_found_is_not_there() {
        assert!(matches!(found("passwd: files systemd\n", None, NOBODY), Found::Nobody));
        assert!(matches!(found("passwd: files\n", None, "root"), Found::Account(_)));
    }

    #[test]
    fn with_a_directory_only_while_somebody_of_its_own_is_found() {
        const DIRECTORY: &str = "passwd: files sss\n";
        assert!(matches!(found(DIRECTORY, Some("daemon"), NOBODY), Found::Nobody));
        assert!(matches!(found(DIRECTORY, None, "daemon"), Found::Account(_)), "found is found");
        for control in [None, Some(NOBODY), Some("root")] {
            assert!(matches!(found(DIRECTORY, control, NOBODY), Found::Untold(Untold::NoControl)), "{control:?}");
        }
        let away = found(DIRECTORY, Some("no-such-control"), NOBODY);
        assert!(matches!(away, Found::Untold(Untold::Away(_))), "{away:?}");
    }
}
