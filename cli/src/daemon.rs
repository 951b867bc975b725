//! The one place that talks with authflow-sessiond. Every exchange is bounded as a whole, the connection included: a bus that
//! accepts and stays silent must not hang a command.

use std::{collections::HashMap, convert::Infallible, fmt::Display, future::Future, time::Duration};

use authflow_bus::{self as bus, LeftOver, NONE, SELF, SessionInfo, Waiting, proxy::ManagerProxy};
use authflow_core::{config::Config, time::WallTime};
use tokio::runtime::EnterGuard;
use zbus::{
    Connection, OwnedVariant,
    export::ordered_stream::OrderedStreamExt,
    fdo::{self, PropertiesProxy},
    proxy::{OwnerChangedStream, SignalStream},
};

use crate::{error::Error, session::Session};

/// How long announcements that belong together may take to come.
const SETTLING: Duration = Duration::from_millis(100);

/// How many announcements are told as one at most, so that a flood of them does not stop the view.
const MOST_SETTLED: usize = 1000;

/// For what asks name services or writes on the daemon's side, or is about every session of the machine.
const PATIENT: Duration = Duration::from_secs(30);

/// A connection to the daemon.
pub(crate) struct Daemon {
    runtime: tokio::runtime::Runtime,
    manager: ManagerProxy<'static>,
    address: String,
    timeout: Duration,
}

/// How the daemon is.
pub(crate) struct Health {
    /// Its version.
    pub version: String,
    /// Whether it cannot write its store.
    pub is_degraded: bool,
}

/// The daemon's announcements, from the moment of asking for them.
pub(crate) struct Changes<'a> {
    daemon: &'a Daemon,
    signals: SignalStream<'static>,
    owners: OwnerChangedStream<'static>,
}

