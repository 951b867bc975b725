//! How often one may fail: per (user, source) and per user. Counters live in the user's state on disk, so they hold across
//! parallel logins and reboots. A wait is a time before which nothing is judged, never a sleep.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, time::Duration};

use crate::{rule::Remote, time::WallTime};

/// Where attempts come from, as the throttle tells them apart. IPv6 by its /64: one customer owns as many addresses as he likes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This machine, by the real uid of who calls: 0 is the console, where login runs as root; su and sudo run as their caller. One
    /// source for all would let each user lock the others out.
    Local(u32),
    /// A remote address or network.
    Network(IpAddr),
    /// A remote host that is no address.
    Unknown,
}

/// The uid that calls from this machine where no account has it. All such uids are one source: a range of subordinate uids lends its
/// owner thousands.
pub const NOBODY: u32 = u32::MAX;

impl Source {
    /// The console, and whatever else root calls.
    pub const CONSOLE: Self = Self::Local(0);

    /// Where an attempt from `remote` comes from, if a process of `calling_uid` makes it.
    #[must_use]
    pub fn new(remote: Remote, calling_uid: u32) -> Self {
        match remote {
            Remote::Local => Self::Local(calling_uid),
            Remote::Unknown => Self::Unknown,
            Remote::Address(address) => address.into(),
        }
    }

    const fn is_local(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Network(_) | Self::Unknown => false,
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Network(address),
            IpAddr::V6(host) => {
                let network = u128::from(host) & !u128::from(u64::MAX);
                Self::Network(IpAddr::V6(network.into()))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(0) => f.write_str("local"),
            Self::Local(NOBODY) => f.write_str("local:nobody"),
            Self::Local(uid) => write!(f, "local:{uid}"),
            Self::Unknown => f.write_str("unknown"),
            Self::Network(IpAddr::V4(address)) => address.fmt(f),
            Self::Network(IpAddr::V6(network)) => write!(f, "{network}/64"),
        }
    }
}

/// A word that names no source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no source of logins: expected local, local:UID, unknown, an IPv4 address or an IPv6 /64")]
pub struct BadSource;

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            // Also what was written when all of this machine was one source.
            "local" => Ok(Self::CONSOLE),
            "local:nobody" => Ok(Self::Local(NOBODY)),
            "unknown" => Ok(Self::Unknown),
            _ => match text.strip_prefix("local:") {
                Some(uid) => uid.parse().map(Self::Local).map_err(|_no_uid| BadSource),
                None => network(text),
            },
        }
    }
}

fn network(text: &str) -> Result<Source, BadSource> {
    let address: IpAddr = text.strip_suffix("/64").unwrap_or(text).parse().map_err(|_no_address| BadSource)?;
    Ok(Source::from(address))
}

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

/// The pace at which this machine's own console goes on beyond the ceiling, and the longest that root waits there.
const CONSOLE_WAIT: Duration = Duration::from_secs(30);

/// The longest that a lock grows to, unless the first is longer already (NIST SP 800-63B-4 §3.2.2: up to an hour).
const LONGEST_LOCK: Duration = Duration::from_secs(3600);

/// After so long without a failure a source starts anew.
const LOCKS_FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// How many sources are remembered a user. What is forgotten still counts towards the ceiling.
const REMEMBERED: usize = 64;

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
    /// Not from here at all, until an administrator unlocks or the user succeeds from a source known before.
    Stopped,
}

impl Throttle {
    /// Whether an attempt by `caller` at `now` is judged. Moves a wait that a clock set back has made longer than any lock.
    pub fn gate(&mut self, policy: &ThrottlePolicy, caller: &Caller, now: WallTime) -> Gate {
        let tally = self.sources.get_mut(&caller.source);
        let known = tally.as_ref().is_some_and(|tally| tally.succeeded.is_some());
        if !caller.source.is_local() && self.consecutive >= CEILING && !known {
            return Gate::Stopped;
        }
        let Some(tally) = tally else { return Gate::Open };
        let longest = now.saturating_add(policy.wait(caller, u32::MAX));
        tally.not_before = tally.not_before.min(longest);
        if tally.not_before > now { Gate::Wait(tally.not_before) } else { Gate::Open }
    }

