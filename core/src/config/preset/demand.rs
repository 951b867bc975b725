//! One demand on one key: which value would do, whether one does, and the weakest that does.

use std::time::Duration;

use super::{Preset, Weaker, values::Values};
use crate::{
    config::{Config, written},
    policy::{ActivityKind, AtLimit, WithoutTty},
};

/// A demand, and where the standard makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The place in the standard.
    pub place: &'static str,
    /// What is asked.
    pub demand: Demand,
}

/// What a standard can ask of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `password.minimum` at least.
    PasswordMinimum(u32),
    /// `totp.skew` at most: a code is good for so many steps on each side of its own.
    Skew(u8),
    /// `throttle.attempts` at most.
    Attempts(u32),
    /// `throttle.window` at least: failures that are forgotten at once bring no lock.
    Window(Duration),
    /// `throttle.lock` at least.
    Lock(Duration),
    /// `history.keep` at least.
    HistoryKeep(Duration),
    /// `session.idle` at most.
    Idle(Duration),
    /// `session.activity` is the person's own: what a program writes is none.
    InputAlone,
    /// `session.without_tty` leaves no session out, and takes no keepalive for activity.
    SomethingWithoutTty,
    /// `session.inhibit_max` at most: no command holds off for longer what idleness must end.
    InhibitMax(Duration),
    /// `session.user_extend` at most.
    UserExtend(u32),
    /// `session.lifetime` at most.
    Lifetime(Duration),
    /// `session.at_idle` ends at least that much.
    AtIdle(AtLimit),
    /// `session.at_lifetime` ends at least that much.
    AtLifetime(AtLimit),
    /// `session.max_sessions` at most.
    MaxSessions(u32),
    /// `methods` of a rule for logins from elsewhere prove both kinds of factor, each of them.
    TwoKinds,
    /// `enroll` of such a rule lets nobody in without the second.
    NoDelay,
}

/// Where a demand is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Of the machine as a whole.
    Machine,
    /// Of `[session]`, and of the `session` of each rule.
    Sessions,
    /// Of the methods of each rule.
    Methods,
    /// Of how each rule enrols.
    Enrolment,
}

/// The smallest that no keepalive reaches; the default.
const WITHOUT_KEEPALIVES: u64 = 64 * 1024;

impl Clause {
    /// What stands in the file's own tables there, as they write it. Empty for what rules alone have.
    #[must_use]
    pub fn value(&self, config: &Config) -> String {
        self.demand.value(&Values::of(config, &config.session))
    }

    /// What is weaker there, if it is.
    pub(super) fn weaker(&self, preset: Preset, values: &Values) -> Option<Weaker> {
        (!self.demand.is_met(values)).then(|| Weaker {
            key: self.demand.key(),
            rule: None,
            value: self.demand.value(values),
            required: self.demand.required(),
            preset,
            clause: self.place,
            reason: None,
        })
    }
}

