//! When an account may no more be used: from what was seen of the users of live sessions, and when, to what is done about it. A file that
//! was written wrong and a directory that is away both look like everybody's end, hence the doubts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::time::BootTime;

/// So far apart two looks must be that both find nobody.
pub const SECOND_LOOK: Duration = Duration::from_secs(5);

/// More users than this at once wait for an administrator.
pub const MOST_AT_ONCE: usize = 10;

/// A user of live sessions. Two names may share a uid (`useradd -o`), and each is an account of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// The uid.
    pub uid: u32,
    /// The name that the sessions were opened by.
    pub name: String,
}

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
    /// The password is locked, and that counts. `None`: no configuration can be read that would say whether it does.
    pub is_locked: Option<bool>,
    /// By the rules of its sessions. `None`: it could not be found out.
    pub groups: Option<BTreeMap<String, Membership>>,
}

/// What a look shows of the groups that a rule is for. One for no groups in particular has everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The account is in none of them.
    pub is_outside: bool,
    /// Those that are not there: a directory that is away looks like that, too.
    pub missing: BTreeSet<String>,
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
    pub end: Vec<(User, Cause)>,
    /// Whose sessions would end, were they not so many: an administrator must decide.
    pub wait: Vec<(User, Cause)>,
    /// When to look again at those who seem to be gone.
    pub again: Option<BootTime>,
}

/// What is remembered of the users of live sessions.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    known: BTreeMap<User, Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    start: Start,
    absent_since: Option<BootTime>,
    /// Since when the user was seen outside of the groups of these rules.
    outside_since: BTreeMap<String, BootTime>,
    /// What an administrator must decide about.
    waits_for: Vec<Cause>,
}

/// What was so from the start ends no session: an account for copying files has no shell, one for keys a locked password. Each is what
/// the first look showed that could tell it. Sessions keep it, so that a daemon that is started anew goes on from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    has_no_shell: Option<bool>,
    is_locked: Option<bool>,
    groups: BTreeMap<String, Membership>,
}

impl Watch {
    /// Whether the user was looked at, with sessions by these rules.
    #[must_use]
    pub fn knows(&self, user: &User, rules: &BTreeSet<String>) -> bool {
        let knows_all = |known: &Known| rules.iter().all(|rule| known.start.groups.contains_key(rule));
        self.known.get(user).is_some_and(knows_all)
    }

    /// Who waits for an administrator, and why the sessions would end.
    pub fn waiting(&self) -> impl Iterator<Item = (&User, &[Cause])> {
        let all = self.known.iter().map(|(user, known)| (user, known.waits_for.as_slice()));
        all.filter(|(_, causes)| !causes.is_empty())
    }

    /// Goes on from what was so from the start of the user's sessions, where an earlier watch has seen it.
    pub fn recall(&mut self, user: User, start: Start) {
        self.known.insert(user, Known { start, ..Known::default() });
    }

    /// What was so from the start, as far as looks have told it.
    #[must_use]
    pub fn start_of(&self, user: &User) -> Option<&Start> {
        self.known.get(user).map(|known| &known.start)
    }

    /// Forgets all users but those who have live sessions.
    pub fn keep_only(&mut self, live: &BTreeSet<User>) {
        self.known.retain(|user, _| live.contains(user));
    }

    /// Judges what one look showed.
    pub fn judge(&mut self, seen: impl IntoIterator<Item = (User, Seen)>, now: BootTime) -> Verdict {
        let (mut verdict, mut doubtful) = (Verdict::default(), BTreeMap::new());
        // Whoever can write these files is root already, and root's own line wrong must leave root the machine.
        for (user, seen) in seen.into_iter().filter(|(user, _)| user.uid != 0) {
            let known = self.known.entry(user.clone()).or_default();
            let again = match seen {
                // That mark is the administrator's own word.
                Seen::There(facts) if facts.is_disabled => {
                    verdict.end.push((user, Cause::Disabled));
                    None
                }
                Seen::There(facts) => {
                    let (causes, again) = known.causes(&facts, now);
                    if causes.is_empty() {
                        known.waits_for.clear();
                    } else {
                        doubtful.insert(user, causes);
                    }
                    again
                }
                Seen::Absent => {
                    let again = second_look(*known.absent_since.get_or_insert(now), now);
                    doubtful.extend(again.is_none().then(|| (user, vec![Cause::Removed])));
                    again
                }
                Seen::Unknown => {
                    known.absent_since = None;
                    None
                }
            };
            verdict.again = [verdict.again, again].into_iter().flatten().min();
        }
        self.doubt(doubtful, &mut verdict);
        verdict
    }

