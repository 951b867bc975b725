//! `org.authflow.sessiond1.Manager`: all sessions.

use std::{collections::HashMap, os::fd::AsRawFd, sync::Arc};

use authflow_bus::{Error, SELF, opening, session_path, vouch};
use authflow_core::{
    deactivation::User,
    session::{NotExtended, NotInhibited, NotOpened, Session, SessionId},
    time::Clock,
};
use authflow_host::{clock::SystemClock, random};
use zbus::{Connection, Fd, OwnedObjectPath, OwnedVariant, Variant, fdo::DBusProxy, message::Header};

use super::{
    access::{Access, Verb, access, may_open},
    caller::{Caller, Callers},
    polkit,
};
use crate::{
    daemon::{Daemon, Login},
    deactivation::{
        order::{self, Order},
        sweep::{self, Reach},
    },
    leader::Held,
    log::{Line, visible},
};

/// As much of why a command keeps a session from idling as is kept.
const LONGEST_REASON: usize = 80;

/// The manager's object.
pub(crate) struct Manager {
    daemon: Arc<Daemon>,
    callers: Arc<Callers>,
}

impl Manager {
    pub(super) const fn new(daemon: Arc<Daemon>, callers: Arc<Callers>) -> Self {
        Self { daemon, callers }
    }

    pub(super) fn callers(&self) -> Arc<Callers> {
        Arc::clone(&self.callers)
    }
}

#[zbus::interface(name = "org.authflow.sessiond1.Manager")]
impl Manager {
    /// Opens a session that the caller leads. Root only. Facts are keys of a session's properties; unknown ones are ignored.
    async fn open_session(
        &self,
        facts: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(String, OwnedObjectPath), Error> {
        let too_late = |_: &Error| self.daemon.adopt_soon();
        let caller = self.callers.identify(&header, connection).await.inspect_err(too_late)?;
        if !may_open(caller.uid) {
            let line = Line::warning("open-refused").with("uid", caller.uid).with("pid", caller.pid);
            self.daemon.log.write(&line);
            return Err(Error::NotAuthorized("only root's login programs open sessions".to_owned()));
        }
        let opening = opening::from_dict(&facts).map_err(|why| Error::InvalidArgument(why.to_string()))?;
        let leader = hold(&caller, connection).await.inspect_err(too_late)?;
        let id = SessionId::new(random::bytes().map_err(|why| Error::Degraded(why.to_string()))?);
        let login = Login { id, opening, leader: leader.id(), opened: SystemClock.now(), is_in: false };
        self.daemon.open(login).map_err(|refused| match refused {
            NotOpened::TooMany(_) => Error::TooManySessions(refused.to_string()),
            NotOpened::NotVouched => Error::NotAuthorized(refused.to_string()),
            NotOpened::LeaderTaken | NotOpened::IdTaken => Error::InvalidArgument(refused.to_string()),
        })?;
        // An editor may have changed it since the last login.
        self.daemon.note_config();
        Ok((id.to_string(), path_of(id)?))
    }

    /// The login is over. Root, or the leader itself.
    async fn close_session(
        &self,
        id: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let session = self.seen_by(&caller, id)?;
        // Only the login program itself, or one that root runs in its place.
        if caller.uid != 0 && caller.pid != session.leader.pid {
            return Err(Error::NotAuthorized("only the login program closes its session".to_owned()));
        }
        self.callers.charge(&caller, || self.daemon.close(session.id))?;
        Ok(())
    }

    /// The properties of every session that the caller may see: its own user's, or all for root and whom polkit lets.
    async fn list_sessions(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<HashMap<String, OwnedVariant>>, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let sees_all = caller.uid == 0 || polkit::may_manage(connection, &header, &caller).await;
        let is_shown = |session: &Session| sees_all || session.opening.uid == caller.uid;
        let infos = self.callers.charge(&caller, || self.daemon.infos(is_shown))?;
        infos.iter().map(owned).collect()
    }

    /// The object of a session; "self" is the one that the caller is in.
    async fn get_session(
        &self,
        id: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        if id == SELF {
            return self.of_process(&caller, caller.pid);
        }
        let session = self.authorised(&caller, id, Verb::See, (&header, connection)).await?;
        path_of(session.id)
    }

    /// What the session that the caller is in has proved, and how long ago.
    async fn vouch(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<HashMap<String, String>, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let session = self.callers.charge(&caller, || self.daemon.own_session(caller.pid))?.ok_or_else(no_such)?;
        match access(caller.uid, session.uid, Verb::See) {
            Access::Allow => Ok(vouch::to_dict(&session)),
            Access::AskPolkit => Err(no_such()),
        }
    }

    /// The object of the session that a process is in.
    #[zbus(name = "GetSessionByPIDFD")]
    async fn get_session_by_pidfd(
        &self,
        process: Fd<'_>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let invalid = || Error::InvalidArgument("expected the descriptor of a running process".to_owned());
        let info = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
        let info = std::fs::read_to_string(info).map_err(|_gone| invalid())?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse().ok());
        self.of_process(&caller, pid.ok_or_else(invalid)?)
    }

