//! `authflow-sessiond`: the session daemon. Runs in the foreground, on one thread, and is ready when it owns its bus name.
//!
//! # Layout
//!
//! - [`daemon`]: events in, the registry's actions out
//! - [`execute`]: carries the actions out, in order
//! - [`second_enforcer`], [`systemd`]: timers that end what a dead daemon does not
//! - [`own_scope`]: a scope for a login that nothing else holds together
//! - [`scopes`]: hears that systemd stops a login's scope
//! - [`leftovers`]: what runs on although its login is over
//! - [`remains`]: what a logout leaves, where a rule ends that
//! - [`deactivation`]: accounts that may no more be used, and the end of what they run
//! - [`bus`]: parse, authorise, call, reply
//! - [`flow`]: flows of those who cannot read the records themselves
//! - [`snapshot`], [`lineage`], [`members`], [`leader`]: processes, and whose they are
//! - [`tty`], [`activity`]: terminals, and when they were used
//! - [`desktop`]: what logind knows of desktops
//! - [`store`], [`spare`], [`keeper`]: what outlives the daemon
//! - [`boot`]: which boot this is
//! - [`in_force`]: which configuration was in force when
//! - [`audit`]: what the kernel's audit log is told
//! - [`newcomers`], [`changes`]: logins that were let in without the daemon; files that change
//! - [`timer`], [`log`], [`log_queue`], [`event`], [`readable`], [`service_manager`]: the boot clock, the log, its queue and the names of its lines,
//!   descriptors, whoever started us
#![forbid(unsafe_code)]

mod activity;
mod audit;
mod boot;
mod bounded;
mod bus;
mod cgroup;
mod changes;
mod daemon;
mod deactivation;
mod desktop;
mod event;
mod execute;
mod flow;
mod holders;
mod in_force;
mod keeper;
mod known;
mod leader;
mod leftovers;
mod lineage;
mod log;
mod log_queue;
mod members;
mod newcomers;
mod news;
mod own_scope;
mod payer;
mod readable;
mod remains;
mod scopes;
mod second_enforcer;
mod service_manager;
mod snapshot;
mod spare;
mod status;
mod store;
mod systemd;
mod timer;
mod tty;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use authflow_core::{
    config::{Config, DEFAULT_BUS_ADDRESS},
    time::BootTime,
};
use authflow_host::{
    config::{self, From},
    file,
    paths::Paths,
    process,
};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    daemon::Daemon,
    event::Event,
    flow::Flows,
    log::{Line, Log},
    service_manager::Heart,
    timer::BootTimer,
};

