//! All sessions that live, and the one queue of their deadlines.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, Basis, Class, Closing, EndReason, Ended, Leader, Manner, NotRenewed, Opening, Renewal, Seen, Session,
    SessionId, State, Step,
    limits::{deadlines, next_look},
};
use crate::{
    policy::AtMax,
    time::{BootTime, Now, WallTime},
};

/// What a session is born with, beyond the facts of its opening.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Its id.
    pub id: SessionId,
    /// The facts.
    pub opening: Opening,
    /// The process whose end is a logout.
    pub leader: Leader,
    /// This boot.
    pub boot_id: String,
    /// The session that the leader is in already, if any.
    pub parent: Option<SessionId>,
    /// logind's name for it.
    pub logind_id: Option<String>,
    /// The kernel's audit session id, if it is this session's alone.
    pub audit_id: Option<u32>,
    /// When it was opened: now, or earlier for a login that is adopted.
    pub opened: Now,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotOpened {
    /// The user has as many as the rule grants.
    #[error("the user has {0} sessions, and the rule grants no more")]
    TooMany(u32),
    /// The leader leads a session already.
    #[error("the process leads a session already")]
    LeaderTaken,
    /// There is one of that id.
    #[error("the id is taken")]
    IdTaken,
    /// The session that vouched for its user is over, or is not the one around it.
    #[error("the session that vouched for the user is not the one around it, or is at its end")]
    NotVouched,
}

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

/// Why a session is not ended.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no such session")]
pub struct NotEnded;

/// All sessions that live.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    sessions: BTreeMap<SessionId, Session>,
    queue: BTreeSet<(BootTime, SessionId)>,
    queued: BTreeMap<SessionId, BootTime>,
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
        self.sessions.values().find(|session| session.leader == leader)
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
        if self.sessions.contains_key(&birth.id) {
            return Err(NotOpened::IdTaken);
        }
        if self.led_by(birth.leader).is_some() {
            return Err(NotOpened::LeaderTaken);
        }
        if birth.opening.vouched_by.is_some() && !self.is_vouched_for(&birth) {
            return Err(NotOpened::NotVouched);
        }
        let mut actions = self.make_room(&birth.opening, now)?;
        let id = birth.id;
        let session = born(birth, now);
        self.sessions.insert(id, session);
        self.reschedule(id);
        actions.extend([Action::Persist(id), Action::AnnounceOpened(id)]);
        Ok(actions)
    }

    /// Takes a session over as it was kept, after a restart. One of another boot is over.
    pub fn load(&mut self, session: Session, boot_id: &str, now: Now) -> Vec<Action> {
        let id = session.id;
        if self.sessions.contains_key(&id) {
            return Vec::new();
        }
        let is_of_this_boot = session.boot_id == boot_id;
        self.sessions.insert(id, session);
        if is_of_this_boot {
            self.reschedule(id);
            Vec::new()
        } else {
            self.finish(id, EndReason::Reboot, now)
        }
    }

    /// The application closed the session. What it left running of a login lives on, as it always did; nested sessions end. One that is
    /// being ended is over only when its processes are: sshd closes on the first signal, and what ignores that is still to be ended.
    pub fn close(&mut self, id: SessionId, now: Now) -> Vec<Action> {
        match self.sessions.get(&id).map(|session| &session.state) {
            Some(State::Active | State::Orphaned) => self.finish(id, EndReason::Logout, now),
            Some(State::Closing(_)) | None => Vec::new(),
        }
    }

    /// The leader is gone without having closed. Where members live on the session does, as an orphan.
    pub fn leader_exited(&mut self, id: SessionId, has_members: bool, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        match (&session.state, has_members) {
            (State::Active | State::Orphaned, false) => self.finish(id, EndReason::LeaderExited, now),
            (State::Active, true) => {
                session.state = State::Orphaned;
                vec![Action::Persist(id)]
            }
            (State::Closing(_), false) => self.finish(id, EndReason::LeaderExited, now),
            (State::Orphaned | State::Closing(_), true) => Vec::new(),
        }
    }

    /// Somebody ends the session. One that is being ended keeps its first cause.
    ///
    /// # Errors
    /// There is no such session.
    pub fn revoke(
        &mut self,
        id: SessionId,
        by: &str,
        message: Option<&str>,
        now: Now,
    ) -> Result<Vec<Action>, NotEnded> {
        if !self.sessions.contains_key(&id) {
            return Err(NotEnded);
        }
        let cause = Cause { reason: EndReason::Revoked, by: Some(by), message, due: None };
        Ok(self.begin_end(id, &cause, now))
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

    /// Decides about one session that was looked at. Always moves its deadline past `now`.
    #[must_use]
    pub fn review(&mut self, id: SessionId, seen: Seen, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let is_known_dead = !seen.is_alive;
        let actions = match &session.state {
            State::Closing(closing) if is_known_dead => {
                let reason = closing.reason;
                self.finish(id, reason, now)
            }
            State::Closing(closing) if closing.next <= now.boot => self.strike_harder(id, now),
            State::Closing(_) => Vec::new(),
            State::Orphaned if is_known_dead => self.finish(id, EndReason::LeaderExited, now),
            State::Active | State::Orphaned => self.review_living(id, seen, now),
        };
        self.reschedule(id);
        actions
    }

    fn review_living(&mut self, id: SessionId, seen: Seen, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let before = session.clone();
        note_activity(session, seen, now);
        let mut actions = Vec::new();
        if let Some((deadline, limit)) = deadlines(session).first() {
            if deadline <= now.boot {
                let cause = Cause { reason: limit, by: None, message: None, due: Some(deadline) };
                return self.begin_end(id, &cause, now);
            }
            let left = deadline.saturating_since(now.boot);
            if left <= session.opening.limits.warn && session.warned_of != Some(deadline) {
                session.warned_of = Some(deadline);
                actions.extend([Action::Warn { id, limit, left }, Action::AnnounceEnding(id)]);
            }
        }
        if *session != before {
            actions.insert(0, Action::Persist(id));
        }
        actions
    }

    /// Begins the end of a session and of those nested in it. An end under way goes on as it is.
    fn begin_end(&mut self, id: SessionId, cause: &Cause<'_>, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        if matches!(session.state, State::Closing(_)) {
            return Vec::new();
        }
        let reason = cause.reason;
        let message = cause.message.map(str::to_owned);
        // An orphan has no leader to lose its terminal with: all of it ends, or killing su would be a way around the limits.
        let is_orphan = matches!(session.state, State::Orphaned);
        let manner = if is_orphan { Manner::Terminate } else { reason.manner(&session.opening) };
        session.state = State::Closing(Closing {
            reason,
            manner,
            by: cause.by.map(str::to_owned),
            message: message.clone(),
            due: cause.due,
            began: now,
            step: None,
            next: now.boot.saturating_add(FAREWELL),
        });
        let mut actions =
            vec![Action::Persist(id), Action::AnnounceEnding(id), Action::Farewell { id, reason, message }];
        for child in self.nested_in(id) {
            actions.extend(self.begin_end(child, cause, now));
        }
        self.reschedule(id);
        actions
    }

    fn strike_harder(&mut self, id: SessionId, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let next = now.boot.saturating_add(grace(session));
        let State::Closing(closing) = &mut session.state else { return Vec::new() };
        let step = closing.step.map_or(Step::Hangup, Step::harder);
        closing.step = Some(step);
        closing.next = next;
        let manner = closing.manner;
        vec![Action::Persist(id), Action::Strike { id, manner, step }]
    }

    /// Ends a session that is over, for `reason` or for the cause that came first. Nested ones begin to end.
    fn finish(&mut self, id: SessionId, reason: EndReason, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.remove(&id) else { return Vec::new() };
        self.unqueue(id);
        let first = match &session.state {
            State::Closing(closing) => Cause {
                reason: closing.reason,
                by: closing.by.as_deref(),
                message: closing.message.as_deref(),
                due: None,
            },
            State::Active | State::Orphaned => Cause { reason, by: None, message: None, due: None },
        };
        let mut actions = Vec::new();
        for child in self.nested_in(id) {
            // After a reboot there is nothing left to signal.
            if first.reason == EndReason::Reboot {
                actions.extend(self.finish(child, EndReason::Reboot, now));
            } else {
                actions.extend(self.begin_end(child, &first, now));
            }
        }
        let (by, message) = (first.by.map(str::to_owned), first.message.map(str::to_owned));
        let ended = Ended { reason: first.reason, by, message, closed: now, session };
        actions.extend([Action::Archive(Box::new(ended)), Action::AnnounceClosed(id)]);
        actions
    }

    fn nested_in(&self, id: SessionId) -> Vec<SessionId> {
        self.sessions.values().filter(|session| session.parent == Some(id)).map(|session| session.id).collect()
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
        if opening.class == Class::Nested {
            return Ok(Vec::new());
        }
        let mut others: Vec<_> = self
            .sessions
            .values()
            .filter(|session| session.opening.uid == opening.uid && session.opening.class != Class::Nested)
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

/// How long the last words to a terminal have before the first signal: sshd, which has yet to carry them to the client, dies of that.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(250);

/// Why an end begins.
struct Cause<'a> {
    reason: EndReason,
    by: Option<&'a str>,
    message: Option<&'a str>,
    due: Option<BootTime>,
}

