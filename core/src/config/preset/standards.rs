//! The numbers of the standards, each with the place where it stands. A number that no standard gives is not here.

use std::time::Duration;

use super::demand::{Clause, Demand};
use crate::policy::AtLimit;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// For "until an administrator releases it". Longer than any other lock, and short enough to be a length of time.
const UNTIL_RELEASED: Duration = DAY.saturating_mul(3650);

const fn clause(place: &'static str, demand: Demand) -> Clause {
    Clause { place, demand }
}

pub(super) const NIST_AAL2: [Clause; 12] = [
    clause("3.1.1.2", Demand::PasswordMinimum(8)),
    // The clause asks for a lifetime by drift, delay and typing; RFC 6238 5.2 has the number, one step.
    clause("3.1.4, which names no number", Demand::Skew(1)),
    clause("2.2.3, should", Demand::Idle(HOUR)),
    clause("2.2.3", Demand::InputAlone),
    clause("2.2.3", Demand::SomethingWithoutTty),
    clause("2.2.3", Demand::InhibitMax(HOUR)),
    clause("2.2.3", Demand::UserExtend(0)),
    clause("2.2.3, should", Demand::Lifetime(DAY)),
    clause("5.2", Demand::AtIdle(AtLimit::Terminate)),
    clause("5.2", Demand::AtLifetime(AtLimit::Terminate)),
    clause("2.2", Demand::TwoKinds),
    clause("2.2", Demand::NoDelay),
];

pub(super) const PCI_DSS_4: [Clause; 12] = [
    clause("8.3.6", Demand::PasswordMinimum(12)),
    clause("8.3.4", Demand::Attempts(10)),
    clause("8.3.4, which names no time", Demand::Window(MINUTE.saturating_mul(15))),
    clause("8.3.4", Demand::Lock(MINUTE.saturating_mul(30))),
    clause("10.5.1", Demand::HistoryKeep(DAY.saturating_mul(365))),
    clause("8.2.8", Demand::Idle(MINUTE.saturating_mul(15))),
    clause("8.2.8", Demand::InputAlone),
    clause("8.2.8", Demand::SomethingWithoutTty),
    clause("8.2.8", Demand::InhibitMax(MINUTE.saturating_mul(15))),
    clause("8.2.8", Demand::UserExtend(0)),
    clause("8.4.2, 8.5.1", Demand::TwoKinds),
    clause("8.4.2, 8.5.1", Demand::NoDelay),
];

pub(super) const STIG_RHEL_9: [Clause; 11] = [
    clause("V-258107, RHEL-09-611090", Demand::PasswordMinimum(15)),
    clause("V-258054, RHEL-09-411075", Demand::Attempts(3)),
    clause("V-258056, RHEL-09-411085", Demand::Window(MINUTE.saturating_mul(15))),
    clause("V-258057, RHEL-09-411090", Demand::Lock(UNTIL_RELEASED)),
    clause("V-258068, RHEL-09-412035", Demand::Idle(MINUTE.saturating_mul(10))),
    clause("V-258068, RHEL-09-412035", Demand::InputAlone),
    clause("V-258077, RHEL-09-412080", Demand::SomethingWithoutTty),
    clause("V-258077, RHEL-09-412080", Demand::InhibitMax(MINUTE.saturating_mul(10))),
    clause("V-258077, RHEL-09-412080", Demand::UserExtend(0)),
    clause("V-258077, RHEL-09-412080", Demand::AtIdle(AtLimit::Hangup)),
    clause("V-258069, RHEL-09-412040", Demand::MaxSessions(10)),
];

pub(super) const CIS: [Clause; 9] = [
    clause("5.3.3.2.2", Demand::PasswordMinimum(14)),
    clause("5.3.3.1.1", Demand::Attempts(5)),
    clause("5.3.3.1.1, which names no time", Demand::Window(MINUTE.saturating_mul(15))),
    clause("5.3.3.1.2", Demand::Lock(MINUTE.saturating_mul(15))),
    clause("5.4.3.2", Demand::Idle(MINUTE.saturating_mul(15))),
    clause("5.4.3.2", Demand::InputAlone),
    clause("5.4.3.2", Demand::SomethingWithoutTty),
    clause("5.4.3.2", Demand::InhibitMax(MINUTE.saturating_mul(15))),
    clause("5.4.3.2", Demand::UserExtend(0)),
];
