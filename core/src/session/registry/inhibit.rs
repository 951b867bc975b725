//! Commands that keep a session from idling: they begin, and they end.

use super::Registry;
use crate::{
    session::{Action, Class, Holder, NotInhibited, SessionId, State, inhibition::latest},
    time::Now,
};

impl Registry {
    /// Keeps the login that the session is in from idling for as long as a process runs, and at most for as long as its rule grants. Nothing
    /// is to be done for a process that does so already.
    ///
    /// # Errors
    /// There is no such session, it is being ended, or the rule grants it not.
    pub fn inhibit(&mut self, id: SessionId, holder: Holder) -> Result<(SessionId, Vec<Action>), NotInhibited> {
        let login = self.login_around(id);
        let session = self.sessions.get_mut(&login).ok_or(NotInhibited::NoSuchSession)?;
        if matches!(session.state, State::Closing(_)) {
            return Err(NotInhibited::Ending);
        }
        if session.opening.limits.inhibit_max.is_zero() {
            return Err(NotInhibited::NotGranted);
        }
        if !session.inhibition.hold(holder)? {
            return Ok((login, Vec::new()));
        }
        self.reschedule(login);
        Ok((login, vec![Action::Persist(login)]))
    }

    /// The process is gone: idleness counts from now, or from when it could hold it off no longer.
    pub fn release(&mut self, id: SessionId, (pid, start_time): (u32, u64), now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let before = session.inhibition.holders.len();
        session.inhibition.holders.retain(|holder| !holder.is(pid, start_time));
        if session.inhibition.holders.len() == before {
            return Vec::new();
        }
        let until = latest(session).min(now.boot);
        session.inhibition.until = session.inhibition.until.max(Some(until));
        self.reschedule(id);
        vec![Action::Persist(id)]
    }

    /// The login that a nested session is in; itself where it is one. Only logins idle.
    #[must_use]
    pub fn login_around(&self, mut id: SessionId) -> SessionId {
        // No chain is longer than there are sessions.
        for _ in 0..self.sessions.len() {
            let parent = self.sessions.get(&id).filter(|session| session.opening.class == Class::Nested);
            match parent.and_then(|session| session.parent) {
                Some(parent) => id = parent,
                None => break,
            }
        }
        id
    }
}
