//! Hears that systemd stops the scope of a login, as `loginctl terminate-session` has it do. Not every login program lives to tell us: then
//! its leader would seem to have been killed, and the session is over by a logout.

use std::{num::NonZeroUsize, sync::Arc};

use authflow_core::session::{Class, Session};
use zbus::{
    Connection, MatchRule, MessageStream, OwnedObjectPath, export::ordered_stream::OrderedStreamExt, message::Type,
};

use crate::{daemon::Daemon, log::Line, systemd};

/// How many that are not yet looked at are kept: every unit of the machine has jobs.
const QUEUED: usize = 256;

/// Follows systemd's jobs for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    if !systemd::runs_here() {
        return;
    }
    match jobs(&connection).await {
        Ok(mut jobs) => {
            while let Some(Ok(job)) = jobs.next().await {
                let body = job.body();
                let Ok((_, _, unit)) = body.deserialize::<(u32, OwnedObjectPath, &str)>() else { continue };
                heard(&daemon, &connection, unit).await;
            }
        }
        Err(why) => daemon.log.write(&Line::warning("scopes-unwatched").with("why", why)),
    }
}

async fn jobs(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(systemd::NAME)
        .path(systemd::PATH)
        .interface(systemd::MANAGER)
        .member("JobNew")
        .build()?;
    let jobs = MessageStream::for_match_rule(rule, connection, NonZeroUsize::new(QUEUED)).await?;
    systemd::subscribe(connection).await?;
    Ok(jobs)
}

/// A job for a unit. Whether it stops it the unit tells: one that was just started runs.
async fn heard(daemon: &Arc<Daemon>, connection: &Connection, unit: &str) {
    let Some(logind_id) = unit.strip_prefix("session-").and_then(|rest| rest.strip_suffix(".scope")) else { return };
    let is_its =
        |session: &Session| session.opening.class != Class::Nested && session.logind_id.as_deref() == Some(logind_id);
    let sessions = daemon.sessions_where(is_its);
    if sessions.is_empty() {
        return;
    }
    let running = systemd::units(connection, &["active", "activating", "reloading"], unit).await;
    if running.is_ok_and(|running| running.is_empty()) {
        for session in sessions {
            // One that is over by now needs no ending.
            let _over = daemon.log_out(session.id);
        }
    }
}
