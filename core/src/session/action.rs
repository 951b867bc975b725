//! What the daemon must now do, in this order.

use std::time::Duration;

use super::{EndReason, Manner, Session, SessionId, Step};
use crate::time::Now;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep the session as it is now. Comes before the first signal, so that a daemon that dies in between goes on with the end.
    Persist(SessionId),
    /// Tell the session's ttys that it will end.
    Warn {
        /// Which.
        id: SessionId,
        /// By which limit.
        limit: EndReason,
        /// In how long.
        left: Duration,
    },
    /// Lock the session's screen.
    Lock(SessionId),
    /// Tell the session's ttys that it ends now, and why.
    Farewell {
        /// Which.
        id: SessionId,
        /// Why.
        reason: EndReason,
        /// The words of whoever ends it.
        message: Option<String>,
    },
    /// Signal the session's processes.
    Strike {
        /// Whose.
        id: SessionId,
        /// Which of them.
        manner: Manner,
        /// How hard.
        step: Step,
    },
    /// Say on the bus that it began.
    AnnounceOpened(SessionId),
    /// Say on the bus that it is about to end.
    AnnounceEnding(SessionId),
    /// Say on the bus that it is over.
    AnnounceClosed(SessionId),
    /// Move it to the history. Happens once a session.
    Archive(Box<Ended>),
}

/// A session that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As it was last.
    pub session: Session,
    /// Why it ended.
    pub reason: EndReason,
    /// Who ended it, if somebody did.
    pub by: Option<String>,
    /// What its user was told.
    pub message: Option<String>,
    /// When it was over.
    pub closed: Now,
}