    /// Ends what few share, and has what many share wait. Who waits goes on waiting when others are cleared.
    fn doubt(&mut self, doubtful: BTreeMap<User, Vec<Cause>>, verdict: &mut Verdict) {
        let is_fresh = |user: &&User| self.known.get(user).is_none_or(|known| known.waits_for.is_empty());
        let are_many = doubtful.keys().filter(is_fresh).count() > MOST_AT_ONCE;
        for (user, causes) in doubtful {
            let known = self.known.entry(user.clone()).or_default();
            if are_many || !known.waits_for.is_empty() {
                verdict.wait.extend(causes.iter().cloned().map(|cause| (user.clone(), cause)));
                known.waits_for = causes;
            } else {
                verdict.end.extend(causes.into_iter().map(|cause| (user.clone(), cause)));
            }
        }
    }
}

impl Known {
    /// Why sessions end, and when to look again at what is not sure yet.
    fn causes(&mut self, facts: &Facts, now: BootTime) -> (Vec<Cause>, Option<BootTime>) {
        self.absent_since = None;
        let is_new = |start: &mut Option<bool>, is_so: bool| {
            let was_so = *start.get_or_insert(is_so);
            // What was put right once counts when it is taken back.
            *start = Some(was_so && is_so);
            is_so && !was_so
        };
        let causes = [
            (facts.is_expired, Cause::Expired),
            (is_new(&mut self.start.has_no_shell, facts.has_no_shell), Cause::NoShell),
            (
                facts.is_locked.is_some_and(|is_locked| is_new(&mut self.start.is_locked, is_locked)),
                Cause::PasswordLocked,
            ),
        ];
        let (left, again) = self.left(facts.groups.as_ref(), now);
        let of_the_account = causes.into_iter().find_map(|(is_so, cause)| is_so.then_some(cause));
        (of_the_account.map_or(left, |cause| vec![cause]), again)
    }

    /// The rules whose groups the user has left: like a user who is gone, at the second look only, and with the groups themselves there.
    fn left(&mut self, groups: Option<&BTreeMap<String, Membership>>, now: BootTime) -> (Vec<Cause>, Option<BootTime>) {
        let (mut left, mut again) = (Vec::new(), None);
        let Some(groups) = groups else {
            self.outside_since.clear();
            return (left, again);
        };
        self.start.groups.retain(|rule, _| groups.contains_key(rule));
        self.outside_since.retain(|rule, _| groups.contains_key(rule));
        for (rule, seen) in groups {
            let start = self.start.groups.entry(rule.clone()).or_insert_with(|| seen.clone());
            let is_new = seen.is_outside && !start.is_outside && seen.missing.is_subset(&start.missing);
            start.is_outside &= seen.is_outside;
            start.missing.retain(|group| seen.missing.contains(group));
            if !is_new {
                self.outside_since.remove(rule);
                continue;
            }
            match second_look(*self.outside_since.entry(rule.clone()).or_insert(now), now) {
                None => left.push(Cause::LeftGroup(rule.clone())),
                later => again = [again, later].into_iter().flatten().min(),
            }
        }
        (left, again)
    }
}

/// When to look again at what was first seen then; `None` when this is the second look.
fn second_look(since: BootTime, now: BootTime) -> Option<BootTime> {
    Some(since.saturating_add(SECOND_LOOK)).filter(|again| *again > now)
}

#[cfg(test)]
mod tests {
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
        let disabled = Seen::There(Facts { is_disabled: true, is_expired: true, ..Facts::default() });
        assert_eq!(end(&mut Watch::default(), expired(), 1), [Cause::Expired]);
        assert_eq!(end(&mut Watch::default(), disabled, 1), [Cause::Disabled]);
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
        let waiting =
            |watch: &Watch| watch.waiting().map(|(user, causes)| (user.uid, causes.to_vec())).collect::<Vec<_>>();
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
    fn the_administrators_word_is_no_event_of_that_kind() {
        let disabled = Facts { is_disabled: true, ..Facts::default() };
        let all = (1000..1100).map(|uid| (user(uid), Seen::There(disabled.clone())));
        assert_eq!(Watch::default().judge(all, at(1)).end.len(), 100);
    }

    #[test]
    fn root_is_left_alone() {
        let disabled = Seen::There(Facts { is_disabled: true, ..Facts::default() });
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

    fn any_seen() -> impl Strategy<Value = Seen> {
        let facts = (any::<[bool; 4]>()).prop_map(|[is_disabled, is_expired, has_no_shell, is_locked]| Facts {
            is_disabled,
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
                    verdict.end.iter().filter(|(_, cause)| *cause != Cause::Disabled).map(|(user, _)| user.uid).collect();
                prop_assert!(doubtful.len() <= MOST_AT_ONCE);
                for (User { uid, .. }, cause) in &verdict.end {
                    prop_assert!(*uid != 0);
                    let is_founded = match &look[uid] {
                        Seen::There(Facts { is_disabled, is_expired, has_no_shell, is_locked, .. }) => {
                            (*is_disabled || *is_expired || *has_no_shell || *is_locked == Some(true)) && *cause != Cause::Removed
                        },
                        Seen::Absent => *cause == Cause::Removed,
                        Seen::Unknown => false,
                    };
                    prop_assert!(is_founded);
                }
            }
        }
    }
}
