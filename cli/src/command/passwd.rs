//! `authflow passwd`: sets a user's password. Root sets anybody's: asked twice, unseen, or read from standard input; it never stands in
//! an argument or in the environment, where other processes could read it. Others change their own through PAM, by `passwd`, since
//! records are root's.

use std::time::Duration;

use authflow_core::{account::Password, password::Cost, password_rules::PasswordRules, secret::Secret, time::WallTime};
use authflow_host::{
    hashing::{self, HashingError},
    new_password::{self, Holder, List},
};
use serde::Serialize;

use crate::{
    command::revoke,
    context::Context,
    error::Error,
    initial, journal,
    output::{note, text::clean},
    subject::Subject,
    terminal::{Terminal, line_of_stdin},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Passwd {
    /// Whose; by default your own
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Read the password from standard input: one line, of which a newline at the end is no part
    #[arg(long)]
    stdin: bool,
    /// An initial password, drawn at random unless --stdin gives it: the user must change it at the first login, and it runs out
    #[arg(long)]
    initial: bool,
    /// How long the initial password is good for
    #[arg(long = "for", value_name = "DURATION", default_value = "24h", requires = "initial", value_parser = initial::parse_span)]
    lasts: Duration,
    /// End the user's other sessions as well: all but the one that this command is run in
    #[arg(long)]
    end_other_sessions: bool,
}

#[derive(Serialize)]
struct Changed {
    changed: bool,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions_ended: Option<u32>,
}

/// How often a password that will not do may be answered by a better one.
const TRIES: usize = 3;

/// What the users of the other sessions read.
const WHY_ENDED: &str = "the password was changed";

impl Passwd {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        // Before anything changes: a password that was set and sessions that live on must not come as one error.
        let daemon = self.end_other_sessions.then(|| context.daemon()).transpose()?;
        let mut result = if context.is_root() || context.is_image() { self.set(context)? } else { self.own(context)? };
        if let Some(daemon) = daemon {
            let uid = context.account(&result.user)?.uid;
            result.sessions_ended = Some(revoke::all_but_mine(&daemon, uid, WHY_ENDED)?);
        }
        Ok(context.output.either(&result, || result.for_people())?)
    }

    /// Root, or an image: the record is written.
    fn set(&self, context: &Context) -> Result<Changed, Error> {
        let subject = context.subject(self.user.as_deref())?;
        let config = context.config()?;
        let groups = subject.groups(&config);
        let holder = Holder { name: subject.name(), gecos: subject.gecos(), groups: &groups };
        let place = (&context.paths, context.trust());
        let (rules, list) = new_password::rules(&config, holder, &subject.authenticators()?, place);
        if let List::Unusable(why) = list {
            note(&format!("not compared with common passwords: {why}"));
        }
        let (cost, now) = (config.password.cost, context.now());
        let result = if self.initial {
            self.set_initial(context, subject, (&rules, cost))?
        } else {
            self.set_chosen(subject, &rules, (cost, now))?
        };
        if result.changed {
            let event = if self.initial { journal::Event::InitialPasswordSet } else { journal::Event::PasswordChanged };
            journal::note(context, event, &[("user", &result.user)]);
        }
        Ok(result)
    }

    fn set_chosen(
        &self,
        subject: Subject,
        rules: &PasswordRules,
        (cost, now): (Cost, WallTime),
    ) -> Result<Changed, Error> {
        let password = if self.stdin { checked(line_of_stdin()?, rules)? } else { ask(subject.name(), rules)? };
        let changed = set(&subject, cost, &password, now)?;
        Ok(Changed { changed, user: subject.into_name(), password: None, expires: None, sessions_ended: None })
    }

    fn set_initial(
        &self,
        context: &Context,
        subject: Subject,
        (rules, cost): (&PasswordRules, Cost),
    ) -> Result<Changed, Error> {
        let drawn = if self.stdin { None } else { Some(initial::draw()?) };
        let password = match &drawn {
            Some(drawn) => Secret::from(drawn.as_str()),
            None => checked(line_of_stdin()?, rules)?,
        };
        let now = context.now();
        let expires = now.saturating_add(self.lasts);
        let new = Password::initial(hashing::hash(cost, &password)?, now, expires);
        subject.set_password(new)?;
        Ok(Changed {
            changed: true,
            user: subject.into_name(),
            // Shown once, and to root alone.
            password: drawn.map(|drawn| drawn.to_string()),
            expires: Some(context.local().rfc3339(expires)),
            sessions_ended: None,
        })
    }

    /// Anybody else: the system's `passwd`, whose PAM stack asks our module.
    fn own(&self, context: &Context) -> Result<Changed, Error> {
        let user = context.caller_name()?;
        if self.stdin || self.initial || self.user.as_ref().is_some_and(|name| *name != user) {
            return Err(Error::NeedsRoot("only root sets others' passwords, or one without being asked for the old"));
        }
        let status = std::process::Command::new("passwd").status()?;
        if !status.success() {
            return Err(Error::Failed("the password was not changed: passwd says why".to_owned()));
        }
        Ok(Changed { changed: true, user, password: None, expires: None, sessions_ended: None })
    }
}

impl Changed {
    fn for_people(&self) -> String {
        let user = clean(&self.user);
        let mut text = match (&self.password, &self.expires) {
            (Some(password), Some(expires)) => {
                format!(
                    "{user} has the initial password {password}\nto be changed at the first login, until {expires}\n"
                )
            }
            (None, Some(expires)) => {
                format!("{user} has an initial password, to be changed at the first login, until {expires}\n")
            }
            (_, None) if self.changed => format!("{user} has a new password\n"),
            (_, None) => format!("{user} has this password already\n"),
        };
        if let Some(ended) = self.sessions_ended {
            text.push_str(&format!("{ended} other session(s) ended\n"));
        }
        text
    }
}

fn checked(password: Secret, rules: &PasswordRules) -> Result<Secret, Error> {
    rules.check(&password)?;
    Ok(password)
}

/// Asks until a password will do and has been typed twice alike.
fn ask(user: &str, rules: &PasswordRules) -> Result<Secret, Error> {
    let terminal =
        Terminal::open().map_err(|_no_tty| Error::NoTerminal("give --stdin to read the password from there"))?;
    for _ in 0..TRIES {
        let password = terminal.ask_hidden(&format!("New password for {}: ", clean(user)))?;
        if let Err(why) = rules.check(&password) {
            terminal.say(&format!("{why}\n"))?;
            continue;
        }
        if terminal.ask_hidden("The same again: ")?.matches(&password) {
            return Ok(password);
        }
        terminal.say("These were two different passwords.\n")?;
    }
    Err(Error::Declined)
}

/// Sets the password; tells whether anything changed. The one that is there already, hashed as dear as is wanted, stays:
/// whoever provisions a machine twice must not find it changed.
fn set(subject: &Subject, cost: Cost, password: &Secret, now: WallTime) -> Result<bool, Error> {
    if let Some(old) = subject.authenticators()?.password
        && !old.must_change
        && !old.hash.cost().is_below(cost)
        && hashing::verify(&old.hash, password)?
    {
        return Ok(false);
    }
    // Hashed outside of the lock: a login must not wait for it.
    subject.set_password(Password::chosen(hashing::hash(cost, password)?, now))?;
    Ok(true)
}

impl From<HashingError> for Error {
    fn from(error: HashingError) -> Self {
        Self::failed("cannot hash the password", &error)
    }
}
