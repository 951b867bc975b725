//! `authflow config`: what is in force, whether the files are right, and the safe way to change them.

mod apply;
mod check;
mod effective;
pub(crate) mod preset;
mod show;

use clap::Subcommand;

use crate::{context::Context, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The values in force, and where each comes from
    Show(show::Show),
    /// Look for errors and for what is probably not meant
    Check(check::Check),
    /// Put a file in force if it is right; it is what stays in force when a later edit is wrong
    Apply(apply::Apply),
}

impl Config {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::Show(command) => command.run(context),
            Self::Check(command) => command.run(context),
            Self::Apply(command) => command.run(context),
        }
    }
}
