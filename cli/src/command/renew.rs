//! `authflow renew`: the caller authenticates again, and the session that it is in starts its limits anew, in place. The daemon runs the
//! flow and finds the session by the caller's own process.

use crate::{context::Context, error::Error, output::text::clean, terminal::Terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Renew {}

impl Renew {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let daemon = context.daemon()?;
        let terminal = Terminal::open().map_err(|_no_tty| Error::NoTerminal("renewing asks what a login asks"))?;
        let in_words = |error| if matches!(error, Error::InNoSession) { Error::NothingToRenew } else { error };
        let begun = daemon.begin_renewal().map_err(in_words)?;
        let answers = begun.prompts.iter().map(|prompt| terminal.ask_hidden(prompt.text()));
        let answers = answers.collect::<Result<Vec<_>, _>>()?;
        let id = daemon.answer(&begun, &answers)?.ok_or(Error::NotRenewed)?;
        let session = daemon.session(&id)?;
        let local = context.local();
        Ok(context.output.either(&session.json_after(true, &local), || match session.ends_at() {
            Some(end) => format!("session {} renewed; it ends {}\n", clean(&session.id), local.ahead(end)),
            None => format!("session {} renewed\n", clean(&session.id)),
        })?)
    }
}
