//! What ends sessions, what is doubted, and what waits.

use proptest::prelude::*;

use super::*;

fn user(uid: u32) -> User {
    User { uid, name: format!("user{uid}") }
}

fn at(secs: u64) -> BootTime {
    BootTime::new(Duration::from_secs(secs))
}

fn fine() -> Seen {
    ssh(false, &[])
}

fn expired() -> Seen {
    Seen::There(Facts { is_expired: true, ..Facts::default() })
}

fn no_shell() -> Seen {
    Seen::There(Facts { has_no_shell: true, ..Facts::default() })
}

fn outside() -> Seen {
    ssh(true, &[])
}

/// In order but for the rule `ssh`.
fn ssh(is_outside: bool, missing: &[&str]) -> Seen {
    let missing = missing.iter().map(|name| (*name).to_owned()).collect();
    let groups = Some(BTreeMap::from([("ssh".to_owned(), Membership { is_outside, missing })]));
    Seen::There(Facts { is_locked: Some(false), groups, ..Facts::default() })
}

fn end(watch: &mut Watch, seen: Seen, secs: u64) -> Vec<Cause> {
    watch.judge([(user(1000), seen)], at(secs)).end.into_iter().map(|(_, cause)| cause).collect()
}

#[test]
fn nobody_is_gone_before_a_second_look_says_so() {
    let mut watch = Watch::default();
    let first = watch.judge([(user(1000), Seen::Absent)], at(10));
    assert_eq!((first.end, first.again), (vec![], Some(at(15))));
    assert_eq!(end(&mut watch, Seen::Absent, 14), []);
    assert_eq!(end(&mut watch, Seen::Absent, 15), [Cause::Removed]);
}

#[test]
fn an_error_or_a_find_in_between_begins_anew() {
    for between in [Seen::Unknown, fine()] {
        let mut watch = Watch::default();
        assert_eq!(end(&mut watch, Seen::Absent, 10), []);
        assert_eq!(end(&mut watch, between, 12), []);
        assert_eq!(end(&mut watch, Seen::Absent, 16), []);
        assert_eq!(end(&mut watch, Seen::Absent, 21), [Cause::Removed]);
    }
}

#[test]
fn an_account_ends_by_its_day_and_by_the_mark_at_the_first_look() {
    let disabled = Seen::There(Facts { disabled: Some(mark()), is_expired: true, ..Facts::default() });
    assert_eq!(end(&mut Watch::default(), expired(), 1), [Cause::Expired]);
    assert_eq!(end(&mut Watch::default(), disabled, 1), [Cause::Disabled(mark())]);
}

#[test]
fn what_was_so_from_the_start_ends_nothing_until_it_comes_about() {
    let locked = Seen::There(Facts { is_locked: Some(true), ..Facts::default() });
    for (seen, cause, looks) in [
        (no_shell(), Cause::NoShell, 1),
        (locked, Cause::PasswordLocked, 1),
        (outside(), Cause::LeftGroup("ssh".to_owned()), 2),
    ] {
        let mut watch = Watch::default();
        assert_eq!(end(&mut watch, seen.clone(), 1), []);
        assert_eq!(end(&mut watch, seen.clone(), 20), []);
        assert_eq!(end(&mut watch, fine(), 30), []);
        let ends: Vec<_> = (0..looks).map(|look| end(&mut watch, seen.clone(), 40 + look * 5)).collect();
        assert_eq!(ends.concat(), [cause]);
    }
}

#[test]
fn a_look_that_cannot_tell_changes_nothing_of_what_was_so_from_the_start() {
    let both = |is_locked| {
        let Seen::There(facts) = outside() else { unreachable!() };
        Seen::There(Facts { is_locked, ..facts })
    };
    let mut watch = Watch::default();
    assert_eq!(end(&mut watch, both(Some(true)), 1), []);
    assert_eq!(end(&mut watch, Seen::There(Facts::default()), 10), [], "no configuration can be read");
    assert_eq!(end(&mut watch, both(Some(true)), 20), []);
    assert_eq!(end(&mut watch, both(Some(true)), 30), []);
    let expired_behind_an_error = Seen::There(Facts { is_expired: true, ..Facts::default() });
    assert_eq!(end(&mut watch, expired_behind_an_error, 40), [Cause::Expired]);
}

#[test]
fn a_watch_that_is_started_anew_goes_on_from_the_start_of_the_sessions() {
    let mut earlier = Watch::default();
    let start = [(user(1000), fine()), (user(1001), no_shell())];
    assert_eq!(earlier.judge(start, at(1)), Verdict::default());
    let mut watch = Watch::default();
    for user in [user(1000), user(1001)] {
        watch.recall(user.clone(), earlier.start_of(&user).unwrap().clone());
    }
    let verdict = watch.judge([(user(1000), no_shell()), (user(1001), no_shell())], at(2));
    assert_eq!(verdict.end, [(user(1000), Cause::NoShell)]);
}

