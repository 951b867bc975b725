//! When an account may no more be used: from what was seen of the users of live sessions, and when, to what is done about it. A file that
//! was written wrong and a directory that is away both look like everybody's end, hence the doubts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::time::BootTime;

/// So far apart two looks must be that both find nobody.
pub const SECOND_LOOK: Duration = Duration::from_secs(5);

/// More users than this at once wait for an administrator.
pub const MOST_AT_ONCE: usize = 10;

/// Why sessions end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// There is no such account any more.
    Removed,
    /// The account has ended (`chage -E`).
    Expired,
    /// Its shell became one that lets nobody in.
    NoShell,
    /// Its password was locked (`usermod -L`).
    PasswordLocked,
    /// An administrator disabled the user.
    Disabled,
    /// The user was dropped from the groups that this rule is for. Only its sessions end.
    LeftGroup(String),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed => f.write_str("the account was removed"),
            Self::Expired => f.write_str("the account has expired"),
            Self::NoShell => f.write_str("the account has no login shell any more"),
            Self::PasswordLocked => f.write_str("the account's password was locked"),
            Self::Disabled => f.write_str("the account was disabled"),
            Self::LeftGroup(rule) => write!(f, "the user is in no group of the rule {rule} any more"),
        }
    }
}

/// What a look shows of an account that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The mark is set.
    pub is_disabled: bool,
    /// Its last day is over.
    pub is_expired: bool,
    /// The shell lets nobody in.
    pub has_no_shell: bool,
    /// The password is locked, and that counts.
    pub is_locked: bool,
    /// The rules of its sessions whose groups it is not in.
    pub outside: BTreeSet<String>,
}

/// What a look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The account.
    There(Facts),
    /// Nobody of that name and uid, from name services that are known to answer.
    Absent,
    /// It could not be found out.
    Unknown,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whose sessions end, and why.
    pub end: Vec<(u32, Cause)>,
    /// Whose sessions would end, were they not so many: an administrator must decide.
    pub wait: Vec<(u32, Cause)>,
    /// When to look again at those who seem to be gone.
    pub again: Option<BootTime>,
}

/// What is remembered of the users of live sessions.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    known: BTreeMap<u32, Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// What was so from the start ends no session: an account for copying files has no shell, one for keys a locked password.
    from_the_start: Option<Facts>,
    absent_since: Option<BootTime>,
    /// What an administrator must decide about.
    waits_for: Vec<Cause>,
}

impl Watch {
    /// Whether the user was looked at.
    #[must_use]
    pub fn knows(&self, uid: u32) -> bool {
        self.known.contains_key(&uid)
    }

    /// Who waits for an administrator, and why the sessions would end.
    pub fn waiting(&self) -> impl Iterator<Item = (u32, &[Cause])> {
        let all = self.known.iter().map(|(uid, known)| (*uid, known.waits_for.as_slice()));
        all.filter(|(_, causes)| !causes.is_empty())
    }

    /// Forgets all users but those who have live sessions.
    pub fn keep_only(&mut self, live: &BTreeSet<u32>) {
        self.known.retain(|uid, _| live.contains(uid));
    }

    /// Judges what one look showed.
    pub fn judge(&mut self, seen: impl IntoIterator<Item = (u32, Seen)>, now: BootTime) -> Verdict {
        let (mut verdict, mut doubtful) = (Verdict::default(), BTreeMap::new());
        // Whoever can write these files is root already, and root's own line wrong must leave root the machine.
        for (uid, seen) in seen.into_iter().filter(|(uid, _)| *uid != 0) {
            let known = self.known.entry(uid).or_default();
            match seen {
                // That mark is the administrator's own word.
                Seen::There(facts) if facts.is_disabled => verdict.end.push((uid, Cause::Disabled)),
                Seen::There(facts) => {
                    let causes = known.causes(facts);
                    if causes.is_empty() {
                        known.waits_for.clear();
                    } else {
                        doubtful.insert(uid, causes);
                    }
                }
                Seen::Absent => {
                    let again = known.absent_since.get_or_insert(now).saturating_add(SECOND_LOOK);
                    if again <= now {
                        doubtful.insert(uid, vec![Cause::Removed]);
                    } else {
                        verdict.again = Some(verdict.again.map_or(again, |earlier| earlier.min(again)));
                    }
                }
                Seen::Unknown => known.absent_since = None,
            }
        }
        self.doubt(doubtful, &mut verdict);
        verdict
    }

