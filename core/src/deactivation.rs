//! When an account may no more be used: from what was seen of the users of live sessions, and when, to what is done about it. A file that
//! was written wrong and a directory that is away both look like everybody's end, hence the doubts.

mod mark;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::mark::Mark;
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
    /// An administrator disabled the user, and said this.
    Disabled(Mark),
    /// The user was dropped from the groups that this rule is for. Only its sessions end.
    LeftGroup(String),
}

impl Cause {
    /// Several, for people.
    #[must_use]
    pub fn told(causes: &[Self]) -> String {
        causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed => f.write_str("the account was removed"),
            Self::Expired => f.write_str("the account has expired"),
            Self::NoShell => f.write_str("the account has no login shell any more"),
            Self::PasswordLocked => f.write_str("the account's password was locked"),
            Self::Disabled(_) => f.write_str("the account was disabled"),
            Self::LeftGroup(rule) => write!(f, "the user is in no group of the rule {rule} any more"),
        }
    }
}

/// What a look shows of an account that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the mark says, if it is set.
    pub disabled: Option<Mark>,
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
    /// Whose sessions would end, and for all that, were they not so many: an administrator must decide.
    pub wait: Vec<(User, Vec<Cause>)>,
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
    /// Whether an administrator is to decide about the sessions, for their end would be one of too many.
    #[serde(default)]
    waits: bool,
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
                Seen::There(Facts { disabled: Some(mark), .. }) => {
                    verdict.end.push((user, Cause::Disabled(mark)));
                    None
                }
                Seen::There(facts) => {
                    let (causes, again) = known.causes(&facts, now);
                    if !causes.is_empty() {
                        doubtful.insert(user, causes);
                    } else if known.is_in_order(&facts) {
                        known.waits_for.clear();
                        known.start.waits = false;
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
        let is_fresh = |user: &&User| self.known.get(user).is_none_or(|known| !known.start.waits);
        let are_many = doubtful.keys().filter(is_fresh).count() > MOST_AT_ONCE;
        for (user, causes) in doubtful {
            let known = self.known.entry(user.clone()).or_default();
            if are_many || known.start.waits {
                known.waits_for.clone_from(&causes);
                verdict.wait.push((user, causes));
                known.start.waits = true;
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

    /// Whether nothing is wrong for sure: who waits must not begin anew by a look that cannot tell, and then be one of few.
    fn is_in_order(&self, facts: &Facts) -> bool {
        let was_outside = |rule: &String| self.start.groups.get(rule).is_some_and(|start| start.is_outside);
        let is_in_all = |groups: &BTreeMap<String, Membership>| {
            groups.iter().all(|(rule, seen)| !seen.is_outside || was_outside(rule))
        };
        facts.is_locked.is_some() && facts.groups.as_ref().is_some_and(is_in_all)
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
