//! `org.authflow.sessiond1.Session`: one session. Every property is authorised like every method, and looked up when it is read.

use std::sync::Arc;

use authflow_bus::{Error, SessionInfo};
use authflow_core::session::SessionId;
use zbus::{Connection, message::Header};

use super::{
    access::Verb,
    caller::{Caller, Callers},
    deed::{extend, revoke},
    reach::may,
    reply::no_such,
};
use crate::{daemon::Daemon, desktop::lock_once};

/// A session's object.
pub(crate) struct SessionObject {
    daemon: Arc<Daemon>,
    callers: Arc<Callers>,
    id: SessionId,
}

type Asked<'a> = (Option<Header<'a>>, &'a Connection);

impl SessionObject {
    pub(super) const fn new(daemon: Arc<Daemon>, callers: Arc<Callers>, id: SessionId) -> Self {
        Self { daemon, callers, id }
    }

    /// What the session shows to whoever asks.
    ///
    /// # Errors
    /// They may not see it: to them there is none.
    pub(super) async fn shown(&self, (header, connection): Asked<'_>) -> Result<SessionInfo, Error> {
        let header = header.ok_or_else(no_such)?;
        let caller = self.authorised(Verb::See, &header, connection).await?;
        self.callers.charge(&caller, || self.daemon.info(self.id))?.ok_or_else(no_such)
    }

    async fn authorised(&self, verb: Verb, header: &Header<'_>, connection: &Connection) -> Result<Caller, Error> {
        let caller = self.callers.identify(header, connection).await?;
        let session = self.daemon.find(self.id).ok_or_else(no_such)?;
        let allowed = may(&caller, session.opening.uid, verb, (header, connection)).await?;
        if allowed { Ok(caller) } else { Err(no_such()) }
    }
}

#[zbus::interface(name = "org.authflow.sessiond1.Session")]
impl SessionObject {
    /// Pushes the idle deadline, as activity does. Users may as often as their rule says.
    #[zbus(name = "Extend")]
    async fn push(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let caller = self.authorised(Verb::Extend, &header, connection).await?;
        extend(&self.daemon, &caller, self.id)
    }

    /// Ends it at once; its user reads the message.
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

    /// Has the screen locked, where there is one.
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

    /// 32 hexadecimal digits.
    #[zbus(property(emits_changed_signal = "false"), name = "Id")]
    async fn id(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.id)
    }

    /// Who authenticated.
    #[zbus(property(emits_changed_signal = "false"), name = "User")]
    async fn user(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.user)
    }

    /// That user's uid.
    #[zbus(property(emits_changed_signal = "false"), name = "Uid")]
    async fn uid(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.uid)
    }

    /// Whom it runs as: another than `User` under su and sudo.
    #[zbus(property(emits_changed_signal = "false"), name = "Target")]
    async fn target(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.target)
    }

    /// The target's uid.
    #[zbus(property(emits_changed_signal = "false"), name = "TargetUid")]
    async fn target_uid(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.target_uid)
    }

    /// The PAM service that opened it.
    #[zbus(property(emits_changed_signal = "false"), name = "Service")]
    async fn service(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.service)
    }

    /// The terminals that its processes hold now, as "pts/1".
    #[zbus(property(emits_changed_signal = "false"), name = "TTYs")]
    async fn ttys(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<String>, Error> {
        Ok(self.shown((header, connection)).await?.ttys)
    }

    /// Where from; empty for a login on the machine itself.
    #[zbus(property(emits_changed_signal = "false"), name = "RemoteHost")]
    async fn remote_host(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.remote_host)
    }

    /// The process whose end is a logout.
    #[zbus(property(emits_changed_signal = "false"), name = "Leader")]
    async fn leader(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.leader)
    }

    /// "user", "nested" or "background".
    #[zbus(property(emits_changed_signal = "false"), name = "Class")]
    async fn class(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.class)
    }

    /// What was proved.
    #[zbus(property(emits_changed_signal = "false"), name = "Factors")]
    async fn factors(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<String>, Error> {
        Ok(self.shown((header, connection)).await?.factors)
    }

    /// 0 to 2: nothing seen by us, one kind of factor, both kinds.
    #[zbus(property(emits_changed_signal = "false"), name = "AAL")]
    async fn aal(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u32, Error> {
        Ok(self.shown((header, connection)).await?.aal)
    }

    /// The rule that let it in.
    #[zbus(property(emits_changed_signal = "false"), name = "Rule")]
    async fn rule(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.rule)
    }

    /// "active", "locked", "orphaned" or "closing".
    #[zbus(property(emits_changed_signal = "false"), name = "State")]
    async fn state(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.state)
    }

    /// What idleness is measured by: "tty", "hint", "io" or "none".
    #[zbus(property(emits_changed_signal = "false"), name = "ActivityBasis")]
    async fn activity_basis(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.activity_basis)
    }

    /// Microseconds since 1970.
    #[zbus(property(emits_changed_signal = "false"), name = "OpenedAt")]
    async fn opened_at(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.opened_at)
    }

    /// When its user last authenticated, in microseconds since 1970.
    #[zbus(property(emits_changed_signal = "false"), name = "AuthenticatedAt")]
    async fn authenticated_at(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.authenticated_at)
    }

    /// When it was last used, in microseconds since 1970, looked up now.
    #[zbus(property(emits_changed_signal = "false"), name = "LastActiveAt")]
    async fn last_active_at(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.last_active_at)
    }

    /// When it will have idled too long, in microseconds since 1970, looked up now; the largest number is never.
    #[zbus(property(emits_changed_signal = "false"), name = "IdleDeadline")]
    async fn idle_deadline(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.idle_deadline)
    }

    /// When its authentication will be too old, in microseconds since 1970; the largest number is never.
    #[zbus(property(emits_changed_signal = "false"), name = "LifetimeDeadline")]
    async fn lifetime_deadline(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.lifetime_deadline)
    }

    /// Longest inactivity, in microseconds; the largest number is none.
    #[zbus(property(emits_changed_signal = "false"), name = "IdleLimitUSec")]
    async fn idle_limit_usec(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.idle_limit_usec)
    }

    /// Longest time since authentication, in microseconds; the largest number is none.
    #[zbus(property(emits_changed_signal = "false"), name = "LifetimeLimitUSec")]
    async fn lifetime_limit_usec(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, Error> {
        Ok(self.shown((header, connection)).await?.lifetime_limit_usec)
    }

    /// What keeps it from being idle.
    #[zbus(property(emits_changed_signal = "false"), name = "InhibitedBy")]
    async fn inhibited_by(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<String>, Error> {
        Ok(self.shown((header, connection)).await?.inhibited_by)
    }

    /// logind's name for it, if there is one.
    #[zbus(property(emits_changed_signal = "false"), name = "LogindId")]
    async fn logind_id(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.logind_id)
    }

    /// The session that it is nested in, if it is.
    #[zbus(property(emits_changed_signal = "false"), name = "Parent")]
    async fn parent(
        &self,
        #[zbus(header)] header: Option<Header<'_>>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        Ok(self.shown((header, connection)).await?.parent)
    }
}
