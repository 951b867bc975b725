//! `authflow user`: what an administrator does about a user as a whole.

mod bypass;
mod unlock;

use clap::Subcommand;

use crate::{context::Context, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Forget a user's failures, and lift every wait they brought
    Unlock(unlock::Unlock),
    /// Issue a code that stands in for the authenticator once, for the phone that is lost
    Bypass(bypass::Bypass),
}

impl User {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Unlock(command) => command.run(context),
            Self::Bypass(command) => command.run(context),
        }
    }
}
