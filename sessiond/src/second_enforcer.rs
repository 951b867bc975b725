//! The second enforcer: for each login with a lifetime a timer of systemd's that ends its logind session a little after we should have,
//! so that a dead daemon lengthens no session. A new deadline gets a new timer, and only then the old one goes. The timers of an earlier
//! daemon are found by their names, which say whose they are and for when.
//!
//! systemd's clock stands still while the machine sleeps and ours does not: after a sleep the timer is late by as much.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authflow_core::{
    session::{Class, Session, SessionId, deadlines},
    time::{BootTime, Clock},
};
use authflow_host::clock::SystemClock;
use zbus::Connection;

use crate::{
    daemon::Daemon,
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

/// Everywhere systemd is this is a link to it, or it.
const LOGINCTL: &str = "/bin/loginctl";

/// When each login ends at the latest.
type Ends = BTreeMap<SessionId, BootTime>;

/// Keeps the timers as the sessions are, for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    if !systemd::runs_here() {
        return;
    }
    let mut armed = found(&daemon, &connection).await;
    loop {
        let is_done = adjust(&daemon, &connection, &mut armed).await;
        tokio::time::sleep(if is_done { PAUSE } else { BACK_OFF }).await;
        if is_done {
            daemon.changed.notified().await;
        }
    }
}

/// The timers that an earlier daemon left.
async fn found(daemon: &Daemon, connection: &Connection) -> Ends {
    match systemd::units(connection, &[], &format!("{PREFIX}*.timer")).await {
        Ok(units) => units.iter().filter_map(|unit| parse(unit)).collect(),
        Err(why) => {
            daemon.log.write(&Line::warning("timers-unknown").with("why", why));
            Ends::new()
        }
    }
}

/// Makes the timers what they should be. Tells whether all went well.
async fn adjust(daemon: &Arc<Daemon>, connection: &Connection, armed: &mut Ends) -> bool {
    let mut logind_ids = BTreeMap::new();
    let mut wanted = Ends::new();
    for session in daemon.sessions_where(|session| session.opening.class != Class::Nested) {
        // A login that asks for nothing new costs nothing.
        let Some(end) = end(&session) else { continue };
        if armed.get(&session.id) == Some(&end) || is_led(&session) {
            wanted.insert(session.id, end);
            logind_ids.insert(session.id, session.logind_id.unwrap_or_default());
        }
    }
    let mut is_done = true;
    for (id, end) in missing(armed, &wanted) {
        let logind_id = logind_ids.get(&id).map(String::as_str).unwrap_or_default();
        match arm(connection, id, end, logind_id).await {
            Ok(()) => {
                if let Some(old) = armed.insert(id, end) {
                    disarm(daemon, connection, id, old).await;
                }
            }
            Err(why) => {
                daemon.log.write(&Line::error("timer-not-set").with("session", id).with("why", why));
                is_done = false;
            }
        }
    }
    for (id, end) in missing(&wanted, armed) {
        // One that has a newer end is not done with.
        if !wanted.contains_key(&id) {
            disarm(daemon, connection, id, end).await;
            armed.remove(&id);
        }
    }
    is_done
}

/// Those of `wanted` that `there` lacks or has for another end.
fn missing(there: &Ends, wanted: &Ends) -> Ends {
    wanted.iter().filter(|(id, end)| there.get(id) != Some(end)).map(|(id, end)| (*id, *end)).collect()
}

/// When the session is ended for us, if it has a lifetime and a session of logind's. Whole seconds, as in the names.
fn end(session: &Session) -> Option<BootTime> {
    let lifetime = session.logind_id.as_ref().and(deadlines(session).lifetime)?;
    Some(BootTime::new(Duration::from_secs(lifetime.saturating_add(MARGIN).as_secs())))
}

/// Whether logind's session is this one: an su has its caller's, and must not take it along.
fn is_led(session: &Session) -> bool {
    members::scope(session, &Snapshot::chain(session.leader.pid)).is_some()
}

async fn arm(connection: &Connection, id: SessionId, end: BootTime, logind_id: &str) -> zbus::Result<()> {
    let later = Later {
        name: &name(id, end),
        description: &format!("authflow session {id}: its lifetime is over"),
        delay: end.saturating_since(SystemClock.now().boot).max(LEAST),
        command: (LOGINCTL, &["terminate-session", logind_id]),
    };
    systemd::run_later(connection, later).await
}

async fn disarm(daemon: &Daemon, connection: &Connection, id: SessionId, end: BootTime) {
    // One that has gone off is not there any more.
    if let Err(why) = systemd::stop(connection, &format!("{}.timer", name(id, end))).await {
        daemon.log.write(&Line::info("timer-not-stopped").with("session", id).with("why", why));
    }
}

fn name(id: SessionId, end: BootTime) -> String {
    format!("{PREFIX}{id}-{}", end.as_secs())
}

fn parse(unit: &str) -> Option<(SessionId, BootTime)> {
    let (id, secs) = unit.strip_prefix(PREFIX)?.strip_suffix(".timer")?.split_once('-')?;
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
        assert_eq!(parse(&format!("{}.timer", name(id(7), at(4711)))), Some((id(7), at(4711))));
        for other in ["authflow-session-x-1.timer", "authflow-session-.timer", "other.timer", ""] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_timer_is_missing_where_there_is_none_or_one_for_another_end() {
        let there = Ends::from([(id(1), at(10)), (id(2), at(20))]);
        let wanted = Ends::from([(id(1), at(10)), (id(2), at(25)), (id(3), at(30))]);
        assert_eq!(missing(&there, &wanted), Ends::from([(id(2), at(25)), (id(3), at(30))]));
        assert_eq!(missing(&wanted, &wanted), Ends::new());
    }
}