fn born(birth: Birth, now: Now) -> Session {
    // An adopted login was opened earlier, and nothing is opened later than now.
    let opened = Now { boot: birth.opened.boot.min(now.boot), wall: birth.opened.wall };
    let authenticated = authenticated(&birth.opening, opened);
    Session {
        id: birth.id,
        leader: birth.leader,
        boot_id: birth.boot_id,
        opened,
        authenticated,
        proved: birth.opening.factors.iter().map(|factor| (factor, authenticated.boot)).collect(),
        last_active: opened,
        looked: opened.boot,
        basis: Basis::default(),
        parent: birth.parent,
        logind_id: birth.logind_id,
        audit_id: birth.audit_id,
        warned_of: None,
        extended: 0,
        state: State::Active,
        opening: birth.opening,
    }
}

/// When the user authenticated. The module says it in wall time; the clock may have been set since, so it is believed for the few
/// minutes that a receipt lives.
fn authenticated(opening: &Opening, opened: Now) -> Now {
    const RECEIPT_LIFE_SECS: u64 = 300;
    let at: WallTime = opening.authenticated_at.unwrap_or(opened.wall).min(opened.wall);
    let ago = opened.wall.saturating_since(at).min(std::time::Duration::from_secs(RECEIPT_LIFE_SECS));
    Now { boot: opened.boot.saturating_sub(ago), wall: opened.wall.saturating_sub(ago) }
}

/// Takes what was seen over. Activity lies between the look before and now, whatever a tty's owner or a set clock claims.
fn note_activity(session: &mut Session, seen: Seen, now: Now) {
    session.basis = seen.basis;
    if let Some(at) = seen.active_at {
        let at = at.clamp(session.looked.min(now.boot), now.boot);
        if at > session.last_active.boot {
            let ago = now.boot.saturating_since(at);
            session.last_active = Now { boot: at, wall: now.wall.saturating_sub(ago) };
        }
    }
    session.looked = session.looked.max(now.boot);
}

/// At least a moment, so that a deadline always moves.
fn grace(session: &Session) -> std::time::Duration {
    session.opening.limits.grace.max(std::time::Duration::from_millis(100))
}
