//! `authflow factor` for users who are not root: they change their own authenticators and nobody else's, through the daemon, and only after
//! they have proved one that they have.

use authflow_core::{flow::Prompt, secret::Secret};
use authflow_host::accounts;

use crate::{context::Context, daemon::Daemon, error::Error, flow::Begun, terminal::Terminal};

/// The service whose rule is asked where the caller is in no session.
const SERVICE: &str = "authflow";

/// Whether the caller is not root, and means its own authenticators: gives its name then.
pub(super) fn caller(context: &Context, user: Option<&str>) -> Result<Option<String>, Error> {
    if context.is_root() || context.is_image() {
        return Ok(None);
    }
    let uid = context.caller();
    let found = accounts::by_uid(uid).map_err(|error| Error::failed("the user data base", &error))?;
    let name = found.ok_or_else(|| Error::NoUser(format!("uid {uid}")))?.name;
    if user.is_some_and(|user| user != name) {
        return Err(Error::NeedsRoot("only root changes another user's authenticators"));
    }
    Ok(Some(name))
}

/// Has the caller prove itself, as a login or a renewal would. The daemon lets this very process remove one authenticator after that.
pub(super) fn prove(context: &Context) -> Result<Daemon, Error> {
    prove_by(context, |daemon| match daemon.begin_renewal() {
        Err(Error::InNoSession) => daemon.begin_flow(SERVICE),
        begun => begun,
    })
}

/// The same, and the daemon lets this very process enrol one after that.
pub(super) fn prove_to_enrol(context: &Context) -> Result<Daemon, Error> {
    prove_by(context, Daemon::begin_enrolment)
}

fn prove_by(context: &Context, begin: impl FnOnce(&Daemon) -> Result<Begun, Error>) -> Result<Daemon, Error> {
    let terminal = Terminal::open().map_err(|_no_tty| Error::NoTerminal("you are asked to prove a factor first"))?;
    let daemon = context.daemon()?;
    let begun = begin(&daemon)?;
    terminal.say(if begun.prompts.contains(&Prompt::Code) {
        "Prove yourself first, with an authenticator that you have or a recovery code.\n"
    } else {
        "Prove yourself first.\n"
    })?;
    let answers = begun.prompts.iter().map(|prompt| terminal.ask_hidden(prompt.text()));
    let answers: Vec<Secret> = answers.collect::<Result<_, _>>()?;
    daemon.answer(&begun, &answers)?;
    Ok(daemon)
}
