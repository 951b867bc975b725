//! What a limit ends, by what the rule says.

use super::*;
use crate::policy::AtLimit;

/// What becomes of a session without a screen at each limit, with these words for both.
fn manners(at_idle: AtLimit, at_lifetime: AtLimit) -> [Manner; 2] {
    [(IDLE, Some(IDLE)), (LIFETIME, None)].map(|(due, idle)| {
        let idle = idle.map(Duration::from_secs);
        let mut registry = registry([with_limits(1, Limits { idle, at_idle, at_lifetime, ..limits() })]);
        assert_eq!(farewells(&registry.review(id(1), QUIET, at(due))), [id(1)]);
        match strikes(&registry.review(id(1), QUIET, at(due + 1)))[..] {
            [(_, manner, Step::Hangup)] => manner,
            ref others => panic!("{others:?}"),
        }
    })
}

#[test]
fn each_limit_ends_what_its_own_word_says() {
    assert_eq!(manners(AtLimit::Terminate, AtLimit::Hangup), [Manner::Terminate, Manner::Hangup]);
    assert_eq!(manners(AtLimit::Hangup, AtLimit::Terminate), [Manner::Hangup, Manner::Terminate]);
    assert_eq!(manners(AtLimit::Lock, AtLimit::Lock), [Manner::Hangup, Manner::Hangup], "there is no screen to lock");
}

#[test]
fn a_limit_that_terminates_goes_on_until_nothing_is_left() {
    let mut registry = registry([with_limits(1, Limits { at_idle: AtLimit::Terminate, ..limits() })]);
    let _ending = registry.review(id(1), QUIET, at(IDLE));
    for (after, step) in [(1, Step::Hangup), (6, Step::Term), (11, Step::Kill), (16, Step::Kill)] {
        assert_eq!(strikes(&registry.review(id(1), QUIET, at(IDLE + after))), [(id(1), Manner::Terminate, step)]);
    }
    assert_eq!(ends(&registry.review(id(1), DEAD, at(IDLE + 17))), [(id(1), EndReason::Idle)]);
}
