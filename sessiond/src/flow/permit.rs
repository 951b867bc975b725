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

use super::Owner;

/// The permits that are out, one a user at most.
#[derive(Debug, Default)]
pub(super) struct Permits(HashMap<u32, Permit>);

#[derive(Debug)]
struct Permit {
    process: ProcessId,
    connection: String,
    until: BootTime,
}

impl Permits {
    /// Gives one to the owner of a flow that was granted, if an authenticator was proved in it, or what stands in for one. A password alone
    /// is no proof for this: whoever stole it would enrol a phone, or remove the user's.
    pub(super) fn give(&mut self, (owner, connection): (Owner, &str), factors: &Factors, now: BootTime) {
        self.0.retain(|_, permit| now < permit.until);
        if factors.contains(Factor::Totp) {
            let (connection, until) = (connection.to_owned(), now.saturating_add(RECEIPT_LIFE));
            self.0.insert(owner.uid, Permit { process: owner.process, connection, until });
        }
    }

    /// Uses the owner's up; tells whether there was one.
    #[must_use]
    pub(super) fn take(&mut self, (owner, connection): (Owner, &str), now: BootTime) -> bool {
        let is_owners =
            |permit: &Permit| permit.process == owner.process && permit.connection == connection && now < permit.until;
        self.0.get(&owner.uid).is_some_and(is_owners) && self.0.remove(&owner.uid).is_some()
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

    fn given() -> Permits {
        let mut permits = Permits::default();
        permits.give(owner(1000, 1), &BOTH.into_iter().collect(), at(0));
        permits
    }

    #[test]
    fn a_permit_is_used_once_in_time_by_the_process_that_proved_itself() {
        let mut permits = given();
        assert!(!permits.take(owner(1001, 1), at(1)) && !permits.take(owner(1000, 2), at(1)));
        assert!(!permits.take((owner(1000, 1).0, ":1.6"), at(1)), "an older connection of the same process");
        assert!(permits.take(owner(1000, 1), at(1)));
        assert!(!permits.take(owner(1000, 1), at(1)));
        assert!(given().take(owner(1000, 1), at(299)));
        assert!(!given().take(owner(1000, 1), at(300)));
    }

    #[test]
    fn a_password_alone_gives_none() {
        let mut permits = Permits::default();
        permits.give(owner(1000, 1), &Factors::none().with(Factor::Password), at(0));
        assert!(!permits.take(owner(1000, 1), at(0)));
    }
}
