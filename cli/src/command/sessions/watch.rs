//! `authflow sessions --watch`: the table kept up to date on the whole terminal, or for programs an array a line whenever one differs.

use std::time::Duration;

use super::{Sessions, table};
use crate::{
    context::Context,
    daemon::{Daemon, Event},
    error::Error,
    output::{json, text::cut, time::Local},
    screen::{Happened, Screen},
    session::Session,
};

/// Use of a session is announced by nobody: how idle each is, is asked this often.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Prints an array a line, now and whenever a session opens or ends, until the reader has enough.
pub(super) fn stream(sessions: &Sessions, context: &Context, daemon: &Daemon) -> Result<(), Error> {
    // The subscription comes first: what changes while the list is read is then seen afterwards.
    let mut changes = daemon.changes()?;
    loop {
        let local = context.local();
        let found = sessions.select(daemon, local.now)?;
        let documents: Vec<_> = found.iter().map(|session| session.json(&local)).collect();
        context.output.text(&json::line(&documents)?)?;
        changes.wait()?;
    }
}

/// Shows the table until the person leaves.
pub(super) fn view(sessions: &Sessions, context: &Context, daemon: &Daemon) -> Result<(), Error> {
    let mut changes = daemon.changes()?;
    let mut seen = Seen { sessions: sessions.select(daemon, context.now())?, asked: context.local(), is_stale: false };
    let mut screen = {
        let _within = daemon.enter();
        Screen::open(context.output)?.ok_or_else(needs_terminal)?
    };
    loop {
        let local = context.local();
        screen.show(&seen.page(&local, context))?;
        match changes.wait_or(screen.happened())? {
            Event::Other(happened) => match happened? {
                Happened::Leave => return Ok(()),
                Happened::Redraw if local.now.saturating_since(seen.asked.now) < ASK_AGAIN => {}
                Happened::Redraw => seen.ask(sessions, context, daemon)?,
            },
            Event::Announced => seen.ask(sessions, context, daemon)?,
        }
    }
}

/// That there is no terminal to draw on.
fn needs_terminal() -> Error {
    Error::Usage("--watch draws on a terminal; for programs there is --watch --json".to_owned())
}

/// What was told last.
struct Seen {
    sessions: Vec<Session>,
    asked: Local,
    /// Whether the daemon could not be asked since.
    is_stale: bool,
}

impl Seen {
    /// Asks the daemon. One that is away does not end the view: somebody may be watching it come back.
    fn ask(&mut self, sessions: &Sessions, context: &Context, daemon: &Daemon) -> Result<(), Error> {
        let local = context.local();
        match sessions.select(daemon, local.now) {
            Ok(found) => *self = Self { sessions: found, asked: local, is_stale: false },
            Err(Error::Unreachable { .. }) => self.is_stale = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn page(&self, local: &Local, context: &Context) -> String {
        let output = context.output.measured();
        let number = match self.sessions.len() {
            1 => "1 session".to_owned(),
            number => format!("{number} sessions"),
        };
        let stale = match self.is_stale {
            true => format!(", as of {}: the daemon is away", self.asked.clock_with_seconds(self.asked.now)),
            false => String::new(),
        };
        let heading = format!("{}  {number}{stale}  (q leaves)", local.clock_with_seconds(local.now));
        let heading = output.width.map_or_else(|| heading.clone(), |room| cut(&heading, room));
        format!("{heading}\n\n{}", table(&self.sessions, local, output))
    }
}
