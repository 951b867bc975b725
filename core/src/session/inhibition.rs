//! What keeps a session from idling although nobody uses it: a command that runs on (`authflow run`), for as long after the last real
//! activity as the rule grants. Commands one after another do not add up.

use serde::{Deserialize, Serialize};

use super::Session;
use crate::time::BootTime;

/// A process that keeps its session from idling for as long as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot: a pid alone may be another's tomorrow.
    pub start_time: u64,
    /// What for, in its user's words.
    pub why: String,
}

/// What keeps a session from idling, and what did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inhibition {
    /// Who does now.
    pub holders: Vec<Holder>,
    /// Until when others did.
    pub until: Option<BootTime>,
    /// What for, of all that ever did: for the history.
    pub reasons: Vec<String>,
}

/// Why a session is not kept from idling.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotInhibited {
    /// There is no such session.
    #[error("there is no such session")]
    NoSuchSession,
    /// It is being ended.
    #[error("the session is being ended")]
    Ending,
    /// The rule grants it to nobody.
    #[error("the session's rule lets no command keep it from idling (inhibit_max)")]
    NotGranted,
    /// There are as many holders as a session may have.
    #[error("{MOST_HOLDERS} commands keep the session from idling already")]
    TooMany,
}

/// More than a person starts; each costs the daemon a descriptor.
const MOST_HOLDERS: usize = 16;

/// More reasons than anybody reads.
const MOST_REASONS: usize = 16;

impl Inhibition {
    /// Adds a holder; tells whether it is a new one.
    pub(super) fn hold(&mut self, holder: Holder) -> Result<bool, NotInhibited> {
        if self.holders.iter().any(|other| other.is(holder.pid, holder.start_time)) {
            return Ok(false);
        }
        if self.holders.len() >= MOST_HOLDERS {
            return Err(NotInhibited::TooMany);
        }
        if !self.reasons.contains(&holder.why) && self.reasons.len() < MOST_REASONS {
            self.reasons.push(holder.why.clone());
        }
        self.holders.push(holder);
        Ok(true)
    }
}

impl Holder {
    /// Whether it is that very process.
    pub(super) const fn is(&self, pid: u32, start_time: u64) -> bool {
        self.pid == pid && self.start_time == start_time
    }
}

/// From when the session's idleness counts: its last activity, or the moment until which a command held it off.
pub(super) fn idle_since(session: &Session) -> BootTime {
    let active = session.last_active.boot;
    let held = if session.inhibition.holders.is_empty() { session.inhibition.until } else { Some(latest(session)) };
    held.map_or(active, |held| held.max(active))
}

/// Until when a command may hold the session's idleness off.
pub(super) fn latest(session: &Session) -> BootTime {
    session.last_active.boot.saturating_add(session.opening.limits.inhibit_max)
}
