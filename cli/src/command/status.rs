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

/// A prompt is drawn at every command: it does without rather than wait for a bus that hangs.
const LONGEST_FOR_A_PROMPT: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// One word or two, for a shell's prompt. Nothing, and an exit code, where there is no session or no daemon
    #[arg(long)]
    short: bool,
}

impl Status {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if self.short {
            // An error at every prompt would be read by nobody twice; the exit code is for scripts.
            return self.run_short(context).map_err(|error| Error::Untold(Box::new(error)));
        }
        let session = context.daemon()?.own_session()?;
        let local = context.local();
        Ok(context.output.either(&session.json(&local), || long(&session, &local, context.output))?)
    }

    fn run_short(&self, context: &Context) -> Result<(), Error> {
        let session = context.daemon_in_passing(LONGEST_FOR_A_PROMPT)?.own_session()?;
        let local = context.local();
        Ok(context.output.either(&session.json(&local), || short(&session, &local))?)
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
    let proved_at = local.past(session.authenticated_at);
    // The end at the lifetime is news only where idleness would end the session before.
    let lifetime = session.lifetime_deadline.filter(|_| session.ends_at() != session.lifetime_deadline);
    let facts = [
        ("session", format!("{} ({}, {})", session.id, session.service, session.from())),
        ("user", session.who()),
        ("ttys", session.ttys.join(", ")),
        ("proved", format!("{} (AAL {}) at {proved_at}", session.proved(), session.aal)),
        ("state", if session.state == "active" { String::new() } else { session.state.clone() }),
        ("since", local.past(session.opened_at)),
        ("idle", idle_line(idle, session, local)),
        ("kept by", session.inhibited_by.join(", ")),
        ("ends", session.ends_at().map_or("at no set time".to_owned(), |end| local.ahead(end))),
        ("latest", lifetime.map(|end| local.ahead(end)).unwrap_or_default()),
    ];
    table::facts(output, &facts)
}

fn idle_line(idle: Option<Duration>, session: &Session, local: &Local) -> String {
    match (idle, session.idle_deadline) {
        (Some(idle), Some(end)) => format!("{}, without activity until {}", time::words(idle), local.ahead(end)),
        (Some(idle), None) => format!("{}, no limit", time::words(idle)),
        (None, Some(end)) => format!("without activity until {}", local.ahead(end)),
        (None, None) => "no limit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::time::WallTime;

    use super::*;

    const PLAIN: Output = Output::plain();

    fn session(local: &Local) -> Session {
        Session {
            aal: 2,
            idle_deadline: Some(local.now.saturating_add(Duration::from_secs(600))),
            lifetime_deadline: Some(local.now.saturating_add(Duration::from_secs(6000))),
            ..Session::default()
        }
    }

    #[test]
    fn a_prompt_shows_the_level_and_what_is_left() {
        let local = Local::new(WallTime::default());
        assert_eq!(short(&session(&local), &local), "AAL2 10 min\n");
        let endless = Session { idle_deadline: None, lifetime_deadline: None, ..session(&local) };
        assert_eq!(short(&endless, &local), "AAL2\n");
    }

    #[test]
    fn the_terminals_are_told_where_there_are_any() {
        let local = Local::new(WallTime::default());
        let ttys = vec!["/dev/pts/3".into(), "/dev/pts/4".into()];
        let text = long(&Session { ttys, ..session(&local) }, &local, PLAIN);
        assert!(
            text.lines().any(|line| line.starts_with("ttys ") && line.ends_with(" /dev/pts/3, /dev/pts/4")),
            "{text}"
        );
        assert!(!long(&session(&local), &local, PLAIN).contains("ttys"));
    }

    #[test]
    fn the_lifetime_is_told_where_idleness_ends_the_session_before() {
        let local = Local::new(WallTime::default());
        let text = long(&session(&local), &local, PLAIN);
        assert!(text.contains("(in 10 min)") && text.contains("latest"), "{text}");
        let never_idle = Session { idle_deadline: None, ..session(&local) };
        let text = long(&never_idle, &local, PLAIN);
        assert!(text.contains("(in 1 h 40 min)") && !text.contains("latest"), "{text}");
    }
}
