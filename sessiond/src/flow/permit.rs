//! Who may change an authenticator of his own: the process that has just proved one, on the connection that it did so by, once, and for as
//! long as a receipt is good. A pid alone is not enough: it outlives `exec`, and whoever kept an older connection of the process would be
//! taken for it. Pure.

use std::collections::HashMap;

use authflow_core::{
    factor::{Factor, Factors},
    flow::RECEIPT_LIFE,
    time::BootTime,
};
use authflow_host::process::ProcessId;

use super::{Owner, own_factors::Seen};

/// What a flow may permit beside what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// Nothing. A locker's flow, say: whoever waits for the process to be done would change factors by it.
    Nothing,
    /// To change authenticators, if one was proved in it, or what stands in for one. A password alone is no proof for this: whoever stole
    /// it would enrol a phone, or remove the user's.
    Change,
    /// To enrol the first authenticator, since the password alone would enrol one in a login as well.
    First,
}

/// What a flow has shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// The factors that were proved.
    pub(super) factors: Factors,
    /// What the user had when it was judged.
    pub(super) seen: Seen,
}

/// The permits that are out, one a user at most.
#[derive(Debug, Default)]
pub(super) struct Permits(HashMap<u32, Permit>);

#[derive(Debug)]
struct Permit {
    process: ProcessId,
    connection: String,
    until: BootTime,
    permission: Permission,
    seen: Seen,
}

impl Permits {
    /// Gives one to the owner of a flow that was granted, if what was proved in it is enough for that permission.
    pub(super) fn give(
        &mut self,
        (owner, connection): (Owner, &str),
        (permission, shown): (Permission, Shown),
        now: BootTime,
    ) {
        self.0.retain(|_, permit| now < permit.until);
        let is_enough = match permission {
            Permission::Nothing => false,
            Permission::Change => shown.factors.contains(Factor::Totp),
            Permission::First => shown.factors.contains(Factor::Password),
        };
        if is_enough {
            let (connection, until) = (connection.to_owned(), now.saturating_add(RECEIPT_LIFE));
            let permit = Permit { process: owner.process, connection, until, permission, seen: shown.seen };
            self.0.insert(owner.uid, permit);
        }
    }

    /// Uses the owner's up, if there is one.
    #[must_use]
    pub(super) fn take(&mut self, (owner, connection): (Owner, &str), now: BootTime) -> Option<(Permission, Seen)> {
        let is_owners =
            |permit: &Permit| permit.process == owner.process && permit.connection == connection && now < permit.until;
        self.0.get(&owner.uid).filter(|permit| is_owners(permit))?;
        self.0.remove(&owner.uid).map(|permit| (permit.permission, permit.seen))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOTH: [Factor; 2] = [Factor::Password, Factor::Totp];

    fn at(seconds: u64) -> BootTime {
        BootTime::new(Duration::from_secs(1000 + seconds))
    }

    fn owner(uid: u32, pid: u32) -> (Owner, &'static str) {
        (Owner { uid, process: ProcessId { pid, start_time: 7 } }, ":1.7")
    }

    fn give(permission: Permission, factors: &[Factor]) -> Permits {
        let mut permits = Permits::default();
        let shown = Shown { factors: factors.iter().copied().collect(), seen: Seen::default() };
        permits.give(owner(1000, 1), (permission, shown), at(0));
        permits
    }

    fn given() -> Permits {
        give(Permission::Change, &BOTH)
    }

    #[test]
    fn a_permit_is_used_once_in_time_by_the_process_that_proved_itself() {
        let mut permits = given();
        assert!(permits.take(owner(1001, 1), at(1)).is_none() && permits.take(owner(1000, 2), at(1)).is_none());
        assert!(permits.take((owner(1000, 1).0, ":1.6"), at(1)).is_none(), "an older connection of the same process");
        assert!(permits.take(owner(1000, 1), at(1)).is_some());
        assert!(permits.take(owner(1000, 1), at(1)).is_none());
        assert!(given().take(owner(1000, 1), at(299)).is_some());
        assert!(given().take(owner(1000, 1), at(300)).is_none());
    }

    #[test]
    fn a_password_alone_permits_the_first_authenticator_at_most() {
        let permitted = |permission, factors: &[Factor]| {
            give(permission, factors).take(owner(1000, 1), at(0)).map(|(permission, _seen)| permission)
        };
        assert_eq!(permitted(Permission::Change, &[Factor::Password]), None);
        assert_eq!(permitted(Permission::First, &[Factor::Password]), Some(Permission::First));
        assert_eq!(permitted(Permission::First, &[Factor::Publickey]), None);
        assert_eq!(permitted(Permission::Nothing, &BOTH), None);
    }
}
