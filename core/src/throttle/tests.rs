//! What is judged, and when.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::rule::Remote;

pub(super) const POLICY: ThrottlePolicy =
    ThrottlePolicy { attempts: 5, window: Duration::from_secs(900), lock: Duration::from_secs(900) };

pub(super) fn at(seconds: u64) -> WallTime {
    WallTime::new(Duration::from_secs(1_000_000 + seconds))
}

pub(super) fn from(address: &str) -> Caller {
    Caller { source: Source::new(Remote::from_rhost(Some(address)), 0, ServiceName::new("sshd")), is_root: false }
}

pub(super) fn console(is_root: bool) -> Caller {
    Caller { source: Source::CONSOLE, is_root }
}

pub(super) fn called_by(uid: u32) -> Caller {
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
fn all_of_loopback_is_one_source() {
    let mut throttle = Throttle::default();
    for address in ["127.0.0.1", "127.0.0.2", "127.255.3.4", "::1", "::ffff:127.0.0.9"] {
        assert_eq!(throttle.gate(&POLICY, &from(address), at(0)), Gate::Open, "{address}");
        throttle.failed(&POLICY, &from(address), at(0));
    }
    assert!(matches!(throttle.gate(&POLICY, &from("127.9.9.9"), at(1)), Gate::Wait(_)));
    assert_eq!(throttle.gate(&POLICY, &from("128.0.0.1"), at(1)), Gate::Open);
}

#[test]
fn ipv6_of_an_ipv4_address_is_that_address_and_other_ipv6_is_not() {
    let source = |address: &str| from(address).source;
    for same in ["::ffff:192.0.2.1", "2002:c000:201::1", "2002:c000:201:ffff::9", "64:ff9b::192.0.2.1"] {
        assert_eq!(source(same), source("192.0.2.1"), "{same}");
    }
    for other in ["::ffff:192.0.2.2", "2002:c000:202::1", "64:ff9b::192.0.2.2", "64:ff9b:1::c000:201", "::c000:201"] {
        assert_ne!(source(other), source("192.0.2.1"), "{other}");
    }
    // Nobody at a relay or a translator passes for this machine.
    for elsewhere in ["2002:7f00:1::1", "64:ff9b::127.0.0.1"] {
        assert_ne!(source(elsewhere), Source::LOOPBACK, "{elsewhere}");
    }
    assert_eq!(source("fe80::1%eth0"), source("fe80::2%eth1"), "a neighbour takes as many of these as he likes");
}

#[test]
fn whoever_is_on_this_machine_stops_no_user_elsewhere_by_whatever_address_of_loopback() {
    let mut throttle = Throttle::default();
    // Four in each window: no lock ever comes of them.
    for n in 0..CEILING {
        let (caller, now) = (from(&format!("127.0.{n}.1")), at(u64::from(n / 4) * 900));
        assert_eq!(throttle.gate(&POLICY, &caller, now), Gate::Open);
        throttle.failed(&POLICY, &caller, now);
    }
    let later = at(1_000_000);
    assert_eq!(throttle.gate(&POLICY, &from("127.1.2.3"), later), Gate::Stopped);
    for other in [from("10.9.9.9"), called_by(1000), called_by(NOBODY), console(false)] {
        assert_eq!(throttle.gate(&POLICY, &other, later), Gate::Open, "{other:?}");
    }
    throttle.unlock();
    assert_eq!(throttle.gate(&POLICY, &from("127.1.2.3"), later), Gate::Open);
}

#[test]
fn strangers_at_the_ceiling_do_not_stop_loopback_nor_who_succeeded_there() {
    let mut throttle = Throttle::default();
    for n in 0..CEILING {
        throttle.failed(&POLICY, &from(&format!("10.0.{}.{}", n / 200, n % 200)), at(1));
    }
    assert_eq!(throttle.gate(&POLICY, &from("10.9.9.9"), at(2)), Gate::Stopped);
    assert_eq!(throttle.gate(&POLICY, &from("127.0.0.1"), at(2)), Gate::Open);
    throttle.noted(&from("::1"), at(2));
    for n in 0..CEILING {
        throttle.failed(&POLICY, &from("127.0.0.1"), at(u64::from(n / 4) * 900));
    }
    assert_eq!(throttle.gate(&POLICY, &from("127.0.0.7"), at(1_000_000)), Gate::Open);
}

#[test]
fn what_an_older_version_told_apart_on_loopback_is_read_as_one_without_losing_any_of_it() {
    let tally = |failures, not_before: u64| Tally {
        failures,
        locks: failures,
        since: at(u64::from(failures)),
        touched: at(9),
        not_before: at(not_before),
        ..Tally::default()
    };
    let old = |address: &str, tally| (address.parse().unwrap(), tally);
    let read = |consecutive, succeeded| {
        let known = Tally { succeeded, ..tally(1, 0) };
        Throttle::read(
            consecutive,
            [old("127.0.0.1", known), old("127.0.0.5", tally(2, 500)), old("::/64", tally(1, 0))],
        )
    };
    let mut throttle = read(3, None);
    let one = throttle.sources[&Source::LOOPBACK];
    assert_eq!((throttle.sources.len(), one.failures, one.locks, one.in_a_row), (1, 4, 2, 3));
    assert_eq!(throttle.gate(&POLICY, &from("127.0.0.1"), at(10)), Gate::Wait(at(500)));
    throttle.failed(&POLICY, &from("127.0.0.77"), at(500));
    assert!(matches!(throttle.gate(&POLICY, &from("127.0.0.1"), at(501)), Gate::Wait(_)), "the fifth");
    assert_eq!(read(CEILING, None).gate(&POLICY, &from("127.0.0.1"), at(600)), Gate::Stopped, "as it was");
    assert_eq!(read(CEILING, Some(at(1))).gate(&POLICY, &from("127.0.0.1"), at(600)), Gate::Open, "as it was");
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
fn roots_short_wait_is_the_consoles_alone() {
    let (mut throttle, bob) = (Throttle::default(), Caller { is_root: true, ..called_by(1001) });
    for _ in 0..5 {
        throttle.failed(&POLICY, &bob, at(0));
    }
    assert_eq!(throttle.gate(&POLICY, &bob, at(1)), Gate::Wait(at(900)), "bob's su to root");
    assert_eq!(throttle.gate(&POLICY, &console(true), at(1)), Gate::Open);
}

#[test]
fn at_the_ceiling_who_calls_here_stops_himself_and_nobody_else() {
    let (mut throttle, bob, alice) = (Throttle::default(), called_by(1001), called_by(1000));
    throttle.succeeded(&alice, at(0));
    // Four in each window: no lock ever comes of them.
    for n in 0..CEILING {
        let now = at(u64::from(n / 4) * 900);
        assert_eq!(throttle.gate(&POLICY, &bob, now), Gate::Open);
        throttle.failed(&POLICY, &bob, now);
    }
    let later = at(1_000_000);
    assert_eq!(throttle.gate(&POLICY, &bob, later), Gate::Stopped);
    for other in [called_by(1002), from("10.9.9.9"), console(false), console(true)] {
        assert_eq!(throttle.gate(&POLICY, &other, later), Gate::Open, "{other:?}");
    }
    // Who has succeeded before is slowed by locks alone.
    for n in 0..CEILING {
        throttle.failed(&POLICY, &alice, at(u64::from(n / 4) * 900));
    }
    assert_eq!(throttle.gate(&POLICY, &alice, later), Gate::Open);
    throttle.unlock();
    assert_eq!(throttle.gate(&POLICY, &bob, later), Gate::Open);
}

#[test]
fn the_word_of_an_older_state_is_the_console() {
    assert_eq!("local".parse(), Ok(Source::CONSOLE));
    for word in [
        "local:",
        "local:-1",
        "local:alice",
        "local:4294967296",
        "service:",
        "service:a b",
        "service:a:b",
        "services:a",
    ] {
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

#[test]
fn strangers_do_not_push_each_others_failures_out() {
    let mut throttle = Throttle::default();
    for host in 0..200_u8 {
        throttle.succeeded(&from(&format!("192.0.2.{host}")), at(u64::from(host)));
    }
    let known = throttle.sources.values().filter(|tally| tally.succeeded.is_some()).count();
    assert_eq!(known, KNOWN);
    assert!(throttle.knows(&from("192.0.2.199").source), "who came last is known");
    let here = |uid| Caller { source: Source::Local(uid), is_root: false };
    for pair in [[here(1001), here(NOBODY)], [from("10.0.0.1"), from("10.0.0.2")]] {
        for _ in 0..POLICY.attempts {
            for caller in &pair {
                throttle.failed(&POLICY, caller, at(1000));
            }
        }
        for caller in &pair {
            assert!(matches!(throttle.gate(&POLICY, caller, at(1001)), Gate::Wait(_)), "{caller:?}");
        }
    }
}

#[test]
fn who_failed_here_is_not_forgotten_for_a_crowd_elsewhere_or_for_who_failed_less() {
    let mut throttle = Throttle::default();
    let here = |uid| Caller { source: Source::Local(uid), is_root: false };
    for _ in 0..3 {
        throttle.failed(&POLICY, &here(1001), at(0));
    }
    for n in 0..600 {
        let elsewhere = Caller { source: IpAddr::V4((0x0a00_0000 + n).into()).into(), is_root: false };
        throttle.failed(&POLICY, &elsewhere, at(1 + u64::from(n)));
        throttle.failed(&POLICY, &here(2000 + n), at(1 + u64::from(n)));
    }
    assert_eq!(throttle.sources.get(&Source::Local(1001)).map(|tally| tally.in_a_row), Some(3));
    assert_eq!(throttle.sources.len(), REMEMBERED + REMEMBERED_HERE);
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
        let elsewhere = throttle.sources.keys().filter(|source| !source.is_here()).count();
        prop_assert!(elsewhere <= REMEMBERED && throttle.sources.len() - elsewhere <= 1, "loopback is one");
    }

    #[test]
    fn a_source_is_read_as_it_is_printed(bits in any::<u128>(), v4 in any::<u32>(), name in "[a-z:.@ -]{0,40}") {
        for source in [
            Source::CONSOLE, Source::Local(v4), Source::Local(NOBODY), Source::Unknown,
            Source::from(IpAddr::V4(v4.into())), Source::from(IpAddr::V6(bits.into())), Source::LOOPBACK,
            Source::from(IpAddr::V6((bits >> 64).into())), Source::from(IpAddr::V6((0x64_ff9b << 96 | u128::from(v4)).into())),
            Source::from(IpAddr::V6((0x2002 << 112 | bits >> 16).into())), Source::Service(ServiceName::new(&name)),
            Source::Service(ServiceName::of_others()),
        ] {
            prop_assert_eq!(source.to_string().parse(), Ok(source));
        }
    }
}
