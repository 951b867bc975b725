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
    /// The session, by as much of its id as is unique; by default the one that this command is run in
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
    let limit = |limit: Option<std::time::Duration>, end: Option<WallTime>| {
        let limit = limit.map_or("none".to_owned(), time::words);
        // A nested session has limits, and ends with the login around it.
        end.map_or(limit.clone(), |end| format!("{limit}, ends {}", local.ahead(end)))
    };
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
        ("idle limit", limit(session.idle_limit, session.idle_deadline)),
        ("lifetime", limit(session.lifetime_limit, session.lifetime_deadline)),
    ];
    table::facts(output, &facts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_no_end_is_not_told_to_end() {
        let local = Local::new(WallTime::default());
        let row = |session: &Session| {
            let page = page(session, &local, Output::plain());
            let row = page.lines().find(|line| line.starts_with("idle limit")).map(str::to_owned);
            row.unwrap().split_once("limit").unwrap().1.trim().to_owned()
        };
        let limited = Session { idle_limit: Some(Duration::from_secs(900)), ..Session::default() };
        assert_eq!(row(&Session::default()), "none");
        assert_eq!(row(&limited), "15 min");
        let ends = Session { idle_deadline: Some(local.now.saturating_add(Duration::from_secs(60))), ..limited };
        assert!(row(&ends).starts_with("15 min, ends ") && row(&ends).ends_with("(in 1 min)"), "{}", row(&ends));
    }
}
