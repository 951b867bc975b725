//! The exchange with the daemon: one connection, one call, one reply, all of it under one time-out. Nothing outlives it, neither a
//! thread nor a descriptor. Root's login programs have a door of their own to it, and take the bus where that is shut: a bus that users
//! fill must keep nobody out, and let nobody in whom nobody watches.

use std::{collections::HashMap, fs::File, io, path::Path, time::Duration};

use authflow_bus as bus;
use authflow_core::{
    session::{Opening, SessionId},
    vouch::OwnSession,
};
use nix::unistd::geteuid;
use zbus::{Connection, Message, OwnedObjectPath, connection};

use crate::call::Call;

/// Where the daemon is, and how long it may take.
#[derive(Clone, Debug)]
pub struct Daemon {
    door: Option<String>,
    address: String,
    limit: Duration,
}

/// Why the daemon has not done as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its policy: the user has too many sessions.
    #[error("the daemon refused: {0}")]
    TooManySessions(String),
    /// It, or the bus, did not answer in time.
    #[error("the daemon did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// This process may open too few files to ask it.
    #[error("this process may open too few files (ulimit -n) to ask the daemon")]
    NoDescriptors,
    /// It could not be asked, or failed.
    #[error("the daemon: {0}")]
    Failed(String),
}

/// As many descriptors as an exchange takes, and some to spare.
const DESCRIPTORS: usize = 16;

/// Whether this process could not even ask. The caller of su chooses its limits, and a session that the daemon never hears of would be
/// one without any.
fn lacks_descriptors() -> bool {
    let opened: io::Result<Vec<File>> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    opened.is_err_and(|error| error.raw_os_error() == Some(nix::libc::EMFILE))
}

impl Daemon {
    /// The daemon behind the bus at `address`. One exchange takes at most `limit`.
    #[must_use]
    pub const fn new(address: String, limit: Duration) -> Self {
        Self { door: None, address, limit }
    }

    /// The same, by its door wherever this process may come in there.
    #[must_use]
    pub fn behind(self, door: &Path) -> Self {
        let door = geteuid().is_root().then(|| format!("unix:path={}", door.display()));
        Self { door, ..self }
    }

    /// How long an ordinary exchange may take.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Opens a session whose leader is this process, by that id. The id that it has: a daemon of before this version chooses another.
    ///
    /// # Errors
    /// The daemon refuses, or cannot be asked.
    pub fn open(&self, id: SessionId, opening: &Opening) -> Result<String, DaemonError> {
        let mut facts = bus::opening::to_dict(opening);
        facts.insert("Id", id.to_string().into());
        let reply = self.exchange(&Call::OpenSession(facts), self.limit).map_err(|why| {
            let error = DaemonError::from(why);
            let is_our_lack = matches!(error, DaemonError::Failed(_)) && lacks_descriptors();
            if is_our_lack { DaemonError::NoDescriptors } else { error }
        })?;
        let (id, _path): (String, OwnedObjectPath) = reply.body().deserialize().map_err(failed)?;
        Ok(id)
    }

    /// Closes the session that this process opened.
    ///
    /// # Errors
    /// The daemon cannot be asked, or does not know the session.
    pub fn close(&self, id: &str) -> Result<(), DaemonError> {
        self.exchange(&Call::CloseSession(id), self.limit)?;
        Ok(())
    }

    /// The session that this process is in.
    ///
    /// # Errors
    /// It is in none, or the daemon cannot be asked.
    pub fn own_session(&self) -> Result<OwnSession, DaemonError> {
        let reply = self.exchange(&Call::Vouch, self.limit)?;
        let session: HashMap<String, String> = reply.body().deserialize().map_err(failed)?;
        bus::vouch::from_dict(&session).map_err(failed)
    }

    /// `method_timeout` of the connection would not cover connecting and authenticating, where a hung bus hangs.
    pub(crate) fn exchange(&self, call: &Call<'_>, limit: Duration) -> Result<Message, Unanswered> {
        let no_runtime = |error| Unanswered::Refused(bus::Error::from(zbus::Error::from(error)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_runtime)?;
        let answer = self.send(call);
        match runtime.block_on(async { tokio::time::timeout(limit, answer).await }) {
            Ok(reply) => reply.map_err(|error| Unanswered::Refused(error.into())),
            Err(_elapsed) => Err(Unanswered::TimedOut(limit)),
        }
    }

    /// The connection is dropped inside the runtime: one that outlived it would leave a thread behind.
    async fn send(&self, call: &Call<'_>) -> zbus::Result<Message> {
        let connection = self.connect().await?;
        connection.call_method(Some(bus::NAME), bus::PATH, Some(call.interface()), call.method(), call).await
    }

    async fn connect(&self) -> zbus::Result<Connection> {
        if let Some(door) = &self.door
            && let Ok(connection) = dial(door).await
        {
            return Ok(connection);
        }
        dial(&self.address).await
    }
}

async fn dial(address: &str) -> zbus::Result<Connection> {
    connection::Builder::address(address).build().await
}

/// What came instead of a reply.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// An error, of the daemon or of the bus.
    Refused(bus::Error),
    /// Nothing, within that time.
    TimedOut(Duration),
}

impl From<Unanswered> for DaemonError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Refused(error) => error.into(),
            Unanswered::TimedOut(limit) => Self::TimedOut(limit),
        }
    }
}

impl From<bus::Error> for DaemonError {
    fn from(error: bus::Error) -> Self {
        match &error {
            bus::Error::TooManySessions(text) => Self::TooManySessions(text.clone()),
            // All else is no policy about this login: the bus, the daemon or this module is not as it should be.
            bus::Error::ZBus(error) => failed(error),
            bus::Error::NoSuchSession(_)
            | bus::Error::NoSuchUser(_)
            | bus::Error::NotAuthorized(_)
            | bus::Error::RateLimited(_)
            | bus::Error::InvalidArgument(_)
            | bus::Error::NoSuchFlow(_)
            | bus::Error::Denied(_)
            | bus::Error::Degraded(_)
            | bus::Error::NotSupported(_) => Self::Failed(error.to_string()),
        }
    }
}

/// What went wrong, with its causes: zbus names a class of errors and often leaves the reason to what is behind it.
pub(crate) fn failed(error: impl std::error::Error) -> DaemonError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    DaemonError::Failed(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn ask(address: String) -> DaemonError {
        Daemon::new(address, Duration::from_millis(50)).close("00000000000000000000000000000000").unwrap_err()
    }

    #[test]
    fn a_bus_that_accepts_and_stays_silent_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let _silent = UnixListener::bind(&path).unwrap();
        assert!(matches!(ask(format!("unix:path={}", path.display())), DaemonError::TimedOut(_)));
    }

    #[test]
    fn a_bus_that_is_not_there_or_has_no_address_is_a_failure_and_no_policy() {
        for address in ["unix:path=/nonexistent/bus", "", "nonsense"] {
            assert!(matches!(ask(address.to_owned()), DaemonError::Failed(_)), "{address}");
        }
    }

    #[test]
    fn only_too_many_sessions_is_a_policy() {
        let too_many = bus::Error::TooManySessions("2 of 2".into());
        assert!(matches!(too_many.into(), DaemonError::TooManySessions(_)));
        assert!(matches!(bus::Error::Degraded("disk full".into()).into(), DaemonError::Failed(_)));
    }
}
