//! Enrolling within a login: what a rule says about users who have no authenticator for `totp`, and how long that may be put off.

use std::{collections::BTreeMap, time::Duration};

use crate::time::WallTime;

/// More than any grace is long. Counting ends here, far from where numbers do.
const USED_UP: Duration = Duration::from_secs(100 * 366 * 86_400);

/// What a login is like for a user who has no authenticator, where everything but `totp` was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enroll {
    /// The login itself asks to enrol one, and goes on only then.
    Required,
    /// As long as this after the first such login it can be put off; then it is required.
    Grace(Duration),
    /// It is offered, and can be put off for ever.
    Optional,
    /// Only an administrator's bypass code admits to enrolling one.
    Ticket,
}

impl Enroll {
    /// The word for its mode.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Grace(_) => "grace",
            Self::Optional => "optional",
            Self::Ticket => "ticket",
        }
    }

    /// Whether a login may do without an authenticator at all.
    #[must_use]
    pub const fn can_be_put_off(self) -> bool {
        match self {
            Self::Grace(_) | Self::Optional => true,
            Self::Required | Self::Ticket => false,
        }
    }
}

/// Whether enrolling can be put off now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It cannot.
    None,
    /// It can, and for that long.
    For(Duration),
    /// It always can.
    Always,
}

/// How much of the grace was used up, by the rule that gives it. It is counted from login to login: a clock that is set back
/// gives none of it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graces(BTreeMap<String, Grace>);

/// One user's grace under one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// How much of it is used up.
    pub used: Duration,
    /// The login up to which that was counted.
    pub latest: WallTime,
}

impl Graces {
    /// Counts a login under `rule` at `now`; tells what is left. The first one begins the grace.
    pub fn login(&mut self, rule: &str, length: Duration, now: WallTime) -> Leave {
        let grace = self.0.entry(rule.to_owned()).or_insert(Grace { used: Duration::ZERO, latest: now });
        grace.used = grace.used.saturating_add(now.saturating_since(grace.latest)).min(USED_UP);
        grace.latest = now;
        match length.checked_sub(grace.used) {
            Some(left) if !left.is_zero() => Leave::For(left),
            Some(_) | None => Leave::None,
        }
    }

    /// The rules and what was used of their grace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Grace)> {
        self.0.iter().map(|(rule, grace)| (rule.as_str(), *grace))
    }
}

impl FromIterator<(String, Grace)> for Graces {
    fn from_iter<I: IntoIterator<Item = (String, Grace)>>(graces: I) -> Self {
        Self(graces.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    fn day(day: u64) -> WallTime {
        WallTime::new(DAY * u32::try_from(day).unwrap())
    }

    #[test]
    fn grace_runs_from_the_first_login_to_its_end() {
        let mut graces = Graces::default();
        assert_eq!(graces.login("ssh", WEEK, day(100)), Leave::For(WEEK));
        assert_eq!(graces.login("ssh", WEEK, day(106)), Leave::For(DAY));
        assert_eq!(graces.login("ssh", WEEK, day(107)), Leave::None);
        assert_eq!(graces.login("sudo", WEEK, day(107)), Leave::For(WEEK), "each rule gives its own");
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_first_login_makes_no_endless_grace() {
        let mut graces = Graces::default();
        assert_eq!(graces.login("ssh", WEEK, day(90_000)), Leave::For(WEEK));
        assert_eq!(graces.login("ssh", WEEK, day(100)), Leave::For(WEEK));
        assert_eq!(graces.login("ssh", WEEK, day(107)), Leave::None);
    }

    proptest! {
        #[test]
        fn a_grace_that_ended_stays_ended_however_the_clock_is_set(days in prop::collection::vec(0_u64..40, 1..40)) {
            let (mut graces, mut has_ended) = (Graces::default(), false);
            for today in days {
                let leave = graces.login("ssh", WEEK, day(today));
                prop_assert!(!has_ended || leave == Leave::None);
                has_ended = leave == Leave::None;
            }
        }
    }
}