/// How long the end waits for a syslog that has no room.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Tracks, extends, expires and revokes login sessions.
#[derive(Debug, Parser)]
#[command(name = "authflow-sessiond", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Write the log to standard error as well.
    #[arg(long)]
    log_stderr: bool,
    /// Which boot this is, where the daemon's own `/proc` does not say it.
    #[arg(long, value_name = "ID", value_parser = boot::id)]
    boot_id: Option<String>,
    /// End a session of logind's instead, if its time has come.
    #[arg(long, value_name = "SESSION", requires = "at")]
    end: Option<String>,
    /// When that is, in seconds since boot.
    #[arg(long, value_name = "SECONDS", requires = "end")]
    at: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = Log::new(arguments.log_stderr || std::io::stderr().is_terminal());
    let mut paths = Paths::default();
    if let Some(config) = arguments.config {
        paths = paths.with_config(config);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log.write(&Line::error(Event::NoRuntime).with("why", &error));
            return ExitCode::FAILURE;
        }
    };
    let ended = match (arguments.end, arguments.at) {
        (Some(session), Some(at)) => {
            let at = BootTime::new(Duration::from_secs(at));
            let address = bus_address(&log, &paths);
            runtime.block_on(second_enforcer::end_if_due(&session, at, &address)).map_err(Failure::Logind)
        }
        _ => runtime.block_on(run(log.clone(), paths, arguments.boot_id)),
    };
    log.flush(LAST_LINES);
    // A flow that is being judged by a slow name service must not hold up our end; it is denied.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The log may be all that is left of it, but somebody may stand before a terminal.
            let _nobody_reads =
                std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("authflow-sessiond: {why}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The bus.
    #[error("the bus at {address}: {why}")]
    Bus { address: String, why: zbus::Error },
    /// logind does not end a session.
    #[error("logind: {0}")]
    Logind(zbus::Error),
    /// A part of the daemon panicked.
    #[error("a defect of authflow-sessiond: {0}")]
    Defect(tokio::task::JoinError),
    /// The kernel.
    #[error("the kernel: {0}")]
    Kernel(#[from] std::io::Error),
}

async fn run(log: Log, paths: Paths, boot_id: Option<String>) -> Result<(), Failure> {
    let address = bus_address(&log, &paths);
    if let Err(error) = file::ensure_folder(&paths.state_home(), 0o755) {
        log.write(&Line::error(Event::StateFolder).with("why", &error));
    }
    raise_descriptor_limit();
    bounded::tell(&log);
    let (todo, actions) = mpsc::unbounded_channel();
    let boot_id = boot_id.map_or_else(process::boot_id, Ok)?;
    let daemon = Daemon::new(log, paths.clone(), boot_id, todo);
    daemon.restore();
    let timer = BootTimer::new()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let flows = Flows::new(Arc::clone(&daemon), paths);
    let connection =
        bus::serve(&daemon, flows, &address).await.map_err(|why| Failure::Bus { address: address.clone(), why })?;
    // First, or one might be written between the look and the listening.
    let door = bus::door::open(&daemon);
    let newcomers = newcomers::listen(&daemon);
    daemon.adopt_pending();
    daemon.note_config();
    daemon.look_through_store();
    let mut tasks = JoinSet::new();
    tasks.spawn(bus::door::serve(Arc::clone(&daemon), connection.clone(), door));
    tasks.spawn(desktop::run(Arc::clone(&daemon), connection.clone()));
    tasks.spawn(execute::run(Arc::clone(&daemon), connection.clone(), actions));
    tasks.spawn(Arc::clone(&daemon).follow_departures());
    tasks.spawn(Arc::clone(&daemon).follow_newborn());
    tasks.spawn(news::run(Arc::clone(&daemon)));
    tasks.spawn(newcomers::run(Arc::clone(&daemon), newcomers));
    tasks.spawn(scopes::run(Arc::clone(&daemon), connection.clone()));
    tasks.spawn(second_enforcer::run(Arc::clone(&daemon), connection.clone()));
    tasks.spawn(deactivation::watch::run(Arc::clone(&daemon), connection.clone()));
    daemon.log.write(&Line::info(Event::Started).with("sessions", daemon.count()).with("bus", &address));
    service_manager::ready();
    let mut heart = Heart::new();
    let mut bus_is_gone = std::pin::pin!(bus::gone(&connection));
    loop {
        let next = daemon.next_deadline();
        tokio::select! {
            due = timer.until(next) => { due?; daemon.look_at_due().await; }
            () = daemon.wake.notified() => {}
            () = heart.beat() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // What a part left half done a new daemon does again.
            Some(Err(ended)) = tasks.join_next() => {
                daemon.log.write(&Line::error(Event::Defect).with("why", &ended));
                return Err(Failure::Defect(ended));
            }
            // Whoever starts us again finds every session; without a bus nobody could open or end one.
            () = &mut bus_is_gone => {
                daemon.log.write(&Line::error(Event::BusGone).with("bus", &address));
                return Err(Failure::Bus { address, why: zbus::Error::Failure("the connection is gone".to_owned()) });
            }
        }
    }
    // Sessions go on without us: nothing is ended here.
    daemon.log.write(&Line::info(Event::Stopped).with("sessions", daemon.count()));
    Ok(())
}

/// Each session's leader is held by a descriptor, and the usual limit would be reached with a thousand.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _what_is_left_must_do = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// The bus that the configuration names. A broken configuration must not keep the daemon away: limits come with the logins.
fn bus_address(log: &Log, paths: &Paths) -> String {
    match config::load(paths) {
        Ok(loaded) => {
            if let From::LastGood { why } = &loaded.from {
                log.write(&Line::error(Event::ConfigLastGood).with("why", why));
            }
            let Config { bus_address, .. } = loaded.config;
            bus_address
        }
        Err(error) => {
            log.write(&Line::error(Event::ConfigUnusable).with("why", &error));
            DEFAULT_BUS_ADDRESS.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_manual_tells_every_option() {
        let manual = include_str!("../../docs/man/authflow-sessiond.8");
        let mut command = Arguments::command();
        command.build();
        for option in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(manual.contains(&format!("Fl -{option}")), "authflow-sessiond.8 does not tell of --{option}");
        }
    }

    #[test]
    fn the_manual_tells_every_exit_status() {
        let manual = include_str!("../../docs/man/authflow-sessiond.8");
        let (_, section) = manual.split_once("\n.Sh EXIT STATUS\n").unwrap();
        let told = section.split("\n.Sh ").next().unwrap().lines().filter_map(|line| line.strip_prefix(".It "));
        let wrong_usage = Arguments::try_parse_from(["authflow-sessiond", "--unheard-of"]).unwrap_err().exit_code();
        // Success and failure, as `main` has them, and what clap ends with.
        assert_eq!(told.collect::<Vec<_>>(), ["0", "1", &wrong_usage.to_string()]);
    }
}
