//! `authflow history`: what sessions there were, and how they ended.

use crate::{
    context::Context,
    error::Error,
    history,
    output::{Output, table::Table, time::Local},
    session::{Session, short_id_length, shortened},
};

#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Only this user's sessions
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only sessions that ended after this: 2h, 7d, today, 2026-11-24, 2026-11-24T09:00:00Z
    #[arg(long, value_name = "T")]
    since: Option<String>,
}

impl History {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("the history of sessions is shown to root only")?;
        let local = context.local();
        let since = self.since.as_deref().map(|text| local.since(text)).transpose()?.unwrap_or_default();
        let sessions = history::read(&context.paths.sessions_db(), self.user.as_deref(), since)?;
        let documents: Vec<_> = sessions.iter().map(|session| session.json(&local)).collect();
        Ok(context.output.either(&documents, || table(&sessions, &local, context.output))?)
    }
}

/// Who ended it. The daemon looks up no names, so the session's own user stands there as a uid.
fn by(session: &Session, by: Option<String>) -> String {
    match by {
        Some(by) if by == format!("uid {}", session.uid) => session.user.clone(),
        Some(by) => by,
        None => "-".to_owned(),
    }
}

/// What held its idleness off, if anything did.
fn kept_by(session: &Session) -> String {
    if session.inhibited_by.is_empty() { "-".to_owned() } else { session.inhibited_by.join(", ") }
}

fn table(sessions: &[Session], local: &Local, output: Output) -> String {
    if sessions.is_empty() {
        return "no session has ended\n".to_owned();
    }
    let length = short_id_length(sessions);
    let mut table = Table::new(&[
        "ID", "USER", "SERVICE", "FROM", "FACTORS", "OPENED", "CLOSED", "REASON", "BY", "KEPT BY", "MESSAGE",
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
            end.reason,
            by(session, end.by),
            kept_by(session),
            end.message.unwrap_or_default(),
        ]);
    }
    table.render(output)
}