impl Daemon {
    /// Connects to the bus that the configuration names. The environment is not asked: under sudo it may be another's.
    pub(crate) fn connect(config: &Config) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (address, timeout) = (config.bus_address.clone(), config.bus_timeout);
        let connecting = async {
            let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
            ManagerProxy::new(&connection).await
        };
        let unreachable = |why: &dyn Display| Error::Unreachable { address: address.clone(), why: why.to_string() };
        let manager = runtime
            .block_on(async { tokio::time::timeout(timeout, connecting).await })
            .map_err(|_elapsed| unreachable(&no_answer(timeout)))?
            .map_err(|error| unreachable(&error))?;
        Ok(Self { runtime, manager, address, timeout })
    }

    /// How the daemon is.
    pub(crate) fn health(&self) -> Result<Health, Error> {
        self.call(async {
            let version = self.manager.version().await.map_err(bus::Error::ZBus)?;
            let is_degraded = self.manager.degraded().await.map_err(bus::Error::ZBus)?;
            Ok(Health { version, is_degraded })
        })
    }

    /// The live sessions that the caller may see.
    pub(crate) fn sessions(&self) -> Result<Vec<Session>, Error> {
        self.call_within(PATIENT, self.manager.list_sessions())?.iter().map(read).collect()
    }

    /// The session whose id begins with `prefix`, or that logind knows by that id.
    pub(crate) fn session(&self, prefix: &str) -> Result<Session, Error> {
        unique(self.sessions()?, prefix)
    }

    /// The session that the caller's process is in, as the daemon sees it.
    pub(crate) fn own_session(&self) -> Result<Session, Error> {
        let found = self.call(async {
            let path = self.manager.get_session(SELF).await?;
            let properties =
                PropertiesProxy::new(self.connection(), bus::NAME, path).await.map_err(bus::Error::ZBus)?;
            let interface = bus::SESSION_INTERFACE.try_into().map_err(bus::Error::ZBus)?;
            properties.get_all(interface).await.map_err(|error| bus::Error::ZBus(zbus::Error::from(error)))
        });
        match found {
            Err(Error::NoSession(_)) => Err(Error::InNoSession),
            found => read(&found?),
        }
    }

    /// The session whose id begins with `id`, or without one the caller's own.
    pub(crate) fn session_or_own(&self, id: Option<&str>) -> Result<Session, Error> {
        id.map_or_else(|| self.own_session(), |prefix| self.session(prefix))
    }

    /// Pushes the idle deadline of the session of that id.
    pub(crate) fn extend(&self, id: &str) -> Result<(), Error> {
        self.call(self.manager.extend(id)).map_err(|error| about(id, error))
    }

    /// Logs out of the session of that id.
    pub(crate) fn log_out(&self, id: &str) -> Result<(), Error> {
        self.call(self.manager.logout(id)).map_err(|error| about(id, error))
    }

    /// Keeps the login that this process is in from idling for as long as this process runs, whatever program it is.
    pub(crate) fn inhibit(&self, why: &str) -> Result<(), Error> {
        match self.call(self.manager.inhibit(why)) {
            Err(Error::NoSession(_)) => Err(Error::InNoSession),
            inhibited => inhibited,
        }
    }

    /// Ends the session of that id; its user is told `message`.
    pub(crate) fn revoke(&self, id: &str, message: &str) -> Result<(), Error> {
        self.call(self.manager.revoke(id, message)).map_err(|error| about(id, error))
    }

    /// Ends a user's sessions but the spared ones; tells how many.
    pub(crate) fn revoke_user(&self, uid: u32, spared: &[String], message: &str) -> Result<u32, Error> {
        let spared: Vec<&str> = spared.iter().map(String::as_str).collect();
        self.call_within(PATIENT, self.manager.revoke_user(uid, &spared, message))
    }

    /// Has the daemon look at the configuration again.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        self.call(self.manager.reload())
    }

    /// Keeps a user out and ends what is open; tells whether the user was let in before, and how many sessions end.
    pub(crate) fn deactivate(&self, user: &str, message: &str) -> Result<(bool, u32), Error> {
        self.call_within(PATIENT, self.manager.deactivate(user, message)).map_err(|error| no_user(user, error))
    }

    /// Lets a user in again; tells whether the user was kept out.
    pub(crate) fn reactivate(&self, user: &str) -> Result<bool, Error> {
        self.call_within(PATIENT, self.manager.reactivate(user)).map_err(|error| no_user(user, error))
    }

    /// What runs on although its login is over, as far as the caller may see it.
    pub(crate) fn leftovers(&self) -> Result<Vec<LeftOver>, Error> {
        let read =
            |dict: &_| LeftOver::from_dict(dict).map_err(|error| Error::Daemon(format!("a process it shows: {error}")));
        self.call(self.manager.list_leftovers())?.iter().map(read).collect()
    }

    /// Ends what a user left running outside of live sessions.
    pub(crate) fn end_leftovers(&self, uid: u32) -> Result<(), Error> {
        self.call(self.manager.end_leftovers(uid))
    }

    /// Whose sessions go on until an administrator decides.
    pub(crate) fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let read =
            |dict: &_| Waiting::from_dict(dict).map_err(|error| Error::Daemon(format!("a user it shows: {error}")));
        self.call(self.manager.list_waiting())?.iter().map(read).collect()
    }

    /// Everything that the daemon announces from now on.
    pub(crate) fn changes(&self) -> Result<Changes<'_>, Error> {
        let (signals, owners) = self.call(async {
            let proxy = self.manager.inner();
            Ok((proxy.receive_all_signals().await?, proxy.receive_owner_changed().await?))
        })?;
        Ok(Changes { daemon: self, signals, owners })
    }

    /// Enters the runtime that waits for the daemon, for what else is to be waited for.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.manager.inner().connection()
    }

    pub(crate) fn call<T>(&self, call: impl Future<Output = Result<T, bus::Error>>) -> Result<T, Error> {
        self.call_within(self.timeout, call)
    }

    /// A call that may take as long as that.
    pub(crate) fn call_within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, bus::Error>>,
    ) -> Result<T, Error> {
        match self.runtime.block_on(async { tokio::time::timeout(limit, call).await }) {
            Ok(answer) => answer.map_err(|error| self.error(error)),
            Err(_elapsed) => Err(self.unreachable(&no_answer(limit))),
        }
    }

    fn unreachable(&self, why: &dyn Display) -> Error {
        Error::Unreachable { address: self.address.clone(), why: why.to_string() }
    }

    fn error(&self, error: bus::Error) -> Error {
        match error {
            bus::Error::NoSuchSession(session) => Error::NoSession(session),
            bus::Error::NoSuchUser(user) => Error::NoUser(user),
            bus::Error::NotAuthorized(why) => Error::NotAllowed(why),
            bus::Error::Denied(_) => Error::Denied,
            bus::Error::TooManySessions(why)
            | bus::Error::RateLimited(why)
            | bus::Error::InvalidArgument(why)
            | bus::Error::NoSuchFlow(why)
            | bus::Error::Degraded(why)
            | bus::Error::NotSupported(why) => Error::Daemon(why),
            bus::Error::ZBus(zbus::Error::FDO(refusal)) => self.refusal(*refusal),
            // What the property interface hands on is not sorted into ours.
            bus::Error::ZBus(zbus::Error::MethodError(name, text, _)) if name.ends_with(".NoSuchSession") => {
                Error::NoSession(text.unwrap_or_default())
            }
            bus::Error::ZBus(error) => self.unreachable(&error),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "D-Bus has fifty standard errors; all but these say: no daemon")]
    fn refusal(&self, refusal: fdo::Error) -> Error {
        match refusal {
            fdo::Error::AccessDenied(why) | fdo::Error::AuthFailed(why) => Error::NotAllowed(why),
            // The session ended between two questions.
            fdo::Error::UnknownObject(path) => Error::NoSession(path),
            other => self.unreachable(&other),
        }
    }
}

