//! All processes of the machine at one moment, as far as sessions care.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    time::Duration,
};

use authflow_core::time::{BootTime, Clock};
use authflow_host::{
    clock::SystemClock,
    process::{self, ProcessId},
};
use rustix::param::clock_ticks_per_second;

use crate::{
    bounded::{self, Look},
    cgroup,
    status::{Statuses, first_number},
};

/// How many processes are read at once. What belongs to one is not all read in one instant, and should not lie far apart.
const AT_ONCE: usize = 1024;

/// The start of a process that cannot be read now.
const UNKNOWN: u64 = u64::MAX;

/// Whom a process runs as of which that is too dear to ask.
const NOBODY: u32 = u32::MAX;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Which.
    pub(crate) id: ProcessId,
    /// Whom it runs as.
    pub(crate) uid: u32,
    /// Its parent's pid; 0 where it has none, or that was too dear to ask.
    pub(crate) parent: u32,
    /// The device number of its controlling tty; 0 is none.
    pub(crate) tty: u32,
    /// The kernel's audit session id, if set.
    pub(crate) audit_id: Option<u32>,
    /// The path of its cgroup.
    pub(crate) cgroup: String,
    /// Whether it is a zombie: it runs no more and only waits for its parent.
    pub(crate) is_zombie: bool,
}

impl Process {
    /// Whether it is known by its pid alone: neither its start nor its tty can be read now. It is there all the same.
    #[must_use]
    pub(crate) const fn is_unreadable(&self) -> bool {
        self.id.start_time == UNKNOWN
    }

    /// Whether it can be that one, as far as can be seen.
    #[must_use]
    pub(crate) fn may_be(&self, id: ProcessId) -> bool {
        self.id == id || self.is_unreadable() && self.id.pid == id.pid
    }

    /// Whether it can be read now, and is one that could not: that had the pid and was there `by` that time, in ticks. What has the pid and
    /// started no later is no other.
    #[must_use]
    pub(crate) const fn is_now_read(&self, id: ProcessId, by: u64) -> bool {
        id.start_time == UNKNOWN && id.pid == self.id.pid && self.id.start_time <= by
    }

    /// Whether the process that has the pid now, if it can be read, is still this one. To be asked when it is held by a pidfd: then the answer
    /// stays true.
    #[must_use]
    pub(crate) fn is_still_there(&self, now: Option<&io::Result<ProcessId>>, statuses: &mut Statuses) -> bool {
        match now {
            Some(Ok(now)) if !self.is_unreadable() => *now == self.id,
            Some(Err(_gone)) => false,
            // One of which no start is known is the same if it is in the same place: in the same session, that is.
            Some(Ok(_)) | None => unreadable(self.id.pid, statuses).is_some_and(|now| {
                let is_whose_it_was = !self.is_unreadable() || now.uid == self.uid;
                let is_told = self.parent != 0 && now.parent != 0;
                let is_same = !is_told || is_whose_it_was && now.parent == self.parent;
                is_same && (self.audit_id, &self.cgroup) == (now.audit_id, &now.cgroup)
            }),
        }
    }
}

/// All processes, by pid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    processes: BTreeMap<u32, Process>,
    children: BTreeMap<u32, Vec<u32>>,
    by_audit_id: BTreeMap<u32, Vec<u32>>,
    by_cgroup: BTreeMap<String, Vec<u32>>,
    /// When the pids were listed, in ticks.
    listed: u64,
}

impl Snapshot {
    /// Looks at `/proc`. A process that ends meanwhile is left out.
    #[must_use]
    pub(crate) fn take() -> Self {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids: Vec<u32> = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        let (listed, mut look) = (ticks(SystemClock.now().boot), bounded::look());
        Self { listed, ..Self::of(pids.chunks(AT_ONCE).flat_map(|pids| read(&mut look, pids))) }
    }

    /// Looks at `/proc` on a thread beside the loop: with ten thousand processes a look takes a third of a second, and the loop is everybody's.
    pub(crate) async fn take_aside() -> Self {
        // An empty one would tell that everybody has left.
        tokio::task::spawn_blocking(Self::take).await.unwrap_or_else(|_panicked| Self::take())
    }

