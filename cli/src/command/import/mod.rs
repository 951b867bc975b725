//! `authflow import`: takes over the secrets of other one-time code modules, so that nobody scans a new code. The sources stay as they
//! are: both modules can run side by side until the last user has moved.

mod google_authenticator;
mod google_file;
mod google_terms;
mod newcomer;
mod oath_file;
mod pam_oath;
mod report;

use clap::Subcommand;

use crate::{context::Context, error::Error};

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// What users keep in ~/.google_authenticator: the secret, the scratch codes, which codes were used, and how far the phone's clock is off
    GoogleAuthenticator(google_authenticator::GoogleAuthenticator),
    /// What pam_oath keeps in its users file
    #[command(name = "pam_oath", alias = "pam-oath")]
    PamOath(pam_oath::PamOath),
}

impl Import {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        match self {
            Self::GoogleAuthenticator(command) => command.run(context),
            Self::PamOath(command) => command.run(context),
        }
    }
}
