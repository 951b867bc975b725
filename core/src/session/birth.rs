//! How a session begins: with what, and why it may not.

use super::{Basis, Inhibition, Leader, Opening, Session, SessionId, State};
use crate::{
    deactivation::Start,
    time::{Now, WallTime},
};

/// What a session is born with, beyond the facts of its opening.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Its id.
    pub id: SessionId,
    /// The facts.
    pub opening: Opening,
    /// The process whose end is a logout.
    pub leader: Leader,
    /// This boot.
    pub boot_id: String,
    /// The session that the leader is in already, if any.
    pub parent: Option<SessionId>,
    /// logind's name for it.
    pub logind_id: Option<String>,
    /// The kernel's audit session id, if it is this session's alone.
    pub audit_id: Option<u32>,
    /// When it was opened: now, or earlier for a login that is adopted.
    pub opened: Now,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotOpened {
    /// The user has as many as the rule grants.
    #[error("the user has {0} sessions, and the rule grants no more")]
    TooMany(u32),
    /// The leader leads a session already.
    #[error("the process leads a session already")]
    LeaderTaken,
    /// There is one of that id.
    #[error("the id is taken")]
    IdTaken,
    /// The session that vouched for its user is over, or is not the one around it.
    #[error("the session that vouched for the user is not the one around it, or is at its end")]
    NotVouched,
}

/// The session as it is born.
pub(super) fn born(birth: Birth, now: Now) -> Session {
    // An adopted login was opened earlier, and nothing is opened later than now.
    let opened = Now { boot: birth.opened.boot.min(now.boot), wall: birth.opened.wall };
    let authenticated = authenticated(&birth.opening, opened);
    Session {
        id: birth.id,
        leader: birth.leader,
        boot_id: birth.boot_id,
        opened,
        authenticated,
        proved: birth.opening.factors.iter().map(|factor| (factor, authenticated.boot)).collect(),
        last_active: opened,
        looked: opened.boot,
        basis: Basis::default(),
        parent: birth.parent,
        logind_id: birth.logind_id,
        audit_id: birth.audit_id,
        warned_of: None,
        warned_again_of: None,
        locked_of: None,
        cannot_lock: false,
        inhibition: Inhibition::default(),
        account_at_start: Start::default(),
        told: None,
        extended: 0,
        state: State::Active,
        opening: birth.opening,
    }
}

/// When the user authenticated. The module says it in wall time; the clock may have been set since, so it is believed for the few
/// minutes that a receipt lives.
fn authenticated(opening: &Opening, opened: Now) -> Now {
    const RECEIPT_LIFE_SECS: u64 = 300;
    let at: WallTime = opening.authenticated_at.unwrap_or(opened.wall).min(opened.wall);
    let ago = opened.wall.saturating_since(at).min(std::time::Duration::from_secs(RECEIPT_LIFE_SECS));
    Now { boot: opened.boot.saturating_sub(ago), wall: opened.wall.saturating_sub(ago) }
}