    /// Pushes the idle deadline, as activity does. Users may as often as their rule says.
    async fn extend(
        &self,
        id: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let session = self.authorised(&caller, id, Verb::Extend, (&header, connection)).await?;
        extend(&self.daemon, &caller, session.id)
    }

    /// The user logs out of a session of their own.
    async fn logout(
        &self,
        id: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let session = self.authorised(&caller, id, Verb::End, (&header, connection)).await?;
        self.callers.charge(&caller, || log_out(&self.daemon, &caller, &session))?
    }

    /// Keeps the session that the caller is in from being idle, until the caller ends or the rule's `inhibit_max` is over.
    async fn inhibit(
        &self,
        why: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let held = hold(&caller, connection).await?;
        self.callers.charge(&caller, || inhibit(&self.daemon, &caller, held, why))?
    }

    /// Ends a session at once; its user reads the message.
    async fn revoke(
        &self,
        id: &str,
        message: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let session = self.authorised(&caller, id, Verb::End, (&header, connection)).await?;
        self.callers.charge(&caller, || revoke(&self.daemon, &caller, session.id, message))?
    }

    /// Ends all sessions of a user but some, and tells how many.
    async fn revoke_user(
        &self,
        uid: u32,
        except: Vec<String>,
        message: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        if !may(&caller, uid, Verb::End, (&header, connection)).await {
            return Err(Error::NotAuthorized("other users' sessions need root or polkit".to_owned()));
        }
        let is_spared = |id: &SessionId| except.contains(&id.to_string());
        let theirs: Vec<SessionId> = self.daemon.sessions_of(uid).into_iter().filter(|id| !is_spared(id)).collect();
        let (by, message) = (name_of(&caller), visible(message));
        // Charged as one: who ends all must not be stopped half way.
        self.callers.charge(&caller, || ())?;
        let ended = self.daemon.revoke_all(&theirs, &by, &message).await;
        Ok(u32::try_from(ended).unwrap_or(u32::MAX))
    }

