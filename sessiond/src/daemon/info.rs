//! What a session shows to whoever may see it.

use std::{sync::Arc, time::Duration};

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

/// Clocks that differ by less than this have drifted; nobody set one.
const DRIFT: Duration = Duration::from_secs(2);

/// When that was, by the wall clock as it runs now: of one that was set since, what it said then would tell no age. Otherwise what it said.
fn wall_today(then: Now, now: Now) -> WallTime {
    let today = wall_of(then.boot, now);
    let is_set = today.since_origin().abs_diff(then.wall.since_origin()) > DRIFT;
    if is_set { today } else { then.wall }
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
    let limit = |limit: Option<Duration>| limit.map_or(NONE, |limit| WallTime::new(limit).as_micros());
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
        opened_at: wall_today(session.opened, now).as_micros(),
        authenticated_at: wall_today(session.authenticated, now).as_micros(),
        last_active_at: wall_today(session.last_active, now).as_micros(),
        idle_deadline: wall(idle),
        lifetime_deadline: wall(lifetime),
        idle_limit_usec: limit(opening.limits.idle),
        lifetime_limit_usec: limit(opening.limits.lifetime),
        inhibited_by: session.inhibition.holders.iter().map(|holder| holder.why.clone()).collect(),
        logind_id: session.logind_id.clone().unwrap_or_default(),
        parent: session.parent.map(|id| id.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use authflow_core::session::Basis;

    use super::*;
    use crate::store::tests::session;

    fn at(boot: u64, wall: u64) -> Now {
        Now { boot: BootTime::new(Duration::from_secs(boot)), wall: WallTime::new(Duration::from_secs(wall)) }
    }

    fn shown(now: Now) -> SessionInfo {
        let session = Session {
            opened: at(100, 1_000_000),
            authenticated: at(90, 999_990),
            last_active: at(120, 1_000_020),
            looked: at(120, 1_000_020).boot,
            ..session(1)
        };
        let (ttys, guessed) = (BTreeSet::new(), BTreeSet::new());
        let look = Look { basis: Basis::Tty, active_at: None, ttys, guessed, has_future_stamp: false };
        info(&session, &look, now)
    }

    fn ages(now: Now) -> [u64; 3] {
        let shown = shown(now);
        [shown.opened_at, shown.authenticated_at, shown.last_active_at]
            .map(|at| now.wall.saturating_since(WallTime::from_micros(at)).as_secs())
    }

    #[test]
    fn a_clock_that_is_set_makes_no_session_older_or_younger() {
        let tomorrow = 1_000_060 + 86_400;
        assert_eq!(ages(at(160, 1_000_060)), [60, 70, 40]);
        assert_eq!(ages(at(160, tomorrow)), [60, 70, 40]);
        assert_eq!(ages(at(160, 500_000)), [60, 70, 40]);
    }

    #[test]
    fn a_time_stays_as_it_was_told_where_nobody_set_the_clock() {
        assert_eq!(shown(at(160, 1_000_060)).opened_at, 1_000_000_000_000);
        assert_eq!(shown(at(160, 1_000_061)).opened_at, 1_000_000_000_000, "drift");
    }
}
