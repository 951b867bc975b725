//! `authflow user`: what an administrator does about a user as a whole.

mod bypass;
mod disable;
mod enable;
mod forget;
mod unlock;
mod waiting;

use clap::Subcommand;

use crate::{context::Context, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Forget a user's failures, and lift every wait they brought
    Unlock(unlock::Unlock),
    /// Keep a user out, whatever is proved, and end what is open
    Disable(disable::Disable),
    /// Let a disabled user in again
    Enable(enable::Enable),
    /// Take away what goes by a name, so that whoever is given it next inherits nothing
    Forget(forget::Forget),
    /// List who should have lost their sessions, but for so many at once; `user disable` ends what one has open
    Waiting(waiting::Waiting),
    /// Issue a code that stands in for the authenticator once, for the phone that is lost
    Bypass(bypass::Bypass),
}

impl User {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Unlock(command) => command.run(context),
            Self::Disable(command) => command.run(context),
            Self::Enable(command) => command.run(context),
            Self::Forget(command) => command.run(context),
            Self::Waiting(command) => command.run(context),
            Self::Bypass(command) => command.run(context),
        }
    }
}
