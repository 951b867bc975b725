//! All sessions that live, and the one queue of their deadlines.

use std::collections::{BTreeMap, BTreeSet};

mod ends;
mod index;
mod inhibit;
mod review;

pub use self::ends::NotEnded;
use self::{ends::Cause, index::Index};

use super::{
    Action, Birth, Class, EndReason, Leader, NotOpened, NotRenewed, Opening, Renewal, Session, SessionId, State,
    birth::born, limits::next_look,
};
use crate::{
    deactivation::Start,
    policy::{ActivityKind, AtMax},
    time::{BootTime, Now, WallTime},
};

/// Why an idle deadline is not pushed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotExtended {
    /// There is no such session.
    #[error("there is no such session")]
    NoSuchSession,
    /// It is being ended.
    #[error("the session is being ended")]
    Ending,
    /// The user has done it as often as the rule grants.
    #[error("the rule lets a user extend {0} times; activity does it by itself")]
    UsedUp(u32),
}

/// All sessions that live.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    sessions: BTreeMap<SessionId, Session>,
    queue: BTreeSet<(BootTime, SessionId)>,
    queued: BTreeMap<SessionId, BootTime>,
    index: Index,
}

impl Registry {
    /// The session of that id.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// All sessions, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// The session that this process leads.
    #[must_use]
    pub fn led_by(&self, leader: Leader) -> Option<&Session> {
        self.index.led_by(leader).and_then(|id| self.find(id))
    }

    /// The sessions that have this audit id of the kernel's: more than one where they are nested, or share a login's.
    pub fn with_audit_id(&self, audit_id: u32) -> impl Iterator<Item = &Session> {
        self.index.with_audit_id(audit_id).filter_map(|id| self.find(id))
    }

    /// The sessions that are nested in that one, however deep.
    #[must_use]
    pub fn below(&self, id: SessionId) -> Vec<&Session> {
        let (mut found, mut todo) = (Vec::new(), vec![id]);
        let mut seen = BTreeSet::from([id]);
        while let Some(above) = todo.pop() {
            // No store that somebody edited leads in circles.
            let nested = self.index.nested_in(above).filter(|id| seen.insert(*id)).collect::<Vec<_>>();
            found.extend(nested.iter().filter_map(|id| self.find(*id)));
            todo.extend(nested);
        }
        found
    }

    /// How many sessions live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Keeps with a session how its account was at the start.
    pub fn note_account(&mut self, id: SessionId, start: &Start) -> Vec<Action> {
        match self.sessions.get_mut(&id).filter(|session| session.account_at_start != *start) {
            Some(session) => {
                session.account_at_start = start.clone();
                vec![Action::Persist(id)]
            }
            None => Vec::new(),
        }
    }

    /// Keeps with a session when the daemon last wrote to its terminals, if output there counts.
    pub fn note_told(&mut self, id: SessionId, at: WallTime) -> Vec<Action> {
        let counts = |session: &&mut Session| session.opening.limits.activity == ActivityKind::InputOutput;
        match self.sessions.get_mut(&id).filter(counts) {
            Some(session) => {
                session.told = Some(at);
                vec![Action::Persist(id)]
            }
            None => Vec::new(),
        }
    }

