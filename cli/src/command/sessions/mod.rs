//! `authflow sessions`: the live sessions, once or kept up to date.

mod watch;

use std::time::Duration;

use authflow_core::time::WallTime;

use crate::{
    context::Context,
    daemon::Daemon,
    error::Error,
    filter::Filter,
    output::{
        Output,
        table::Table,
        time::{self, Local},
    },
    session::{Session, short_id_length, shortened},
};

/// An end that is so near stands out.
const NEAR: Duration = Duration::from_secs(120);

#[derive(Debug, clap::Args)]
pub(crate) struct Sessions {
    /// Only this user's sessions
    #[arg(long, value_name = "USER", conflicts_with = "all")]
    user: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Everybody's sessions, which is what root gets anyway
    #[arg(long)]
    all: bool,
    /// Stay, and show them anew whenever one opens or ends (with --json: an array a line)
    #[arg(long)]
    watch: bool,
}

impl Sessions {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if !context.is_root() && (self.all || self.is_about_another(context)?) {
            return Err(Error::NeedsRoot("other users' sessions are shown to root only"));
        }
        let daemon = context.daemon()?;
        if self.watch {
            return if context.output.json {
                watch::stream(&self, context, &daemon)
            } else {
                watch::view(&self, context, &daemon)
            };
        }
        let (sessions, local) = (self.select(&daemon, context.now())?, context.local());
        let documents: Vec<_> = sessions.iter().map(|session| session.json(&local)).collect();
        Ok(context.output.either(&documents, || table(&sessions, &local, context.output))?)
    }

    fn is_about_another(&self, context: &Context) -> Result<bool, Error> {
        let Some(user) = &self.user else { return Ok(false) };
        Ok(context.account(user)?.uid != context.caller())
    }

    fn select(&self, daemon: &Daemon, now: WallTime) -> Result<Vec<Session>, Error> {
        let mut sessions = daemon.sessions()?;
        let is_of = |session: &Session| self.user.as_ref().is_none_or(|user| &session.user == user);
        sessions.retain(|session| is_of(session) && self.filter.fits(session, now));
        sessions.sort_by(|one, other| (one.opened_at, &one.id).cmp(&(other.opened_at, &other.id)));
        Ok(sessions)
    }
}

/// The sessions as a table, the nested ones below those around them.
pub(super) fn table(sessions: &[Session], local: &Local, output: Output) -> String {
    if sessions.is_empty() {
        return "no sessions\n".to_owned();
    }
    let length = short_id_length(sessions);
    let mut table = Table::ranked(&[
        ("ID", 0),
        ("USER", 0),
        ("SERVICE", 2),
        ("FROM", 3),
        ("TTY", 4),
        ("FACTORS", 7),
        ("AAL", 6),
        ("OPENED", 8),
        ("IDLE", 1),
        ("ENDS", 5),
        ("LEFT", 0),
    ]);
    for (depth, session) in nested(sessions) {
        let cells = [
            shortened(&session.id, length),
            who(depth, session),
            session.service.clone(),
            session.from(),
            tty(session),
            session.proved(),
            session.aal.to_string(),
            local.clock(session.opened_at),
            idle(session, local),
            session.ends_at().map_or_else(|| "-".to_owned(), |end| local.clock(end)),
            left(session, local),
        ];
        if is_ending(session, local) { table.alarming_row(cells) } else { table.row(cells) }
    }
    table.render(output)
}

/// Each session below the one that it is nested in, and how deep. One whose parent is not shown stands for itself.
fn nested(sessions: &[Session]) -> Vec<(usize, &Session)> {
    fn add<'a>(ordered: &mut Vec<(usize, &'a Session)>, sessions: &'a [Session], session: &'a Session, depth: usize) {
        // A daemon of another version must not make a circle of us.
        if ordered.len() > sessions.len() {
            return;
        }
        ordered.push((depth, session));
        let children = sessions.iter().filter(|child| child.parent.as_deref() == Some(session.id.as_str()));
        children.for_each(|child| add(ordered, sessions, child, depth + 1));
    }
    let is_shown = |id: &str| sessions.iter().any(|session| session.id == id);
    let outermost = sessions.iter().filter(|session| !session.parent.as_deref().is_some_and(is_shown));
    let mut ordered = Vec::with_capacity(sessions.len());
    outermost.for_each(|session| add(&mut ordered, sessions, session, 0));
    ordered
}

