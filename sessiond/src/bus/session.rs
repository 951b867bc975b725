//! `org.authflow.sessiond1.Session`: one session. Every property is authorised like every method, and looked up when it is read.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use authflow_bus::{Error, SessionInfo};
use authflow_core::{
    session::SessionId,
    time::{BootTime, Clock},
};
use authflow_host::clock::SystemClock;
use zbus::{Connection, message::Header};

use super::{
    access::Verb,
    caller::{Caller, Callers},
    manager::{extend, may, no_such, revoke},
};
use crate::{daemon::Daemon, desktop::lock_once};

/// A session's object.
pub(crate) struct SessionObject {
    daemon: Arc<Daemon>,
    callers: Arc<Callers>,
    id: SessionId,
    shown: Mutex<Option<Shown>>,
}

/// What was shown last, to whom and when.
struct Shown {
    to: String,
    at: BootTime,
    info: SessionInfo,
}

/// `GetAll` asks for every property by itself. Within so short a time it is one question: one look, one authorisation, one call that counts.
const ONE_QUESTION: Duration = Duration::from_millis(100);

type Asked<'a> = (Option<Header<'a>>, &'a Connection);

impl SessionObject {
    pub(super) const fn new(daemon: Arc<Daemon>, callers: Arc<Callers>, id: SessionId) -> Self {
        Self { daemon, callers, id, shown: Mutex::new(None) }
    }

    /// What the session shows to whoever asks, if they may see it.
    async fn shown(&self, (header, connection): Asked<'_>) -> Result<SessionInfo, Error> {
        let header = header.ok_or_else(no_such)?;
        let to = header.sender().ok_or_else(no_such)?.to_string();
        if let Some(info) = self.shown_just_now(&to) {
            return Ok(info);
        }
        let caller = self.authorised(Verb::See, &header, connection).await?;
        let info = self.callers.charge(&caller, || self.daemon.info(self.id))?.ok_or_else(no_such)?;
        let shown = Shown { to, at: SystemClock.now().boot, info: info.clone() };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(info)
    }

    fn shown_just_now(&self, to: &str) -> Option<SessionInfo> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let is_one =
            |shown: &&Shown| shown.to == to && SystemClock.now().boot.saturating_since(shown.at) < ONE_QUESTION;
        shown.as_ref().filter(is_one).map(|shown| shown.info.clone())
    }

    async fn authorised(&self, verb: Verb, header: &Header<'_>, connection: &Connection) -> Result<Caller, Error> {
        let caller = self.callers.identify(header, connection).await?;
        let session = self.daemon.find(self.id).ok_or_else(no_such)?;
        let allowed = may(&caller, session.opening.uid, verb, (header, connection)).await;
        if allowed { Ok(caller) } else { Err(no_such()) }
    }
}

#[zbus::interface(name = "org.authflow.sessiond1.Session")]
impl SessionObject {
    #[zbus(name = "Extend")]
    async fn push(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.authorised(Verb::Extend, &header, connection).await?;
        extend(&self.daemon, &caller, self.id)
    }

    #[zbus(name = "Revoke")]
    async fn end(
        &self,
        message: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.authorised(Verb::End, &header, connection).await?;
        self.callers.charge(&caller, || revoke(&self.daemon, &caller, self.id, message))?
    }

    async fn lock(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let _caller = self.authorised(Verb::Lock, &header, connection).await?;
        let session = self.daemon.find(self.id).ok_or_else(no_such)?;
        let no_screen = || Error::NotSupported("the session has no screen that could be locked".to_owned());
        let logind_id = session.logind_id.as_deref().filter(|_| session.has_screen()).ok_or_else(no_screen)?;
        lock_once(connection, logind_id).await.map_err(|why| Error::Degraded(format!("logind: {why}")))
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Id")]
    async fn id(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.id)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "User")]
    async fn user(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.user)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Uid")]
    async fn uid(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.uid)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Target")]
    async fn target(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.target)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "TargetUid")]
    async fn target_uid(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.target_uid)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Service")]
    async fn service(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.service)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "TTYs")]
    async fn ttys(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<String>, Error> {
        Ok(self.shown((header, connection)).await?.ttys)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "RemoteHost")]
    async fn remote_host(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.remote_host)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Leader")]
    async fn leader(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.leader)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Class")]
    async fn class(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.class)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Factors")]
    async fn factors(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<String>, Error> {
        Ok(self.shown((header, connection)).await?.factors)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "AAL")]
    async fn aal(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.aal)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Rule")]
    async fn rule(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.rule)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "State")]
    async fn state(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.state)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "ActivityBasis")]
    async fn activity_basis(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.activity_basis)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "OpenedAt")]
    async fn opened_at(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.opened_at)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "AuthenticatedAt")]
    async fn authenticated_at(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.authenticated_at)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "LastActiveAt")]
    async fn last_active_at(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.last_active_at)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "IdleDeadline")]
    async fn idle_deadline(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.idle_deadline)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "LifetimeDeadline")]
    async fn lifetime_deadline(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.lifetime_deadline)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "IdleLimitUSec")]
    async fn idle_limit_usec(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.idle_limit_usec)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "LifetimeLimitUSec")]
    async fn lifetime_limit_usec(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.lifetime_limit_usec)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "InhibitedBy")]
    async fn inhibited_by(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<String>, Error> {
        Ok(self.shown((header, connection)).await?.inhibited_by)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "LogindId")]
    async fn logind_id(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.logind_id)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "Parent")]
    async fn parent(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.parent)
    }
}
