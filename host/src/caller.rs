//! Who calls on this machine, as the throttle tells callers apart.

use authflow_core::throttle::NOBODY;

use crate::accounts::{Account, AccountError};

/// The calling uid as it is counted in an attempt at `account`. What is no account's is counted together: subordinate uids would else give one
/// user thousands of sources. So is what cannot be looked up, or whoever has a directory fail would have as many.
pub(crate) fn counted(
    calling_uid: u32,
    account: Option<&Account>,
    by_uid: impl FnOnce(u32) -> Result<Option<Account>, AccountError>,
) -> u32 {
    // The user's own sudo waits for no others' failures, and for no directory.
    let is_known = calling_uid == 0 || account.is_some_and(|account| account.uid == calling_uid);
    if is_known || matches!(by_uid(calling_uid), Ok(Some(_))) { calling_uid } else { NOBODY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts;

    fn root() -> Account {
        accounts::by_uid(0).unwrap().unwrap()
    }

    fn alice() -> Account {
        Account { name: "alice".to_owned(), uid: 1000, ..root() }
    }

    fn away(_uid: u32) -> Result<Option<Account>, AccountError> {
        Err(AccountError::new("the user", nix::errno::Errno::EIO))
    }

    #[test]
    fn who_has_an_account_is_counted_alone_and_all_who_have_none_together() {
        assert_eq!(counted(1001, Some(&alice()), |_| Ok(Some(root()))), 1001);
        assert_eq!(counted(200_001, Some(&alice()), |_| Ok(None)), NOBODY);
        assert_eq!(counted(200_002, None, |_| Ok(None)), NOBODY);
    }

    #[test]
    fn a_directory_that_is_away_makes_no_new_sources_and_neither_the_user_nor_the_console_depends_on_it() {
        assert_eq!((counted(1001, Some(&alice()), away), counted(1002, None, away)), (NOBODY, NOBODY));
        assert_eq!((counted(1000, Some(&alice()), away), counted(0, Some(&alice()), away)), (1000, 0));
    }
}
