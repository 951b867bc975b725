//! `authflow run -- COMMAND`: the session is not idle while the command runs. This process asks for it and then becomes the command, so the
//! daemon sees its end however it comes, and nothing stands between the command and its terminal.

use std::{ffi::OsString, os::unix::process::CommandExt, path::Path, process::Command};

use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// What for, which others see in the list of sessions; by default the command's name without its arguments
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| Error::Usage("no command".to_owned()))?;
        // Arguments may hold what is nobody else's business.
        let name = || Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
        context.daemon()?.inhibit(&self.why.unwrap_or_else(name))?;
        let why = Command::new(program).args(arguments).exec();
        Err(Error::NotRun { program: program.to_string_lossy().into_owned(), why })
    }
}
