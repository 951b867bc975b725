//! The end of all that a user has open, once the account may no more be used.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
};

use authflow_bus::{LeftOver, Waiting};
use authflow_core::{
    deactivation::{Start, User},
    session::{Session, SessionId, State},
    time::Clock,
};
use authflow_host::clock::SystemClock;

use super::Daemon;
use crate::{
    leftovers::with_commands,
    members::members,
    snapshot::{Process, Snapshot},
};

impl Daemon {
    /// Begins the end of all sessions of the user, or of those that one rule granted; tells of how many. Another name of the same uid is
    /// another user.
    pub(crate) fn deactivate(
        self: &Arc<Self>,
        user: &User,
        rule: Option<&str>,
        (by, message): (Option<&str>, &str),
    ) -> u32 {
        let message = Some(message).filter(|message| !message.is_empty());
        let mut ended = 0;
        let ids = match rule {
            None => self.outermost_of(user),
            // By itself, also where it is nested in another of the user's.
            Some(rule) => self.sessions_granted(user, rule),
        };
        let snapshot = Snapshot::take();
        for id in ids.into_iter().filter(|id| !self.is_ending(*id)) {
            self.look_at(id, &snapshot);
            let mut core = self.core();
            // One that is over by now needs no ending.
            if let Ok(actions) = core.registry.deactivate(id, by, message, SystemClock.now()) {
                self.apply(&core, actions);
                ended += 1;
            }
        }
        ended
    }

    /// Keeps with the user's sessions how the account was at their start.
    pub(crate) fn note_account(&self, user: &User, start: &Start) {
        let mut core = self.core();
        let theirs: Vec<SessionId> =
            core.registry.iter().filter(|session| is_of(session, user)).map(|session| session.id).collect();
        for id in theirs {
            let actions = core.registry.note_account(id, start);
            self.apply(&core, actions);
        }
    }

    fn is_ending_any_of(&self, uid: u32) -> bool {
        let is_ending = |session: &Session| matches!(session.state, State::Closing(_));
        self.core().registry.iter().any(|session| session.opening.uid == uid && is_ending(session))
    }

    /// Waits until no session of the user is being ended.
    pub(crate) async fn sessions_ended(&self, uid: u32) {
        loop {
            let over = self.over.notified();
            if !self.is_ending_any_of(uid) {
                return;
            }
            over.await;
        }
    }

    /// The names by which somebody of that uid has a session that is not being ended.
    #[must_use]
    pub(crate) fn names_of_live(&self, uid: u32) -> BTreeSet<String> {
        let core = self.core();
        let is_live = |session: &&Session| session.opening.uid == uid && !matches!(session.state, State::Closing(_));
        core.registry.iter().filter(is_live).map(|session| session.opening.user.clone()).collect()
    }

    /// Notes who waits for an administrator, and why their sessions would end.
    pub(crate) fn note_waiting(&self, waiting: BTreeMap<User, String>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// Who waits for an administrator. Whose sessions are over by now does not.
    #[must_use]
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let live = waiting.into_iter().filter(|(user, _)| self.names_of_live(user.uid).contains(&user.name));
        live.map(|(User { uid, name }, why)| Waiting { uid, user: name, why }).collect()
    }

    /// The pids that those live sessions hold which `wanted` names.
    #[must_use]
    pub(crate) fn held_by_sessions(&self, snapshot: &Snapshot, wanted: impl Fn(&Session) -> bool) -> BTreeSet<u32> {
        let core = self.core();
        let is_live = |session: &Session| !matches!(session.state, State::Closing(_));
        let live = core.registry.iter().filter(|session| is_live(session) && wanted(session));
        live.flat_map(|session| members(session, &core.registry, &core.known, snapshot)).map(|id| id.pid).collect()
    }

    /// What runs on although its login is over.
    #[must_use]
    pub(crate) fn leftovers(&self) -> Vec<LeftOver> {
        let snapshot = Snapshot::take();
        let held = self.held_by_sessions(&snapshot, |_all| true);
        let ended = self.ended();
        let free = snapshot.iter().filter(|process| !held.contains(&process.id.pid));
        let found = free.filter_map(|process| ended.left_over(process, &snapshot)).collect();
        drop(ended);
        with_commands(found)
    }

    /// Whether the process runs on although its login is over. That no live session holds it must be known.
    #[must_use]
    pub(crate) fn is_left_over(&self, process: &Process, snapshot: &Snapshot) -> bool {
        self.ended().left_over(process, snapshot).is_some()
    }

    /// Those nested in another of the same user end with it; one inside somebody else's (su) does not.
    fn outermost_of(&self, user: &User) -> Vec<SessionId> {
        let core = self.core();
        let is_around = |id: SessionId| core.registry.find(id).is_some_and(|session| is_of(session, user));
        let is_meant = |session: &&Session| is_of(session, user) && !session.parent.is_some_and(is_around);
        core.registry.iter().filter(is_meant).map(|session| session.id).collect()
    }

    fn sessions_granted(&self, user: &User, rule: &str) -> Vec<SessionId> {
        let is_granted = |session: &Session| is_of(session, user) && session.opening.rule == rule;
        self.sessions_where(is_granted).into_iter().map(|session| session.id).collect()
    }

    fn is_ending(&self, id: SessionId) -> bool {
        self.find(id).is_none_or(|session| matches!(session.state, State::Closing(_)))
    }
}

fn is_of(session: &Session, user: &User) -> bool {
    session.opening.uid == user.uid && session.opening.user == user.name
}
