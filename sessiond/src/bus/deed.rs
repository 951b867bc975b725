//! What is done to one session, from whichever object it is asked for; refusals become errors of the bus.

use std::sync::Arc;

use authflow_bus::Error;
use authflow_core::session::{NotExtended, NotInhibited, Session, SessionId};

use super::{
    access::{Access, Verb, access},
    caller::Caller,
    reach::name_of,
    reply::no_such,
};
use crate::{daemon::Daemon, leader::Held, log::visible};

/// As much of why a command keeps a session from idling as is kept.
const LONGEST_REASON: usize = 80;

/// Pushes the idle deadline.
pub(super) fn extend(daemon: &Arc<Daemon>, caller: &Caller, id: SessionId) -> Result<(), Error> {
    daemon.extend(id, caller.uid != 0).map_err(|refused| match refused {
        NotExtended::NoSuchSession => no_such(),
        NotExtended::Ending => Error::InvalidArgument(refused.to_string()),
        NotExtended::UsedUp(_) => Error::NotAuthorized(refused.to_string()),
    })
}

/// Whoever ends another's session revokes it. In a shell that sudo opened the user's own is root's by uid.
pub(super) fn log_out(daemon: &Arc<Daemon>, caller: &Caller, session: &Session) -> Result<(), Error> {
    let is_own = caller.uid == session.opening.uid || daemon.session_of(caller.pid) == Some(session.id);
    if !is_own {
        return Err(Error::NotAuthorized("it is another user's session, and can be revoked".to_owned()));
    }
    daemon.log_out(session.id).map_err(|_ended| no_such())
}

/// In the caller's own session only, which its process tells. What is kept is the login around it, so that must be the caller's as well: bob, whom
/// alice has become by su, decides nothing about her login.
pub(super) fn inhibit(daemon: &Arc<Daemon>, caller: &Caller, held: Held, why: &str) -> Result<(), Error> {
    let login = daemon.session_of(caller.pid).and_then(|id| daemon.login_around(id)).ok_or_else(no_such)?;
    match access(caller.uid, login.opening.uid, Verb::Extend) {
        Access::Allow => {}
        Access::AskPolkit => return Err(no_such()),
    }
    let why: String = visible(why).chars().take(LONGEST_REASON).collect();
    daemon.inhibit(login.id, held, &why).map_err(|refused| match refused {
        NotInhibited::NoSuchSession => no_such(),
        NotInhibited::Ending => Error::InvalidArgument(refused.to_string()),
        NotInhibited::NotGranted => Error::NotAuthorized(refused.to_string()),
        NotInhibited::TooMany => Error::RateLimited(refused.to_string()),
    })
}

/// Ends it at once.
pub(super) fn revoke(daemon: &Arc<Daemon>, caller: &Caller, id: SessionId, message: &str) -> Result<(), Error> {
    let by = name_of(caller);
    // It goes to terminals, logs and tables.
    let message = visible(message);
    daemon.revoke(id, &by, &message).map_err(|_ended| no_such())
}
