//! What a session shows to whoever may see it.

use std::sync::Arc;

use authflow_bus::{NONE, SessionInfo};
use authflow_core::{
    factor::Factor,
    session::{Deadlines, Session, deadlines},
    time::{BootTime, Clock, Now, WallTime},
    vouch::OwnSession,
};
use authflow_host::clock::SystemClock;

use super::Daemon;
use crate::{activity::Look, store::wall_of};

impl Daemon {
    /// What the session that a process is in can vouch for. A limit that has just passed ends it first.
    #[must_use]
    pub(crate) fn own_session(self: &Arc<Self>, pid: u32) -> Option<OwnSession> {
        let id = self.session_of(pid)?;
        if self.core().registry.due(SystemClock.now().boot).contains(&id) {
            self.look(id);
        }
        let session = self.find(id)?;
        Some(OwnSession::of(&session, SystemClock.now().boot))
    }
}

/// The properties of a session that was looked at now.
pub(super) fn info(session: &Session, look: &Look, now: Now) -> SessionInfo {
    let mut session = session.clone();
    session.basis = look.basis;
    if let Some(at) = look.active_at.map(|at| at.clamp(session.looked.min(now.boot), now.boot)) {
        let boot = session.last_active.boot.max(at);
        session.last_active = Now { boot, wall: wall_of(boot, now) };
    }
    let Deadlines { idle, lifetime } = deadlines(&session);
    let wall = |at: Option<BootTime>| at.map_or(NONE, |at| wall_of(at, now).as_micros());
    let limit = |limit: Option<std::time::Duration>| limit.map_or(NONE, |limit| WallTime::new(limit).as_micros());
    let opening = &session.opening;
    SessionInfo {
        id: session.id.to_string(),
        user: opening.user.clone(),
        uid: opening.uid,
        target: opening.target.clone(),
        target_uid: opening.target_uid,
        service: opening.service.clone(),
        ttys: look.ttys.iter().map(|tty| tty.name().to_owned()).collect(),
        remote_host: opening.remote_host.clone().unwrap_or_default(),
        leader: session.leader.pid,
        class: opening.class.as_str().to_owned(),
        factors: opening.factors.iter().map(Factor::as_str).map(str::to_owned).collect(),
        aal: u32::from(opening.aal),
        rule: opening.rule.clone(),
        state: session.state_word().to_owned(),
        activity_basis: session.basis.as_str().to_owned(),
        opened_at: session.opened.wall.as_micros(),
        authenticated_at: session.authenticated.wall.as_micros(),
        last_active_at: session.last_active.wall.as_micros(),
        idle_deadline: wall(idle),
        lifetime_deadline: wall(lifetime),
        idle_limit_usec: limit(opening.limits.idle),
        lifetime_limit_usec: limit(opening.limits.lifetime),
        inhibited_by: session.inhibition.holders.iter().map(|holder| holder.why.clone()).collect(),
        logind_id: session.logind_id.clone().unwrap_or_default(),
        parent: session.parent.map(|id| id.to_string()).unwrap_or_default(),
    }
}
