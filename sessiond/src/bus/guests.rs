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

/// Whose a program is that root's uid runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Behind {
    /// It sits in that user's part of the tree, which is not to be left.
    Slice(u32),
    /// Its real uid: who called it, as long as the caller's signals reach it.
    Caller(u32),
    /// The kernel's login uid. Who has none can take any, so it counts beside what the others tell, and takes no room from whom they tell of.
    Login(u32),
}

/// Who is at the door.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests {
    there: Arc<Mutex<HashMap<Behind, usize>>>,
}

/// One who is there until this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    user: Option<Behind>,
}

impl Guests {
    /// Lets in one that `user` has started, if that is known. `None` if there are too many of that user's.
    pub(super) fn let_in(&self, user: Option<Behind>) -> Option<Guest> {
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

    fn there(&self) -> MutexGuard<'_, HashMap<Behind, usize>> {
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

/// The user who has started that program, unless it is root. All its uids may be root's by the time it comes.
pub(super) fn user_behind(pid: u32) -> Option<Behind> {
    let first = cgroup::of(1);
    let of_slice = cgroup::systemd_root(&first).and_then(|root| cgroup::user_of(&cgroup::of(pid), root));
    let caller = || process::uids(pid).ok()?.first().copied().filter(|uid| *uid != 0);
    let behind = of_slice.map(Behind::Slice).or_else(|| caller().map(Behind::Caller));
    let behind = behind.or_else(|| process::login_uid(pid).map(Behind::Login));
    behind.filter(|behind| !matches!(behind, Behind::Slice(0) | Behind::Login(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_takes_no_room_from_another_nor_from_root() {
        const ALICE: Behind = Behind::Slice(1000);
        let guests = Guests::default();
        let mut alices: Vec<_> = (0..MOST_OF_ONE_USER).filter_map(|_| guests.let_in(Some(ALICE))).collect();
        assert_eq!(alices.len(), MOST_OF_ONE_USER);
        assert!(guests.let_in(Some(ALICE)).is_none());
        let others = (0..1000).map(|_| None).chain([Some(Behind::Slice(1001)), Some(Behind::Login(1000))]);
        let others: Vec<_> = others.filter_map(|other| guests.let_in(other)).collect();
        assert_eq!(others.len(), 1002);
        alices.pop();
        alices.extend(guests.let_in(Some(ALICE)));
        assert_eq!(alices.len(), MOST_OF_ONE_USER, "who leaves makes room");
        drop((alices, others));
        assert!(guests.there().is_empty(), "nothing is kept of who has left");
    }
}
