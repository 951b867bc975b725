//! Locking a desktop's screen at a limit, where others are ended.

use super::*;
use crate::policy::AtLimit;

/// A desktop that nobody uses.
const UNUSED: Seen = Seen { basis: Basis::Hint, ..QUIET };

fn used(seconds: u64) -> Seen {
    Seen { active_at: Some(at(seconds).boot), ..UNUSED }
}

fn locks(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Lock(_))).count()
}

fn desktop(at_lifetime: AtLimit) -> Registry {
    let mut registry = registry([with_limits(1, Limits { at_lifetime, ..limits() })]);
    let _seen = registry.review(id(1), UNUSED, at(1));
    registry
}

fn word(registry: &Registry) -> &'static str {
    registry.find(id(1)).unwrap().state_word()
}

#[test]
fn a_desktop_left_alone_is_locked_once_and_goes_on() {
    let mut registry = desktop(AtLimit::Terminate);
    assert_eq!(registry.next_deadline(), Some(at(IDLE).boot), "nobody is warned of a lock");
    let locked = registry.review(id(1), UNUSED, at(IDLE));
    assert_eq!(locked, [Action::Persist(id(1)), Action::Lock(id(1))]);
    assert_eq!((word(&registry), locks(&registry.review(id(1), UNUSED, at(IDLE + 60)))), ("locked", 0));
    assert_eq!(registry.next_deadline(), Some(at(LIFETIME - WARN).boot));
}

#[test]
fn whoever_comes_back_has_an_idle_limit_again() {
    let mut registry = desktop(AtLimit::Terminate);
    let _locked = registry.review(id(1), UNUSED, at(IDLE));
    let _back = registry.review(id(1), used(1000), at(1000));
    assert_eq!((word(&registry), registry.next_deadline()), ("active", Some(at(1000 + IDLE).boot)));
    assert_eq!(locks(&registry.review(id(1), UNUSED, at(1000 + IDLE))), 1);
}

#[test]
fn a_screen_that_cannot_be_locked_is_hung_up() {
    let mut registry = desktop(AtLimit::Lock);
    let _asked = registry.review(id(1), UNUSED, at(IDLE));
    assert_eq!(registry.lock_failed(id(1)), [Action::Persist(id(1))]);
    assert_eq!(registry.due(at(IDLE).boot), [id(1)], "at once");
    assert_eq!(farewells(&registry.review(id(1), UNUSED, at(IDLE + 1))), [id(1)]);
}

#[test]
fn a_locked_screen_outlives_no_lifetime_that_ends_sessions() {
    let mut registry = desktop(AtLimit::Terminate);
    let _locked = registry.review(id(1), UNUSED, at(IDLE));
    assert_eq!(farewells(&registry.review(id(1), UNUSED, at(LIFETIME))), [id(1)]);
}

#[test]
fn a_lifetime_that_locks_is_over_until_somebody_proves_himself() {
    let mut registry = desktop(AtLimit::Lock);
    let _used = registry.review(id(1), used(LIFETIME - 10), at(LIFETIME - 10));
    assert_eq!(locks(&registry.review(id(1), used(LIFETIME), at(LIFETIME))), 1, "whatever the activity");
    // A locker that asks for less, or does not ask us, does not lift it.
    let _unlocked = registry.unlocked(id(1), at(LIFETIME + 5));
    assert_eq!(registry.due(at(LIFETIME + 5).boot), [id(1)]);
    assert_eq!(locks(&registry.review(id(1), UNUSED, at(LIFETIME + 5))), 1);
    let factors = [Factor::Password, Factor::Totp].into_iter().collect();
    let renewal = Renewal { uid: 1000, factors, at: at(LIFETIME + 9) };
    let _renewed = registry.renew(id(1), &renewal).unwrap();
    assert!(!registry.unlocked(id(1), at(LIFETIME + 10)).contains(&Action::Lock(id(1))));
    assert_eq!(word(&registry), "active");
    assert_eq!(registry.next_deadline(), Some(at(LIFETIME + 9 + IDLE).boot));
}

#[test]
fn both_limits_passed_while_the_machine_slept() {
    let mut locking = desktop(AtLimit::Lock);
    assert_eq!(locks(&locking.review(id(1), UNUSED, at(9 * LIFETIME))), 2);
    assert_eq!(locking.next_deadline(), None);
    let mut ending = desktop(AtLimit::Terminate);
    assert_eq!(farewells(&ending.review(id(1), UNUSED, at(9 * LIFETIME))), [id(1)]);
}

#[test]
fn what_has_no_screen_or_no_leader_is_ended_instead() {
    let mut terminal = registry([birth(1)]);
    assert_eq!(farewells(&terminal.review(id(1), QUIET, at(IDLE))), [id(1)]);
    let mut orphan = desktop(AtLimit::Terminate);
    let _locked = orphan.review(id(1), UNUSED, at(IDLE));
    let _orphaned = orphan.leader_exited(id(1), true, at(IDLE + 10));
    assert_eq!(orphan.due(at(IDLE + 10).boot), [id(1)], "nobody can unlock it any more");
    assert_eq!(farewells(&orphan.review(id(1), UNUSED, at(IDLE + 10))), [id(1)]);
}