    /// When to ask [`Registry::due`] next; `None` while nothing can become due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// The sessions to look at and [`Registry::review`] now.
    #[must_use]
    pub fn due(&self, now: BootTime) -> Vec<SessionId> {
        self.queue.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Opens a session.
    ///
    /// # Errors
    /// The id or leader is taken, or the user has too many.
    pub fn open(&mut self, birth: Birth, now: Now) -> Result<Vec<Action>, NotOpened> {
        self.check(&birth)?;
        let mut actions = self.make_room(&birth.opening, now)?;
        actions.extend(self.settle_in(birth, now));
        Ok(actions)
    }

    /// Takes on a login that was let in while nobody could count. It is in: one too many that is tracked is better than one that is not.
    ///
    /// # Errors
    /// The id or leader is taken.
    pub fn adopt(&mut self, birth: Birth, now: Now) -> Result<Vec<Action>, NotOpened> {
        self.check(&birth)?;
        let mut actions = self.make_room(&birth.opening, now).unwrap_or_default();
        actions.extend(self.settle_in(birth, now));
        Ok(actions)
    }

    /// Records a session that is over already: it ended at `closed`, or, where nobody knows, before `now` with its leader.
    ///
    /// # Errors
    /// The id or leader is taken.
    pub fn record(&mut self, birth: Birth, closed: Option<WallTime>, now: Now) -> Result<Vec<Action>, NotOpened> {
        self.check(&birth)?;
        let id = birth.id;
        let mut actions = Vec::from(self.settle_in(birth, now));
        actions.extend(match closed {
            Some(wall) => self.finish(id, EndReason::Logout, Now { wall, ..now }),
            None => self.leader_exited(id, false, now),
        });
        Ok(actions)
    }

    fn check(&self, birth: &Birth) -> Result<(), NotOpened> {
        if self.sessions.contains_key(&birth.id) {
            return Err(NotOpened::IdTaken);
        }
        // A program that has closed its session may open the next one while what that left still ends.
        if self.led_by(birth.leader).is_some_and(|other| !other.is_left_by_its_leader()) {
            return Err(NotOpened::LeaderTaken);
        }
        if birth.opening.vouched_by.is_some() && !self.is_vouched_for(birth) {
            return Err(NotOpened::NotVouched);
        }
        Ok(())
    }

    fn settle_in(&mut self, birth: Birth, now: Now) -> [Action; 2] {
        let id = birth.id;
        self.insert(born(birth, now));
        [Action::Persist(id), Action::AnnounceOpened(id)]
    }

    /// Takes a session over as it was kept, after a restart. One of another boot is over.
    pub fn load(&mut self, session: Session, boot_id: &str, now: Now) -> Vec<Action> {
        let id = session.id;
        if self.sessions.contains_key(&id) {
            return Vec::new();
        }
        let is_of_this_boot = session.boot_id == boot_id;
        self.insert(session);
        if is_of_this_boot { Vec::new() } else { self.finish(id, EndReason::Reboot, now) }
    }

    /// Pushes the idle deadline. `by_user` counts against what the rule grants.
    ///
    /// # Errors
    /// There is no such session, it is being ended, or the user may not any more.
    pub fn extend(&mut self, id: SessionId, by_user: bool, now: Now) -> Result<Vec<Action>, NotExtended> {
        let session = self.sessions.get_mut(&id).ok_or(NotExtended::NoSuchSession)?;
        if matches!(session.state, State::Closing(_)) {
            return Err(NotExtended::Ending);
        }
        if by_user {
            let granted = session.opening.limits.user_extend;
            if session.extended >= granted {
                return Err(NotExtended::UsedUp(granted));
            }
            session.extended += 1;
        }
        session.last_active = now;
        session.warned_of = None;
        session.warned_again_of = None;
        self.reschedule(id);
        Ok(vec![Action::Persist(id)])
    }

    /// Restarts both limits of a session whose owner has authenticated again inside it.
    ///
    /// # Errors
    /// There is no such session, it is at its end, or the authentication is not one that renews it.
    pub fn renew(&mut self, id: SessionId, renewal: &Renewal) -> Result<Vec<Action>, NotRenewed> {
        renewal.apply(self.sessions.get_mut(&id).ok_or(NotRenewed::NoSuchSession)?)?;
        self.reschedule(id);
        Ok(vec![Action::Persist(id)])
    }

    /// Whether the session that vouched is the one around the new one, its owner's, and lives.
    fn is_vouched_for(&self, birth: &Birth) -> bool {
        let around = birth.parent.filter(|parent| birth.opening.vouched_by == Some(*parent));
        let around = around.and_then(|parent| self.sessions.get(&parent));
        around.is_some_and(|around| around.state == State::Active && around.opening.uid == birth.opening.uid)
    }

    /// Makes room for a login of that user, or says that there is none.
    fn make_room(&mut self, opening: &Opening, now: Now) -> Result<Vec<Action>, NotOpened> {
        let Some(most) = opening.limits.max_sessions else { return Ok(Vec::new()) };
        if opening.class != Class::User {
            return Ok(Vec::new());
        }
        let mut others: Vec<_> = self
            .sessions
            .values()
            .filter(|session| session.opening.uid == opening.uid && session.opening.class == Class::User)
            .filter(|session| !matches!(session.state, State::Closing(_)))
            .map(|session| (session.last_active.boot, session.id))
            .collect();
        let surplus = (others.len() + 1).saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        if surplus == 0 {
            return Ok(Vec::new());
        }
        match opening.limits.at_max {
            AtMax::Refuse => Err(NotOpened::TooMany(most)),
            AtMax::Supersede => {
                others.sort_unstable();
                let cause = Cause { reason: EndReason::Superseded, by: None, message: None, due: None };
                Ok(others.into_iter().take(surplus).flat_map(|(_, id)| self.begin_end(id, &cause, now)).collect())
            }
        }
    }

    fn insert(&mut self, session: Session) {
        let id = session.id;
        self.index.add(&session);
        self.sessions.insert(id, session);
        self.reschedule(id);
    }

    /// Puts the session's next deadline into the queue.
    fn reschedule(&mut self, id: SessionId) {
        self.unqueue(id);
        let Some(session) = self.sessions.get(&id) else { return };
        let next = match &session.state {
            State::Closing(closing) => Some(closing.next),
            State::Active | State::Orphaned => next_look(session),
        };
        if let Some(next) = next {
            self.queue.insert((next, id));
            self.queued.insert(id, next);
        }
    }

    fn unqueue(&mut self, id: SessionId) {
        if let Some(at) = self.queued.remove(&id) {
            self.queue.remove(&(at, id));
        }
    }
}
