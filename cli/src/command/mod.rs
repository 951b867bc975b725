//! The commands, one a file: its arguments, what it does, what it says.

mod check;
mod completions;
mod config;
mod extend;
mod factor;
mod history;
mod import;
mod leftovers;
mod logout;
mod passwd;
mod renew;
mod report;
mod revoke;
mod run;
mod sessions;
mod setup;
mod show;
mod status;
mod test;
mod user;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{context::Context, error::Error};

/// Sessions and authenticators of this machine.
#[derive(Debug, Parser)]
#[command(name = "authflow", version, max_term_width = 100, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    // These two stand behind a command's own options, and not among them.
    /// Write JSON for programs instead of text for people
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    /// Work on the files of an image under DIR instead of on this machine's
    #[arg(long, global = true, value_name = "DIR", display_order = 901)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done or unchanged, 1 defects found or failed, 2 usage, 3 no such, 4 not allowed, \
                          5 daemon unreachable.";

#[derive(Debug, Subcommand)]
enum Command {
    /// The session that this command is run in: since when, proved how, until when
    Status(status::Status),
    /// Everything about one session
    Show(show::Show),
    /// The live sessions
    Sessions(sessions::Sessions),
    /// Push a session's idle deadline as activity would
    Extend(extend::Extend),
    /// Prove yourself again: the session that this command is run in starts its limits anew
    Renew(renew::Renew),
    /// End one of your sessions, by default the one that this command is run in
    Logout(logout::Logout),
    /// Run a command, and keep the session from idling for as long as it runs
    Run(run::Run),
    /// What runs on although its login is over, as tmux and nohup do
    Leftovers(leftovers::Leftovers),
    /// End sessions at once, with everything that runs in them
    Revoke(revoke::Revoke),
    /// What sessions there were, and how they ended
    History(history::History),
    /// Evidence for an audit: what ended how, how punctual the limits were, and what they do not reach
    Report(report::Report),
    /// What a user can prove with: list, add, remove, recovery codes
    #[command(subcommand)]
    Factor(factor::Factor),
    /// Set a user's password
    Passwd(passwd::Passwd),
    /// Users: disable, enable, lift a lock, a code for the phone that is lost
    #[command(subcommand)]
    User(user::User),
    /// Take over the secrets of other one-time code modules
    #[command(subcommand)]
    Import(import::Import),
    /// What a login would come to: its rule, its questions, and whether the answers could be enough
    Test(test::Test),
    /// Put authflow in front of logins: tried first, undone by itself unless you log in by it and confirm
    Setup(setup::Setup),
    /// Look for what is wrong: configuration, PAM, sshd, sudo, files, clock, daemon
    Check(check::Check),
    /// The configuration: show, check, apply
    #[command(subcommand)]
    Config(config::Config),
    /// Print the script by which a shell completes this command
    Completions(completions::Completions),
}

impl Arguments {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<(), Error> {
        // An image that is not there would be one in which nothing is wrong.
        if let Some(root) = self.root.as_ref().filter(|root| !root.is_dir()) {
            return Err(Error::Usage(format!("--root: {} is no folder", root.display())));
        }
        let context = Context::new(self.json, self.root);
        match self.command {
            Command::Status(command) => command.run(&context),
            Command::Show(command) => command.run(&context),
            Command::Sessions(command) => command.run(&context),
            Command::Extend(command) => command.run(&context),
            Command::Renew(command) => command.run(&context),
            Command::Logout(command) => command.run(&context),
            Command::Run(command) => command.run(&context),
            Command::Leftovers(command) => command.run(&context),
            Command::Revoke(command) => command.run(&context),
            Command::History(command) => command.run(&context),
            Command::Report(command) => command.run(&context),
            Command::Factor(command) => command.run(&context),
            Command::Passwd(command) => command.run(&context),
            Command::User(command) => command.run(&context),
            Command::Import(command) => command.run(&context),
            Command::Test(command) => command.run(&context),
            Command::Setup(command) => command.run(&context),
            Command::Check(command) => command.run(&context),
            Command::Config(command) => command.run(&context),
            Command::Completions(command) => command.run(),
        }
    }
}
