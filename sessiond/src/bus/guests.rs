//! How many of one user's login programs are at the door at a time. A user may stop a su of theirs there, and another, as many as they may run;
//! whoever finds no room takes the bus. Must not count what no user has started: root's own programs always find room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use authflow_host::process;

use crate::cgroup;

/// More than anybody logs in with at once.
const MOST_OF_ONE_USER: usize = 64;

/// Who is at the door.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests {
    there: Arc<Mutex<HashMap<u32, usize>>>,
}

/// One who is there until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    user: Option<u32>,
}

impl Guests {
    /// Lets in one that `user` has started, if that is known. `None` if there are too many of that user's.
    pub(super) fn let_in(&self, user: Option<u32>) -> Option<Guest> {
        if let Some(user) = user {
            let mut there = self.there();
            let count = there.entry(user).or_default();
            if *count >= MOST_OF_ONE_USER {
                return None;
            }
            *count += 1;
        }
        Some(Guest { guests: self.clone(), user })
    }

    fn there(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(user) = self.user else { return };
        let mut there = self.guests.there();
        if let Some(count) = there.get_mut(&user) {
            *count = count.saturating_sub(1);
            // Who has left is not remembered.
            there.retain(|_, count| *count > 0);
        }
    }
}

/// The user who has started that program, unless it is root. Its uids are all root's by the time it comes: where systemd orders the tree the
/// slice tells, which is not to be left, and elsewhere the kernel's login uid.
pub(super) fn user_behind(pid: u32) -> Option<u32> {
    let user = match cgroup::systemd_root(&cgroup::of(1)) {
        Some(root) => cgroup::user_of(&cgroup::of(pid), root),
        None => process::login_uid(pid),
    };
    user.filter(|user| *user != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_takes_no_room_from_another_nor_from_root() {
        let guests = Guests::default();
        let mut alices: Vec<_> = (0..MOST_OF_ONE_USER).filter_map(|_| guests.let_in(Some(1000))).collect();
        assert_eq!(alices.len(), MOST_OF_ONE_USER);
        assert!(guests.let_in(Some(1000)).is_none());
        let others: Vec<_> = (0..1000).filter_map(|_| guests.let_in(None)).chain(guests.let_in(Some(1001))).collect();
        assert_eq!(others.len(), 1001);
        alices.pop();
        alices.extend(guests.let_in(Some(1000)));
        assert_eq!(alices.len(), MOST_OF_ONE_USER, "who leaves makes room");
        drop((alices, others));
        assert!(guests.there().is_empty(), "nothing is kept of who has left");
    }
}
