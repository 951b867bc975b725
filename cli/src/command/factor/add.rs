//! `authflow factor add totp`: enrols an authenticator app. Nothing is kept until a code from it has shown that the app has
//! the secret, and that code is used up with it.

use authflow_core::{
    news::{Event, Item},
    otpauth,
    qr::{self, Background},
    secret::Secret,
    totp::{TotpKey, secret_from_base32, secret_to_base32},
};
use authflow_host::{codes, random};
use clap::Subcommand;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{PASSWORD, own, recovery_codes};
use crate::{
    command::revoke,
    context::Context,
    error::Error,
    journal,
    output::{terminal_takes_colour, text::clean},
    subject::{self, Subject},
    terminal::{Terminal, line_of_stdin},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Add {
    /// An authenticator app that shows time-based codes
    Totp(AddTotp),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddTotp {
    /// For whom; by default yourself
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// What the authenticator is called
    #[arg(long, default_value = "totp")]
    name: String,
    /// Read the secret (Base32, one line) from standard input instead of making one
    #[arg(long, requires = "no_confirm")]
    secret_stdin: bool,
    /// Keep it without a code that proves that the app has it
    #[arg(long)]
    no_confirm: bool,
    /// How the QR code is drawn; by default in colour where the terminal knows it
    #[arg(long, value_enum)]
    qr: Option<Drawing>,
}

/// What the terminal looks like.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Drawing {
    /// Paint the code's own black and white; right on every terminal that knows colours.
    Painted,
    /// Plain characters for light text on a dark ground.
    Dark,
    /// Plain characters for dark text on a light ground.
    Light,
}

impl From<Drawing> for Background {
    fn from(drawing: Drawing) -> Self {
        match drawing {
            Drawing::Painted => Self::Painted,
            Drawing::Dark => Self::Dark,
            Drawing::Light => Self::Light,
        }
    }
}

/// How often the code may be mistyped.
const TRIES: usize = 2;

/// 160 bits, as RFC 4226 section 4 (R6) recommends.
const SECRET_BYTES: usize = 20;

#[derive(Serialize)]
struct Enrolled<'a> {
    changed: bool,
    user: &'a str,
    name: &'a str,
    /// Only where this command made the secret and has not shown it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
}

impl Add {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Totp(command) => command.run(context),
        }
    }
}

impl AddTotp {
    fn run(self, context: &Context) -> Result<(), Error> {
        if self.name == PASSWORD {
            return Err(Error::Usage(format!("{PASSWORD:?} is the password's own name: choose another")));
        }
        if let Some(caller) = own::caller(context, self.user.as_deref())? {
            return self.run_for_caller(context, &caller);
        }
        let subject = context.subject(self.user.as_deref())?;
        let key = self.key(context)?;
        let policy = context.config()?.totp;
        let uri = otpauth::uri(&key, &policy.issuer, &account(context, subject.name()));
        let changed = !is_there_already(&subject, &key)?;
        if changed {
            let step = if self.no_confirm { None } else { Some(self.confirm(context, (&key, &uri), policy.skew)?.1) };
            subject.enrol(&key, step)?;
            note_added(context, &subject, &self.name)?;
            if !self.no_confirm {
                self.finish(context, &subject)?;
            }
        }
        let secret = secret_to_base32(key.secret());
        let unseen = changed && self.no_confirm && !self.secret_stdin;
        let enrolled = Enrolled {
            changed,
            user: subject.name(),
            name: &self.name,
            secret: unseen.then_some(secret.as_str()),
            uri: unseen.then_some(uri.as_str()),
        };
        let page = if unseen { self.page(context.output.colour, &key, &uri)? } else { Zeroizing::default() };
        Ok(context.output.either(&enrolled, || text(&enrolled, &page))?)
    }

    /// For a user who is not root: proves an authenticator first, or for the first one the password, and the daemon writes the record.
    fn run_for_caller(&self, context: &Context, user: &str) -> Result<(), Error> {
        if self.no_confirm {
            return Err(Error::NeedsRoot("only root enrols without a code that proves it"));
        }
        let daemon = own::prove_to_enrol(context)?;
        let key = self.key(context)?;
        let policy = context.config()?.totp;
        let uri = otpauth::uri(&key, &policy.issuer, &account(context, user));
        let (code, _step) = self.confirm(context, (&key, &uri), policy.skew)?;
        let (codes, set) = codes::fresh_set(context.now())?;
        let are_taken = daemon.add_totp(&key, &code, &set)?;
        let terminal = Terminal::open().map_err(|_no_tty| Error::NoTerminal("what was added is shown at one"))?;
        if are_taken {
            terminal.say(&codes::page(&codes))?;
        }
        revoke::offer_to_end_others(context, &terminal, user)?;
        let enrolled = Enrolled { changed: true, user, name: &self.name, secret: None, uri: None };
        Ok(context.output.either(&enrolled, || text(&enrolled, ""))?)
    }

