//! `authflow factor`: what a user can prove with.

mod add;
mod everybody;
mod list;
mod own;
mod recovery_codes;
mod remove;

use clap::Subcommand;

use crate::{context::Context, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum Factor {
    /// The password and the authenticators: since when, last used, how many failures
    List(list::List),
    /// Enrol something that the user has
    #[command(subcommand)]
    Add(add::Add),
    /// Make recovery codes, which void those from before
    RecoveryCodes(recovery_codes::RecoveryCodes),
    /// Remove an authenticator, or the password
    Remove(remove::Remove),
}

impl Factor {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::List(command) => command.run(context),
            Self::Add(command) => command.run(context),
            Self::RecoveryCodes(command) => command.run(context),
            Self::Remove(command) => command.run(context),
        }
    }
}

/// The name under which the password stands among a user's factors.
const PASSWORD: &str = "password";
