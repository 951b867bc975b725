//! `authflow status`: the session that this command is run in. The daemon finds it by the caller's own credentials; the
//! environment, which anyone can set, is not asked.

use std::time::Duration;

use crate::{
    context::Context,
    error::Error,
    output::{
        Output, table,
        time::{self, Local},
    },
    session::Session,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// One word or two, for a shell's prompt; nothing outside of a session
    #[arg(long)]
    short: bool,
}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let session = match context.daemon()?.own_session() {
            // A prompt outside of a session is an everyday thing.
            Err(Error::InNoSession) if self.short => return Ok(()),
            found => found?,
        };
        let local = context.local();
        if self.short && !context.output.json {
            return Ok(context.output.text(&short(&session, &local))?);
        }
        Ok(context.output.either(&session.json(&local), || long(&session, &local, context.output))?)
    }
}

/// The level, and how long is left until the first limit: `AAL2 14 min`.
fn short(session: &Session, local: &Local) -> String {
    match session.ends_at() {
        Some(end) => format!("AAL{} {}\n", session.aal, time::words(end.saturating_since(local.now))),
        None => format!("AAL{}\n", session.aal),
    }
}

fn long(session: &Session, local: &Local, output: Output) -> String {
    let idle = session.last_active_at.map(|at| local.now.saturating_since(at));
    table::facts(
        output,
        &[
            ("session", format!("{} ({}, {})", session.id, session.service, session.from())),
            ("user", session.who()),
            (
                "proved",
                format!("{} (AAL {}) at {}", session.proved(), session.aal, local.past(session.authenticated_at)),
            ),
            ("since", local.past(session.opened_at)),
            ("idle", idle_line(idle, session, local)),
            ("ends", session.ends_at().map_or("at no set time".to_owned(), |end| local.ahead(end))),
            (
                "lifetime",
                session.lifetime_deadline.map(|end| format!("until {}", local.ahead(end))).unwrap_or_default(),
            ),
        ],
    )
}

fn idle_line(idle: Option<Duration>, session: &Session, local: &Local) -> String {
    match (idle, session.idle_deadline) {
        (Some(idle), Some(end)) => format!("{}, without activity until {}", time::words(idle), local.ahead(end)),
        (Some(idle), None) => format!("{}, no limit", time::words(idle)),
        (None, Some(end)) => format!("without activity until {}", local.ahead(end)),
        (None, None) => "no limit".to_owned(),
    }
}
