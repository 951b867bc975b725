//! Commands that keep a session from idling.

use super::*;

const MOST: u64 = 1800;

fn holder(pid: u32) -> Holder {
    Holder { pid, start_time: 7, why: "make".into() }
}

fn granting(n: u8) -> Birth {
    with_limits(n, Limits { inhibit_max: Duration::from_secs(MOST), ..limits() })
}

fn idle_deadline(registry: &Registry) -> Option<BootTime> {
    deadlines(registry.find(id(1)).unwrap()).idle
}

#[test]
fn a_session_does_not_idle_while_a_command_runs() {
    let mut registry = registry([granting(1)]);
    let (held, kept) = registry.inhibit(id(1), holder(50)).unwrap();
    assert_eq!((held, kept), (id(1), vec![Action::Persist(id(1))]));
    assert!(farewells(&registry.review(id(1), QUIET, at(IDLE + 500))).is_empty());
    let _released = registry.release(id(1), (50, 7), at(1500));
    assert_eq!(idle_deadline(&registry), Some(at(1500 + IDLE).boot), "idleness counts from the command's end");
    assert_eq!(registry.find(id(1)).unwrap().last_active, at(0), "which was no activity");
    assert_eq!(farewells(&registry.review(id(1), QUIET, at(1500 + IDLE))), [id(1)]);
}

#[test]
fn commands_hold_idleness_off_for_so_long_after_the_last_activity_and_no_longer() {
    let mut registry = registry([granting(1)]);
    let _first = registry.inhibit(id(1), holder(50)).unwrap();
    let _second = registry.inhibit(id(1), holder(51)).unwrap();
    assert_eq!(idle_deadline(&registry), Some(at(MOST + IDLE).boot));
    let _released = registry.release(id(1), (50, 7), at(100));
    assert_eq!(idle_deadline(&registry), Some(at(MOST + IDLE).boot), "another still runs");
    let _released = registry.release(id(1), (51, 7), at(MOST + 60));
    assert_eq!(idle_deadline(&registry), Some(at(MOST + IDLE).boot));
    let _third = registry.inhibit(id(1), holder(52)).unwrap();
    assert_eq!(idle_deadline(&registry), Some(at(MOST + IDLE).boot), "one after another they do not add up");
    let _typed = registry.review(id(1), typed(2000), at(2000));
    assert_eq!(idle_deadline(&registry), Some(at(2000 + MOST + IDLE).boot));
}

#[test]
fn no_command_moves_the_lifetime() {
    let limits = Limits { inhibit_max: Duration::from_secs(9 * LIFETIME), ..limits() };
    let mut registry = registry([with_limits(1, limits)]);
    let _held = registry.inhibit(id(1), holder(50)).unwrap();
    assert_eq!(farewells(&registry.review(id(1), QUIET, at(LIFETIME))), [id(1)]);
}

#[test]
fn a_command_in_a_nested_session_holds_the_login_around_it() {
    let mut registry = registry([granting(1), nested(2, 1), nested(3, 2)]);
    assert_eq!(registry.inhibit(id(3), holder(50)).map(|(held, _)| held), Ok(id(1)));
}

#[test]
fn what_the_rule_does_not_grant_is_refused() {
    let mut registry = registry([birth(1), granting(2)]);
    assert_eq!(registry.inhibit(id(1), holder(50)), Err(NotInhibited::NotGranted));
    assert_eq!(registry.inhibit(id(9), holder(50)), Err(NotInhibited::NoSuchSession));
    for pid in 0..16 {
        assert!(registry.inhibit(id(2), holder(pid)).is_ok());
        assert_eq!(registry.inhibit(id(2), holder(pid)), Ok((id(2), vec![])), "it does already");
    }
    assert_eq!(registry.inhibit(id(2), holder(16)), Err(NotInhibited::TooMany));
    let _ending = registry.revoke(id(2), "root", None, at(5)).unwrap();
    assert_eq!(registry.inhibit(id(2), holder(16)), Err(NotInhibited::Ending));
}

#[test]
fn a_process_that_holds_nothing_releases_nothing() {
    let mut registry = registry([granting(1)]);
    let _held = registry.inhibit(id(1), holder(50)).unwrap();
    assert!(registry.release(id(1), (50, 8), at(5)).is_empty(), "its pid is another's now");
    assert!(registry.release(id(9), (50, 7), at(5)).is_empty());
    assert_eq!(idle_deadline(&registry), Some(at(MOST + IDLE).boot));
}
