//! The system's own password hash and the account's end, from the shadow data base. The C library offers them only through raw
//! pointers into a buffer of ours, hence the `unsafe` here.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString, c_char},
    io,
    mem::MaybeUninit,
    ptr,
};

use authflow_core::{secret::Secret, time::WallTime};
use zeroize::Zeroizing;

/// What the shadow data base says of a user.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The hash, or a mark that is none (`*`, `!`, empty).
    pub hash: Secret,
    /// The day on which the account ends, counted from 1970, if it does.
    expires: Option<u64>,
    /// The day on which the password was last changed, if that is known.
    changed: Option<u64>,
}

impl Entry {
    /// Whether the password was changed on a later day than that of `time`. Of the same day nothing can be told.
    #[must_use]
    pub fn is_changed_after(&self, time: WallTime) -> bool {
        self.changed.is_some_and(|day| day > time.as_secs() / 86_400)
    }

    /// Whether the account has ended. The day itself is the first one without access (shadow(5)).
    #[must_use]
    pub fn is_expired(&self, now: WallTime) -> bool {
        self.expires.is_some_and(|day| now.as_secs() / 86_400 >= day)
    }

    /// Whether a password that there is was locked, as `usermod -L` and `passwd -l` do. A user who never had one has none to lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        let hash = self.hash.expose().strip_prefix(b"!");
        hash.is_some_and(|hash| !matches!(hash.first(), None | Some(b'!' | b'*')))
    }

    /// Whether the hash can be the hash of anything.
    #[must_use]
    pub fn has_password(&self) -> bool {
        !self.hash.is_empty() && !self.hash.expose().starts_with(b"!") && !self.hash.expose().starts_with(b"*")
    }
}

/// Room for an entry as they are.
const USUAL: usize = 1024;

/// Room for any that a shadow file can hold.
const LARGEST: usize = 64 * 1024;

/// The entry of that user, if there is one.
///
/// # Errors
/// The data base could not be asked: not root, for one.
pub fn by_name(name: &str) -> io::Result<Option<Entry>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    match read(&name, USUAL) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => read(&name, LARGEST),
        answer => answer,
    }
}

/// Reads an entry that fits into so many bytes.
fn read(name: &CStr, room: usize) -> io::Result<Option<Entry>> {
    // Holds the hash, so it is wiped on every way out.
    let mut buffer = Zeroizing::new(vec![0_u8; room]);
    let mut place = MaybeUninit::<libc::spwd>::uninit();
    let mut found: *mut libc::spwd = ptr::null_mut();
    // SAFETY: name ends in NUL, `place` and `found` are ours, and the buffer is as long as we say.
    let code = unsafe {
        libc::getspnam_r(
            name.as_ptr(),
            place.as_mut_ptr(),
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
            &raw mut found,
        )
    };
    if found.is_null() {
        // Not found is 0, or ENOENT where there is no shadow file at all.
        return match code {
            0 | libc::ENOENT => Ok(None),
            code => Err(io::Error::from_raw_os_error(code)),
        };
    }
    // SAFETY: on success the C library has filled the entry in.
    let entry = unsafe { place.assume_init_ref() };
    let hash = if entry.sp_pwdp.is_null() {
        Secret::default()
    } else {
        // SAFETY: it points at a string that ends in NUL, inside the buffer, which lives on.
        let text = unsafe { CStr::from_ptr(entry.sp_pwdp) };
        Secret::new(text.to_bytes().to_vec())
    };
    // -1 is "never", and 0 as the day of the change "at the next login".
    let changed = u64::try_from(entry.sp_lstchg).ok().filter(|day| *day > 0);
    Ok(Some(Entry { hash, expires: u64::try_from(entry.sp_expire).ok(), changed }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(hash: &str, expires: Option<u64>) -> Entry {
        Entry { hash: Secret::from(hash), expires, changed: None }
    }

    #[test]
    fn a_change_counts_as_later_from_the_next_day_on() {
        let noon = WallTime::new(Duration::from_secs(20_000 * 86_400 + 43_200));
        let changed = |day| Entry { changed: day, ..entry("x", None) }.is_changed_after(noon);
        assert!(!changed(None) && !changed(Some(19_999)) && !changed(Some(20_000)) && changed(Some(20_001)));
    }

    #[test]
    fn an_account_ends_at_the_start_of_its_day() {
        let day = |days: u64| WallTime::new(Duration::from_secs(days * 86_400));
        assert!(!entry("x", None).is_expired(day(99_999)));
        assert!(!entry("x", Some(20_000)).is_expired(day(19_999)));
        assert!(entry("x", Some(20_000)).is_expired(day(20_000)));
    }

    #[test]
    fn marks_are_no_passwords() {
        for mark in ["", "*", "!", "!!", "!*", "!$6$salt$hash", "*LK*"] {
            assert!(!entry(mark, None).has_password(), "{mark}");
        }
        assert!(entry("$6$salt$hash", None).has_password());
    }

    #[test]
    fn only_a_password_that_there_is_can_be_locked() {
        for not_locked in ["", "*", "!", "!!", "!*", "$6$salt$hash", "*LK*"] {
            assert!(!entry(not_locked, None).is_locked(), "{not_locked}");
        }
        assert!(entry("!$6$salt$hash", None).is_locked());
    }

    #[test]
    fn a_name_without_entry_is_no_error_for_root() {
        if nix::unistd::geteuid().is_root() {
            assert!(by_name("no-such-user-here").unwrap().is_none());
            assert!(by_name("root").unwrap().is_some());
        }
        assert!(by_name("ro\0ot").unwrap().is_none());
    }
}
