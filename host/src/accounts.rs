//! Users and groups as the system's name services know them: files, LDAP, whatever nsswitch.conf names. "Not found" and "could not be
//! asked" are two answers; only the first means that there is no such user.

use std::ffi::CString;

use nix::{
    errno::Errno,
    unistd::{Gid, Group, Uid, User, getgrouplist},
};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The uid.
    pub uid: u32,
    /// The primary group's gid.
    pub gid: u32,
    /// The full name, and what else the entry says for people.
    pub gecos: String,
    /// The home folder.
    pub home: std::path::PathBuf,
    /// The login shell.
    pub shell: std::path::PathBuf,
}

impl Account {
    /// The names of all groups, the primary one included. A gid without a name is left out: no rule can name it. Looked up when
    /// asked for, since a directory may take long over it and most rules do not care.
    ///
    /// # Errors
    /// The data base could not be asked.
    pub fn groups(&self) -> Result<Vec<String>, AccountError> {
        let failed = |why| AccountError { what: "the user's groups", why };
        let name = CString::new(self.name.as_str()).map_err(|_nul| failed(Errno::EINVAL))?;
        let mut groups = Vec::new();
        for gid in getgrouplist(&name, Gid::from_raw(self.gid)).map_err(failed)? {
            groups.extend(name_of(gid).map_err(failed)?);
        }
        Ok(groups)
    }
}

/// The user data base could not be asked.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot look up {what}: {why}")]
pub struct AccountError {
    what: &'static str,
    why: Errno,
}

/// The user of that name, if there is one.
///
/// # Errors
/// The data base could not be asked.
pub fn by_name(name: &str) -> Result<Option<Account>, AccountError> {
    // No user has a NUL in the name, and the C library could not be asked for one.
    if name.contains('\0') {
        return Ok(None);
    }
    found(User::from_name(name))
}

/// The user of that uid, if there is one.
///
/// # Errors
/// The data base could not be asked.
pub fn by_uid(uid: u32) -> Result<Option<Account>, AccountError> {
    found(User::from_uid(Uid::from_raw(uid)))
}

fn found(answer: nix::Result<Option<User>>) -> Result<Option<Account>, AccountError> {
    // getpwnam(3) lists these as other ways to say "not found".
    const ABSENT: [Errno; 3] = [Errno::ENOENT, Errno::ESRCH, Errno::EBADF];
    match answer {
        Ok(None) => Ok(None),
        Ok(Some(user)) => Ok(Some(user.into())),
        Err(why) if ABSENT.contains(&why) => Ok(None),
        Err(why) => Err(AccountError { what: "the user", why }),
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            gecos: user.gecos.to_string_lossy().into_owned(),
            home: user.dir,
            shell: user.shell,
        }
    }
}

fn name_of(gid: Gid) -> nix::Result<Option<String>> {
    Ok(Group::from_gid(gid)?.map(|group| group.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_with_its_groups_and_nobody_else_is_made_up() {
        let root = by_name("root").unwrap().unwrap();
        assert_eq!((root.uid, root.groups().unwrap().contains(&"root".to_owned())), (0, true));
        assert_eq!(by_uid(0).unwrap().unwrap().name, "root");
        for name in ["no-such-user-here", "", "ro\0ot", "../root"] {
            assert_eq!(by_name(name).unwrap(), None, "{name:?}");
        }
    }
}