#[test]
fn nobody_left_a_group_before_a_second_look_says_so() {
    let left = [Cause::LeftGroup("ssh".to_owned())];
    for between in [Seen::There(Facts::default()), fine(), ssh(true, &["members"])] {
        let mut watch = Watch::default();
        assert_eq!(end(&mut watch, fine(), 1), []);
        let first = watch.judge([(user(1000), outside())], at(10));
        assert_eq!((first.end, first.again), (vec![], Some(at(15))));
        assert_eq!(end(&mut watch, between, 12), []);
        assert_eq!(end(&mut watch, outside(), 16), []);
        assert_eq!(end(&mut watch, outside(), 21), left);
    }
}

#[test]
fn a_group_that_vanished_is_left_by_nobody_and_one_that_never_was_is_no_hindrance() {
    let mut watch = Watch::default();
    assert_eq!(end(&mut watch, fine(), 1), []);
    assert_eq!(end(&mut watch, ssh(true, &["members"]), 10), []);
    assert_eq!(end(&mut watch, ssh(true, &["members"]), 20), []);
    let mut watch = Watch::default();
    assert_eq!(end(&mut watch, ssh(false, &["elsewhere"]), 1), []);
    assert_eq!(end(&mut watch, ssh(true, &["elsewhere"]), 10), []);
    assert_eq!(end(&mut watch, ssh(true, &["elsewhere"]), 20), [Cause::LeftGroup("ssh".to_owned())]);
}

#[test]
fn two_names_of_one_uid_are_two_accounts() {
    let [shell, copying] = ["alice", "alice-sftp"].map(|name| User { uid: 1000, name: name.to_owned() });
    let mut watch = Watch::default();
    let start = [(shell.clone(), fine()), (copying.clone(), no_shell())];
    assert_eq!(watch.judge(start.clone(), at(1)), Verdict::default());
    assert_eq!(watch.judge(start, at(2)), Verdict::default());
    assert_eq!(watch.judge([(copying.clone(), expired())], at(3)).end, [(copying, Cause::Expired)]);
    assert_eq!(watch.judge([(shell.clone(), no_shell())], at(4)).end, [(shell, Cause::NoShell)]);
}

#[test]
fn each_rule_has_a_start_of_its_own() {
    let seen = |rules: &[(&str, bool)]| {
        let member = |is_outside| Membership { is_outside, ..Membership::default() };
        let groups = rules.iter().map(|(rule, is_outside)| ((*rule).to_owned(), member(*is_outside))).collect();
        Seen::There(Facts { groups: Some(groups), ..Facts::default() })
    };
    let (alice, both) = (user(1000), BTreeSet::from(["ssh".to_owned(), "sudo".to_owned()]));
    let mut watch = Watch::default();
    assert_eq!(end(&mut watch, seen(&[("ssh", true)]), 1), []);
    assert!(!watch.knows(&alice, &both), "who has a session by another rule since is looked at");
    assert_eq!(end(&mut watch, seen(&[("ssh", true), ("sudo", false)]), 2), []);
    assert!(watch.knows(&alice, &both));
    assert_eq!(end(&mut watch, seen(&[("ssh", true), ("sudo", true)]), 10), []);
    let ended = end(&mut watch, seen(&[("ssh", true), ("sudo", true)]), 15);
    assert_eq!(ended, [Cause::LeftGroup("sudo".to_owned())]);
}

#[test]
fn many_at_once_wait_and_go_on_waiting_when_fewer_are_left() {
    let mut watch = Watch::default();
    let all = |count: u32| (1000..1000 + count).map(|uid| (user(uid), expired()));
    let verdict = watch.judge(all(11), at(1));
    assert_eq!((verdict.end.len(), verdict.wait.len()), (0, 11));
    let verdict = watch.judge(all(5), at(2));
    assert_eq!((verdict.end.len(), verdict.wait.len()), (0, 5));
    // One more beside them is an event of its own.
    let verdict = watch.judge(all(12), at(3));
    assert_eq!((verdict.end, verdict.wait.len()), (vec![(user(1011), Cause::Expired)], 11));
    // Who was put right waits no more.
    assert_eq!(watch.judge([(user(1000), fine())], at(4)), Verdict::default());
    assert_eq!(watch.judge([(user(1000), expired())], at(5)).end, [(user(1000), Cause::Expired)]);
    assert_eq!(Watch::default().judge(all(10), at(1)).end.len(), 10);
}

#[test]
fn who_waits_is_told_with_the_newest_cause_until_it_is_put_right_or_over() {
    let mut watch = Watch::default();
    let waiting = |watch: &Watch| watch.waiting().map(|(user, causes)| (user.uid, causes.to_vec())).collect::<Vec<_>>();
    let _fine = watch.judge((1000..1011).map(|uid| (user(uid), fine())), at(1));
    assert_eq!(waiting(&watch), []);
    let _wait = watch.judge((1000..1011).map(|uid| (user(uid), no_shell())), at(2));
    assert_eq!(waiting(&watch).len(), 11);
    let _mended = watch.judge((1002..1011).map(|uid| (user(uid), fine())), at(3));
    // Nothing new is known of somebody who cannot be looked up.
    let _worse = watch.judge([(user(1000), expired()), (user(1001), Seen::Unknown)], at(4));
    assert_eq!(waiting(&watch), [(1000, vec![Cause::Expired]), (1001, vec![Cause::NoShell])]);
    watch.keep_only(&BTreeSet::from([user(1001)]));
    assert_eq!(waiting(&watch), [(1001, vec![Cause::NoShell])]);
}

