//! `authflow history`: what sessions there were, and how they ended.

use authflow_core::session::EndReason;

use crate::{
    context::Context,
    error::Error,
    history::{Query, Store},
    output::{Output, note, table::Table, time::Local},
    session::{Session, short_id_length, shortened},
};

#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Only this user's sessions
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only sessions of this PAM service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Only sessions that ended for this reason: logout, leader-exited, idle, lifetime, revoked, deactivated, superseded, reboot
    #[arg(long, value_name = "REASON")]
    reason: Option<EndReason>,
    /// Only sessions that ended after this: 2h, 7d, today, 2026-11-24, 2026-11-24T09:00:00Z
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// Only sessions that ended before this
    #[arg(long, value_name = "T")]
    until: Option<String>,
    /// Only the last N of them
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

impl History {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("the history of sessions is shown to root only")?;
        let local = context.local();
        let time = |text: &Option<String>| text.as_deref().map(|text| local.since(text)).transpose();
        let query = Query {
            user: self.user.as_deref(),
            since: time(&self.since)?.unwrap_or_default(),
            until: time(&self.until)?,
            reason: self.reason,
            service: self.service.as_deref(),
            limit: self.limit,
        };
        let store = Store::open(&context.paths.sessions_db())?;
        let sessions = store.map_or_else(|| Ok(Vec::new()), |store| store.sessions(query))?;
        tell_if_incomplete(context);
        let documents: Vec<_> = sessions.iter().map(|session| session.json(&local)).collect();
        Ok(context.output.either(&documents, || table(&sessions, &local, context.output))?)
    }
}

/// Tells who reads the history that some of it is yet to be written, where the daemon says so.
pub(crate) fn tell_if_incomplete(context: &Context) {
    let health = if context.is_image() { None } else { context.daemon().and_then(|daemon| daemon.health()).ok() };
    if health.is_some_and(|health| health.is_degraded) {
        note(
            "this is incomplete: the daemon cannot write its store, and keeps in memory what ended since (authflow config check)",
        );
    }
}

/// What held its idleness off, if anything did.
fn kept_by(session: &Session) -> String {
    if session.inhibited_by.is_empty() { "-".to_owned() } else { session.inhibited_by.join(", ") }
}

/// Why it ended. An auditor must not take for a login what setup tried, and must see it all the same.
fn reason(session: &Session) -> String {
    if session.is_setup_trial() {
        return "trial of setup".to_owned();
    }
    session.end.as_ref().map(|end| end.reason.clone()).unwrap_or_default()
}

fn table(sessions: &[Session], local: &Local, output: Output) -> String {
    if sessions.is_empty() {
        return "no session's end is on record\n".to_owned();
    }
    let length = short_id_length(sessions);
    let mut table = Table::ranked(&[
        ("ID", 0),
        ("USER", 0),
        ("SERVICE", 3),
        ("FROM", 5),
        ("FACTORS", 8),
        ("OPENED", 6),
        ("CLOSED", 0),
        ("REASON", 0),
        ("BY", 2),
        ("KEPT BY", 7),
        ("MESSAGE", 1),
    ]);
    for session in sessions {
        let end = session.end.clone().unwrap_or_default();
        table.row([
            shortened(&session.id, length),
            session.who(),
            session.service.clone(),
            session.from(),
            session.proved(),
            local.clock(session.opened_at),
            local.clock(end.closed_at),
            reason(session),
            session.ended_by().unwrap_or("-").to_owned(),
            kept_by(session),
            end.message.unwrap_or_default(),
        ]);
    }
    table.render(output)
}

#[cfg(test)]
mod tests {
    use authflow_core::time::WallTime;

    use super::*;
    use crate::session::{End, SETUP_TRIAL};

    #[test]
    fn what_setup_tried_is_listed_and_marked() {
        let end = Some(End { reason: "leader-exited".into(), ..End::default() });
        let login = Session { id: "a".into(), user: "alice".into(), service: "sshd".into(), end, ..Session::default() };
        let trial = Session { service: SETUP_TRIAL.into(), rule: SETUP_TRIAL.into(), ..login.clone() };
        let told = table(&[login, trial], &Local::new(WallTime::default()), Output::plain());
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[1].contains("leader-exited") && !lines[1].contains("trial"), "{told}");
        assert!(lines[2].contains(SETUP_TRIAL) && lines[2].contains("trial of setup"), "{told}");
        assert!(!lines[2].contains("leader-exited"), "{told}");
    }
}
