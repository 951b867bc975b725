//! Renewing: the owner of a session authenticates again inside it, and both limits run anew. Only a whole proof counts: one that a
//! session vouched for would make it last for ever.

use super::{Session, SessionId, State};
use crate::{
    factor::{Factor, Factors},
    time::Now,
};

/// A fresh authentication inside a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Who authenticated.
    pub uid: u32,
    /// What was proved.
    pub factors: Factors,
    /// When; not later than now.
    pub at: Now,
}

/// Why a session is not renewed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotRenewed {
    /// There is no such session.
    #[error("there is no such session")]
    NoSuchSession,
    /// It is being ended, or its leader is gone.
    #[error("the session is at its end")]
    Ending,
    /// Somebody else authenticated inside it.
    #[error("the session is another user's")]
    OtherUser,
    /// Nothing was proved, a session vouched for some of it, or it was less than what the session was opened with.
    #[error("what was proved does not reach the session's level")]
    TooLittle,
    /// The session's own authentication is as fresh.
    #[error("the session was authenticated since")]
    Older,
}

impl Renewal {
    /// What the flow that opened `session` inside another one is to that other one, and which that is. None where no flow ran: a cached
    /// ticket of sudo opens sessions too.
    #[must_use]
    pub fn around(session: &Session) -> Option<(SessionId, Self)> {
        let Session { opening, authenticated, parent, .. } = session;
        let renewal = || Self { uid: opening.uid, factors: opening.factors.clone(), at: *authenticated };
        opening.flow.as_ref().and(*parent).map(|parent| (parent, renewal()))
    }

    /// Takes it over into the session that it was made in.
    pub(super) fn apply(&self, session: &mut Session) -> Result<(), NotRenewed> {
        match session.state {
            State::Active => {}
            State::Orphaned | State::Closing(_) => return Err(NotRenewed::Ending),
        }
        if self.uid != session.opening.uid {
            return Err(NotRenewed::OtherUser);
        }
        // A session that the stack let in has no level; something must be proved all the same. A key and a code are of one level with a
        // password alone, and two proofs for all that.
        let is_less =
            self.factors.aal() < session.opening.aal.max(1) || self.factors.proofs() < session.opening.factors.proofs();
        if self.factors.contains(Factor::Session) || is_less {
            return Err(NotRenewed::TooLittle);
        }
        if self.at.boot <= session.authenticated.boot {
            return Err(NotRenewed::Older);
        }
        session.authenticated = self.at;
        session.proved.extend(self.factors.iter().map(|factor| (factor, self.at.boot)));
        if session.last_active.boot < self.at.boot {
            session.last_active = self.at;
        }
        session.warned_of = None;
        session.warned_again_of = None;
        // Whoever proves himself at a locked screen opens it.
        session.locked_of = None;
        Ok(())
    }
}
