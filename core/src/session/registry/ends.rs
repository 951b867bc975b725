//! How sessions end: begun once, for the first cause, and gone when their processes are.

use super::Registry;
use crate::{
    policy::AtLogout,
    session::{Action, Closing, EndReason, Ended, Manner, Session, SessionId, State, Step},
    time::{BootTime, Now},
};

/// Why a session is not ended.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no such session")]
pub struct NotEnded;

impl Registry {
    /// The application closed the session. What it left running of a login lives on, as it always did, unless its rule says otherwise;
    /// nested sessions end. One that is being ended is over only when its processes are: sshd closes on the first signal, and what ignores
    /// that is still to be ended.
    pub fn close(&mut self, id: SessionId, now: Now) -> Vec<Action> {
        match self.sessions.get(&id).map(|session| (&session.state, session.opening.limits.at_logout)) {
            Some((State::Active | State::Orphaned, AtLogout::Keep)) => self.finish(id, EndReason::Logout, now),
            Some((State::Active | State::Orphaned, AtLogout::Terminate)) => {
                let cause = Cause { reason: EndReason::Logout, by: None, message: None, due: None };
                self.begin_end_in(id, Manner::Remains, &cause, now)
            }
            Some((State::Closing(_), _)) | None => Vec::new(),
        }
    }

    /// The leader is gone without having closed. Where members live on the session does, as an orphan, unless its rule says otherwise.
    pub fn leader_exited(&mut self, id: SessionId, has_members: bool, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        match (&session.state, has_members) {
            (State::Active | State::Orphaned, false) => self.finish(id, EndReason::LeaderExited, now),
            (State::Active, true) if session.opening.limits.at_logout == AtLogout::Terminate => {
                let cause = Cause { reason: EndReason::LeaderExited, by: None, message: None, due: None };
                self.begin_end(id, &cause, now)
            }
            (State::Active, true) => {
                session.state = State::Orphaned;
                // Nobody is left to unlock its screen, so a limit that locked it now ends it.
                self.reschedule(id);
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

    /// The account may no more be used. One that is being ended keeps its first cause.
    ///
    /// # Errors
    /// There is no such session.
    pub fn deactivate(
        &mut self,
        id: SessionId,
        by: Option<&str>,
        message: Option<&str>,
        now: Now,
    ) -> Result<Vec<Action>, NotEnded> {
        if !self.sessions.contains_key(&id) {
            return Err(NotEnded);
        }
        let cause = Cause { reason: EndReason::Deactivated, by, message, due: None };
        Ok(self.begin_end(id, &cause, now))
    }

    /// Its user logs out of the session.
    ///
    /// # Errors
    /// There is no such session.
    pub fn log_out(&mut self, id: SessionId, now: Now) -> Result<Vec<Action>, NotEnded> {
        if !self.sessions.contains_key(&id) {
            return Err(NotEnded);
        }
        let cause = Cause { reason: EndReason::Logout, by: None, message: None, due: None };
        Ok(self.begin_end(id, &cause, now))
    }

    /// Begins the end of a session and of those nested in it. An end under way goes on as it is.
    pub(super) fn begin_end(&mut self, id: SessionId, cause: &Cause<'_>, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get(&id) else { return Vec::new() };
        // An orphan has no leader to lose its terminal with: all of it ends, or killing su would be a way around the limits.
        let is_orphan = matches!(session.state, State::Orphaned);
        let manner = if is_orphan { Manner::Terminate } else { cause.reason.manner(&session.opening) };
        self.begin_end_in(id, manner, cause, now)
    }

    fn begin_end_in(&mut self, id: SessionId, manner: Manner, cause: &Cause<'_>, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        if matches!(session.state, State::Closing(_)) {
            return Vec::new();
        }
        let reason = cause.reason;
        let message = cause.message.map(str::to_owned);
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

    pub(super) fn strike_harder(&mut self, id: SessionId, now: Now) -> Vec<Action> {
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
    pub(super) fn finish(&mut self, id: SessionId, reason: EndReason, now: Now) -> Vec<Action> {
        let Some(session) = self.sessions.remove(&id) else { return Vec::new() };
        self.unqueue(id);
        self.index.remove(&session);
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
        self.index.nested_in(id).collect()
    }
}

/// How long the last words to a terminal have before the first signal: sshd, which has yet to carry them to the client, dies of that.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(250);

/// Why an end begins.
pub(super) struct Cause<'a> {
    pub(super) reason: EndReason,
    pub(super) by: Option<&'a str>,
    pub(super) message: Option<&'a str>,
    pub(super) due: Option<BootTime>,
}

/// At least a moment, so that a deadline always moves.
fn grace(session: &Session) -> std::time::Duration {
    session.opening.limits.grace.max(std::time::Duration::from_millis(100))
}
