//! Has a session tracked: by the daemon, or, while that is away, by a file that it adopts when it is back. Section 9 of the design
//! decides which: a dead daemon locks nobody out, unless the rule wants it so.

use std::io;

use authflow_core::{
    policy::WhenUnavailable,
    session::{Opening, SessionId},
    time::Clock,
};
use authflow_host::{
    clock::SystemClock,
    pending::{self, Pending, PendingError},
    process::{self, ProcessId},
    random,
    undisturbed::Undisturbed,
};

use crate::{
    console,
    daemon::{Daemon, DaemonError},
    error::Error,
    event::Event,
    handle::Handle,
    log::{Line, Priority},
    login::Login,
};

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its id.
    pub id: String,
    /// Whether the daemon has yet to take it on.
    pub is_pending: bool,
}

/// Opens the session. `None` if the login goes on without one, since neither the daemon nor our own files can be used and the rule
/// lets users in all the same.
///
/// # Errors
/// The daemon's policy refuses, or it is away and the rule says "deny" or a session vouched for the user; or the caller could have brought it
/// about that nobody watches the session.
pub fn begin<H: Handle>(
    login: &mut Login<'_, H>,
    opening: &Opening,
    when_unavailable: WhenUnavailable,
) -> Result<Option<Opened>, Error> {
    // One id either way: the daemon may open the session and we not hear of it.
    let id = SessionId::new(random::bytes().map_err(Error::Process)?);
    // The caller of su and sudo may stop them, and has them keep his limits: he would have the time run out, or no room for the file, and
    // himself let in with a session that nobody watches.
    let is_in_callers_reach = !login.facts.is_called_by_root;
    let _undisturbed = is_in_callers_reach.then(Undisturbed::begin).transpose().map_err(Unwatched::NoRoom)?;
    let error = match daemon(login).open(id, opening) {
        Ok(id) => return Ok(Some(Opened { id, is_pending: false })),
        Err(error) => error,
    };
    if opening.vouched_by.is_some() {
        // Only the daemon knows whether the session that vouched still lives. Whoever tries again is asked in full.
        return Err(error.into());
    }
    let is_allowed = match (&error, when_unavailable) {
        (DaemonError::TooManySessions(_) | DaemonError::NoDescriptors, _) | (_, WhenUnavailable::Deny) => {
            console::is_root_there(&login.facts, login.pam)
        }
        (DaemonError::TimedOut(_) | DaemonError::Failed(_), WhenUnavailable::Open) => true,
    };
    if !is_allowed {
        return Err(error.into());
    }
    let event = match error {
        DaemonError::TooManySessions(_) | DaemonError::NoDescriptors => Event::RootAtConsoleNotRefused,
        DaemonError::TimedOut(_) | DaemonError::Failed(_) => Event::DaemonAway,
    };
    login.pam.log(Priority::Warning, &Line::new(event).with("user", &opening.user).with("why", error));
    Ok(match write_down(login, id, opening) {
        Ok(()) => Some(Opened { id: id.to_string(), is_pending: true }),
        Err(why) if is_in_callers_reach => return Err(why.into()),
        Err(why) => {
            login
                .pam
                .log(Priority::Error, &Line::new(Event::SessionUntracked).with("user", &opening.user).with("why", why));
            None
        }
    })
}

/// Ends the session: it is not to be adopted any more, or the daemon is told.
///
/// # Errors
/// The daemon cannot be told.
pub fn end<H: Handle>(login: &Login<'_, H>, id: &str) -> Result<(), Error> {
    let leader = ProcessId::current().map_err(Error::Process)?;
    let was_pending = pending::close(&login.place.paths, leader, id).map_err(Error::Folder)?;
    if was_pending { Ok(()) } else { Ok(daemon(login).close(id)?) }
}

/// The daemon of this login's configuration.
pub fn daemon<H>(login: &Login<'_, H>) -> Daemon {
    Daemon::new(login.config.bus_address.clone(), login.config.bus_timeout).behind(&login.place.paths.door())
}

/// Writes the session down for the daemon.
fn write_down<H: Handle>(login: &Login<'_, H>, id: SessionId, opening: &Opening) -> Result<(), Unwatched> {
    let now = SystemClock.now();
    let pending = Pending {
        id: id.to_string(),
        boot_id: process::boot_id()?,
        leader: ProcessId::current()?,
        opened_boot: now.boot,
        opened_wall: now.wall,
        closed: None,
        opening: opening.clone(),
    };
    Ok(pending.write(&login.place.paths)?)
}

/// Why nobody would watch a session.
#[derive(Debug, thiserror::Error)]
pub enum Unwatched {
    /// The caller lets files become so short that it could not be written down, and that cannot be changed.
    #[error("the caller's limit of files (ulimit -f) cannot be raised, so the session could go unwatched: {0}")]
    NoRoom(#[source] io::Error),
    /// This process cannot be looked up.
    #[error("the session cannot be written down for the daemon: {0}")]
    Process(#[from] io::Error),
    /// The file cannot be written.
    #[error("the session cannot be written down for the daemon: {0}")]
    Pending(#[from] PendingError),
}
