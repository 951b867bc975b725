//! `authflow logout [ID]`: ends one of the caller's sessions as leaving its shell does: what detached itself goes on. Without an id that is the one this command is run in, so
//! what follows the request may never be seen.

use serde::Serialize;

use crate::{context::Context, error::Error, output::text::clean};

#[derive(Debug, clap::Args)]
pub(crate) struct Logout {
    /// The session, by as much of its id as is unique; by default the one that this command is run in
    id: Option<String>,
}

#[derive(Serialize)]
struct Ended {
    changed: bool,
    id: String,
}

impl Logout {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let daemon = context.daemon()?;
        let session = daemon.session_or_own(self.id.as_deref())?;
        daemon.log_out(&session.id)?;
        let ended = Ended { changed: true, id: session.id };
        Ok(context.output.either(&ended, || format!("session {} is ended\n", clean(&ended.id)))?)
    }
}
