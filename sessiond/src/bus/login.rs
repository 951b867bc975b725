//! What login programs ask for, whichever way they come.

use std::{collections::HashMap, sync::Arc};

use authflow_bus::{
    Error,
    opening::{self, BadDict},
};
use authflow_core::{
    session::{Class, NotOpened, SessionId},
    time::Clock,
};
use authflow_host::{clock::SystemClock, random};
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use super::reply::path_of;
use crate::{
    daemon::{Daemon, Login},
    leader::Held,
    own_scope,
    snapshot::Snapshot,
};

/// Opens a session with that leader, which was found in that chain, and tells its id and its object.
///
/// # Errors
/// The facts are none, or the session may not be opened.
pub(super) async fn open(
    daemon: &Arc<Daemon>,
    bus: &Connection,
    (leader, chain): (Held, &Snapshot),
    facts: &HashMap<String, OwnedVariant>,
) -> Result<(String, OwnedObjectPath), Error> {
    let invalid = |why: BadDict| Error::InvalidArgument(why.to_string());
    let (opening, id) = (opening::from_dict(facts).map_err(invalid)?, opening::id(facts).map_err(invalid)?);
    let id = match id {
        Some(id) => id,
        None => SessionId::new(random::bytes().map_err(|why| Error::Degraded(why.to_string()))?),
    };
    let login = Login { id, opening, leader: leader.id(), held: Some(leader), opened: SystemClock.now(), is_in: false };
    let is_login = login.opening.class == Class::User;
    daemon.open(login, chain).map_err(|refused| match refused {
        NotOpened::TooMany(_) => Error::TooManySessions(refused.to_string()),
        NotOpened::NotVouched => Error::NotAuthorized(refused.to_string()),
        NotOpened::LeaderTaken | NotOpened::IdTaken => Error::InvalidArgument(refused.to_string()),
    })?;
    // Before the answer, for which the leader waits: what it starts later is born into the scope. An su that becomes a login for want of
    // one around it stays where it is.
    if is_login {
        own_scope::hold_together(daemon, bus, id).await;
    }
    // An editor may have changed it since the last login.
    daemon.note_config();
    Ok((id.to_string(), path_of(id)?))
}
