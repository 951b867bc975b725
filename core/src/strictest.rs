//! The strictest of two policies, key by key: for a session of which nobody can tell by which of several rules it is.

use crate::{
    policy::{ActivityKind, AtLimit, AtLogout, AtMax, Limits, WhenUnavailable, WithoutTty},
    rule::SessionPolicy,
};

impl SessionPolicy {
    /// What satisfies both.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        Self {
            limits: self.limits.strictest(&other.limits),
            when_unavailable: match (self.when_unavailable, other.when_unavailable) {
                (WhenUnavailable::Open, WhenUnavailable::Open) => WhenUnavailable::Open,
                (WhenUnavailable::Deny, _) | (_, WhenUnavailable::Deny) => WhenUnavailable::Deny,
            },
        }
    }
}

impl Limits {
    fn strictest(&self, other: &Self) -> Self {
        // What happens at the most goes along with the number: apart they would refuse a session that neither refuses.
        let number = |limits: &Self| limits.max_sessions.unwrap_or(u32::MAX);
        let at_max = match number(self).cmp(&number(other)) {
            std::cmp::Ordering::Less => self.at_max,
            std::cmp::Ordering::Greater => other.at_max,
            std::cmp::Ordering::Equal => refusing(self.at_max, other.at_max),
        };
        Self {
            idle: shorter(self.idle, other.idle),
            lifetime: shorter(self.lifetime, other.lifetime),
            // The shorter one fits before either limit.
            warn: self.warn.min(other.warn),
            grace: self.grace.min(other.grace),
            at_idle: self.at_idle.harder(other.at_idle),
            at_lifetime: self.at_lifetime.harder(other.at_lifetime),
            at_logout: match (self.at_logout, other.at_logout) {
                (AtLogout::Keep, AtLogout::Keep) => AtLogout::Keep,
                (AtLogout::Terminate, _) | (_, AtLogout::Terminate) => AtLogout::Terminate,
            },
            activity: match (self.activity, other.activity) {
                (ActivityKind::InputOutput, ActivityKind::InputOutput) => ActivityKind::InputOutput,
                (ActivityKind::Input, _) | (_, ActivityKind::Input) => ActivityKind::Input,
            },
            without_tty: match (self.without_tty, other.without_tty) {
                (WithoutTty::Idle, _) | (_, WithoutTty::Idle) => WithoutTty::Idle,
                (WithoutTty::Io(one), WithoutTty::Io(other)) => WithoutTty::Io(one.max(other)),
                (WithoutTty::Io(bytes), WithoutTty::Ignore) | (WithoutTty::Ignore, WithoutTty::Io(bytes)) => {
                    WithoutTty::Io(bytes)
                }
                (WithoutTty::Ignore, WithoutTty::Ignore) => WithoutTty::Ignore,
            },
            max_sessions: shorter(self.max_sessions, other.max_sessions),
            at_max,
            user_extend: self.user_extend.min(other.user_extend),
            inhibit_max: self.inhibit_max.min(other.inhibit_max),
        }
    }
}

impl AtLimit {
    /// The one of the two that ends more.
    #[must_use]
    pub const fn harder(self, other: Self) -> Self {
        match (self, other) {
            (Self::Terminate, _) | (_, Self::Terminate) => Self::Terminate,
            (Self::Hangup, _) | (_, Self::Hangup) => Self::Hangup,
            (Self::Lock, Self::Lock) => Self::Lock,
        }
    }
}

/// The smaller one; none is no limit.
fn shorter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

const fn refusing(one: AtMax, other: AtMax) -> AtMax {
    match (one, other) {
        (AtMax::Supersede, AtMax::Supersede) => AtMax::Supersede,
        (AtMax::Refuse, _) | (_, AtMax::Refuse) => AtMax::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn policy(limits: Limits) -> SessionPolicy {
        SessionPolicy { limits, when_unavailable: WhenUnavailable::Open }
    }

    #[test]
    fn of_each_key_the_stricter_value_is_taken_from_whichever_policy_has_it() {
        let one = Limits {
            idle: None,
            lifetime: Some(HOUR),
            warn: Duration::from_secs(600),
            grace: Duration::ZERO,
            at_idle: AtLimit::Terminate,
            at_lifetime: AtLimit::Hangup,
            at_logout: AtLogout::Keep,
            activity: ActivityKind::InputOutput,
            without_tty: WithoutTty::Ignore,
            max_sessions: Some(1),
            at_max: AtMax::Supersede,
            user_extend: 3,
            inhibit_max: HOUR,
        };
        let other = Limits { at_logout: AtLogout::Terminate, ..Limits::default() };
        let strictest = policy(one.clone()).strictest(&policy(other.clone()));
        let expected = Limits {
            lifetime: Some(HOUR),
            grace: Duration::ZERO,
            at_idle: AtLimit::Terminate,
            at_logout: AtLogout::Terminate,
            max_sessions: Some(1),
            at_max: AtMax::Supersede,
            ..Limits::default()
        };
        assert_eq!(strictest, policy(expected));
        let refusing = policy(Limits { max_sessions: Some(1), ..other });
        assert_eq!(refusing.strictest(&policy(one)).limits.at_max, AtMax::Refuse, "both have that number");
    }

    #[test]
    fn one_that_opens_nothing_without_the_daemon_is_enough() {
        let deny = SessionPolicy { when_unavailable: WhenUnavailable::Deny, ..SessionPolicy::default() };
        for (one, other) in [(&deny, &SessionPolicy::default()), (&SessionPolicy::default(), &deny)] {
            assert_eq!(one.strictest(other).when_unavailable, WhenUnavailable::Deny);
        }
    }

    fn any_limits() -> impl Strategy<Value = Limits> {
        let span = || prop::option::of((1_u64..100).prop_map(Duration::from_secs));
        let at = || prop::sample::select(vec![AtLimit::Hangup, AtLimit::Terminate, AtLimit::Lock]);
        let without =
            prop::sample::select(vec![WithoutTty::Idle, WithoutTty::Ignore, WithoutTty::Io(1), WithoutTty::Io(9)]);
        let at_max = prop::sample::select(vec![AtMax::Refuse, AtMax::Supersede]);
        (span(), span(), at(), at(), without, prop::option::of(1_u32..5), at_max).prop_map(
            |(idle, lifetime, at_idle, at_lifetime, without_tty, max_sessions, at_max)| Limits {
                idle,
                lifetime,
                at_idle,
                at_lifetime,
                without_tty,
                max_sessions,
                at_max,
                ..Limits::default()
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter_and_once_is_enough(one in any_limits(), other in any_limits()) {
            let strictest = one.strictest(&other);
            prop_assert_eq!(&strictest, &other.strictest(&one));
            prop_assert_eq!(&strictest, &strictest.strictest(&one));
            prop_assert_eq!(&one, &one.strictest(&one));
        }
    }
}
