//! All processes of the machine at one moment, as far as sessions care.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
};

use authflow_host::process::{self, ProcessId};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Which.
    pub(crate) id: ProcessId,
    /// Whom it runs as.
    pub(crate) uid: u32,
    /// Its parent's pid.
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

/// All processes, by pid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    processes: BTreeMap<u32, Process>,
    children: BTreeMap<u32, Vec<u32>>,
    by_audit_id: BTreeMap<u32, Vec<u32>>,
    by_cgroup: BTreeMap<String, Vec<u32>>,
}

impl Snapshot {
    /// Looks at `/proc`. A process that ends meanwhile is left out.
    #[must_use]
    pub(crate) fn take() -> Self {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Self::of(pids.filter_map(read))
    }

    /// Looks at `/proc` on a thread beside the loop: with ten thousand processes a look takes a third of a second, and the loop is everybody's.
    pub(crate) async fn take_aside() -> Self {
        // An empty one would tell that everybody has left.
        tokio::task::spawn_blocking(Self::take).await.unwrap_or_else(|_panicked| Self::take())
    }

    /// That process and those above it: all that opening a session needs, and a login should not wait for more.
    #[must_use]
    pub(crate) fn chain(pid: u32) -> Self {
        Self::chains([pid])
    }

    /// Those processes and all above them.
    #[must_use]
    pub(crate) fn chains(pids: impl IntoIterator<Item = u32>) -> Self {
        let mut found: BTreeMap<u32, Process> = BTreeMap::new();
        for pid in pids {
            let mut next = pid;
            while let Some(process) = (next != 0 && !found.contains_key(&next)).then(|| read(next)).flatten() {
                let parent = process.parent;
                found.insert(next, process);
                next = parent;
            }
        }
        Self::of(found.into_values())
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

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// The process of that pid.
    #[must_use]
    pub(crate) fn find(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// Whether that very process is there and runs.
    #[must_use]
    pub(crate) fn runs(&self, id: ProcessId) -> bool {
        self.find(id.pid).is_some_and(|process| process.id == id && !process.is_zombie)
    }

    /// The cgroup below which systemd orders everything; in a container it begins below the machine's. `None` where no systemd runs.
    #[must_use]
    pub(crate) fn systemd_root(&self) -> Option<&str> {
        self.find(1)?.cgroup.strip_suffix("/init.scope")
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

fn read(pid: u32) -> Option<Process> {
    let stat = process::text(pid, "stat").ok()?;
    // The program's name may hold blanks and parentheses: the fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
    // A process must not be overlooked because the kernel has no cgroups.
    let cgroup = process::text(pid, "cgroup").unwrap_or_default();
    let audit_id = process::audit_session(pid);
    Some(Process {
        id: ProcessId { pid, start_time: field(22)?.parse().ok()? },
        uid: owner(pid, audit_id.is_some())?,
        parent: field(4)?.parse().ok()?,
        tty: field(7)?.parse::<i64>().ok().and_then(|tty| u32::try_from(tty).ok())?,
        audit_id,
        cgroup: unified(&cgroup),
        // A program whose first thread has ended looks like one that is over, and goes on in the others.
        is_zombie: matches!(field(3), Some("Z" | "X")) && field(20).is_none_or(|threads| matches!(threads, "0" | "1")),
    })
}

/// Whom a process runs as. What lets nobody look into it, as ssh-agent, seems to be root's; where it matters, which is in a login, that is
/// asked again in a way that costs more.
fn owner(pid: u32, is_in_login: bool) -> Option<u32> {
    let seeming = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    if seeming != 0 || !is_in_login {
        return Some(seeming);
    }
    let status = process::text(pid, "status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok())
}

/// The path in the unified hierarchy, or in systemd's own on a machine with both.
fn unified(cgroup: &str) -> String {
    // A path may hold what looks like the start of a line.
    let of = |hierarchy: &str| {
        let fields = cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        fields.filter(|(name, _)| *name == hierarchy).map(|(_, path)| path.to_owned()).next()
    };
    of("").filter(|path| path != "/").or_else(|| of("name=systemd")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_with_its_ancestors() {
        let this = ProcessId::current().unwrap();
        let snapshot = Snapshot::take();
        assert!(snapshot.runs(this));
        assert!(!snapshot.runs(ProcessId { start_time: this.start_time + 1, ..this }));
        let parent = ProcessId::parent_of_current().unwrap();
        assert_eq!(snapshot.ancestors(this.pid).next(), Some(parent.pid));
    }

    #[test]
    fn the_cgroup_is_that_of_the_unified_hierarchy_or_of_systemds_own() {
        let nested = "4:memory:/user.slice/a0::/x:name=systemd:/y";
        let of = |lines: &[&str]| unified(&lines.join("\n"));
        assert_eq!(of(&["0::/user.slice/session-1.scope"]), "/user.slice/session-1.scope");
        assert_eq!(of(&[nested, "1:name=systemd:/init.scope", "0::/"]), "/init.scope");
        assert_eq!(of(&[nested, "1:name=systemd:/init.scope", "0::/a:b"]), "/a:b");
        assert_eq!(of(&[nested]), "");
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let process = |pid, parent| Process {
            id: ProcessId { pid, start_time: 1 },
            uid: 0,
            parent,
            tty: 0,
            audit_id: None,
            cgroup: String::new(),
            is_zombie: false,
        };
        let snapshot = Snapshot::of([process(2, 3), process(3, 2)]);
        assert!(snapshot.ancestors(2).count() <= 2);
        assert_eq!(snapshot.descendants(2), BTreeSet::from([2, 3]));
    }
}
