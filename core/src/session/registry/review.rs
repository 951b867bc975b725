//! What a look at a session's processes means: it goes on, its user is warned, or it ends.

use super::{Registry, ends::Cause};
use crate::{
    session::{Action, EndReason, Seen, Session, SessionId, State, limits::deadlines},
    time::Now,
};

impl Registry {
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