fn who(depth: usize, session: &Session) -> String {
    match depth.checked_sub(1) {
        None => session.who(),
        Some(indent) => format!("{}\u{2514} {}", "  ".repeat(indent), session.who()),
    }
}

/// For how long nobody used it, and what keeps it all the same.
fn idle(session: &Session, local: &Local) -> String {
    let idle = session.last_active_at.map(|at| time::words(local.now.saturating_since(at)));
    let idle = idle.unwrap_or_else(|| "-".to_owned());
    if session.inhibited_by.is_empty() { idle } else { format!("{idle} (kept by {})", session.inhibited_by.join(", ")) }
}

fn tty(session: &Session) -> String {
    let names: Vec<_> = session.ttys.iter().map(|tty| tty.strip_prefix("/dev/").unwrap_or(tty)).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

/// How long until it ends; a session that is not simply active says so instead.
fn left(session: &Session, local: &Local) -> String {
    match (session.state.as_str(), session.ends_at()) {
        ("" | "active", Some(end)) => time::words(end.saturating_since(local.now)),
        ("" | "active", None) => "-".to_owned(),
        (state, _) => state.to_owned(),
    }
}

/// Whether it ends within moments, or already does.
fn is_ending(session: &Session, local: &Local) -> bool {
    let is_near = |end: WallTime| end.saturating_since(local.now) < NEAR;
    session.state == "closing" || session.ends_at().is_some_and(is_near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_one_aligned_line() {
        let local = Local::new(WallTime::from_micros(1_795_509_180_000_000));
        let session = Session {
            id: "0123456789abcdef0123456789abcdef".into(),
            user: "alice".into(),
            target: "alice".into(),
            service: "sshd".into(),
            ttys: vec!["/dev/pts/3".into()],
            remote_host: Some("10.0.0.7".into()),
            factors: vec!["password".into(), "totp".into()],
            aal: 2,
            opened_at: local.now,
            last_active_at: Some(local.now),
            idle_deadline: Some(local.now.saturating_add(Duration::from_secs(840))),
            ..Session::default()
        };
        let text = table(&[session], &local, Output::plain());
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("01234567  alice  sshd     10.0.0.7  pts/3  password+totp  2    "), "{text}");
        assert!(line.ends_with("  14 min"), "{text}");
    }

    #[test]
    fn nested_sessions_stand_below_the_one_around_them() {
        let session = |id: &str, parent: Option<&str>| Session {
            id: id.into(),
            user: "alice".into(),
            target: "root".into(),
            parent: parent.map(str::to_owned),
            inhibited_by: vec!["make".into()],
            ..Session::default()
        };
        let sessions = [
            session("a", None),
            session("b", None),
            session("c", Some("a")),
            session("d", Some("c")),
            session("e", Some("x")),
        ];
        let order: Vec<_> =
            nested(&sessions).into_iter().map(|(depth, session)| (depth, session.id.as_str())).collect();
        assert_eq!(order, [(0, "a"), (1, "c"), (2, "d"), (0, "b"), (0, "e")]);
        let text = table(&sessions, &Local::new(WallTime::default()), Output::plain());
        assert!(text.contains("\nd     \u{2514} alice as root"), "{text}");
        assert!(text.contains("- (kept by make)"), "{text}");
    }

    #[test]
    fn a_session_on_its_way_out_says_so() {
        let local = Local::new(WallTime::default());
        assert_eq!(left(&Session { state: "closing".into(), ..Session::default() }, &local), "closing");
    }
}
