//! `authflow`: sessions and authenticators, for users and administrators.
//!
//! # Layout
//!
//! - `command`: one file a command: its arguments, what it does, what it says
//! - `as_owner`: looks into a user's home with that user's rights; `homes`: into those of many
//! - `context`: what every command is run with: paths, clock, output
//! - `daemon`: the only place that talks with authflow-sessiond
//! - `history`: the daemon's store, for reading
//! - `filter`: which sessions a command is about
//! - `session`: a session, live or closed, as people and programs are shown it
//! - `screen`: the whole terminal, for a view that is kept up to date
//! - `terminal`: hidden prompts, questions
//! - `subject`, `initial`: a user's records, and initial passwords
//! - `pam_stack`: the PAM stacks of this machine, for reading
//! - `output`: tables, JSON, times
//! - `event`, `journal`: what the log is told
//! - `error`: every error, and its exit code
#![forbid(unsafe_code)]

mod as_owner;
mod command;
mod context;
mod daemon;
mod error;
mod event;
mod filter;
mod flow;
mod history;
mod homes;
mod initial;
mod journal;
#[cfg(test)]
mod manual;
mod output;
mod pam_stack;
mod screen;
mod session;
mod subject;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let done = match as_owner::AsOwner::from_arguments(std::env::args_os()) {
        Some(owner) => owner.run(),
        None => command::Arguments::parse().run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_untold() {
                output::note(&output::text::clean(&error.to_string()));
            }
            error.exit_code()
        }
    }
}