    /// Ends all that the user has, and lets nobody in by that name until it is lifted. Tells whether the user was let in before, and how
    /// many sessions end.
    #[zbus(out_args("changed", "sessions"))]
    async fn deactivate(
        &self,
        user: &str,
        message: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(bool, u32), Error> {
        let (by, by_root) = self.manager((&header, connection)).await?;
        let message = visible(message);
        let order = Order { user, by: &by, by_root, message: &message };
        order::disable(&self.daemon, connection, order).await
    }

    /// Lifts that; tells whether the user was kept out.
    async fn reactivate(
        &self,
        user: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<bool, Error> {
        let (by, by_root) = self.manager((&header, connection)).await?;
        order::enable(&self.daemon, Order { user, by: &by, by_root, message: "" }).await
    }

    /// What runs on although its login is over: of all users for root, and for whom polkit lets manage sessions; else the caller's own.
    async fn list_leftovers(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<HashMap<String, OwnedVariant>>, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let sees_all = caller.uid == 0 || polkit::may_manage(connection, &header, &caller).await;
        let found = self.callers.charge(&caller, || self.daemon.leftovers())?;
        found.iter().filter(|left| sees_all || left.uid == caller.uid).map(|left| owned_dict(left.to_dict())).collect()
    }

    /// Ends what a user left running outside of live sessions: processes of ended ones, and the user manager if no login needs it.
    async fn end_leftovers(
        &self,
        uid: u32,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        if !may(&caller, uid, Verb::End, (&header, connection)).await {
            return Err(Error::NotAuthorized("other users' processes need root or polkit".to_owned()));
        }
        sweep::begin(&self.daemon, connection, User { uid, name: String::new() }, Reach::LeftOvers);
        Ok(())
    }

    /// Takes over logins that were let in meanwhile. Root only.
    async fn reload(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        if caller.uid != 0 {
            return Err(Error::NotAuthorized("only root reloads".to_owned()));
        }
        self.daemon.adopt_pending();
        self.daemon.note_config();
        Ok(())
    }

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// How many sessions live.
    #[zbus(property(emits_changed_signal = "false"), name = "NSessions")]
    fn n_sessions(&self) -> u32 {
        u32::try_from(self.daemon.count()).unwrap_or(u32::MAX)
    }

    /// Whether something would not survive a restart, since the disk does not take it.
    #[zbus(property(emits_changed_signal = "false"))]
    fn degraded(&self) -> bool {
        self.daemon.is_degraded()
    }

    /// A session began.
    #[zbus(signal)]
    async fn session_opened(emitter: &zbus::object_server::SignalEmitter<'_>, id: &str) -> zbus::Result<()>;

    /// A session is about to end.
    #[zbus(signal)]
    async fn session_ending(emitter: &zbus::object_server::SignalEmitter<'_>, id: &str) -> zbus::Result<()>;

    /// A session is over.
    #[zbus(signal)]
    async fn session_closed(emitter: &zbus::object_server::SignalEmitter<'_>, id: &str) -> zbus::Result<()>;
}

impl Manager {
    /// The session of that id, if there is one.
    fn seen_by(&self, caller: &Caller, id: &str) -> Result<Session, Error> {
        let session = id.parse::<SessionId>().ok().and_then(|id| self.daemon.find(id));
        session
            .filter(|session| access(caller.uid, session.opening.uid, Verb::See) == Access::Allow)
            .ok_or_else(no_such)
    }

    /// The session of that id, if the caller may do that to it. Another's looks as if it were not there.
    async fn authorised(
        &self,
        caller: &Caller,
        id: &str,
        verb: Verb,
        asked: (&Header<'_>, &Connection),
    ) -> Result<Session, Error> {
        let session = id.parse::<SessionId>().ok().and_then(|id| self.daemon.find(id)).ok_or_else(no_such)?;
        if may(caller, session.opening.uid, verb, asked).await { Ok(session) } else { Err(no_such()) }
    }

    /// By what name to note the caller, if it may decide about accounts, and whether it is root.
    async fn manager(&self, (header, connection): (&Header<'_>, &Connection)) -> Result<(String, bool), Error> {
        let caller = self.callers.identify(header, connection).await?;
        if caller.uid == 0 || polkit::may_manage(connection, header, &caller).await {
            return Ok((name_of(&caller), caller.uid == 0));
        }
        Err(Error::NotAuthorized("accounts are for root, or for whom polkit lets manage sessions".to_owned()))
    }

    fn of_process(&self, caller: &Caller, pid: u32) -> Result<OwnedObjectPath, Error> {
        let found = self.callers.charge(caller, || self.daemon.session_of(pid))?;
        let session = found.and_then(|id| self.daemon.find(id)).ok_or_else(no_such)?;
        match access(caller.uid, session.opening.uid, Verb::See) {
            Access::Allow => path_of(session.id),
            Access::AskPolkit => Err(no_such()),
        }
    }
}

/// Holds the caller's process, and makes sure that it still is the caller: the bus gives a pid, which could be another's by now.
async fn hold(caller: &Caller, connection: &Connection) -> Result<Held, Error> {
    let gone = || Error::InvalidArgument("the caller is gone".to_owned());
    let held = Held::by_pid(caller.pid).map_err(|_none| gone())?;
    let bus = DBusProxy::new(connection).await?;
    let name = caller.name.as_str().try_into().map_err(|_no_name| gone())?;
    let is_there = bus.name_has_owner(name).await.map_err(|error| Error::NotAuthorized(error.to_string()))?;
    if is_there { Ok(held) } else { Err(gone()) }
}

/// Whether the caller may do that to a session of `owner`.
pub(super) async fn may(
    caller: &Caller,
    owner: u32,
    verb: Verb,
    (header, connection): (&Header<'_>, &Connection),
) -> bool {
    match access(caller.uid, owner, verb) {
        Access::Allow => true,
        Access::AskPolkit => polkit::may_manage(connection, header, caller).await,
    }
}

pub(super) fn extend(daemon: &Arc<Daemon>, caller: &Caller, id: SessionId) -> Result<(), Error> {
    daemon.extend(id, caller.uid != 0).map_err(|refused| match refused {
        NotExtended::NoSuchSession => no_such(),
        NotExtended::Ending => Error::InvalidArgument(refused.to_string()),
        NotExtended::UsedUp(_) => Error::NotAuthorized(refused.to_string()),
    })
}

/// Whoever ends another's session revokes it. In a shell that sudo opened the user's own is root's by uid.
fn log_out(daemon: &Arc<Daemon>, caller: &Caller, session: &Session) -> Result<(), Error> {
    let is_own = caller.uid == session.opening.uid || daemon.session_of(caller.pid) == Some(session.id);
    if !is_own {
        return Err(Error::NotAuthorized("it is another user's session, and can be revoked".to_owned()));
    }
    daemon.log_out(session.id).map_err(|_ended| no_such())
}

/// In the caller's own session only, which its process tells.
fn inhibit(daemon: &Arc<Daemon>, caller: &Caller, held: Held, why: &str) -> Result<(), Error> {
    let session = daemon.session_of(caller.pid).and_then(|id| daemon.find(id)).ok_or_else(no_such)?;
    match access(caller.uid, session.opening.uid, Verb::Extend) {
        Access::Allow => {}
        Access::AskPolkit => return Err(no_such()),
    }
    let why: String = visible(why).chars().take(LONGEST_REASON).collect();
    daemon.inhibit(session.id, held, &why).map_err(|refused| match refused {
        NotInhibited::NoSuchSession => no_such(),
        NotInhibited::Ending => Error::InvalidArgument(refused.to_string()),
        NotInhibited::NotGranted => Error::NotAuthorized(refused.to_string()),
        NotInhibited::TooMany => Error::RateLimited(refused.to_string()),
    })
}

pub(super) fn revoke(daemon: &Arc<Daemon>, caller: &Caller, id: SessionId, message: &str) -> Result<(), Error> {
    let by = name_of(caller);
    // It goes to terminals, logs and tables.
    let message = visible(message);
    daemon.revoke(id, &by, &message).map_err(|_ended| no_such())
}

/// By name where there is one; the daemon asks no name service for it, which might hang.
fn name_of(caller: &Caller) -> String {
    if caller.uid == 0 { "root".to_owned() } else { format!("uid {}", caller.uid) }
}

pub(super) fn no_such() -> Error {
    Error::NoSuchSession("there is no such session".to_owned())
}

fn path_of(id: SessionId) -> Result<OwnedObjectPath, Error> {
    OwnedObjectPath::try_from(session_path(&id.to_string())).map_err(|why| Error::InvalidArgument(why.to_string()))
}

/// What a session shows, as the bus carries it.
///
/// # Errors
/// There is no memory for it.
pub(super) fn owned(info: &authflow_bus::SessionInfo) -> Result<HashMap<String, OwnedVariant>, Error> {
    owned_dict(info.to_dict())
}

fn owned_dict(dict: HashMap<&str, Variant<'_>>) -> Result<HashMap<String, OwnedVariant>, Error> {
    dict.into_iter()
        .map(|(key, value)| {
            Ok((key.to_owned(), value.try_into_owned().map_err(|why| Error::Degraded(why.to_string()))?))
        })
        .collect()
}
