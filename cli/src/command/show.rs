//! `authflow show [ID]`: everything about one session, by default the one that this command is run in.

use authflow_core::time::WallTime;

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
pub(crate) struct Show {
    /// The session, by as much of its id as is unique
    id: Option<String>,
}

impl Show {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let session = context.daemon()?.session_or_own(self.id.as_deref())?;
        let local = context.local();
        Ok(context.output.either(&session.json(&local), || page(&session, &local, context.output))?)
    }
}

fn page(session: &Session, local: &Local, output: Output) -> String {
    let limit = |limit: Option<std::time::Duration>| limit.map_or("none".to_owned(), time::words);
    let deadline = |at: Option<WallTime>| at.map_or("none".to_owned(), |at| local.ahead(at));
    let leader = session.leader.map(|pid| format!("pid {pid}")).unwrap_or_default();
    let facts = [
        ("id", session.id.clone()),
        ("user", format!("{} (uid {})", session.user, session.uid)),
        ("runs as", format!("{} (uid {})", session.target, session.target_uid)),
        ("service", session.service.clone()),
        ("from", session.from()),
        ("ttys", session.ttys.join(", ")),
        ("leader", leader),
        ("class", session.class.clone()),
        ("parent", session.parent.clone().unwrap_or_default()),
        ("logind", session.logind_id.clone().unwrap_or_default()),
        ("factors", session.proved()),
        ("AAL", session.aal.to_string()),
        ("rule", session.rule.clone()),
        ("state", session.state.clone()),
        ("opened", local.past(session.opened_at)),
        ("proved", local.past(session.authenticated_at)),
        ("active", session.last_active_at.map(|at| local.past(at)).unwrap_or_default()),
        ("active by", session.activity_basis.clone()),
        ("kept by", session.inhibited_by.join(", ")),
        ("idle limit", format!("{}, ends {}", limit(session.idle_limit), deadline(session.idle_deadline))),
        ("lifetime", format!("{}, ends {}", limit(session.lifetime_limit), deadline(session.lifetime_deadline))),
    ];
    table::facts(output, &facts)
}
