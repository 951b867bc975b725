//! `authflow extend [ID]`: pushes a session's idle deadline, as activity would; of a nested one that of the login around it. Its lifetime
//! stays: only proving oneself anew restarts that.

use crate::{context::Context, error::Error, output::text::clean, session::login_around};

#[derive(Debug, clap::Args)]
pub(crate) struct Extend {
    /// The session, by as much of its id as is unique; by default the one that this command is run in. For a nested one the login around it
    id: Option<String>,
}

impl Extend {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let daemon = context.daemon()?;
        let before = login_around(daemon.session_or_own(self.id.as_deref())?, &daemon.sessions()?);
        daemon.extend(&before.id)?;
        let after = daemon.session(&before.id)?;
        let local = context.local();
        let changed = after.idle_deadline != before.idle_deadline;
        Ok(context.output.either(&after.json_after(changed, &local), || match after.idle_deadline {
            Some(end) => format!("session {} ends without activity {}\n", clean(&after.id), local.ahead(end)),
            None => format!("session {} has no idle limit\n", clean(&after.id)),
        })?)
    }
}
