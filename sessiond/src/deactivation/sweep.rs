//! Ends what a user still runs when the sessions are over: the user manager with all its units, yesterday's tmux, jobs of cron. What
//! runs in a unit of the system's own is the machine's and not the user's, whoever it runs as.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use authflow_core::{deactivation::User, time::Clock};
use authflow_host::{
    clock::SystemClock,
    process::{self, ProcessId},
    subordinate,
};
use rustix::process::Signal;
use zbus::Connection;

use crate::{
    daemon::Daemon,
    event::Event,
    leader::Held,
    log::Line,
    members::logind_has_login,
    snapshot::{Process, Snapshot},
    systemd,
};

/// What is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Every process of the user's; none while another name of the same uid has a live session, since nobody can tell whose each is.
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

/// As many are named.
const MOST_NAMED: usize = 20;

/// Sweeps in the background, after the sessions that are ending have ended.
///
/// One at a time of each kind for a user: what is asked for again meanwhile is under way, and a user may ask often. In the end `charge` is
/// told how long the machine was looked at for it.
pub(crate) fn begin(
    daemon: &Arc<Daemon>,
    connection: &Connection,
    (user, reach): (User, Reach),
    charge: impl FnOnce(Duration) + Send + 'static,
) {
    let Some(turn) = Turn::take(user.clone(), reach) else { return };
    let (daemon, connection) = (Arc::clone(daemon), connection.clone());
    tokio::spawn(async move {
        charge(run(&daemon, &connection, &user, reach).await);
        drop(turn);
    });
}

/// What is being swept.
static UNDER_WAY: Mutex<BTreeSet<(User, Reach)>> = Mutex::new(BTreeSet::new());

/// A sweep under way, for as long as this lives.
struct Turn(User, Reach);

impl Turn {
    fn take(user: User, reach: Reach) -> Option<Self> {
        let is_new = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).insert((user.clone(), reach));
        is_new.then_some(Self(user, reach))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).remove(&(self.0.clone(), self.1));
    }
}

async fn run(daemon: &Arc<Daemon>, connection: &Connection, user: &User, reach: Reach) -> Duration {
    let uid = user.uid;
    let mut looks = Looks::default();
    // Whatever a service does it does as root: there is no telling root's own processes from the machine's.
    if uid == 0 {
        return looks.took;
    }
    let _in_time = tokio::time::timeout(SESSIONS_END, daemon.sessions_ended(uid)).await;
    if let Some(other) = sharer(daemon, user).filter(|_| reach == Reach::Everything) {
        let line = Line::warning(Event::NotSwept).with("user", &user.name).with("uid", uid).with("shared_with", other);
        daemon.log.write(&line);
        return looks.took;
    }
    let theirs = Arc::new(Theirs::of(daemon, user));
    if may_end_manager(daemon, (uid, reach), &looks.look(Snapshot::take_aside()).await) {
        stop_manager(daemon, connection, uid).await;
    }
    let mut ended: BTreeMap<ProcessId, String> = BTreeMap::new();
    let held = looks.look(strike_aside(daemon, (&theirs, reach), Signal::TERM, &mut ended)).await;
    let all_gone = async {
        for held in held {
            held.gone().await;
        }
    };
    let _in_time = tokio::time::timeout(GRACE, all_gone).await;
    if reach == Reach::Everything && daemon.names_of_live(uid).is_empty() {
        kill_manager(uid);
    }
    for _ in 0..MOST_PASSES {
        if looks.look(strike_aside(daemon, (&theirs, reach), Signal::KILL, &mut ended)).await.is_empty() {
            break;
        }
        // What was struck goes; what it has started meanwhile is found by the next look.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lines(uid, &ended).iter().for_each(|line| daemon.log.write(line));
    daemon.log.write(&Line::info(Event::SweptAll).with("uid", uid).with("processes", ended.len()));
    looks.took
}

/// What the log is told of those that were ended: the first by name, since a user may have started ten thousand to push other lines out.
fn lines(uid: u32, ended: &BTreeMap<ProcessId, String>) -> Vec<Line> {
    let line = || Line::info(Event::Swept).with("uid", uid);
    let named = ended.iter().take(MOST_NAMED);
    let mut lines: Vec<Line> =
        named.map(|(process, command)| line().with("pid", process.pid).with("command", command)).collect();
    if let Some(more) = ended.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        lines.push(line().with("more", more));
    }
    lines
}

/// How long the machine was looked at.
#[derive(Default)]
struct Looks {
    took: Duration,
}

impl Looks {
    async fn look<T>(&mut self, look: impl Future<Output = T>) -> T {
        let began = SystemClock.now().boot;
        let seen = look.await;
        self.took = self.took.saturating_add(SystemClock.now().boot.saturating_since(began));
        seen
    }
}

/// As [`strike`], on a thread beside the loop: it asks the kernel about each process of the machine.
async fn strike_aside(
    daemon: &Arc<Daemon>,
    (theirs, reach): (&Arc<Theirs>, Reach),
    signal: Signal,
    ended: &mut BTreeMap<ProcessId, String>,
) -> Vec<Held> {
    let (daemon, theirs, before) = (Arc::clone(daemon), Arc::clone(theirs), std::mem::take(ended));
    let struck = tokio::task::spawn_blocking(move || {
        let mut ended = before;
        let held = strike(&daemon, (&theirs, reach), signal, &mut ended);
        (held, ended)
    });
    let (held, all) = struck.await.unwrap_or_default();
    *ended = all;
    held
}