impl Demand {
    /// The key that it is about, behind its table.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::PasswordMinimum(_) => "password.minimum",
            Self::Skew(_) => "totp.skew",
            Self::Attempts(_) => "throttle.attempts",
            Self::Window(_) => "throttle.window",
            Self::Lock(_) => "throttle.lock",
            Self::HistoryKeep(_) => "history.keep",
            Self::Idle(_) => "session.idle",
            Self::InputAlone => "session.activity",
            Self::SomethingWithoutTty => "session.without_tty",
            Self::InhibitMax(_) => "session.inhibit_max",
            Self::UserExtend(_) => "session.user_extend",
            Self::Lifetime(_) => "session.lifetime",
            Self::AtIdle(_) => "session.at_idle",
            Self::AtLifetime(_) => "session.at_lifetime",
            Self::MaxSessions(_) => "session.max_sessions",
            Self::TwoKinds => "methods",
            Self::NoDelay => "enroll",
        }
    }

    /// What would do, in words.
    #[must_use]
    pub fn required(&self) -> String {
        match self {
            Self::PasswordMinimum(least) => format!("at least {least}"),
            Self::Skew(most) => format!("at most {most}"),
            Self::Attempts(most) | Self::UserExtend(most) | Self::MaxSessions(most) => format!("at most {most}"),
            Self::Window(least) | Self::Lock(least) | Self::HistoryKeep(least) => {
                format!("at least \"{}\"", written(*least))
            }
            Self::Idle(most) | Self::Lifetime(most) | Self::InhibitMax(most) => {
                format!("at most \"{}\"", written(*most))
            }
            Self::InputAlone => "\"input\"".to_owned(),
            Self::SomethingWithoutTty => "\"idle\" or at least \"io:64KiB\"".to_owned(),
            Self::AtIdle(least) | Self::AtLifetime(least) => match least {
                AtLimit::Lock => "any".to_owned(),
                AtLimit::Hangup => "\"hangup\" or \"terminate\"".to_owned(),
                AtLimit::Terminate => "\"terminate\"".to_owned(),
            },
            Self::TwoKinds => "what one knows and what one has in every method of a login from elsewhere, as \
                               [\"password\", \"totp\"] (a key may have no passphrase); or from = [\"local\"]"
                .to_owned(),
            Self::NoDelay => "\"required\" or \"ticket\" for logins from elsewhere, or none".to_owned(),
        }
    }

    /// The value that it is about, as a file writes it.
    pub(super) fn value(&self, values: &Values) -> String {
        let Values { minimum, skew, throttle, history_keep, limits } = values;
        let word = |word: &str| format!("\"{word}\"");
        let limit = |limit: Option<Duration>| word(&limit.map_or_else(|| "none".to_owned(), written));
        match self {
            Self::PasswordMinimum(_) => minimum.to_string(),
            Self::Skew(_) => skew.to_string(),
            Self::Attempts(_) => throttle.attempts.to_string(),
            Self::Window(_) => limit(Some(throttle.window)),
            Self::Lock(_) => limit(Some(throttle.lock)),
            Self::HistoryKeep(_) => limit(Some(*history_keep)),
            Self::Idle(_) => limit(limits.idle),
            Self::InputAlone => word(limits.activity.as_str()),
            Self::SomethingWithoutTty => word(&limits.without_tty.to_string()),
            Self::InhibitMax(_) => limit(Some(limits.inhibit_max)),
            Self::UserExtend(_) => limits.user_extend.to_string(),
            Self::Lifetime(_) => limit(limits.lifetime),
            Self::AtIdle(_) => word(limits.at_idle.as_str()),
            Self::AtLifetime(_) => word(limits.at_lifetime.as_str()),
            Self::MaxSessions(_) => limits.max_sessions.map_or_else(|| word("none"), |most| most.to_string()),
            Self::TwoKinds | Self::NoDelay => String::new(),
        }
    }

    pub(super) const fn reach(&self) -> Reach {
        match self {
            Self::PasswordMinimum(_)
            | Self::Skew(_)
            | Self::Attempts(_)
            | Self::Window(_)
            | Self::Lock(_)
            | Self::HistoryKeep(_) => Reach::Machine,
            Self::Idle(_)
            | Self::InputAlone
            | Self::SomethingWithoutTty
            | Self::InhibitMax(_)
            | Self::UserExtend(_)
            | Self::Lifetime(_)
            | Self::AtIdle(_)
            | Self::AtLifetime(_)
            | Self::MaxSessions(_) => Reach::Sessions,
            Self::TwoKinds => Reach::Methods,
            Self::NoDelay => Reach::Enrolment,
        }
    }

    /// Whether these values do. What rules alone have is judged rule by rule.
    pub(super) fn is_met(&self, values: &Values) -> bool {
        let mut tightened = values.clone();
        self.tighten(&mut tightened);
        tightened == *values
    }

    /// Makes the value of its key as strong as it asks, and leaves it alone where it is.
    pub(super) fn tighten(&self, values: &mut Values) {
        let Values { minimum, skew, throttle, history_keep, limits } = values;
        match self {
            Self::PasswordMinimum(least) => raise(minimum, *least),
            Self::Skew(most) => lower(skew, *most),
            Self::Attempts(most) => lower(&mut throttle.attempts, *most),
            Self::Window(least) => raise(&mut throttle.window, *least),
            Self::Lock(least) => raise(&mut throttle.lock, *least),
            Self::HistoryKeep(least) => raise(history_keep, *least),
            Self::Idle(most) => limit(&mut limits.idle, *most),
            Self::InputAlone => limits.activity = ActivityKind::Input,
            Self::SomethingWithoutTty => limits.without_tty = governed(limits.without_tty),
            Self::InhibitMax(most) => lower(&mut limits.inhibit_max, *most),
            Self::UserExtend(most) => lower(&mut limits.user_extend, *most),
            Self::Lifetime(most) => limit(&mut limits.lifetime, *most),
            Self::AtIdle(least) => limits.at_idle = limits.at_idle.harder(*least),
            Self::AtLifetime(least) => limits.at_lifetime = limits.at_lifetime.harder(*least),
            Self::MaxSessions(most) => limit(&mut limits.max_sessions, *most),
            Self::TwoKinds | Self::NoDelay => {}
        }
    }
}

fn raise<T: Ord + Copy>(value: &mut T, least: T) {
    *value = least.max(*value);
}

fn lower<T: Ord + Copy>(value: &mut T, most: T) {
    *value = most.min(*value);
}

/// As [`lower`], for a value that may be none at all.
fn limit<T: Ord + Copy>(value: &mut Option<T>, most: T) {
    *value = Some(value.map_or(most, |value| value.min(most)));
}

const fn governed(without_tty: WithoutTty) -> WithoutTty {
    match without_tty {
        WithoutTty::Idle => WithoutTty::Idle,
        WithoutTty::Io(bytes) if bytes >= WITHOUT_KEEPALIVES => WithoutTty::Io(bytes),
        WithoutTty::Io(_) | WithoutTty::Ignore => WithoutTty::Io(WITHOUT_KEEPALIVES),
    }
}
