//! Sessions: the relationship that a successful flow creates, from opening to its one end. Facts in, actions out: no method does I/O or
//! reads a clock, and doing a thing twice does nothing new.

mod action;
mod birth;
mod ending;
mod id;
mod inhibition;
mod limits;
mod opening;
mod registry;
mod renewal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use action::{Action, Ended};
pub use birth::{Birth, NotOpened};
pub use ending::{Closing, EndReason, Manner, Step};
pub use id::{BadId, SessionId};
pub use inhibition::{Holder, Inhibition, NotInhibited};
pub use limits::{Deadlines, deadlines};
pub use opening::{Class, Opening};
pub use registry::{NotEnded, NotExtended, Registry};
pub use renewal::{NotRenewed, Renewal};

use crate::{
    deactivation::Start,
    factor::Factor,
    time::{BootTime, Now, WallTime},
};

/// The process whose end is a logout. A pid alone may be another's tomorrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leader {
    /// The pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// What idleness is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Input on the ttys that the session's processes hold.
    Tty,
    /// What logind hears from the desktop about it, where it is a graphical one.
    Hint,
    /// What its processes move, where there is no tty.
    Io,
    /// Nothing: idleness does not govern the session, or it counts from the opening.
    #[default]
    None,
}

impl Basis {
    /// The word for it on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tty => "tty",
            Self::Hint => "hint",
            Self::Io => "io",
            Self::None => "none",
        }
    }
}

/// What a look at a session's processes showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What idleness is measured by now.
    pub basis: Basis,
    /// The last activity since the look before, if there was any.
    pub active_at: Option<BootTime>,
    /// Whether any process is left that the session's end would end.
    pub is_alive: bool,
}

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It lives.
    Active,
    /// Its leader is gone, members live on. Its limits still hold.
    Orphaned,
    /// It is being ended.
    Closing(Closing),
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The facts of its opening.
    pub opening: Opening,
    /// The process whose end is a logout.
    pub leader: Leader,
    /// The boot that it belongs to.
    pub boot_id: String,
    /// When it was opened.
    pub opened: Now,
    /// When its user last authenticated.
    pub authenticated: Now,
    /// What was proved by its user, and when last: a password must not make an old code look fresh, nor forget a new one.
    #[serde(default)]
    pub proved: BTreeMap<Factor, BootTime>,
    /// When it was last seen active.
    pub last_active: Now,
    /// When its processes were last looked at.
    pub looked: BootTime,
    /// What idleness is measured by.
    pub basis: Basis,
    /// The session that it is nested in.
    pub parent: Option<SessionId>,
    /// logind's name for it.
    pub logind_id: Option<String>,
    /// The kernel's audit session id, if it is this session's alone.
    pub audit_id: Option<u32>,
    /// The deadline that its user was last warned of.
    pub warned_of: Option<BootTime>,
    /// The deadline that its user was warned of a second time.
    #[serde(default)]
    pub warned_again_of: Option<BootTime>,
    /// The last deadline at which its screen was locked.
    #[serde(default)]
    pub locked_of: Option<BootTime>,
    /// Whether logind did not lock its screen when it was asked: then a limit ends the session instead.
    #[serde(default)]
    pub cannot_lock: bool,
    /// What keeps it from idling although nobody uses it.
    #[serde(default)]
    pub inhibition: Inhibition,
    /// How the account was when it was first looked at. What was so then ends nothing.
    #[serde(default)]
    pub account_at_start: Start,
    /// When the daemon last wrote to its terminals, which is no activity of its user.
    #[serde(default)]
    pub told: Option<WallTime>,
    /// How often its user pushed the idle deadline.
    pub extended: u32,
    /// Where it stands.
    pub state: State,
}

impl Session {
    /// Whether it is a desktop, whose screen can be locked.
    #[must_use]
    pub fn has_screen(&self) -> bool {
        self.basis == Basis::Hint
    }

    /// Whether its leader has closed it, and only what that left is being ended.
    #[must_use]
    pub fn is_left_by_its_leader(&self) -> bool {
        matches!(&self.state, State::Closing(closing) if closing.manner == Manner::Remains)
    }

    /// The word for its state on the bus.
    #[must_use]
    pub fn state_word(&self) -> &'static str {
        match self.state {
            State::Active if limits::is_locked(self) => "locked",
            State::Active => "active",
            State::Orphaned => "orphaned",
            State::Closing(_) => "closing",
        }
    }
}
