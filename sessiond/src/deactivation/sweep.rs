//! Ends what a user still runs when the sessions are over: the user manager with all its units, yesterday's tmux, jobs of cron. What
//! runs in a unit of the system's own is the machine's and not the user's, whoever it runs as.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authflow_host::process::{self, ProcessId};
use rustix::process::Signal;
use zbus::Connection;

use crate::{
    daemon::Daemon,
    leader::Held,
    log::Line,
    snapshot::{Process, Snapshot},
    systemd,
};

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every process of the user.
    Everything,
    /// What no live session holds.
    LeftOvers,
}

/// How long the ends of the sessions are waited for, which have steps and a grace of their own.
const SESSIONS_END: Duration = Duration::from_secs(60);

/// How long what is swept has from the polite signal to the last.
const GRACE: Duration = Duration::from_secs(5);

/// How often the last step looks for processes that were born meanwhile.
const MOST_PASSES: usize = 32;

/// Sweeps in the background, after the sessions that are ending have ended.
pub(crate) fn begin(daemon: &Arc<Daemon>, connection: &Connection, uid: u32, reach: Reach) {
    let (daemon, connection) = (Arc::clone(daemon), connection.clone());
    tokio::spawn(async move { run(&daemon, &connection, uid, reach).await });
}

async fn run(daemon: &Arc<Daemon>, connection: &Connection, uid: u32, reach: Reach) {
    // Whatever a service does it does as root: there is no telling root's own processes from the machine's.
    if uid == 0 {
        return;
    }
    let _in_time = tokio::time::timeout(SESSIONS_END, daemon.sessions_ended(uid)).await;
    let has_live_sessions = !daemon.sessions_of(uid).is_empty();
    if reach == Reach::Everything || !has_live_sessions {
        stop_manager(daemon, connection, uid).await;
    }
    let mut ended: BTreeMap<ProcessId, String> = BTreeMap::new();
    let held = strike(daemon, (uid, reach), Signal::TERM, &mut ended);
    let all_gone = async {
        for held in held {
            held.gone().await;
        }
    };
    let _in_time = tokio::time::timeout(GRACE, all_gone).await;
    for _ in 0..MOST_PASSES {
        if strike(daemon, (uid, reach), Signal::KILL, &mut ended).is_empty() {
            break;
        }
        // What was struck goes; what it has started meanwhile is found by the next look.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (process, command) in &ended {
        daemon.log.write(&Line::info("swept").with("uid", uid).with("pid", process.pid).with("command", command));
    }
    daemon.log.write(&Line::info("swept-all").with("uid", uid).with("processes", ended.len()));
}

/// Signals all that are in reach, and notes what they were. A stopped process hears nothing but the last signal before it goes on.
fn strike(
    daemon: &Daemon,
    (uid, reach): (u32, Reach),
    signal: Signal,
    ended: &mut BTreeMap<ProcessId, String>,
) -> Vec<Held> {
    let snapshot = Snapshot::take();
    let spared = match reach {
        Reach::Everything => Vec::new(),
        Reach::LeftOvers => daemon.held_by_sessions(&snapshot),
    };
    let targets = snapshot.iter().filter(|process| is_the_users(process, uid, &snapshot));
    let targets = targets.filter(|process| !spared.contains(&process.id)).map(|process| process.id);
    let held: Vec<Held> = targets.filter_map(|target| Held::by_id(target).ok()).collect();
    for held in &held {
        ended
            .entry(held.id())
            .or_insert_with(|| process::text(held.id().pid, "comm").unwrap_or_default().trim().to_owned());
        held.signal(signal);
        held.signal(Signal::CONT);
    }
    held
}

/// Whether the process is the user's own doing. A service of the machine may run as a user, too: it has no login uid, and sits in a unit
/// of the system's.
fn is_the_users(process: &Process, uid: u32, snapshot: &Snapshot) -> bool {
    let pid = process.id.pid;
    if process.is_zombie || pid == 1 || pid == std::process::id() {
        return false;
    }
    if !process::uids(pid).is_ok_and(|uids| uids.contains(&uid)) {
        return false;
    }
    process::login_uid(pid) == Some(uid) || has_units(snapshot) && !process.cgroup.contains("/system.slice/")
}

/// Whether systemd runs the machine, so that what is in none of its system units is no service.
fn has_units(snapshot: &Snapshot) -> bool {
    snapshot.find(1).is_some_and(|first| first.cgroup.ends_with("/init.scope"))
}

/// Asks systemd to stop the user's manager, with all that runs in it. Without systemd, or a manager, there is nothing to stop.
async fn stop_manager(daemon: &Daemon, connection: &Connection, uid: u32) {
    // Where it does not run, the bus would try to start it.
    if !systemd::runs_here() {
        return;
    }
    let unit = format!("user@{uid}.service");
    if systemd::stop(connection, &unit).await.is_ok() {
        daemon.log.write(&Line::info("user-manager-stopped").with("unit", &unit));
    }
}
