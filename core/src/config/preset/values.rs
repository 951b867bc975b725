//! The values that standards speak of, as they hold in one place: in the file's own tables, or in one rule.

use std::time::Duration;

use crate::{config::Config, policy::Limits, rule::SessionPolicy, throttle::ThrottlePolicy};

/// Values that a demand can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Values {
    pub(super) minimum: u32,
    pub(super) skew: u8,
    pub(super) throttle: ThrottlePolicy,
    pub(super) history_keep: Duration,
    pub(super) limits: Limits,
}

impl Values {
    /// Those of `config` where `session` is what is granted.
    pub(super) fn of(config: &Config, session: &SessionPolicy) -> Self {
        Self {
            minimum: config.password.minimum,
            skew: config.totp.skew,
            throttle: config.throttle,
            history_keep: config.history_keep,
            limits: session.limits.clone(),
        }
    }

    /// Puts them into the tables of `config`.
    pub(super) fn put_into(self, config: &mut Config) {
        config.password.minimum = self.minimum;
        config.totp.skew = self.skew;
        config.throttle = self.throttle;
        config.history_keep = self.history_keep;
        config.session.limits = self.limits;
    }
}