#[test]
fn who_waits_for_several_causes_is_told_once_with_all_of_them() {
    let mut watch = Watch::default();
    let two = |is_outside| {
        let of = |rule: &str| (rule.to_owned(), Membership { is_outside, missing: BTreeSet::new() });
        let groups = Some(BTreeMap::from([of("ssh"), of("sudo")]));
        Seen::There(Facts { is_locked: Some(false), groups, ..Facts::default() })
    };
    let mut look = |is_outside, secs| watch.judge((1000..1011).map(|uid| (user(uid), two(is_outside))), at(secs)).wait;
    assert_eq!((look(false, 1), look(true, 10)), (vec![], vec![]));
    let wait = look(true, 15);
    assert_eq!(wait.len(), 11);
    assert_eq!(
        Cause::told(&wait[0].1),
        "the user is in no group of the rule ssh any more; the user is in no group of the rule sudo any more"
    );
}

#[test]
fn who_waits_goes_on_waiting_through_looks_that_cannot_tell() {
    let mut watch = Watch::default();
    let all = |seen: &Seen| (1000..1011).map(|uid| (user(uid), seen.clone())).collect::<Vec<_>>();
    let _fine = watch.judge(all(&fine()), at(1));
    let _first = watch.judge(all(&outside()), at(10));
    assert_eq!(watch.judge(all(&outside()), at(15)).wait.len(), 11);
    for unclear in [Seen::There(Facts::default()), ssh(true, &["members"]), Seen::Unknown] {
        let _nothing = watch.judge([(user(1000), unclear)], at(20));
        assert_eq!(watch.judge([(user(1000), outside())], at(30)).end, []);
        assert_eq!(watch.judge([(user(1000), outside())], at(40)).end, []);
    }
    assert_eq!(watch.waiting().count(), 11);
}

#[test]
fn the_administrators_word_is_no_event_of_that_kind() {
    let disabled = Facts { disabled: Some(mark()), ..Facts::default() };
    let all = (1000..1100).map(|uid| (user(uid), Seen::There(disabled.clone())));
    assert_eq!(Watch::default().judge(all, at(1)).end.len(), 100);
}

#[test]
fn root_is_left_alone() {
    let disabled = Seen::There(Facts { disabled: Some(mark()), ..Facts::default() });
    let mut watch = Watch::default();
    for (secs, seen) in [(1, Seen::Absent), (7, Seen::Absent), (8, expired()), (9, disabled)] {
        assert_eq!(watch.judge([(user(0), seen)], at(secs)), Verdict::default());
    }
}

#[test]
fn who_has_no_session_any_more_is_forgotten() {
    let mut watch = Watch::default();
    let _first = watch.judge([(user(1000), no_shell()), (user(1001), fine())], at(1));
    watch.keep_only(&BTreeSet::from([user(1001)]));
    let none = BTreeSet::new();
    assert!(!watch.knows(&user(1000), &none) && watch.knows(&user(1001), &none));
}

fn mark() -> Mark {
    Mark { by: "root".to_owned(), message: "call 4711".to_owned(), uid: None }
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let facts = (any::<[bool; 4]>()).prop_map(|[is_disabled, is_expired, has_no_shell, is_locked]| Facts {
        disabled: is_disabled.then(mark),
        is_expired,
        has_no_shell,
        is_locked: Some(is_locked),
        groups: None,
    });
    prop_oneof![facts.prop_map(Seen::There), Just(Seen::Absent), Just(Seen::Unknown)]
}

proptest! {
    #[test]
    fn no_sessions_end_that_were_seen_to_be_fine(looks in prop::collection::vec(prop::collection::btree_map(0..30_u32, any_seen(), 0..30), 1..12)) {
        let mut watch = Watch::default();
        for (number, look) in looks.into_iter().enumerate() {
            let seen = look.clone().into_iter().map(|(uid, seen)| (user(uid), seen));
            let verdict = watch.judge(seen, at(number as u64 * 3));
            let doubtful: BTreeSet<u32> =
                verdict.end.iter().filter(|(_, cause)| !matches!(cause, Cause::Disabled(_))).map(|(user, _)| user.uid).collect();
            prop_assert!(doubtful.len() <= MOST_AT_ONCE);
            for (User { uid, .. }, cause) in &verdict.end {
                prop_assert!(*uid != 0);
                let is_founded = match &look[uid] {
                    Seen::There(Facts { disabled, is_expired, has_no_shell, is_locked, .. }) => {
                        (disabled.is_some() || *is_expired || *has_no_shell || *is_locked == Some(true)) && *cause != Cause::Removed
                    },
                    Seen::Absent => *cause == Cause::Removed,
                    Seen::Unknown => false,
                };
                prop_assert!(is_founded);
            }
        }
    }
}
