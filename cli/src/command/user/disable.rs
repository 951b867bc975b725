//! `authflow user disable`: nobody gets in by that name any more, by key neither, and what is open ends. The mark that keeps the user out
//! is written here, so that it holds without a daemon, too.

use authflow_host::{
    deferred::{self, Deferred},
    records::Records,
};
use serde::Serialize;

use crate::{
    command::revoke::left_over,
    context::Context,
    error::Error,
    journal,
    output::{note, text::clean},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Disable {
    /// The user
    user: String,
    /// What the user is told on open terminals
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
}

#[derive(Serialize)]
struct Disabled {
    changed: bool,
    user: String,
    sessions: u32,
    deferred: Vec<Deferred>,
}

impl Disable {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let uid = if context.is_image() { None } else { Some(context.account(&self.user)?.uid) };
        // Whom polkit lets manage has the daemon write the mark.
        let is_marked = (context.is_image() || context.is_root()) && self.mark(context)?;
        let (told, sessions) = match uid {
            Some(uid) => self.end_sessions(context, uid)?,
            None => (false, 0),
        };
        let deferred = deferred::of(&context.paths, &self.user, uid.unwrap_or(u32::MAX));
        let result = Disabled { changed: is_marked || told || sessions > 0, user: self.user, sessions, deferred };
        Ok(context.output.either(&result, || text(&result))?)
    }

    fn mark(&self, context: &Context) -> Result<bool, Error> {
        let records = Records::trusting(context.paths.clone(), context.trust());
        let is_new = records.disable(&self.user, &format!("at {}: {}", context.now(), clean(&self.message)))?;
        if is_new {
            journal::note(context, "disabled", &[("user", &self.user), ("message", &self.message)]);
        }
        Ok(is_new)
    }

    /// Has the daemon end what is open. Where root has kept the user out already, a daemon that is away is no failure: it will see the
    /// mark.
    fn end_sessions(&self, context: &Context, uid: u32) -> Result<(bool, u32), Error> {
        match context.daemon().and_then(|daemon| daemon.deactivate(uid, &self.message)) {
            Err(Error::Unreachable { why, .. }) if context.is_root() => {
                note(&format!("the daemon cannot be reached ({why}): what is open ends when it is back"));
                Ok((false, 0))
            }
            told => told,
        }
    }
}

fn text(result: &Disabled) -> String {
    let user = clean(&result.user);
    let mut text = match (result.changed, result.sessions) {
        (false, _) => format!("{user} was disabled, and has no session: nothing changed\n"),
        (true, 0) => format!("{user} is disabled\n"),
        (true, 1) => format!("{user} is disabled; 1 session ends, and then what else runs as {user}\n"),
        (true, sessions) => {
            format!("{user} is disabled; {sessions} sessions end, and then what else runs as {user}\n")
        }
    };
    text.push_str(&left_over(&result.deferred));
    text
}