    /// Counts a failure.
    pub fn failed(&mut self, policy: &ThrottlePolicy, caller: &Caller, now: WallTime) {
        if !caller.source.is_local() {
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
        tally.failures += 1;
        tally.touched = now;
        if tally.failures >= policy.attempts {
            tally.not_before = now.saturating_add(policy.wait(caller, tally.locks));
            tally.locks = tally.locks.saturating_add(1);
            tally.failures = 0;
        } else if beyond_ceiling && caller.source.is_local() {
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
            *tally = Tally { failures: 0, locks: 0, not_before: WallTime::default(), ..*tally };
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

    /// Keeps the map small: strangers go first, the longest untouched first.
    fn forget_surplus(&mut self, keep: &Source) {
        while self.sources.len() > REMEMBERED {
            let oldest = self
                .sources
                .iter()
                .filter(|(source, _)| *source != keep)
                .min_by_key(|(_, tally)| (tally.succeeded.is_some(), tally.touched))
                .map(|(source, _)| source.clone());
            match oldest {
                Some(source) => self.sources.remove(&source),
                None => return,
            };
        }
    }
}

impl ThrottlePolicy {
    /// How long the lock after so many others lasts.
    fn wait(&self, caller: &Caller, locks_before: u32) -> Duration {
        if caller.is_root && caller.source.is_local() {
            return self.lock.min(CONSOLE_WAIT);
        }
        let growth = 1_u32.checked_shl(locks_before).unwrap_or(u32::MAX);
        self.lock.saturating_mul(growth).min(self.lock.max(LONGEST_LOCK))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: ThrottlePolicy =
        ThrottlePolicy { attempts: 5, window: Duration::from_secs(900), lock: Duration::from_secs(900) };

    fn at(seconds: u64) -> WallTime {
        WallTime::new(Duration::from_secs(1_000_000 + seconds))
    }

    fn from(address: &str) -> Caller {
        Caller { source: Source::new(Remote::from_rhost(Some(address)), 0), is_root: false }
    }

    fn console(is_root: bool) -> Caller {
        Caller { source: Source::CONSOLE, is_root }
    }

    fn called_by(uid: u32) -> Caller {
        Caller { source: Source::Local(uid), is_root: false }
    }

    #[test]
    fn the_fifth_failure_locks_that_source_and_no_other() {
        let mut throttle = Throttle::default();
        for second in 0..5 {
            assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(second)), Gate::Open);
            throttle.failed(&POLICY, &from("10.0.0.1"), at(second));
        }
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(5)), Gate::Wait(at(904)));
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.2"), at(5)), Gate::Open);
        assert_eq!(throttle.gate(&POLICY, &console(false), at(5)), Gate::Open);
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(904)), Gate::Open);
    }

    #[test]
    fn each_lock_is_twice_the_one_before_up_to_an_hour_until_a_success() {
        let (mut throttle, mut now) = (Throttle::default(), 0);
        let mut lock = |throttle: &mut Throttle| {
            for _ in 0..5 {
                throttle.failed(&POLICY, &from("10.0.0.1"), at(now));
            }
            let Gate::Wait(until) = throttle.gate(&POLICY, &from("10.0.0.1"), at(now)) else { panic!("open") };
            let wait = until.saturating_since(at(now)).as_secs();
            now += wait;
            wait
        };
        let waits: Vec<u64> = (0..4).map(|_| lock(&mut throttle)).collect();
        assert_eq!(waits, [900, 1800, 3600, 3600]);
        throttle.succeeded(&from("10.0.0.1"), at(100_000));
        assert_eq!(lock(&mut throttle), 900);
    }

    #[test]
    fn failures_older_than_the_window_do_not_count() {
        let mut throttle = Throttle::default();
        for second in [0, 1, 2, 3, 903, 904] {
            throttle.failed(&POLICY, &from("10.0.0.1"), at(second));
        }
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(905)), Gate::Open);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let mut throttle = Throttle::default();
        for host in 1..=5 {
            throttle.failed(&POLICY, &from(&format!("2001:db8::{host}")), at(0));
        }
        assert!(matches!(throttle.gate(&POLICY, &from("2001:db8::99"), at(1)), Gate::Wait(_)));
        assert_eq!(throttle.gate(&POLICY, &from("2001:db8:0:1::1"), at(1)), Gate::Open);
    }

    #[test]
    fn at_the_ceiling_strangers_stop_and_known_sources_and_the_console_go_on() {
        let mut throttle = Throttle::default();
        throttle.succeeded(&from("192.0.2.7"), at(0));
        for n in 0..CEILING {
            throttle.failed(&POLICY, &from(&format!("10.0.{}.{}", n / 200, n % 200)), at(1));
        }
        assert_eq!(throttle.gate(&POLICY, &from("10.9.9.9"), at(2)), Gate::Stopped);
        assert_eq!(throttle.gate(&POLICY, &from("192.0.2.7"), at(2)), Gate::Open);
        assert_eq!(throttle.gate(&POLICY, &console(false), at(2)), Gate::Open);
        throttle.failed(&POLICY, &console(false), at(2));
        assert_eq!(throttle.gate(&POLICY, &console(false), at(3)), Gate::Wait(at(32)), "slowly");
        throttle.succeeded(&console(false), at(40));
        assert_eq!(throttle.gate(&POLICY, &from("10.9.9.9"), at(41)), Gate::Open);
    }

    #[test]
    fn the_network_never_locks_a_console_and_root_never_waits_long_there() {
        let mut throttle = Throttle::default();
        for _ in 0..50 {
            throttle.failed(&POLICY, &console(true), at(0));
        }
        assert_eq!(throttle.gate(&POLICY, &console(true), at(0)), Gate::Wait(at(30)));
        assert_eq!(throttle.gate(&POLICY, &console(true), at(30)), Gate::Open);
    }

    #[test]
    fn who_calls_su_in_vain_locks_himself_and_neither_the_user_nor_the_console() {
        let (mut throttle, bob, alice) = (Throttle::default(), called_by(1001), called_by(1000));
        for _ in 0..5 {
            throttle.failed(&POLICY, &bob, at(0));
        }
        assert_eq!(throttle.gate(&POLICY, &alice, at(1)), Gate::Open);
        assert_eq!(throttle.gate(&POLICY, &console(false), at(1)), Gate::Open);
        throttle.succeeded(&alice, at(1));
        assert_eq!(
            throttle.gate(&POLICY, &bob, at(2)),
            Gate::Wait(at(900)),
            "the user's own success lifts no other's lock"
        );
    }

    #[test]
    fn the_word_of_an_older_state_is_the_console() {
        assert_eq!("local".parse(), Ok(Source::CONSOLE));
        for word in ["local:", "local:-1", "local:alice", "local:4294967296"] {
            assert_eq!(word.parse::<Source>(), Err(BadSource), "{word}");
        }
    }

    #[test]
    fn a_clock_set_back_lengthens_no_wait_beyond_the_lock() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            throttle.failed(&POLICY, &from("10.0.0.1"), at(86_400));
        }
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(0)), Gate::Wait(at(3600)));
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(3600)), Gate::Open);
    }

    #[test]
    fn an_unlock_lifts_waits_and_remembers_who_succeeded() {
        let mut throttle = Throttle::default();
        throttle.succeeded(&from("192.0.2.7"), at(0));
        for _ in 0..CEILING {
            throttle.failed(&POLICY, &from("10.0.0.1"), at(1));
        }
        throttle.unlock();
        assert_eq!(throttle.gate(&POLICY, &from("10.0.0.1"), at(2)), Gate::Open);
        assert_eq!(throttle.last_success(), Some((at(0), &from("192.0.2.7").source)));
    }

    proptest! {
        #[test]
        fn no_source_is_judged_more_often_than_the_policy_allows(gaps in prop::collection::vec(0_u64..400, 1..300)) {
            let (mut throttle, mut now, mut judged) = (Throttle::default(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                if throttle.gate(&POLICY, &from("10.0.0.1"), at(now)) == Gate::Open {
                    judged.push(now);
                    throttle.failed(&POLICY, &from("10.0.0.1"), at(now));
                }
            }
            // A window that is not anchored at the first failure may see the tail of one run and the head of the next.
            for start in &judged {
                let inside = judged.iter().filter(|at| (*start..*start + 900).contains(at)).count();
                prop_assert!(inside <= 9, "{inside} judged within one window");
            }
        }

        #[test]
        fn the_map_of_sources_stays_small(hosts in prop::collection::vec(any::<u32>(), 0..300)) {
            let mut throttle = Throttle::default();
            for (n, host) in hosts.iter().enumerate() {
                let caller = from(&std::net::Ipv4Addr::from(*host).to_string());
                if n % 3 == 0 { throttle.succeeded(&caller, at(n as u64)) } else { throttle.failed(&POLICY, &caller, at(n as u64)) }
                prop_assert!(throttle.sources.contains_key(&caller.source));
            }
            prop_assert!(throttle.sources.len() <= REMEMBERED);
        }

        #[test]
        fn a_source_is_read_as_it_is_printed(bits in any::<u128>(), v4 in any::<u32>()) {
            for source in [
                Source::CONSOLE, Source::Local(v4), Source::Local(NOBODY), Source::Unknown,
                Source::from(IpAddr::V4(v4.into())), Source::from(IpAddr::V6(bits.into())),
            ] {
                prop_assert_eq!(source.to_string().parse(), Ok(source));
            }
        }
    }
}
