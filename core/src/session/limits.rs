//! When a session ends if nothing happens, and when whatever happens.

use std::time::Duration;

use super::{Basis, Class, EndReason, Session, State, inhibition::idle_since};
use crate::{
    policy::{AtLimit, WithoutTty},
    time::BootTime,
};

/// A session's two deadlines. `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// When it will have idled too long.
    pub idle: Option<BootTime>,
    /// When its authentication will be too old.
    pub lifetime: Option<BootTime>,
}

impl Deadlines {
    /// The earlier one, and which it is. Where both fall together, the lifetime is the cause: nothing could have moved it.
    #[must_use]
    pub fn first(self) -> Option<(BootTime, EndReason)> {
        let lifetime = self.lifetime.map(|at| (at, EndReason::Lifetime));
        let idle = self.idle.map(|at| (at, EndReason::Idle));
        [lifetime, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// The deadlines of a session, as things stand. One at which its screen was locked is behind it.
#[must_use]
pub fn deadlines(session: &Session) -> Deadlines {
    let all = written(session);
    let is_ahead = |limit: EndReason| move |at: &BootTime| !is_met(session, *at, limit);
    Deadlines {
        idle: all.idle.filter(is_ahead(EndReason::Idle)),
        lifetime: all.lifetime.filter(is_ahead(EndReason::Lifetime)),
    }
}

/// Whether its screen is locked since a limit, as far as is known: nobody has used it or proved himself since.
pub(super) fn is_locked(session: &Session) -> bool {
    let Deadlines { idle, lifetime } = written(session);
    idle.is_some_and(|at| is_met(session, at, EndReason::Idle))
        || lifetime.is_some_and(|at| is_met(session, at, EndReason::Lifetime))
}

/// Whether that limit locks the session's screen instead of ending it. Only a desktop has one, which logind knows; whatever has none, or
/// lost its leader, or could not be locked, is ended.
pub(super) fn locks_at(session: &Session, limit: EndReason) -> bool {
    let at = match limit {
        EndReason::Idle => session.opening.limits.at_idle,
        EndReason::Lifetime => session.opening.limits.at_lifetime,
        EndReason::Logout
        | EndReason::LeaderExited
        | EndReason::Revoked
        | EndReason::Deactivated
        | EndReason::Superseded
        | EndReason::Reboot => return false,
    };
    at == AtLimit::Lock && session.has_screen() && !session.cannot_lock && session.state == State::Active
}

/// How long before a deadline the first warning is due, and the second. Locking takes nothing away, so there nobody is warned.
pub(super) fn warnings(session: &Session, limit: EndReason) -> [Duration; 2] {
    let warn = if locks_at(session, limit) { Duration::ZERO } else { session.opening.limits.warn };
    [warn, warn / 4]
}

/// When to look at the session next: at a warning before the first deadline, or at that deadline.
pub(super) fn next_look(session: &Session) -> Option<BootTime> {
    let (deadline, limit) = deadlines(session).first()?;
    let [first, second] = warnings(session, limit).map(|ahead| deadline.saturating_sub(ahead));
    let is_due = |at: &BootTime, given: Option<BootTime>| given != Some(deadline) && *at > session.looked;
    let first = Some(first).filter(|at| is_due(at, session.warned_of));
    let second = Some(second).filter(|at| is_due(at, session.warned_again_of));
    Some(first.or(second).unwrap_or(deadline))
}

/// Both limits, whatever came of them.
fn written(session: &Session) -> Deadlines {
    let limits = &session.opening.limits;
    let after = |at: BootTime, limit: Option<Duration>| limit.map(|limit| at.saturating_add(limit));
    Deadlines {
        idle: after(idle_since(session), limits.idle).filter(|_| is_governed_by_idle(session)),
        lifetime: after(session.authenticated.boot, limits.lifetime),
    }
}

/// Whether the screen was locked at that deadline. Activity and renewal make new ones.
fn is_met(session: &Session, at: BootTime, limit: EndReason) -> bool {
    locks_at(session, limit) && session.locked_of.is_some_and(|locked| locked >= at)
}

/// Whether idleness can end the session. A nested one ends with its parent, whose ttys it uses.
fn is_governed_by_idle(session: &Session) -> bool {
    session.opening.class != Class::Nested
        && !(session.basis == Basis::None && session.opening.limits.without_tty == WithoutTty::Ignore)
}