    /// That process, those above it and the first of all: all that opening a session needs, and a login should not wait for more.
    #[must_use]
    pub(crate) fn chain(pid: u32) -> Self {
        Self::chains([1, pid])
    }

    /// Those processes and all above them.
    #[must_use]
    pub(crate) fn chains(pids: impl IntoIterator<Item = u32>) -> Self {
        // Who has a long line of dear ones above is known by what is near alone.
        let mut statuses = Statuses::new();
        let found: Vec<u32> = upwards(pids, |pid| statuses.number(pid, "PPid")).into_iter().collect();
        let listed = ticks(SystemClock.now().boot);
        Self { listed, ..Self::of(read(&mut bounded::look_at_one(), &found)) }
    }

    /// A snapshot of these processes.
    pub(crate) fn of(processes: impl IntoIterator<Item = Process>) -> Self {
        let mut snapshot = Self::default();
        for process in processes {
            let pid = process.id.pid;
            snapshot.children.entry(process.parent).or_default().push(pid);
            snapshot.by_cgroup.entry(process.cgroup.clone()).or_default().push(pid);
            if let Some(audit_id) = process.audit_id {
                snapshot.by_audit_id.entry(audit_id).or_default().push(pid);
            }
            snapshot.processes.insert(pid, process);
        }
        snapshot
    }

    /// When its pids were listed, in ticks: each process had started by then.
    #[must_use]
    pub(crate) const fn listed(&self) -> u64 {
        self.listed
    }

    /// The same, listed at that time.
    #[cfg(test)]
    pub(crate) fn listed_at(self, listed: u64) -> Self {
        Self { listed, ..self }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The process of that pid.
    #[must_use]
    pub(crate) fn find(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// Whether that very process is there and runs, as far as can be seen.
    #[must_use]
    pub(crate) fn runs(&self, id: ProcessId) -> bool {
        self.find(id.pid).is_some_and(|process| process.may_be(id) && !process.is_zombie)
    }

    /// The cgroup below which systemd orders everything; in a container it begins below the machine's. `None` where no systemd runs.
    #[must_use]
    pub(crate) fn systemd_root(&self) -> Option<&str> {
        cgroup::systemd_root(&self.find(1)?.cgroup)
    }

    /// The pids below that one, however deep.
    #[must_use]
    pub(crate) fn descendants(&self, pid: u32) -> BTreeSet<u32> {
        let (mut found, mut parents) = (BTreeSet::new(), vec![pid]);
        while let Some(parent) = parents.pop() {
            let new = self.children.get(&parent).into_iter().flatten().filter(|child| found.insert(**child));
            parents.extend(new);
        }
        found
    }

    /// The pids that have that audit session id.
    pub(crate) fn with_audit_id(&self, audit_id: u32) -> impl Iterator<Item = u32> + '_ {
        self.by_audit_id.get(&audit_id).into_iter().flatten().copied()
    }

    /// The pids in that very cgroup.
    pub(crate) fn in_cgroup(&self, cgroup: &str) -> impl Iterator<Item = u32> + '_ {
        self.by_cgroup.get(cgroup).into_iter().flatten().copied()
    }

    /// The pids in that cgroup and in those below it.
    pub(crate) fn below_cgroup(&self, cgroup: &str) -> impl Iterator<Item = u32> + '_ {
        let below = format!("{cgroup}/");
        let exact = self.in_cgroup(cgroup);
        let deeper = self.by_cgroup.range(below.clone()..).take_while(move |(path, _)| path.starts_with(&below));
        exact.chain(deeper.flat_map(|(_, pids)| pids.iter().copied()))
    }

    /// The pids above that one, nearest first.
    pub(crate) fn ancestors(&self, pid: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = self.find(pid).map(|process| process.parent);
        // A snapshot is not taken in one instant, so a reused pid could close a circle.
        let mut steps = self.processes.len();
        std::iter::from_fn(move || {
            let pid = next.filter(|pid| *pid != 0 && steps > 0)?;
            steps -= 1;
            next = self.find(pid).map(|process| process.parent);
            Some(pid)
        })
    }
}

