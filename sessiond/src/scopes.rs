//! Hears that systemd stops the scope of a login, as `loginctl terminate-session` has it do. Not every login program lives to tell us: then
//! its leader would seem to have been killed, and the session is over by a logout.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use authflow_core::session::{Class, Session};
use tokio::sync::Notify;
use zbus::{
    Connection, MatchRule, MessageStream, OwnedObjectPath, export::ordered_stream::OrderedStreamExt, message::Type,
};

use crate::{daemon::Daemon, event::Event, log::Line, systemd};

/// How many that are not yet looked at are kept: every unit of the machine has jobs.
const QUEUED: usize = 256;

/// Follows systemd's jobs for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    if !systemd::runs_here() {
        return;
    }
    let touched = Touched::default();
    let listening = async {
        match jobs(&connection).await {
            Ok(jobs) => listen(&daemon, jobs, &touched).await,
            Err(why) => daemon.log.write(&Line::warning(Event::ScopesUnwatched).with("why", why)),
        }
    };
    tokio::join!(listening, ask(&daemon, &connection, &touched));
}

/// Scopes that have got a job which nobody has asked about.
#[derive(Default)]
struct Touched {
    logind_ids: Mutex<BTreeSet<String>>,
    more: Notify,
}

/// Only notes what it hears: while it waited for an answer, the signals behind it would hold up the whole connection.
async fn listen(daemon: &Daemon, mut jobs: MessageStream, touched: &Touched) {
    while let Some(Ok(job)) = jobs.next().await {
        let body = job.body();
        let Ok((_, _, unit)) = body.deserialize::<(u32, OwnedObjectPath, &str)>() else { continue };
        let logind_id = unit.strip_prefix("session-").and_then(|rest| rest.strip_suffix(".scope"));
        if let Some(logind_id) = logind_id {
            // Anybody can send what looks like systemd's. Only sessions are noted, and once; and it is systemd that is asked.
            if sessions_of(daemon, logind_id).is_empty() {
                continue;
            }
            touched.logind_ids.lock().unwrap_or_else(PoisonError::into_inner).insert(logind_id.to_owned());
            touched.more.notify_one();
        }
    }
}

async fn ask(daemon: &Arc<Daemon>, connection: &Connection, touched: &Touched) {
    loop {
        touched.more.notified().await;
        let logind_ids = std::mem::take(&mut *touched.logind_ids.lock().unwrap_or_else(PoisonError::into_inner));
        for logind_id in logind_ids {
            look(daemon, connection, &logind_id).await;
        }
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

/// A job for a scope. Whether it stops it the scope tells: one that was just started runs.
async fn look(daemon: &Arc<Daemon>, connection: &Connection, logind_id: &str) {
    let sessions = sessions_of(daemon, logind_id);
    if sessions.is_empty() {
        return;
    }
    let unit = format!("session-{logind_id}.scope");
    let running = systemd::units(connection, &["active", "activating", "reloading"], &unit).await;
    if running.is_ok_and(|running| running.is_empty()) {
        for session in sessions {
            // One that is over by now needs no ending.
            let _over = daemon.log_out(session.id);
        }
    }
}

fn sessions_of(daemon: &Daemon, logind_id: &str) -> Vec<Session> {
    let is_its =
        |session: &Session| session.opening.class != Class::Nested && session.logind_id.as_deref() == Some(logind_id);
    daemon.sessions_where(is_its)
}
