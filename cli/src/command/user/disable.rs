//! `authflow user disable`: nobody gets in by that name any more, by key neither, and what is open ends. The mark that keeps the user out
//! is written here, so that it holds without a daemon, too.

use authflow_core::deactivation::Mark;
use authflow_host::{
    deferred::{self, Deferred},
    gone::Found,
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
    pub(crate) fn run(mut self, context: &Context) -> Result<(), Error> {
        // First of all, and by the name alone: no directory that is away may stand between.
        let mut is_marked = (context.is_image() || context.is_root()) && self.mark(context)?;
        if let Some(own) = self.own_name(context) {
            is_marked = self.go_on_as(own, is_marked, context)?;
        }
        // Before they end: the daemon sees the mark by itself.
        let has_session = !context.is_image() && self.has_session(context);
        if is_marked && !has_session && self.is_typing_error(context) {
            Self::records(context).enable(&self.user)?;
            return Err(Error::NoUser(self.user));
        }
        let ended = if context.is_image() { Ok((false, 0)) } else { self.end_sessions(context) };
        if is_marked {
            journal::note(context, journal::Event::Disabled, &[("user", &self.user), ("message", &self.message)]);
        }
        let (told, sessions) = ended?;
        // An account that cannot be found owns no jobs of at.
        let uid = if context.is_image() { None } else { context.account(&self.user).ok().map(|account| account.uid) };
        let deferred = deferred::of(&context.paths, &self.user, uid.unwrap_or(u32::MAX));
        let result = Disabled { changed: is_marked || told || sessions > 0, user: self.user, sessions, deferred };
        Ok(context.output.either(&result, || text(&result))?)
    }

    fn records(context: &Context) -> Records {
        Records::trusting(context.paths.clone(), context.trust())
    }

    fn mark(&self, context: &Context) -> Result<bool, Error> {
        let by = match journal::doer(context) {
            0 => "root".to_owned(),
            uid => format!("uid {uid}"),
        };
        let mark = Mark { by, message: clean(&self.message), uid: None };
        Ok(Self::records(context).disable(&self.user, &mark)?)
    }

    /// The account's own name, where the name services know it by the one given as well.
    fn own_name(&self, context: &Context) -> Option<String> {
        let account = if context.is_image() { None } else { context.account(&self.user).ok() };
        account.map(|account| account.name).filter(|own| *own != self.user)
    }

    /// Has it be about the account's own name: logins and sessions go by that, and the mark of another spelling would keep nobody out.
    fn go_on_as(&mut self, own: String, is_alias_marked: bool, context: &Context) -> Result<bool, Error> {
        note(&format!("{} is another spelling of {}", clean(&self.user), clean(&own)));
        let alias = std::mem::replace(&mut self.user, own);
        let is_marked = context.is_root() && self.mark(context)?;
        if is_alias_marked {
            Self::records(context).enable(&alias)?;
        }
        Ok(is_marked)
    }

    fn has_session(&self, context: &Context) -> bool {
        let sessions = context.daemon().and_then(|daemon| daemon.sessions());
        sessions.is_ok_and(|sessions| sessions.iter().any(|session| session.user == self.user))
    }

    /// Whether there is no such account, and no record by that name. What cannot be found out is no typing error; it is told.
    fn is_typing_error(&self, context: &Context) -> bool {
        if context.is_image() || !matches!(Self::records(context).authenticators(&self.user), Ok(None)) {
            return false;
        }
        match context.look_for(&self.user) {
            Found::Account(_) => false,
            Found::Nobody => true,
            Found::Untold(why) => {
                let user = clean(&self.user);
                note(&format!(
                    "{user} is disabled, as it is written: {why}; authflow user enable {user} takes it back"
                ));
                false
            }
        }
    }

    /// Has the daemon end what is open. Where root has kept the user out already, a daemon that is away is no failure: it will see the
    /// mark.
    fn end_sessions(&self, context: &Context) -> Result<(bool, u32), Error> {
        match context.daemon().and_then(|daemon| daemon.deactivate(&self.user, &self.message)) {
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
        (false, _) => format!("{user} was disabled already, and has no session: nothing changed\n"),
        (true, 0) => format!("{user} is disabled\n"),
        (true, 1) => format!("{user} is disabled; 1 session ends, and then what else runs as {user}\n"),
        (true, sessions) => {
            format!("{user} is disabled; {sessions} sessions end, and then what else runs as {user}\n")
        }
    };
    text.push_str(&left_over(&result.deferred));
    text
}
