//! `authflow passwd`: sets a user's password. It is asked twice, unseen, or read from standard input; it never stands in an
//! argument or in the environment, where other processes could read it.

use authflow_core::{account::Password, factor::Factor, password::Cost, secret::Secret, time::WallTime};
use serde::Serialize;

use crate::{
    context::Context,
    error::Error,
    hashing,
    output::text::clean,
    strength::Minimum,
    subject::Subject,
    terminal::{Terminal, line_of_stdin},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Passwd {
    /// Whose
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Read the password from standard input: one line, of which a newline at the end is no part
    #[arg(long)]
    stdin: bool,
}

#[derive(Serialize)]
struct Changed {
    changed: bool,
    user: String,
}

/// How often a password that will not do may be answered by a better one.
const TRIES: usize = 3;

impl Passwd {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let subject = context.subject(self.user.as_deref())?;
        let config = context.config()?;
        let has_second = subject.authenticators()?.factors().contains(Factor::Totp);
        let minimum = Minimum::for_user(&config.rules, subject.name(), &subject.groups(&config)?, has_second);
        let password = if self.stdin {
            let password = line_of_stdin()?;
            minimum.check(&password)?;
            password
        } else {
            ask(subject.name(), &minimum)?
        };
        let changed = set(&subject, config.password.cost, &password, context.now())?;
        let result = Changed { changed, user: subject.into_name() };
        Ok(context.output.either(&result, || {
            let user = clean(&result.user);
            if result.changed {
                format!("{user} has a new password\n")
            } else {
                format!("{user} has this password already\n")
            }
        })?)
    }
}

/// Asks until a password will do and has been typed twice alike.
fn ask(user: &str, minimum: &Minimum) -> Result<Secret, Error> {
    let terminal =
        Terminal::open().map_err(|_no_tty| Error::NoTerminal("give --stdin to read the password from there"))?;
    for _ in 0..TRIES {
        let password = terminal.ask_hidden(&format!("New password for {}: ", clean(user)))?;
        if let Err(why) = minimum.check(&password) {
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
        && !old.hash.cost().is_below(cost)
        && hashing::verify(&old.hash, password)?
    {
        return Ok(false);
    }
    // Hashed outside of the lock: a login must not wait for it.
    let new = Password { hash: hashing::hash(cost, password)?, changed: now };
    subject.update(|keys| {
        keys.password = Some(new);
        Ok(true)
    })
}