/// What came first.
pub(crate) enum Event<T> {
    /// The daemon announced something, or is a new one.
    Announced,
    /// The other thing that was waited for.
    Other(T),
}

impl Changes<'_> {
    /// Waits for the next announcement, or for a new daemon. One that is gone announces nothing: what was last seen stands
    /// until the next one has found its sessions again.
    pub(crate) fn wait(&mut self) -> Result<(), Error> {
        match self.wait_or(std::future::pending::<Infallible>())? {
            Event::Announced => Ok(()),
            Event::Other(never) => match never {},
        }
    }

    /// The same, or until `other` comes first. What is announced together is told once.
    pub(crate) fn wait_or<T>(&mut self, other: impl Future<Output = T>) -> Result<Event<T>, Error> {
        let Self { daemon, signals, owners } = self;
        let waiting = async {
            tokio::select! {
                announced = announcement(signals, owners) => {
                    announced?;
                    // Many sessions end at once when a user's do: the list is asked for once, when they have.
                    tokio::time::sleep(SETTLING).await;
                    for _ in 0..MOST_SETTLED {
                        let more = tokio::time::timeout(Duration::ZERO, announcement(signals, owners)).await;
                        if more.is_err() {
                            break;
                        }
                    }
                    Some(Event::Announced)
                }
                came = other => Some(Event::Other(came)),
            }
        };
        daemon.runtime.block_on(waiting).ok_or_else(|| daemon.unreachable(&"the bus closed the connection"))
    }
}

/// Waits for a signal of the daemon, or for a new daemon. `None` when the bus is gone.
async fn announcement(signals: &mut SignalStream<'static>, owners: &mut OwnerChangedStream<'static>) -> Option<()> {
    loop {
        tokio::select! {
            signal = signals.next() => return signal.map(drop),
            owner = owners.next() => if owner?.is_some() { return Some(()) },
        }
    }
}

/// The daemon does not repeat the id that it does not know.
fn about(id: &str, error: Error) -> Error {
    if matches!(error, Error::NoSession(_)) { Error::NoSession(id.to_owned()) } else { error }
}

/// The daemon says so in words; the command has its own.
fn no_user(user: &str, error: Error) -> Error {
    if matches!(error, Error::NoUser(_)) { Error::NoUser(user.to_owned()) } else { error }
}

fn no_answer(timeout: Duration) -> String {
    format!("no answer within {timeout:?}")
}

