//! How often one may fail: per (user, source) and per user. Counters live in the user's state on disk, so they hold across
//! parallel logins and reboots. A wait is a time before which nothing is judged, never a sleep.

#[cfg(test)]
mod crowd_tests;
mod source;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

pub use source::{BadSource, NOBODY, ServiceName, Source};

use crate::time::WallTime;

/// The numbers of the configuration's `[throttle]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// Failures from one source within the window that bring the lock.
    pub attempts: u32,
    /// How long failures are added up.
    pub window: Duration,
    /// How long the first lock lasts.
    pub lock: Duration,
}

impl Default for ThrottlePolicy {
    fn default() -> Self {
        Self { attempts: 5, window: Duration::from_secs(900), lock: Duration::from_secs(900) }
    }
}

/// Consecutive failures after which a user's authenticators stop for strangers (NIST SP 800-63B-4 §3.2.2).
pub const CEILING: u32 = 100;

/// The pace at which this machine goes on beyond the ceiling, and the longest that root waits at its console.
const CONSOLE_WAIT: Duration = Duration::from_secs(30);

/// The longest that a lock grows to, unless the first is longer already (NIST SP 800-63B-4 §3.2.2: up to an hour).
const LONGEST_LOCK: Duration = Duration::from_secs(3600);

/// After so long without a failure a source starts anew.
const LOCKS_FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// How many sources elsewhere are remembered a user. A stranger who is forgotten still counts towards the ceiling.
const REMEMBERED: usize = 64;

/// How many on this machine. What they failed is counted nowhere else: whoever has more accounts than that here could take turns with
/// them and would never be stopped.
const REMEMBERED_HERE: usize = 512;

/// How many of them may be sources that the user has succeeded from. Strangers need room, or two of them would push each other's failures
/// out, and none would ever be locked.
const KNOWN: usize = 48;

/// What is known of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Failures since the window began.
    pub failures: u32,
    /// Locks since the last success. Each lasts twice as long as the one before.
    pub locks: u32,
    /// When the window began.
    pub since: WallTime,
    /// When the source last failed or succeeded.
    pub touched: WallTime,
    /// Nothing is judged before this.
    pub not_before: WallTime,
    /// The last success from here.
    pub succeeded: Option<WallTime>,
    /// Failures since the last success, of who is on this machine. Those from elsewhere are counted together.
    pub in_a_row: u32,
}

/// A user's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// By source.
    pub sources: BTreeMap<Source, Tally>,
    /// Failures from anywhere but this machine since the last success from anywhere.
    pub consecutive: u32,
}

/// Who tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// From where.
    pub source: Source,
    /// Whether the user is uid 0, whose console is never shut for long.
    pub is_root: bool,
}

/// A success to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Whose.
    pub caller: Caller,
    /// Whether all was proved that the user can.
    pub is_whole: bool,
}

/// Whether an attempt is judged.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It is.
    Open,
    /// Not before that time.
    Wait(WallTime),
    /// Not from here at all, until an administrator unlocks or, for who comes from elsewhere, the user succeeds from a source known before.
    Stopped,
}

impl Throttle {
    /// The counters that a state holds. What an older version counted apart and is one source now is counted together.
    pub fn read(consecutive: u32, tallies: impl IntoIterator<Item = (Source, Tally)>) -> Self {
        let mut sources = BTreeMap::<Source, Tally>::new();
        for (source, tally) in tallies {
            sources.entry(source).and_modify(|other| *other = other.and(tally)).or_insert(tally);
        }
        if let Some(tally) = sources.get_mut(&Source::LOOPBACK)
            && (tally.succeeded, tally.in_a_row) == (None, 0)
        {
            // It was counted among the strangers.
            tally.in_a_row = consecutive;
        }
        Self { sources, consecutive }
    }

    /// Whether an attempt by `caller` at `now` is judged. Moves a wait that a clock set back has made longer than any lock.
    pub fn gate(&mut self, policy: &ThrottlePolicy, caller: &Caller, now: WallTime) -> Gate {
        if self.is_stopped(&caller.source) {
            return Gate::Stopped;
        }
        let Some(tally) = self.sources.get_mut(&caller.source) else { return Gate::Open };
        let longest = now.saturating_add(policy.wait(caller, u32::MAX));
        tally.not_before = tally.not_before.min(longest);
        if tally.not_before > now { Gate::Wait(tally.not_before) } else { Gate::Open }
    }

    /// Whether nothing is judged from there any more: too many failures, and never a success. Never the console.
    #[must_use]
    pub fn is_stopped(&self, source: &Source) -> bool {
        let tally = self.sources.get(source).copied().unwrap_or_default();
        let in_a_row = match source {
            Source::Local(0) => 0,
            source if source.is_here() => tally.in_a_row,
            Source::Local(_) | Source::Service(_) | Source::Network(_) | Source::Unknown => self.consecutive,
        };
        in_a_row >= CEILING && tally.succeeded.is_none()
    }

