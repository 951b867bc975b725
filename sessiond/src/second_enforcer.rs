//! The second enforcer: for each login with a lifetime a timer of systemd's that ends its logind session a little after we should have,
//! so that a dead daemon lengthens no session. A new deadline gets a new timer, and only then the old one goes. The timers of an earlier
//! daemon are found by their names, which say whose they are and for when.
//!
//! systemd's timers go by a clock that stands still while the machine sleeps, or by the wall clock, which anybody sets; the one that is as
//! ours (`WakeSystem=`) would wake the machine to end a session. So each timer goes off by both, and looks first whether the end is reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use authflow_core::{
    session::{Class, Session, SessionId, deadlines},
    time::{BootTime, Clock},
};
use authflow_host::clock::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zbus::{Connection, fdo::DBusProxy};

use crate::{
    daemon::Daemon,
    desktop,
    event::Event,
    log::Line,
    members,
    snapshot::Snapshot,
    systemd::{self, Later},
};

/// How long after the end of the lifetime: our own end has steps and a grace, and must come first.
const MARGIN: Duration = Duration::from_secs(120);

/// What is overdue when the daemon comes back is for the daemon to end first.
const LEAST: Duration = Duration::from_secs(60);

/// What changes within so long is seen to at once.
const PAUSE: Duration = Duration::from_secs(1);

/// How long systemd is left alone after it did not do what it was asked.
const BACK_OFF: Duration = Duration::from_secs(60);

/// What the names of the timers begin with.
const PREFIX: &str = "authflow-session-";

/// The ends of those names: the timer first, since what it sets off could come back as long as it stands.
const KINDS: [&str; 2] = [".timer", ".service"];

/// How much later the wall clock has the timer go off: that a time service sets it forward by less must not use this up too soon.
const SLACK: Duration = Duration::from_secs(60);

/// Where we are installed. The path of our own process is another once an upgrade has replaced the file.
const PROGRAM: &str = "/usr/libexec/authflow-sessiond";

/// How logind says that it has no such session.
const NO_SUCH_SESSION: &str = "org.freedesktop.login1.NoSuchSession";

/// When logins end at the latest. One may have two timers for a moment: an old end and a new one.
type Ends = BTreeSet<(SessionId, BootTime)>;

/// What a timer runs: ends a session of logind's if its end is reached by our own clock. An earlier run may have ended it.
///
/// A daemon that lives comes first, and may only lock or hang up: by a clock that was set, or that went on in a sleep, a timer goes off as
/// early as the daemon hears of the end. What falls away meanwhile takes this process along.
///
/// # Errors
/// There is no bus, or logind does not do it.
pub(crate) async fn end_if_due(logind_id: &str, at: BootTime, bus_address: &str) -> zbus::Result<()> {
    if SystemClock.now().boot < at {
        return Ok(());
    }
    let connection = zbus::connection::Builder::address(bus_address).build().await?;
    if lives(&connection).await? && is_called_off(signal(SignalKind::terminate())?).await {
        return Ok(());
    }
    match desktop::call(&connection, "TerminateSession", logind_id).await {
        Err(zbus::Error::MethodError(name, _, _)) if name.as_str() == NO_SUCH_SESSION => Ok(()),
        ended => ended.map(drop),
    }
}

/// Whether a daemon is there that can end sessions itself.
async fn lives(connection: &Connection) -> zbus::Result<bool> {
    let name = authflow_bus::NAME.try_into()?;
    Ok(DBusProxy::new(connection).await?.name_has_owner(name).await?)
}

/// Leaves the daemon its time, on the clock that stands still in a sleep, unless systemd ends this before.
async fn is_called_off(mut told_to_end: Signal) -> bool {
    tokio::time::timeout(MARGIN, told_to_end.recv()).await.is_ok()
}

/// Keeps the timers as the sessions are, for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    if !systemd::runs_here() {
        return;
    }
    let mut armed = None;
    loop {
        // Asked again after anything went wrong: a timer that is forgotten would end a session that was renewed.
        let known = match armed.take() {
            Some(known) => Some(known),
            None => found(&daemon, &connection).await,
        };
        if let Some(known) = known {
            armed = adjust(&daemon, &connection, known).await;
        }
        let is_done = armed.is_some();
        tokio::time::sleep(if is_done { PAUSE } else { BACK_OFF }).await;
        if is_done {
            daemon.changed.notified().await;
        }
    }
}

/// The timers that are there, an earlier daemon's among them, and what those run that have gone off.
async fn found(daemon: &Daemon, connection: &Connection) -> Option<Ends> {
    match systemd::units(connection, &[], &format!("{PREFIX}*")).await {
        Ok(units) => Some(units.iter().filter_map(|unit| parse(unit)).collect()),
        Err(why) => {
            daemon.log.write(&Line::warning(Event::TimersUnknown).with("why", why));
            None
        }
    }
}