/// Signals all that are in reach, and notes what they were. A stopped process hears nothing but the last signal before it goes on.
fn strike(
    daemon: &Daemon,
    (theirs, reach): (&Theirs, Reach),
    signal: Signal,
    ended: &mut BTreeMap<ProcessId, String>,
) -> Vec<Held> {
    let snapshot = Snapshot::take();
    // Root's su inside a login of the user's is root's, and who was let in again meanwhile has a session that is none of this.
    let spared = daemon.held_by_sessions(&snapshot, |_all| true);
    let may_end_manager = may_end_manager(daemon, (theirs.uid, reach), &snapshot);
    let is_in_reach = |process: &&Process| match reach {
        Reach::Everything => true,
        Reach::LeftOvers => daemon.is_left_over(process, &snapshot),
    };
    let targets = snapshot.iter().filter(|process| theirs.has(process, &snapshot) && !spared.contains(&process.id.pid));
    let targets = targets.filter(|process| may_end_manager || !is_of_a_manager(process, &snapshot)).filter(is_in_reach);
    let held = Held::all_there(targets.map(|process| (process, process.id)));
    for held in &held {
        ended
            .entry(held.id())
            .or_insert_with(|| process::text(held.id().pid, "comm").unwrap_or_default().trim().to_owned());
        held.signal(signal);
        held.signal(Signal::CONT);
    }
    held
}

/// What is a user's own doing.
struct Theirs {
    uid: u32,
    /// What they may hand out to containers of their own.
    subordinate: Vec<Range<u32>>,
}

impl Theirs {
    fn of(daemon: &Daemon, user: &User) -> Self {
        let subordinate = subordinate::uids(&daemon.paths, &user.name, user.uid).unwrap_or_else(|why| {
            daemon.log.write(&Line::error(Event::SubordinateUidsUnknown).with("user", &user.name).with("why", why));
            Vec::new()
        });
        Self { uid: user.uid, subordinate }
    }

    /// A service of the machine may run as a user, too, and so may a container's: these have no login uid, and sit elsewhere than where
    /// systemd puts what users run. What others run in a login of the user's is theirs: the uid that counts is the real one, which tells
    /// who started a program.
    fn has(&self, process: &Process, snapshot: &Snapshot) -> bool {
        let pid = process.id.pid;
        if process.is_zombie || pid == 1 || pid == std::process::id() {
            return false;
        }
        let is_in_a_login_of_theirs = process::login_uid(pid) == Some(self.uid);
        if !is_in_a_login_of_theirs && !is_below(process, snapshot, "/user.slice/") {
            return false;
        }
        // Asked last: with many groups it is dear.
        let Some(uid) = process::uids(pid).ok().and_then(|uids| uids.first().copied()) else { return false };
        if uid == self.uid {
            return true;
        }
        // Another's account may have a number in that range, as a directory's do: what is not in this user's own part of the tree is theirs.
        let is_subordinate = self.subordinate.iter().any(|range| range.contains(&uid));
        is_subordinate && is_below(process, snapshot, &format!("/user.slice/user-{}.slice/", self.uid))
    }
}

/// Whether systemd keeps the process in that part of its tree. The whole path counts: a container has a tree of its own below a service.
fn is_below(process: &Process, snapshot: &Snapshot, slice: &str) -> bool {
    let below_root = snapshot.systemd_root().and_then(|root| process.cgroup.strip_prefix(root));
    below_root.is_some_and(|path| path.starts_with(slice))
}

/// Whether nobody needs the user manager and what it runs, which may be all of a desktop. For left-overs a login that we do not track needs
/// it, too.
fn may_end_manager(daemon: &Daemon, (uid, reach): (u32, Reach), snapshot: &Snapshot) -> bool {
    let is_needed = match reach {
        Reach::Everything => false,
        Reach::LeftOvers => logind_has_login(uid, snapshot),
    };
    !is_needed && daemon.names_of_live(uid).is_empty()
}

/// Another name of the same uid that has a live session.
fn sharer(daemon: &Daemon, user: &User) -> Option<String> {
    daemon.names_of_live(user.uid).into_iter().find(|name| *name != user.name)
}

fn is_of_a_manager(process: &Process, snapshot: &Snapshot) -> bool {
    is_below(process, snapshot, "/user.slice/") && process.cgroup.contains("/user@")
}

/// Ends all that sits in the user's manager as a whole, which no fork escapes. Not all of the user's slice: root may have started something
/// in a login there.
fn kill_manager(uid: u32) {
    let snapshot = Snapshot::chain(1);
    let Some(root) = snapshot.systemd_root() else { return };
    let manager = format!("/sys/fs/cgroup{root}/user.slice/user-{uid}.slice/user@{uid}.service");
    let _no_such_cgroup = fs::write(format!("{manager}/cgroup.kill"), "1");
}

/// Asks systemd to stop the user's manager, with all that runs in it. Without systemd, or a manager, there is nothing to stop.
async fn stop_manager(daemon: &Daemon, connection: &Connection, uid: u32) {
    // Where it does not run, the bus would try to start it.
    if !systemd::runs_here() {
        return;
    }
    let unit = format!("user@{uid}.service");
    if systemd::stop(connection, &unit).await.is_ok() {
        daemon.log.write(&Line::info(Event::UserManagerStopped).with("unit", &unit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_were_ended_the_log_names_a_few() {
        let ended =
            |count: u32| (1..=count).map(|pid| (ProcessId { pid, start_time: 1 }, "sleep".to_owned())).collect();
        assert_eq!(lines(1000, &ended(20)).len(), 20);
        let lines = lines(1000, &ended(10_000));
        assert_eq!(lines.len(), 21);
        assert!(format!("{:?}", lines.last()).contains("9980"), "{:?}", lines.last());
    }
}
