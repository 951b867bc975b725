//! When a session ends if nothing happens, and when whatever happens.

use std::time::Duration;

use super::{Basis, Class, EndReason, Session};
use crate::{policy::WithoutTty, time::BootTime};

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

/// The deadlines of a session, as things stand.
#[must_use]
pub fn deadlines(session: &Session) -> Deadlines {
    let limits = &session.opening.limits;
    let after = |at: BootTime, limit: Option<Duration>| limit.map(|limit| at.saturating_add(limit));
    Deadlines {
        idle: after(session.last_active.boot, limits.idle).filter(|_| is_governed_by_idle(session)),
        lifetime: after(session.authenticated.boot, limits.lifetime),
    }
}

/// Whether idleness can end the session. A nested one ends with its parent, whose ttys it uses.
fn is_governed_by_idle(session: &Session) -> bool {
    session.opening.class != Class::Nested
        && !(session.basis == Basis::None && session.opening.limits.without_tty == WithoutTty::Ignore)
}

/// When to look at the session next: at the warning before the first deadline, or at that deadline.
pub(super) fn next_look(session: &Session) -> Option<BootTime> {
    let (deadline, _) = deadlines(session).first()?;
    let warning = deadline.saturating_sub(session.opening.limits.warn);
    let is_warned = session.warned_of == Some(deadline);
    Some(if is_warned || warning <= session.looked { deadline } else { warning })
}
