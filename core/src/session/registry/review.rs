//! What a look at a session's processes means: it goes on, its user is warned, or it ends.

use super::{Registry, ends::Cause};
use crate::{
    session::{
        Action, EndReason, Seen, Session, SessionId, State,
        limits::{deadlines, locks_at, warnings},
    },
    time::{BootTime, Now},
};

impl Registry {
    /// Somebody unlocked the screen of a session, which is activity. Who renewed it thereby is done; otherwise a lifetime that has passed
    /// locks it again.
    pub fn unlocked(&mut self, id: SessionId, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.locked_of.is_some()) else {
            return Vec::new();
        };
        session.locked_of = None;
        session.last_active = now;
        self.reschedule(id);
        vec![Action::Persist(id)]
    }

    /// The screen of a session could not be locked. A limit must not go by without effect, so from now on it ends the session.
    pub fn lock_failed(&mut self, id: SessionId) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        session.cannot_lock = true;
        self.reschedule(id);
        vec![Action::Persist(id)]
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
        // Both limits may have passed, as after a suspend: the screen is locked for one, and the other still holds.
        while let Some((deadline, limit)) = deadlines(session).first().filter(|(at, _)| *at <= now.boot) {
            // A limit ends only what is there: whoever left while no daemon looked has not stayed too long.
            if !seen.is_alive {
                actions.extend(self.finish(id, EndReason::LeaderExited, now));
                return actions;
            }
            if !locks_at(session, limit) {
                let cause = Cause { reason: limit, by: None, message: None, due: Some(deadline) };
                actions.extend(self.begin_end(id, &cause, now));
                return actions;
            }
            session.locked_of = Some(deadline);
            actions.push(Action::Lock(id));
        }
        if let Some((deadline, limit)) = deadlines(session).first() {
            actions.extend(warn(session, (deadline, limit), now));
        }
        if *session != before {
            actions.insert(0, Action::Persist(id));
        }
        actions
    }
}

/// Warns of that deadline if it is time to, first and once more when little is left. A look that comes late warns once.
fn warn(session: &mut Session, (deadline, limit): (BootTime, EndReason), now: Now) -> Vec<Action> {
    let left = deadline.saturating_since(now.boot);
    let [first, second] = warnings(session, limit);
    if left <= second && session.warned_again_of != Some(deadline) {
        session.warned_of = Some(deadline);
        session.warned_again_of = Some(deadline);
    } else if left <= first && session.warned_of != Some(deadline) {
        session.warned_of = Some(deadline);
    } else {
        return Vec::new();
    }
    vec![Action::Warn { id: session.id, limit, left }, Action::AnnounceEnding(session.id)]
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
