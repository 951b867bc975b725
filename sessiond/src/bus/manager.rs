//! `org.authflow.sessiond1.Manager`: all sessions.

use std::{collections::HashMap, os::fd::AsRawFd, sync::Arc};

use authflow_bus::{Error, SELF, vouch};
use authflow_core::{
    deactivation::User,
    session::{Session, SessionId},
};
use zbus::{Connection, Fd, OwnedObjectPath, OwnedVariant, message::Header};

use super::{
    access::{Access, Verb, access, may_open},
    caller::Callers,
    deed::{extend, inhibit, log_out, revoke},
    login,
    reach::{hold, lists_all, may, name_of, sees_all},
    reply::{no_such, owned, owned_dict, path_of},
};
use crate::{
    daemon::Daemon,
    deactivation::{
        order::{self, Order},
        sweep::{self, Reach},
    },
    event::Event,
    log::{Line, visible},
};

/// The manager's object.
pub(crate) struct Manager {
    pub(super) daemon: Arc<Daemon>,
    pub(super) callers: Arc<Callers>,
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
        let caller = self.callers.identify(&header, connection).await?;
        if !may_open(caller.uid) {
            let line = Line::warning(Event::OpenRefused).with("uid", caller.uid).with("pid", caller.pid);
            self.daemon.log.write(&line);
            return Err(Error::NotAuthorized("only root's login programs open sessions".to_owned()));
        }
        let (leader, chain) = hold(&caller, connection).await?;
        login::open(&self.daemon, connection, (leader, &chain), &facts).await
    }

    /// The login is over. Root only: a process that gave root up, or has another's old pid, would end the tracking of what goes on.
    async fn close_session(
        &self,
        id: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let session = self.seen_by(&caller, id)?;
        if !may_open(caller.uid) {
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
        let others = self.daemon.sessions_where(|session| session.opening.uid != caller.uid);
        let sees_all = others.is_empty() || lists_all(&caller, (&header, connection)).await;
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
        let descriptor = process.as_raw_fd();
        // Looking into another kind of descriptor could wait for whoever sent it.
        let kind = std::fs::read_link(format!("/proc/self/fd/{descriptor}")).map_err(|_gone| invalid())?;
        if !kind.to_str().is_some_and(|kind| kind == "anon_inode:[pidfd]" || kind.starts_with("pidfd:[")) {
            return Err(invalid());
        }
        let info = format!("/proc/self/fdinfo/{descriptor}");
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
        // What is above a caller can be dear to look at.
        let (held, _chain) = self.callers.charge_waiting(&caller, hold(&caller, connection)).await??;
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
        if !may(&caller, uid, Verb::End, (&header, connection)).await? {
            return Err(Error::NotAuthorized("other users' sessions need root or polkit".to_owned()));
        }
        let is_spared = |id: &SessionId| except.contains(&id.to_string());
        let theirs: Vec<SessionId> = self.daemon.sessions_of(uid).into_iter().filter(|id| !is_spared(id)).collect();
        let (by, message) = (name_of(&caller), visible(message));
        // Charged as one: who ends all must not be stopped half way.
        let ended = self.callers.charge_waiting(&caller, self.daemon.revoke_all(&theirs, &by, &message)).await?;
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
        let found = self.callers.charge(&caller, || self.daemon.leftovers())?;
        let is_all_own = found.iter().all(|left| left.uid == caller.uid);
        let sees_all = is_all_own || lists_all(&caller, (&header, connection)).await;
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
        if !may(&caller, uid, Verb::End, (&header, connection)).await? {
            return Err(Error::NotAuthorized("other users' processes need root or polkit".to_owned()));
        }
        self.callers.charge(&caller, || ())?;
        let (user, callers) = (User { uid, name: String::new() }, self.callers());
        sweep::begin(&self.daemon, connection, (user, Reach::LeftOvers), move |took| callers.charge_for(&caller, took));
        Ok(())
    }

    /// Whose account may no more be used, and whose sessions go on until an administrator decides. For root, and whom polkit lets.
    async fn list_waiting(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<HashMap<String, OwnedVariant>>, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        if !sees_all(&caller, (&header, connection)).await? {
            return Err(Error::NotAuthorized(
                "who waits is for root, or for whom polkit lets manage sessions".to_owned(),
            ));
        }
        let found = self.callers.charge(&caller, || self.daemon.waiting())?;
        found.iter().map(|waiting| owned_dict(waiting.to_dict())).collect()
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
