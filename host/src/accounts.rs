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

/// Shells that let nobody in.
const NO_SHELLS: [&str; 2] = ["nologin", "false"];

impl Account {
    /// Whether its shell is one that lets nobody in.
    #[must_use]
    pub fn has_no_shell(&self) -> bool {
        self.shell.file_name().and_then(|name| name.to_str()).is_some_and(|shell| NO_SHELLS.contains(&shell))
    }

    /// Those of the groups `named` that this user is in, by their gids: the name in a rule is looked up once, and what a group of
    /// the user's is called elsewhere counts for nothing. A number names a gid. A group that does not exist has no members. Looked
    /// up when asked for, since a directory may take long over it and most rules do not care.
    ///
    /// # Errors
    /// The data base could not be asked.
    pub fn groups_among<'a>(&self, named: impl Iterator<Item = &'a str>) -> Result<Vec<String>, AccountError> {
        let Membership { groups, untold } = self.membership(named);
        untold.map_or(Ok(groups), |untold| Err(untold.why))
    }

    /// The same, and with them those that nothing is known of: for what becomes stricter with every group.
    pub fn groups_perhaps_among<'a>(&self, named: impl Iterator<Item = &'a str>) -> Vec<String> {
        let Membership { mut groups, untold } = self.membership(named);
        groups.extend(untold.into_iter().flat_map(|untold| untold.groups));
        groups
    }

    /// The same, told apart.
    pub(crate) fn membership<'a>(&self, named: impl Iterator<Item = &'a str>) -> Membership {
        let mut named = named.peekable();
        let mut membership = Membership::default();
        if named.peek().is_none() {
            return membership;
        }
        let gids = self.gids();
        for group in named {
            let is_in = gids.as_ref().map_err(|why| *why).and_then(|gids| is_among(group, gids));
            match is_in {
                Ok(true) => membership.groups.push(group.to_owned()),
                Ok(false) => {}
                Err(why) => {
                    let untold = membership.untold.get_or_insert(Untold { groups: Vec::new(), why });
                    untold.groups.push(group.to_owned());
                }
            }
        }
        membership
    }

    /// All groups, the primary one included.
    fn gids(&self) -> Result<Vec<Gid>, AccountError> {
        let failed = |why| AccountError { what: "the user's groups", why };
        let name = CString::new(self.name.as_str()).map_err(|_nul| failed(Errno::EINVAL))?;
        getgrouplist(&name, Gid::from_raw(self.gid)).map_err(failed)
    }
}

/// How a user stands to groups that rules name.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// Those that the user is in.
    pub(crate) groups: Vec<String>,
    /// Those that the user may be in.
    pub(crate) untold: Option<Untold>,
}

/// Groups that no source of names tells of.
#[derive(Debug)]
pub(crate) struct Untold {
    pub(crate) groups: Vec<String>,
    pub(crate) why: AccountError,
}

/// Whether a group that a rule names is one of those gids. Where it is none, that is worth something only if the source that it would come
/// from answers: getgrouplist(3) leaves out what a source that is away would have told.
fn is_among(group: &str, gids: &[Gid]) -> Result<bool, AccountError> {
    match gid_of(group)? {
        Some(gid) if gids.contains(&gid) => Ok(true),
        Some(gid) if is_number(group) => Group::from_gid(gid).map(|_found_or_not| false).map_err(no_group),
        Some(_) | None => Ok(false),
    }
}

fn is_number(group: &str) -> bool {
    group.bytes().all(|byte| byte.is_ascii_digit())
}

const fn no_group(why: Errno) -> AccountError {
    AccountError { what: "a group", why }
}

/// The gid of the group that a rule names, if there is one. Digits are a gid, whatever a directory may call its groups.
///
/// # Errors
/// The data base could not be asked.
pub fn gid_of(group: &str) -> Result<Option<Gid>, AccountError> {
    if is_number(group) {
        return Ok(group.parse().ok().map(Gid::from_raw));
    }
    if group.contains('\0') {
        return Ok(None);
    }
    // An error of any kind is a source that is away: sssd's and winbind's say ENOENT for it, and where there is no such group glibc says so
    // without one.
    Ok(Group::from_name(group).map_err(no_group)?.map(|group| group.gid))
}

/// The user data base could not be asked.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot look up {what}: {why}")]
pub struct AccountError {
    what: &'static str,
    why: Errno,
}

#[cfg(test)]
impl AccountError {
    pub(crate) const fn new(what: &'static str, why: Errno) -> Self {
        Self { what, why }
    }
}

/// The user of that name, if there is one. For logins: a source that is away may be told as one that knows no such user.
///
/// # Errors
/// The data base could not be asked.
pub fn by_name(name: &str) -> Result<Option<Account>, AccountError> {
    found(absent_is_none(ask(name)))
}

/// The same where it matters that there is none: any error is a source that is away. sssd's and libnss-extrausers' say ENOENT for it, and where
/// there is no such user glibc says so without one.
///
/// # Errors
/// A source of users did not answer.
pub(crate) fn by_name_without_error(name: &str) -> Result<Option<Account>, AccountError> {
    found(ask(name))
}

/// No user has a NUL in the name, and the C library could not be asked for one.
fn ask(name: &str) -> nix::Result<Option<User>> {
    if name.contains('\0') { Ok(None) } else { User::from_name(name) }
}

/// The user of that uid, if there is one.
///
/// # Errors
/// The data base could not be asked.
pub fn by_uid(uid: u32) -> Result<Option<Account>, AccountError> {
    found(absent_is_none(User::from_uid(Uid::from_raw(uid))))
}

fn found(answer: nix::Result<Option<User>>) -> Result<Option<Account>, AccountError> {
    let found = answer.map_err(|why| AccountError { what: "the user", why })?;
    Ok(found.map(Account::from))
}

/// getpwnam(3) lists these errors as other ways to say "not found". A user who is none is denied, so it opens nothing.
fn absent_is_none<T>(answer: nix::Result<Option<T>>) -> nix::Result<Option<T>> {
    match answer {
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF) => Ok(None),
        other => other,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn among(account: &Account, named: &[&str]) -> Vec<String> {
        account.groups_among(named.iter().copied()).unwrap()
    }

    #[test]
    fn root_is_found_and_nobody_else_is_made_up() {
        assert_eq!(by_name("root").unwrap().unwrap().uid, 0);
        assert_eq!(by_uid(0).unwrap().unwrap().name, "root");
        for name in ["no-such-user-here", "", "ro\0ot", "../root"] {
            assert_eq!(by_name(name).unwrap(), None, "{name:?}");
        }
    }

    #[test]
    fn a_user_is_in_a_group_by_its_gid_whatever_it_is_called() {
        let root = by_name("root").unwrap().unwrap();
        assert_eq!(among(&root, &["root", "0", "daemon", "no-such-group", "", "ro\0ot", "99999999999"]), ["root", "0"]);
        assert!(among(&root, &[]).is_empty());
        let daemon = Account { gid: by_name("daemon").unwrap().unwrap().gid, ..root };
        assert!(among(&daemon, &["daemon"]).contains(&"daemon".to_owned()), "the primary group counts");
    }
}
