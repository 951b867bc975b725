//! Services that tell no place, crowds on this machine, and clocks that jump.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{
    tests::{POLICY, at, called_by, console, from},
    *,
};
use crate::rule::Remote;

fn service(name: &str) -> Caller {
    Caller { source: Source::new(Remote::Untold, 0, ServiceName::new(name)), is_root: false }
}

#[test]
fn what_root_runs_is_the_console_only_at_one_and_else_that_service_alone() {
    let source = |remote, uid| Source::new(remote, uid, ServiceName::new("smtp"));
    assert_eq!(source(Remote::Console, 0), Source::CONSOLE);
    for elsewhere in [Remote::Untold, Remote::Local] {
        assert_eq!(source(elsewhere, 0).to_string(), "service:smtp");
    }
    for anywhere in [Remote::Console, Remote::Local, Remote::Untold] {
        assert_eq!(source(anywhere, 1001), Source::Local(1001), "who calls is known");
    }
    for odd in ["", "a b", "smtp\n", "\u{e9}", "a:b", "../smtp", "a-name-of-more-than-thirty-two-bytes"] {
        assert_eq!(ServiceName::new(odd), ServiceName::of_others(), "{odd:?}");
    }
}

#[test]
fn whoever_guesses_at_a_service_that_tells_no_place_locks_that_service_alone() {
    let (mut throttle, smtp) = (Throttle::default(), service("smtp"));
    for _ in 0..5 {
        assert_eq!(throttle.gate(&POLICY, &smtp, at(0)), Gate::Open);
        throttle.failed(&POLICY, &smtp, at(0));
    }
    assert_eq!(throttle.gate(&POLICY, &smtp, at(1)), Gate::Wait(at(900)));
    for other in [console(false), console(true), service("imap"), called_by(1000), from("10.9.9.9")] {
        assert_eq!(throttle.gate(&POLICY, &other, at(1)), Gate::Open, "{other:?}");
    }
}

#[test]
fn at_a_service_that_tells_no_place_root_is_guessed_neither_faster_than_others_nor_for_ever() {
    let (mut throttle, smtp) = (Throttle::default(), Caller { is_root: true, ..service("smtp") });
    for _ in 0..5 {
        throttle.failed(&POLICY, &smtp, at(0));
    }
    assert_eq!(throttle.gate(&POLICY, &smtp, at(1)), Gate::Wait(at(900)));
    // Four in each window: no lock ever comes of them.
    for n in 5..CEILING {
        let now = at(u64::from(n / 4) * 900);
        assert_eq!(throttle.gate(&POLICY, &smtp, now), Gate::Open);
        throttle.failed(&POLICY, &smtp, now);
    }
    let later = at(1_000_000);
    assert_eq!(throttle.gate(&POLICY, &smtp, later), Gate::Stopped);
    for other in [console(true), service("imap"), called_by(1000), from("10.9.9.9")] {
        assert_eq!(throttle.gate(&POLICY, &other, later), Gate::Open, "{other:?}");
    }
}

#[test]
fn callers_here_who_take_turns_do_not_push_each_others_failures_out() {
    let mut throttle = Throttle::default();
    for uid in 0..u32::try_from(KNOWN).unwrap() {
        throttle.succeeded(&called_by(1000 + uid), at(0));
    }
    let (crowd, pair) = ((0..100).map(|n| called_by(2000 + n)), [called_by(3000), called_by(3001)]);
    for caller in crowd {
        throttle.failed(&POLICY, &caller, at(0));
        throttle.failed(&POLICY, &caller, at(0));
    }
    let mut judged = 0;
    for n in 0..10 * CEILING {
        let (caller, now) = (&pair[(n % 2) as usize], at(u64::from(n / 8) * 900));
        if throttle.gate(&POLICY, caller, now) == Gate::Open {
            throttle.failed(&POLICY, caller, now);
            judged += 1;
        }
    }
    assert_eq!(judged, 2 * CEILING);
}

#[test]
fn a_state_of_ten_thousand_sources_is_cut_to_size_at_the_next_failure_and_keeps_who_is_known() {
    let source = |n: u32| {
        if n.is_multiple_of(2) { Source::Local(1 + n) } else { Source::from(IpAddr::V4((0x0a00_0000 + n).into())) }
    };
    let tally =
        |n: u32| Tally { succeeded: (n % 100 < 2).then(|| at(n.into())), touched: at(n.into()), ..Tally::default() };
    let mut throttle = Throttle::read(0, (0..10_000).map(|n| (source(n), tally(n))));
    for caller in [called_by(77_777), from("192.0.2.1")] {
        throttle.failed(&POLICY, &caller, at(20_000));
        assert!(throttle.sources.contains_key(&caller.source));
    }
    let of = |is_here: bool| throttle.sources.iter().filter(move |(source, _)| source.is_here() == is_here);
    assert_eq!((of(true).count(), of(false).count()), (REMEMBERED_HERE, REMEMBERED));
    for is_here in [true, false] {
        let known: Vec<_> = of(is_here).filter(|(_, tally)| tally.succeeded.is_some()).collect();
        assert_eq!(known.len(), KNOWN);
        assert!(known.iter().all(|(_, tally)| tally.touched >= at(5_000)), "the last ones");
    }
}

proptest! {
    #[test]
    fn whatever_others_do_nobody_new_is_judged_more_than_a_hundred_times_in_a_row(
        order in prop::collection::vec((0_u32..90, 0_u64..300), 1..400), services in any::<bool>(),
    ) {
        let (mut throttle, mut now, mut judged) = (Throttle::default(), 0, BTreeMap::new());
        let caller = |n: u32| if services && n.is_multiple_of(3) { service(&format!("s{n}")) } else { called_by(1000 + n) };
        for (n, gap) in order {
            now += gap;
            for _ in 0..5 {
                if throttle.gate(&POLICY, &caller(n), at(now)) == Gate::Open {
                    throttle.failed(&POLICY, &caller(n), at(now));
                    *judged.entry(n).or_insert(0) += 1;
                }
            }
            prop_assert_eq!(throttle.sources[&caller(n).source].in_a_row, judged[&n], "none is forgotten");
        }
        prop_assert!(judged.values().all(|judged| *judged <= CEILING));
    }

    #[test]
    fn a_clock_that_jumps_keeps_nobody_out_longer_than_the_longest_lock_and_makes_no_attempt_free(
        steps in prop::collection::vec((0_u64..2_000_000, any::<bool>()), 1..60), is_root in any::<bool>(),
    ) {
        let callers = [from("10.0.0.1"), from("127.0.0.1"), service("smtp"), called_by(1001), console(is_root)];
        let mut throttle = Throttle::default();
        for (second, everybody) in steps {
            for caller in callers.iter().take(if everybody { callers.len() } else { 1 }) {
                let before = throttle.sources.get(&caller.source).copied().unwrap_or_default();
                match throttle.gate(&POLICY, caller, at(second)) {
                    Gate::Open => throttle.failed(&POLICY, caller, at(second)),
                    Gate::Wait(until) => {
                        let longest = if *caller == console(true) { CONSOLE_WAIT } else { LONGEST_LOCK };
                        prop_assert!(until <= at(second).saturating_add(longest));
                        continue;
                    }
                    Gate::Stopped => continue,
                }
                let after = throttle.sources[&caller.source];
                prop_assert!(after.in_a_row > before.in_a_row || !caller.source.is_here());
                prop_assert!(after.failures > 0 || after.not_before > at(second), "it counts towards a lock");
            }
        }
    }
}
