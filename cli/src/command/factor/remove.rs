//! `authflow factor remove NAME`: takes an authenticator or the password away. Removing what is not there changes nothing,
//! and the exit code says so: a name that was misspelt is no authenticator taken from a thief.

use authflow_core::{
    account::Authenticators,
    factor::Factors,
    news::{Event, Item},
};
use serde::Serialize;

use super::{super::revoke, PASSWORD, own};
use crate::{context::Context, error::Error, journal, output::text::clean, terminal::Terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Which, as `factor list` names it
    name: String,
    /// Whose; by default your own
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    changed: bool,
    user: &'a str,
    name: &'a str,
}

impl Remove {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if let Some(user) = own::caller(context, self.user.as_deref())? {
            let changed = own::prove(context)?.remove_factor(&self.name)?;
            self.report(context, &user, changed)?;
            return if changed { offer_to_end_others(context, &user) } else { Err(none()) };
        }
        let subject = context.subject(self.user.as_deref())?;
        let mut keys = subject.authenticators()?;
        let there = take(&mut keys, &self.name);
        if there && !self.yes {
            let (user, left) = (subject.name(), left(&keys.factors()));
            context.confirm(&format!("Remove {:?} of {user}? What is left: {left}.", self.name))?;
        }
        // Looked for again under the lock: the record may have changed while the question stood.
        let changed = there && subject.update(|keys| Ok(take(keys, &self.name)))?;
        if changed {
            let (event, detail) = if self.name == PASSWORD {
                (Event::PasswordRemoved, String::new())
            } else {
                (Event::FactorRemoved, self.name.clone())
            };
            subject.tell(Item { at: context.now(), event, from: None, detail })?;
            journal::note(context, journal::Event::FactorRemoved, &[("user", subject.name()), ("name", &self.name)]);
        }
        self.report(context, subject.name(), changed)?;
        match (changed, self.yes) {
            (false, _) => Err(none()),
            (true, true) => Ok(()),
            (true, false) => offer_to_end_others(context, subject.name()),
        }
    }

    fn report(&self, context: &Context, user: &str, changed: bool) -> Result<(), Error> {
        let removed = Removed { changed, user, name: &self.name };
        Ok(context.output.either(&removed, || {
            let (user, name) = (clean(removed.user), clean(removed.name));
            if changed {
                format!("removed {name:?} of {user}\n")
            } else {
                format!("{user} has no {name:?}: nothing changed\n")
            }
        })?)
    }
}

/// It has been reported.
fn none() -> Error {
    Error::Untold(Box::new(Error::NoFactor))
}

/// Whoever could still use what was removed may sit in a session that it opened.
fn offer_to_end_others(context: &Context, user: &str) -> Result<(), Error> {
    let terminal = Terminal::open().map_err(|_no_tty| Error::NoTerminal("authflow revoke ends other sessions"))?;
    revoke::offer_to_end_others(context, &terminal, user)
}

fn take(keys: &mut Authenticators, name: &str) -> bool {
    if name == PASSWORD { keys.password.take().is_some() } else { keys.remove_totp(name) }
}

fn left(factors: &Factors) -> String {
    if factors.is_empty() { "nothing to log in with".to_owned() } else { factors.to_string() }
}
