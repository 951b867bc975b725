//! Whom a call reaches: who calls, the session that it names, and whether that caller may.

use authflow_bus::Error;
use authflow_core::session::{Session, SessionId};
use zbus::{Connection, OwnedObjectPath, fdo::DBusProxy, message::Header};

use super::{
    access::{Access, Verb, access},
    caller::Caller,
    manager::Manager,
    polkit::{self, Asks},
    reply::{no_such, path_of},
};
use crate::{
    leader::{Caught, Held},
    snapshot::Snapshot,
};

impl Manager {
    /// The session of that id, if there is one.
    pub(super) fn seen_by(&self, caller: &Caller, id: &str) -> Result<Session, Error> {
        let session = id.parse::<SessionId>().ok().and_then(|id| self.daemon.find(id));
        session
            .filter(|session| access(caller.uid, session.opening.uid, Verb::See) == Access::Allow)
            .ok_or_else(no_such)
    }

    /// The session of that id, if the caller may do that to it. Another's looks as if it were not there.
    pub(super) async fn authorised(
        &self,
        caller: &Caller,
        id: &str,
        verb: Verb,
        asked: (&Header<'_>, &Connection),
    ) -> Result<Session, Error> {
        let session = id.parse::<SessionId>().ok().and_then(|id| self.daemon.find(id)).ok_or_else(no_such)?;
        if may(caller, session.opening.uid, verb, asked).await? { Ok(session) } else { Err(no_such()) }
    }

    /// By what name to note the caller, if it may decide about accounts, and whether it is root.
    pub(super) async fn manager(
        &self,
        (header, connection): (&Header<'_>, &Connection),
    ) -> Result<(String, bool), Error> {
        let caller = self.callers.identify(header, connection).await?;
        if caller.uid == 0 || polkit::may_manage(connection, header, &caller, Asks::IfCallerLets).await? {
            return Ok((name_of(&caller), caller.uid == 0));
        }
        Err(Error::NotAuthorized("accounts are for root, or for whom polkit lets manage sessions".to_owned()))
    }

    /// The object of the session that a process is in, if the caller may see it.
    pub(super) fn of_process(&self, caller: &Caller, pid: u32) -> Result<OwnedObjectPath, Error> {
        let found = self.callers.charge(caller, || self.daemon.session_of(pid))?;
        let session = found.and_then(|id| self.daemon.find(id)).ok_or_else(no_such)?;
        match access(caller.uid, session.opening.uid, Verb::See) {
            Access::Allow => path_of(session.id),
            Access::AskPolkit => Err(no_such()),
        }
    }
}

/// Holds the caller's process, and makes sure that it still is the caller: the bus gives a pid, which could be another's by now. With it comes
/// the chain of processes that it was found in.
pub(super) async fn hold(caller: &Caller, connection: &Connection) -> Result<(Held, Snapshot), Error> {
    let gone = || Error::InvalidArgument("the caller is gone".to_owned());
    let caught = Caught::by_pid(caller.pid).map_err(|_none| gone())?;
    let bus = DBusProxy::new(connection).await?;
    let name = caller.name.as_str().try_into().map_err(|_no_name| gone())?;
    // While the bus looks, so do we.
    let (is_there, chain) = tokio::join!(bus.name_has_owner(name), async { Snapshot::chain(caller.pid) });
    let is_there = is_there.map_err(|error| Error::NotAuthorized(error.to_string()))?;
    let held = caught.told_by(&chain).map_err(|_gone| gone())?;
    if is_there { Ok((held, chain)) } else { Err(gone()) }
}

/// Whether the caller may do that to a session of `owner`.
///
/// # Errors
/// Too many questions wait for polkit.
pub(super) async fn may(
    caller: &Caller,
    owner: u32,
    verb: Verb,
    (header, connection): (&Header<'_>, &Connection),
) -> Result<bool, Error> {
    match access(caller.uid, owner, verb) {
        Access::Allow => Ok(true),
        Access::AskPolkit => polkit::may_manage(connection, header, caller, Asks::IfCallerLets).await,
    }
}

/// Whether the caller sees what is other users'.
///
/// # Errors
/// Too many questions wait for polkit.
pub(super) async fn sees_all(caller: &Caller, (header, connection): (&Header<'_>, &Connection)) -> Result<bool, Error> {
    Ok(caller.uid == 0 || polkit::may_manage(connection, header, caller, Asks::Nobody).await?)
}

/// The same for a list of which everybody has a part: while polkit has too many questions open, one's own is shown alone.
pub(super) async fn lists_all(caller: &Caller, asked: (&Header<'_>, &Connection)) -> bool {
    sees_all(caller, asked).await.unwrap_or(false)
}

/// By name where there is one; the daemon asks no name service for it, which might hang.
pub(super) fn name_of(caller: &Caller) -> String {
    if caller.uid == 0 { "root".to_owned() } else { format!("uid {}", caller.uid) }
}