/// Makes the timers what they should be, and gives what there are then. `None` where something went wrong, and nobody knows.
async fn adjust(daemon: &Arc<Daemon>, connection: &Connection, mut armed: Ends) -> Option<Ends> {
    let (wanted, logind_ids) = wanted(daemon, &armed);
    let mut is_done = true;
    for &(id, end) in wanted.difference(&armed.clone()) {
        let logind_id = logind_ids.get(&id).map(String::as_str).unwrap_or_default();
        if let Err(why) = arm(connection, id, end, logind_id).await {
            daemon.log.write(&Line::error(Event::TimerNotSet).with("session", id).with("why", why));
            is_done = false;
        } else {
            armed.insert((id, end));
        }
    }
    let unset: BTreeSet<SessionId> = wanted.difference(&armed).map(|(id, _)| *id).collect();
    for (id, end) in armed.clone().difference(&wanted) {
        // Better an old timer than none, until the new one is set.
        if unset.contains(id) {
            continue;
        }
        if let Err(why) = take_back(connection, &name(*id, *end)).await {
            daemon.log.write(&Line::warning(Event::TimerNotStopped).with("session", *id).with("why", why));
            is_done = false;
        }
        armed.remove(&(*id, *end));
    }
    is_done.then_some(armed)
}

/// The timers that there should be, and logind's ids of their sessions.
fn wanted(daemon: &Daemon, armed: &Ends) -> (Ends, BTreeMap<SessionId, String>) {
    let mut logind_ids = BTreeMap::new();
    let mut wanted = Ends::new();
    for session in daemon.sessions_where(|session| session.opening.class != Class::Nested) {
        // A login that asks for nothing new costs nothing.
        let Some(end) = end(&session) else { continue };
        if armed.contains(&(session.id, end)) || is_led(&session) {
            wanted.insert((session.id, end));
            logind_ids.insert(session.id, session.logind_id.unwrap_or_default());
        }
    }
    (wanted, logind_ids)
}

/// When the session is ended for us, if it has a lifetime and a session of logind's. Whole seconds, as in the names.
fn end(session: &Session) -> Option<BootTime> {
    let lifetime = session.logind_id.as_ref().and(deadlines(session).lifetime)?;
    Some(BootTime::new(Duration::from_secs(lifetime.saturating_add(MARGIN).as_secs())))
}

/// Whether logind's session is this one: an su has its caller's, and must not take it along.
fn is_led(session: &Session) -> bool {
    members::logind_scope(session, &Snapshot::chain(session.leader.pid)).is_some()
}

async fn arm(connection: &Connection, id: SessionId, end: BootTime, logind_id: &str) -> zbus::Result<()> {
    let now = SystemClock.now();
    let delay = end.saturating_since(now.boot).max(LEAST);
    let later = Later {
        name: &name(id, end),
        description: &format!("authflow session {id}: its lifetime is over"),
        delay,
        at: now.wall.saturating_add(delay.saturating_add(SLACK)),
        // Plain words: what a shell would need systemd does not quote in the file that it reads again when it is reloaded.
        command: (PROGRAM, &["--end", logind_id, "--at", &end.as_secs().to_string()]),
    };
    systemd::run_later(connection, later).await
}

/// Stops a timer, and then what it has set off.
async fn take_back(connection: &Connection, name: &str) -> zbus::Result<()> {
    for kind in KINDS {
        systemd::stop(connection, &format!("{name}{kind}")).await?;
    }
    Ok(())
}

fn name(id: SessionId, end: BootTime) -> String {
    format!("{PREFIX}{id}-{}", end.as_secs())
}

fn parse(unit: &str) -> Option<(SessionId, BootTime)> {
    let name = KINDS.iter().find_map(|kind| unit.strip_suffix(kind))?;
    let (id, secs) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((id.parse().ok()?, BootTime::new(Duration::from_secs(secs.parse().ok()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::new([n; 16])
    }

    fn at(secs: u64) -> BootTime {
        BootTime::new(Duration::from_secs(secs))
    }

    #[test]
    fn a_timers_name_tells_whose_it_is_and_for_when() {
        for kind in [".timer", ".service"] {
            assert_eq!(parse(&format!("{}{kind}", name(id(7), at(4711)))), Some((id(7), at(4711))));
        }
        for other in
            ["authflow-session-x-1.timer", "authflow-session-.timer", "authflow-session-.scope", "other.timer", ""]
        {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