    /// Ends what few share, and has what many share wait. Who waits goes on waiting when others are cleared.
    fn doubt(&mut self, doubtful: BTreeMap<u32, Vec<Cause>>, verdict: &mut Verdict) {
        let is_fresh = |uid: &&u32| self.known.get(uid).is_none_or(|known| known.waits_for.is_empty());
        let are_many = doubtful.keys().filter(is_fresh).count() > MOST_AT_ONCE;
        for (uid, causes) in doubtful {
            let known = self.known.entry(uid).or_default();
            if are_many || !known.waits_for.is_empty() {
                verdict.wait.extend(causes.iter().cloned().map(|cause| (uid, cause)));
                known.waits_for = causes;
            } else {
                verdict.end.extend(causes.into_iter().map(|cause| (uid, cause)));
            }
        }
    }
}

impl Known {
    fn causes(&mut self, facts: Facts) -> Vec<Cause> {
        self.absent_since = None;
        let start = self.from_the_start.get_or_insert_with(|| facts.clone());
        let left = facts.outside.difference(&start.outside).cloned().map(Cause::LeftGroup);
        let causes = [
            (facts.is_expired, Cause::Expired),
            (facts.has_no_shell && !start.has_no_shell, Cause::NoShell),
            (facts.is_locked && !start.is_locked, Cause::PasswordLocked),
        ];
        let of_the_account = causes.into_iter().find_map(|(is_so, cause)| is_so.then_some(cause));
        let causes = of_the_account.map_or_else(|| left.collect(), |cause| vec![cause]);
        // What was put right once counts when it is taken back.
        start.has_no_shell &= facts.has_no_shell;
        start.is_locked &= facts.is_locked;
        start.outside.retain(|rule| facts.outside.contains(rule));
        causes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(secs: u64) -> BootTime {
        BootTime::new(Duration::from_secs(secs))
    }

    fn fine() -> Seen {
        Seen::There(Facts::default())
    }

    fn expired() -> Seen {
        Seen::There(Facts { is_expired: true, ..Facts::default() })
    }

    fn no_shell() -> Seen {
        Seen::There(Facts { has_no_shell: true, ..Facts::default() })
    }

    fn outside(rule: &str) -> Seen {
        Seen::There(Facts { outside: BTreeSet::from([rule.to_owned()]), ..Facts::default() })
    }

    fn end(watch: &mut Watch, seen: Seen, secs: u64) -> Vec<Cause> {
        watch.judge([(1000, seen)], at(secs)).end.into_iter().map(|(_, cause)| cause).collect()
    }

    #[test]
    fn nobody_is_gone_before_a_second_look_says_so() {
        let mut watch = Watch::default();
        let first = watch.judge([(1000, Seen::Absent)], at(10));
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
        let disabled = Seen::There(Facts { is_disabled: true, is_expired: true, ..Facts::default() });
        assert_eq!(end(&mut Watch::default(), expired(), 1), [Cause::Expired]);
        assert_eq!(end(&mut Watch::default(), disabled, 1), [Cause::Disabled]);
    }

    #[test]
    fn what_was_so_from_the_start_ends_nothing_until_it_comes_about() {
        let locked = Seen::There(Facts { is_locked: true, ..Facts::default() });
        for (seen, cause) in [
            (no_shell(), Cause::NoShell),
            (locked, Cause::PasswordLocked),
            (outside("ssh"), Cause::LeftGroup("ssh".to_owned())),
        ] {
            let mut watch = Watch::default();
            assert_eq!(end(&mut watch, seen.clone(), 1), []);
            assert_eq!(end(&mut watch, seen.clone(), 2), []);
            assert_eq!(end(&mut watch, fine(), 3), []);
            assert_eq!(end(&mut watch, seen, 4), [cause]);
        }
    }

    #[test]
    fn the_group_of_another_rule_is_another_matter() {
        let mut watch = Watch::default();
        assert_eq!(end(&mut watch, outside("ssh"), 1), []);
        assert_eq!(end(&mut watch, outside("sudo"), 2), [Cause::LeftGroup("sudo".to_owned())]);
    }

    #[test]
    fn many_at_once_wait_and_go_on_waiting_when_fewer_are_left() {
        let mut watch = Watch::default();
        let all = |count: u32| (1000..1000 + count).map(|uid| (uid, expired()));
        let verdict = watch.judge(all(11), at(1));
        assert_eq!((verdict.end.len(), verdict.wait.len()), (0, 11));
        let verdict = watch.judge(all(5), at(2));
        assert_eq!((verdict.end.len(), verdict.wait.len()), (0, 5));
        // One more beside them is an event of its own.
        let verdict = watch.judge(all(12), at(3));
        assert_eq!((verdict.end, verdict.wait.len()), (vec![(1011, Cause::Expired)], 11));
        // Who was put right waits no more.
        assert_eq!(watch.judge([(1000, fine())], at(4)), Verdict::default());
        assert_eq!(watch.judge([(1000, expired())], at(5)).end, [(1000, Cause::Expired)]);
        assert_eq!(Watch::default().judge(all(10), at(1)).end.len(), 10);
    }

    #[test]
    fn who_waits_is_told_with_the_newest_cause_until_it_is_put_right_or_over() {
        let mut watch = Watch::default();
        let waiting = |watch: &Watch| watch.waiting().map(|(uid, causes)| (uid, causes.to_vec())).collect::<Vec<_>>();
        let _fine = watch.judge((1000..1011).map(|uid| (uid, fine())), at(1));
        assert_eq!(waiting(&watch), []);
        let _wait = watch.judge((1000..1011).map(|uid| (uid, no_shell())), at(2));
        assert_eq!(waiting(&watch).len(), 11);
        let _mended = watch.judge((1002..1011).map(|uid| (uid, fine())), at(3));
        // Nothing new is known of somebody who cannot be looked up.
        let _worse = watch.judge([(1000, expired()), (1001, Seen::Unknown)], at(4));
        assert_eq!(waiting(&watch), [(1000, vec![Cause::Expired]), (1001, vec![Cause::NoShell])]);
        watch.keep_only(&BTreeSet::from([1001]));
        assert_eq!(waiting(&watch), [(1001, vec![Cause::NoShell])]);
    }

    #[test]
    fn the_administrators_word_is_no_event_of_that_kind() {
        let disabled = Facts { is_disabled: true, ..Facts::default() };
        let all = (1000..1100).map(|uid| (uid, Seen::There(disabled.clone())));
        assert_eq!(Watch::default().judge(all, at(1)).end.len(), 100);
    }

    #[test]
    fn root_is_left_alone() {
        let disabled = Seen::There(Facts { is_disabled: true, ..Facts::default() });
        let mut watch = Watch::default();
        for (secs, seen) in [(1, Seen::Absent), (7, Seen::Absent), (8, expired()), (9, disabled)] {
            assert_eq!(watch.judge([(0, seen)], at(secs)), Verdict::default());
        }
    }

    #[test]
    fn who_has_no_session_any_more_is_forgotten() {
        let mut watch = Watch::default();
        let _first = watch.judge([(1000, no_shell()), (1001, fine())], at(1));
        watch.keep_only(&BTreeSet::from([1001]));
        assert!(!watch.knows(1000) && watch.knows(1001));
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        let facts = (any::<[bool; 4]>()).prop_map(|[is_disabled, is_expired, has_no_shell, is_locked]| Facts {
            is_disabled,
            is_expired,
            has_no_shell,
            is_locked,
            outside: BTreeSet::new(),
        });
        prop_oneof![facts.prop_map(Seen::There), Just(Seen::Absent), Just(Seen::Unknown)]
    }

    proptest! {
        #[test]
        fn no_sessions_end_that_were_seen_to_be_fine(looks in prop::collection::vec(prop::collection::btree_map(0..30_u32, any_seen(), 0..30), 1..12)) {
            let mut watch = Watch::default();
            for (number, look) in looks.into_iter().enumerate() {
                let verdict = watch.judge(look.clone(), at(number as u64 * 3));
                let doubtful: BTreeSet<u32> =
                    verdict.end.iter().filter(|(_, cause)| *cause != Cause::Disabled).map(|(uid, _)| *uid).collect();
                prop_assert!(doubtful.len() <= MOST_AT_ONCE);
                for (uid, cause) in &verdict.end {
                    prop_assert!(*uid != 0);
                    let is_founded = match &look[uid] {
                        Seen::There(facts) => *facts != Facts::default() && *cause != Cause::Removed,
                        Seen::Absent => *cause == Cause::Removed,
                        Seen::Unknown => false,
                    };
                    prop_assert!(is_founded);
                }
            }
        }
    }
}