fn unique(sessions: Vec<Session>, prefix: &str) -> Result<Session, Error> {
    let unknown = || Error::NoSession(prefix.to_owned());
    if prefix.is_empty() {
        return Err(unknown());
    }
    // logind's own ids are short and could begin one of ours: then more must be written.
    let is_its_logind_id = |session: &Session| session.parent.is_none() && session.logind_id.as_deref() == Some(prefix);
    let fits = |session: &Session| session.id.starts_with(prefix) || is_its_logind_id(session);
    let mut fitting: Vec<_> = sessions.into_iter().filter(fits).collect();
    match (fitting.pop(), fitting.len()) {
        (Some(session), 0) => Ok(session),
        (Some(_), others) => Err(Error::Ambiguous { prefix: prefix.to_owned(), count: others + 1 }),
        (None, _) => Err(unknown()),
    }
}

fn read(dict: &HashMap<String, OwnedVariant>) -> Result<Session, Error> {
    let info = SessionInfo::from_dict(dict).map_err(|error| Error::Daemon(format!("a session it shows: {error}")))?;
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let time = |micros| Some(micros).filter(|micros| *micros != NONE).map(WallTime::from_micros);
    let limit = |micros| Some(micros).filter(|micros| *micros != NONE).map(Duration::from_micros);
    let idle_deadline = time(info.idle_deadline);
    // A nested session ends with the one around it, and one whose screen is locked has met its limit.
    let is_reached = idle_deadline.is_some() || info.class == "nested" || info.state == "locked";
    Ok(Session {
        is_beyond_idle: info.idle_limit_usec != NONE && !is_reached,
        id: info.id,
        user: info.user,
        uid: info.uid,
        target: info.target,
        target_uid: info.target_uid,
        service: info.service,
        ttys: info.ttys,
        remote_host: text(info.remote_host),
        leader: Some(info.leader).filter(|pid| *pid != 0),
        class: info.class,
        factors: info.factors,
        aal: info.aal,
        rule: info.rule,
        state: info.state,
        activity_basis: info.activity_basis,
        opened_at: WallTime::from_micros(info.opened_at),
        authenticated_at: WallTime::from_micros(info.authenticated_at),
        last_active_at: time(info.last_active_at),
        idle_deadline,
        lifetime_deadline: time(info.lifetime_deadline),
        idle_limit: limit(info.idle_limit_usec),
        lifetime_limit: limit(info.lifetime_limit_usec),
        inhibited_by: info.inhibited_by,
        logind_id: text(info.logind_id),
        parent: text(info.parent),
        end: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Vec<Session> {
        ["aa11", "aa22", "bb33"].map(|id| Session { id: id.into(), ..Session::default() }).to_vec()
    }

    #[test]
    fn a_prefix_that_fits_one_session_names_it() {
        assert_eq!(unique(sessions(), "b").unwrap().id, "bb33");
        assert_eq!(unique(sessions(), "aa22").unwrap().id, "aa22");
    }

    #[test]
    fn a_prefix_that_fits_none_or_more_names_none() {
        assert!(matches!(unique(sessions(), "c"), Err(Error::NoSession(_))));
        assert!(matches!(unique(sessions(), ""), Err(Error::NoSession(_))));
        assert!(matches!(unique(sessions(), "aa"), Err(Error::Ambiguous { count: 2, .. })));
    }

    #[test]
    fn logind_s_id_names_a_session_unless_it_begins_anothers() {
        let mut sessions = sessions();
        sessions[2].logind_id = Some("c3".into());
        assert_eq!(unique(sessions.clone(), "c3").unwrap().id, "bb33");
        assert!(matches!(unique(sessions.clone(), "c"), Err(Error::NoSession(_))), "only the whole of it");
        sessions[2].logind_id = Some("aa1".into());
        assert!(matches!(unique(sessions, "aa1"), Err(Error::Ambiguous { .. })));
    }

    #[test]
    fn what_the_bus_calls_never_is_nothing() {
        let info = SessionInfo { id: "a".into(), idle_deadline: NONE, lifetime_deadline: 5, ..SessionInfo::default() };
        let dict = info.to_dict();
        let dict = dict.into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect();
        let session = read(&dict).unwrap();
        assert_eq!((session.idle_deadline, session.lifetime_deadline), (None, Some(WallTime::from_micros(5))));
        assert_eq!((session.parent, session.remote_host, session.leader), (None, None, None));
    }
}