/// These and all above them, as far up as parents are told.
fn upwards(pids: impl IntoIterator<Item = u32>, mut parent: impl FnMut(u32) -> Option<u32>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for pid in pids {
        let mut next = pid;
        while next != 0 && found.insert(next) {
            next = parent(next).unwrap_or_default();
        }
    }
    found
}

/// A time as `/proc` tells when processes started.
pub(crate) fn ticks(at: BootTime) -> u64 {
    const NANOS: u128 = Duration::from_secs(1).as_nanos();
    let ticks = at.since_origin().as_nanos().saturating_mul(u128::from(clock_ticks_per_second())) / NANOS;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Reads these. One that ends meanwhile is left out.
fn read(look: &mut Look, pids: &[u32]) -> Vec<Process> {
    let read = look.read(pids, Stat::read).into_iter();
    read.filter_map(|(pid, stat)| match stat {
        Some(stat) => readable(pid, &stat?, look.statuses()),
        None => unreadable(pid, look.statuses()),
    })
    .collect()
}

/// What a process's `stat` says.
struct Stat {
    start_time: u64,
    parent: u32,
    tty: u32,
    is_zombie: bool,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let stat = process::text(pid, "stat").ok()?;
        // The program's name may hold blanks and parentheses: the fields are counted from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
        Some(Self {
            start_time: field(22)?.parse().ok()?,
            parent: field(4)?.parse().ok()?,
            tty: field(7)?.parse::<i64>().ok().and_then(|tty| u32::try_from(tty).ok())?,
            is_zombie: is_zombie(field(3)?, field(20)),
        })
    }
}

/// A program whose first thread has ended looks like one that is over, and goes on in the others.
fn is_zombie(state: &str, threads: Option<&str>) -> bool {
    state.starts_with(['Z', 'X']) && threads.is_none_or(|threads| matches!(threads, "0" | "1"))
}

fn readable(pid: u32, stat: &Stat, statuses: &mut Statuses) -> Option<Process> {
    let audit_id = process::audit_session(pid);
    Some(Process {
        id: ProcessId { pid, start_time: stat.start_time },
        uid: owner(pid, audit_id.is_some(), statuses)?,
        parent: stat.parent,
        tty: stat.tty,
        audit_id,
        cgroup: cgroup::of(pid),
        is_zombie: stat.is_zombie,
    })
}

/// A process by what never waits for it. Where its status is too dear, it is what it seems to be.
fn unreadable(pid: u32, statuses: &mut Statuses) -> Option<Process> {
    let status = match statuses.of(pid) {
        Ok(status) => Some(status),
        Err(why) if why.kind() == io::ErrorKind::TimedOut => None,
        Err(_gone) => return None,
    };
    let state = |status: &String| {
        let field = |name| process::status_field(status, name);
        Some(is_zombie(field("State")?, field("Threads")))
    };
    let (uid, parent, is_zombie) = match &status {
        Some(status) => (first_number(status, "Uid")?, first_number(status, "PPid")?, state(status)?),
        None => (seeming_owner(pid)?, 0, false),
    };
    Some(Process {
        id: ProcessId { pid, start_time: UNKNOWN },
        uid,
        parent,
        tty: 0,
        audit_id: process::audit_session(pid),
        cgroup: cgroup::of(pid),
        is_zombie,
    })
}

/// Whom a process runs as. What lets nobody look into it, as ssh-agent, seems to be root's; where it matters, which is in a login, that is
/// asked again in a way that costs more.
fn owner(pid: u32, is_in_login: bool, statuses: &mut Statuses) -> Option<u32> {
    let seeming = seeming_owner(pid)?;
    if seeming != 0 || !is_in_login {
        return Some(seeming);
    }
    match statuses.of(pid) {
        Ok(status) => first_number(&status, "Uid"),
        Err(why) if why.kind() == io::ErrorKind::TimedOut => Some(NOBODY),
        Err(_gone) => None,
    }
}

/// Whom a process runs as, by what costs nothing: what lets nobody look into it seems to be root's.
pub(crate) fn seeming_owner(pid: u32) -> Option<u32> {
    Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}
