//! `authflow completions SHELL`: the script by which a shell completes this command. It asks nobody anything when it runs.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Arguments;
use crate::error::Error;

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    shell: Known,
}

/// The shells that a script is made for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl From<Known> for Shell {
    fn from(shell: Known) -> Self {
        match shell {
            Known::Bash => Self::Bash,
            Known::Zsh => Self::Zsh,
            Known::Fish => Self::Fish,
        }
    }
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(Shell::from(self.shell), &mut Arguments::command(), "authflow", &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}
