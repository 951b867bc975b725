//! What is asked of the daemon: which sessions there are, what they show, which one a process is in. Nothing here changes any; what a list
//! saw of their processes is remembered.

use std::collections::BTreeSet;

use authflow_bus::SessionInfo;
use authflow_core::{
    name,
    session::{Session, SessionId},
    time::Clock,
};
use authflow_host::{clock::SystemClock, process::ProcessId};

use super::{Daemon, info::info};
use crate::{
    members::{may_hold, members, whole_scope},
    snapshot::Snapshot,
    tty::Tty,
};

/// A session as a snapshot shows it.
pub(crate) struct Inspected {
    /// The session.
    pub(crate) session: Session,
    /// Its processes.
    pub(crate) members: Vec<ProcessId>,
    /// Its ttys, or where these cannot be seen all that may be among them.
    pub(crate) ttys: BTreeSet<Tty>,
}

impl Daemon {
    /// The ids of all sessions.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.core().registry.iter().map(|session| session.id).collect()
    }

    /// The session as that snapshot shows it. `None` if there is none of that id.
    #[must_use]
    pub(crate) fn inspect(&self, id: SessionId, snapshot: &Snapshot) -> Option<Inspected> {
        let core = self.core();
        let session = core.registry.find(id)?.clone();
        let members = members(&session, &core.registry, &core.known, snapshot);
        let ttys = core.activity.peek(&session, &members, snapshot, SystemClock.now()).audience();
        drop(core);
        Some(Inspected { session, members, ttys })
    }

    /// The cgroup of the session's scope, if no other live session has processes there.
    #[must_use]
    pub(crate) fn whole_scope(&self, session: &Session, snapshot: &Snapshot) -> Option<String> {
        whole_scope(session, &self.core().registry, snapshot)
    }

    /// The terminals of these sessions as they are now.
    #[must_use]
    pub(crate) fn ttys_of(&self, ids: &[SessionId]) -> BTreeSet<Tty> {
        let snapshot = Snapshot::take();
        let (core, now) = (self.core(), SystemClock.now());
        let sessions = ids.iter().filter_map(|id| core.registry.find(*id));
        let ttys = sessions.flat_map(|session| {
            let found = members(session, &core.registry, &core.known, &snapshot);
            core.activity.peek(session, &found, &snapshot, now).audience()
        });
        ttys.collect()
    }

    /// What a session shows, looked up now. `None` if there is none of that id.
    #[must_use]
    pub(crate) fn info(&self, id: SessionId) -> Option<SessionInfo> {
        self.infos(|session| session.id == id).pop()
    }

    /// What the sessions that `wanted` names show, looked up now.
    #[must_use]
    pub(crate) fn infos(&self, wanted: impl Fn(&Session) -> bool) -> Vec<SessionInfo> {
        let snapshot = Snapshot::take();
        let (mut guard, now) = (self.core(), SystemClock.now());
        let core = &mut *guard;
        let wanted = core.registry.iter().filter(|session| wanted(session));
        wanted
            .map(|session| {
                let found = members(session, &core.registry, &core.known, &snapshot);
                core.known.note(session.id, &found, &snapshot);
                let look = core.activity.peek(session, &found, &snapshot, now);
                info(session, &look, now)
            })
            .collect()
    }

    /// The sessions that `wanted` names.
    #[must_use]
    pub(crate) fn sessions_where(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Session> {
        self.core().registry.iter().filter(|session| wanted(session)).cloned().collect()
    }

    /// The owner and leader of a session. `None` if there is none of that id.
    #[must_use]
    pub(crate) fn find(&self, id: SessionId) -> Option<Session> {
        self.core().registry.find(id).cloned()
    }

    /// The login that a session is, or is nested in. `None` if it is over.
    #[must_use]
    pub(crate) fn login_around(&self, id: SessionId) -> Option<Session> {
        let core = self.core();
        core.registry.find(core.registry.login_around(id)).cloned()
    }

    /// The ids of a user's sessions. Those nested in another of the same user end with it; one inside somebody else's (su) does not.
    #[must_use]
    pub(crate) fn sessions_of(&self, uid: u32) -> Vec<SessionId> {
        let core = self.core();
        let owner = |id: SessionId| core.registry.find(id).map(|session| session.opening.uid);
        let is_theirs = |session: &&Session| session.opening.uid == uid && session.parent.and_then(owner) != Some(uid);
        core.registry.iter().filter(is_theirs).map(|session| session.id).collect()
    }

    /// The logins of the user whose record goes by that file name, with the user's own name. What is nested in them has their terminals.
    #[must_use]
    pub(crate) fn logins_by_record(&self, file_name: &str) -> Vec<(SessionId, String)> {
        let core = self.core();
        let is_theirs = |user: &str| name::file_name(user).is_ok_and(|name| name == file_name);
        let sessions =
            core.registry.iter().filter(|session| session.parent.is_none() && is_theirs(&session.opening.user));
        sessions.map(|session| (session.id, session.opening.user.clone())).collect()
    }

    /// The session that a process is in: the innermost one whose members it is among.
    #[must_use]
    pub(crate) fn session_of(&self, pid: u32) -> Option<SessionId> {
        let core = self.core();
        let chain = Snapshot::chain(pid);
        let above = chain.ancestors(pid).collect();
        let is_likely = |session: &&Session| may_hold(session, (pid, &above), &core.known, &chain);
        let likely: Vec<&Session> = core.registry.iter().filter(is_likely).collect();
        // What is above the leaders too: that is in no session, and a member must not be above its own.
        let snapshot = Snapshot::chains(likely.iter().map(|session| session.leader.pid).chain([pid]));
        let holds = |session: &&Session| {
            members(session, &core.registry, &core.known, &snapshot).iter().any(|id| id.pid == pid)
        };
        let above = |id: &SessionId| core.registry.find(*id).and_then(|session| session.parent);
        let depth = |session: &&Session| std::iter::successors(session.parent, above).take(core.registry.len()).count();
        likely.into_iter().filter(holds).max_by_key(depth).map(|session| session.id)
    }

    /// How many sessions live.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.core().registry.len()
    }

    /// Whether something could not be kept.
    #[must_use]
    pub(crate) fn is_degraded(&self) -> bool {
        self.keeper().is_degraded()
    }
}