    /// Counts a failure.
    pub fn failed(&mut self, policy: &ThrottlePolicy, caller: &Caller, now: WallTime) {
        if !caller.source.is_here() {
            self.consecutive = self.consecutive.saturating_add(1);
        }
        let beyond_ceiling = self.consecutive >= CEILING;
        let tally = self.sources.entry(caller.source.clone()).or_default();
        let window_is_over = now.saturating_since(tally.since) >= policy.window || tally.since > now;
        if tally.failures == 0 || window_is_over {
            *tally = Tally { failures: 0, since: now, ..*tally };
        }
        if now.saturating_since(tally.touched) >= LOCKS_FORGOTTEN {
            tally.locks = 0;
        }
        tally.failures = tally.failures.saturating_add(1);
        tally.in_a_row = tally.in_a_row.saturating_add(u32::from(caller.source.is_here()));
        tally.touched = now;
        if tally.failures >= policy.attempts {
            tally.not_before = now.saturating_add(policy.wait(caller, tally.locks));
            tally.locks = tally.locks.saturating_add(1);
            tally.failures = 0;
        } else if beyond_ceiling && caller.source.is_here() {
            tally.not_before = now.saturating_add(CONSOLE_WAIT.min(policy.lock));
        }
        self.forget_surplus(&caller.source);
    }

    /// Counts a success.
    pub fn count(&mut self, success: &Success, now: WallTime) {
        if success.is_whole { self.succeeded(&success.caller, now) } else { self.noted(&success.caller, now) }
    }

    /// Notes a success, which clears the counts (NIST SP 800-63B-4 §3.2.2).
    pub fn succeeded(&mut self, caller: &Caller, now: WallTime) {
        self.consecutive = 0;
        let tally = self.sources.entry(caller.source.clone()).or_default();
        *tally = Tally { since: now, touched: now, succeeded: Some(now), ..Tally::default() };
        self.forget_surplus(&caller.source);
    }

    /// Notes a success that has proved less than the user can: the source is known from now on, and every count stays.
    pub fn noted(&mut self, caller: &Caller, now: WallTime) {
        let tally = self.sources.entry(caller.source.clone()).or_default();
        (tally.touched, tally.succeeded) = (now, Some(now));
        self.forget_surplus(&caller.source);
    }

    /// Lifts every wait and count; what succeeded before stays known.
    pub fn unlock(&mut self) {
        self.consecutive = 0;
        self.sources.retain(|_, tally| tally.succeeded.is_some());
        for tally in self.sources.values_mut() {
            *tally =
                Tally { since: tally.since, touched: tally.touched, succeeded: tally.succeeded, ..Tally::default() };
        }
    }

    /// Whether the user has succeeded from that source.
    #[must_use]
    pub fn knows(&self, source: &Source) -> bool {
        self.sources.get(source).is_some_and(|tally| tally.succeeded.is_some())
    }

    /// The last success from anywhere.
    #[must_use]
    pub fn last_success(&self) -> Option<(WallTime, &Source)> {
        self.sources.iter().filter_map(|(source, tally)| Some((tally.succeeded?, source))).max_by_key(|(at, _)| *at)
    }

    /// Keeps the map small, those on this machine and those elsewhere apart: a crowd there must not wipe out who failed here.
    fn forget_surplus(&mut self, keep: &Source) {
        let most = if keep.is_here() { REMEMBERED_HERE } else { REMEMBERED };
        let alike = || self.sources.iter().filter(|(source, _)| source.is_here() == keep.is_here());
        let surplus = alike().count().saturating_sub(most);
        let known_surplus = alike().filter(|(_, tally)| tally.succeeded.is_some()).count().saturating_sub(KNOWN);
        if surplus == 0 && known_surplus == 0 {
            return;
        }
        let (mut known, mut others): (Vec<_>, Vec<_>) = alike()
            .filter(|(source, _)| *source != keep)
            .map(|(source, tally)| (tally.in_a_row, tally.touched, tally.succeeded.is_some(), source.clone()))
            .partition(|(_, _, is_known, _)| *is_known);
        // Who failed most in a row goes last, since that is counted nowhere else; of the others, who came last.
        known.sort();
        others.sort();
        known.truncate(known_surplus);
        others.truncate(surplus.saturating_sub(known.len()));
        for (_, _, _, source) in known.into_iter().chain(others) {
            self.sources.remove(&source);
        }
    }
}

impl Tally {
    /// Both as one: no failure, lock or wait is lost, and no success, or a known user would be stopped.
    fn and(self, other: Self) -> Self {
        Self {
            failures: self.failures.saturating_add(other.failures),
            locks: self.locks.max(other.locks),
            since: self.since.max(other.since),
            touched: self.touched.max(other.touched),
            not_before: self.not_before.max(other.not_before),
            succeeded: self.succeeded.max(other.succeeded),
            in_a_row: self.in_a_row.saturating_add(other.in_a_row),
        }
    }
}

impl ThrottlePolicy {
    /// How long the lock after so many others lasts.
    fn wait(&self, caller: &Caller, locks_before: u32) -> Duration {
        if caller.is_root && caller.source == Source::CONSOLE {
            return self.lock.min(CONSOLE_WAIT);
        }
        let growth = 1_u32.checked_shl(locks_before).unwrap_or(u32::MAX);
        self.lock.saturating_mul(growth).min(self.lock.max(LONGEST_LOCK))
    }
}