    fn key(&self, context: &Context) -> Result<TotpKey, Error> {
        let secret = if self.secret_stdin {
            let line = line_of_stdin()?;
            // What is no text is no Base32 either, and is told so.
            let text = std::str::from_utf8(line.expose()).unwrap_or("?");
            secret_from_base32(text).map_err(|error| Error::failed("standard input", &error))?
        } else {
            fresh_secret()?
        };
        TotpKey::new(&self.name, secret, context.now()).map_err(|error| Error::failed("cannot enrol", &error))
    }

    /// Shows the code and waits until the app proves that it has the secret; the step of the code that did is to be used up.
    fn confirm(&self, context: &Context, (key, uri): (&TotpKey, &str), skew: u8) -> Result<(Secret, u64), Error> {
        let terminal = Terminal::open()
            .map_err(|_no_tty| Error::NoTerminal("give --no-confirm to enrol without a code that proves it"))?;
        terminal.say(&self.page(terminal_takes_colour(), key, uri)?)?;
        for _ in 0..TRIES {
            let code = terminal.ask("Code that the app shows now: ")?;
            let code = Secret::new(code.expose().trim_ascii().to_vec());
            if let Some(step) = key.step_of(&code, skew, context.now()) {
                return Ok((code, step));
            }
            terminal.say("That is not the code. Are the clocks of the phone and of this machine right?\n")?;
        }
        Err(Error::Failed("no code was right: nothing was saved".to_owned()))
    }

    /// What belongs to an enrolment by a person: recovery codes where there are none, and the offer to end sessions that somebody else may
    /// have opened before there was a second factor.
    fn finish(&self, context: &Context, subject: &Subject) -> Result<(), Error> {
        let terminal = Terminal::open()
            .map_err(|_no_tty| Error::NoTerminal("give --no-confirm to enrol without a code that proves it"))?;
        if recovery_codes::left(&subject.authenticators()?, &subject.state()?) == 0 {
            terminal.say(&codes::page(&recovery_codes::make(context, subject)?))?;
        }
        revoke::offer_to_end_others(context, &terminal, subject.name())
    }

    fn page(&self, colour: bool, key: &TotpKey, uri: &str) -> Result<Zeroizing<String>, Error> {
        let default = if colour { Background::Painted } else { Background::Dark };
        let background = self.qr.map_or(default, Background::from);
        let code = qr::render(uri, background).map_err(|error| Error::failed("QR code", &error))?;
        let secret = secret_to_base32(key.secret());
        Ok(Zeroizing::new(format!(
            "Scan this with an authenticator app, or type the secret in:\n{uri}\n{}Secret: {}\n",
            *code, *secret
        )))
    }
}

/// The same secret under the same name is what was asked for already. A name or a secret that is otherwise taken is refused
/// before anybody scans a code for nothing.
fn is_there_already(subject: &Subject, key: &TotpKey) -> Result<bool, Error> {
    let mut keys = subject.authenticators()?;
    if keys.totp().iter().any(|other| other.name() == key.name() && other.secret().matches(key.secret())) {
        return Ok(true);
    }
    subject::add(&mut keys, key.clone()).map(|()| false)
}

fn note_added(context: &Context, subject: &Subject, name: &str) -> Result<(), Error> {
    let (event, detail) = (Event::FactorAdded, name.to_owned());
    subject.tell(Item { at: context.now(), event, from: None, detail })?;
    journal::note(context, journal::Event::FactorAdded, &[("user", subject.name()), ("name", name)]);
    Ok(())
}

fn text(enrolled: &Enrolled<'_>, page: &str) -> String {
    let (user, name) = (clean(enrolled.user), clean(enrolled.name));
    if enrolled.changed {
        format!("{page}{user} now has {name:?}\n")
    } else {
        format!("{user} has {name:?} with this secret already: nothing changed\n")
    }
}

fn fresh_secret() -> Result<Secret, Error> {
    let bytes = Zeroizing::new(random::bytes::<SECRET_BYTES>()?);
    Ok(Secret::new(bytes.to_vec()))
}

/// What the app shows below the issuer: the user, and on which machine if that is known: an image has no name yet.
fn account(context: &Context, user: &str) -> String {
    let host = if context.is_image() { None } else { nix::unistd::gethostname().ok() };
    let host = host.and_then(|name| name.into_string().ok());
    host.map_or_else(|| user.to_owned(), |host| format!("{user}@{host}"))
}
