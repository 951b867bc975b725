//! What keeps a session's own terminal although it was hung up. The end of a window or a connection takes the terminal from whatever ignores
//! the hang-up, that of `login` and su does not, and to take it is more than the daemon may: who keeps it is ended. Must not signal by itself.

use std::{
    collections::BTreeSet,
    fs::{self, DirEntry},
    path::Path,
};

use authflow_core::session::Session;
use authflow_host::process::{self, ProcessId};

use crate::{
    leader::process_of,
    snapshot::{Process, Snapshot},
    status::Statuses,
    tty::Tty,
};

/// How many descriptors of one session are looked at, at most. What has more is taken for a holder: nobody hides a terminal among a million files.
const MOST_DESCRIPTORS: usize = 65_536;

/// Of these members those that hold the terminal that the session was opened on: they have it open, and did not detach themselves from it. What
/// nohup started has no terminal open, and a tmux server is none of the terminal's.
pub(crate) fn holders(session: &Session, members: &[ProcessId], snapshot: &Snapshot) -> BTreeSet<ProcessId> {
    let Some(tty) = session.opening.tty.as_deref().map(Tty::named) else { return BTreeSet::new() };
    holders_among(attached(&tty, session, members, snapshot), &tty, MOST_DESCRIPTORS)
}

/// Those with room for few descriptors are looked at first: one that has as many as it may must not have the others taken for holders, too.
fn holders_among(mut attached: Vec<ProcessId>, tty: &Tty, mut left: usize) -> BTreeSet<ProcessId> {
    let mut statuses = Statuses::new();
    attached.sort_by_cached_key(|member| room_for_descriptors(member.pid, &mut statuses));
    attached.into_iter().filter(|member| has_open(member.pid, tty, &mut left)).collect()
}

/// For how many descriptors the kernel keeps room for that process: at least as many as it has, and told without counting them. Where that is
/// not told, as where its first thread has ended, it may be any number.
fn room_for_descriptors(pid: u32, statuses: &mut Statuses) -> u32 {
    statuses.number(pid, "FDSize").filter(|size| *size > 0).unwrap_or(u32::MAX)
}

/// The members that are the terminal's, of the leader's family for as long as it is there: it controls them, or it did until the leader, being
/// the first of the kernel's session, took that along.
fn attached(tty: &Tty, session: &Session, members: &[ProcessId], snapshot: &Snapshot) -> Vec<ProcessId> {
    let leader = process_of(session.leader);
    let family = snapshot.runs(leader).then(|| snapshot.descendants(leader.pid));
    let is_of_it = |process: &Process| match Tty::of_device(process.tty) {
        Some(controlling) => controlling == *tty,
        None => process::kernel_session(process.id.pid) == Some(leader.pid),
    };
    let is_attached = |member: &&ProcessId| {
        let is_of_the_family = family.as_ref().is_none_or(|family| family.contains(&member.pid));
        **member != leader && is_of_the_family && snapshot.find(member.pid).is_some_and(is_of_it)
    };
    members.iter().filter(is_attached).copied().collect()
}

/// Whether the process has the terminal open; `left` is how many descriptors may still be looked at.
fn has_open(pid: u32, tty: &Tty, left: &mut usize) -> bool {
    let mut own = entries(format!("/proc/{pid}/fd")).peekable();
    if own.peek().is_some() {
        return is_among(own, tty, left);
    }
    // With its first thread goes what is told here, and the others go on.
    entries(format!("/proc/{pid}/task")).any(|thread| is_among(entries(thread.path().join("fd")), tty, left))
}

fn is_among(mut descriptors: impl Iterator<Item = DirEntry>, tty: &Tty, left: &mut usize) -> bool {
    descriptors.any(|descriptor| {
        *left = left.saturating_sub(1);
        // Links are read and not followed: what lies behind one may never answer.
        *left == 0 || fs::read_link(descriptor.path()).is_ok_and(|path| tty.is_at(&path))
    })
}

/// A process that is gone has none.
fn entries(folder: impl AsRef<Path>) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::{leader::Caught, members::tests::session};

    const PTS_3: u32 = (136 << 8) | 3;

    fn process(pid: u32, parent: u32, tty: u32) -> Process {
        Process {
            id: ProcessId { pid, start_time: 1 },
            uid: 1000,
            parent,
            tty,
            audit_id: None,
            cgroup: String::new(),
            is_zombie: false,
        }
    }

    #[test]
    fn of_the_terminal_are_the_leaders_family_and_what_it_left_behind() {
        let session = session(1, 20, None);
        let shell = [process(21, 20, PTS_3), process(22, 21, PTS_3 + 1), process(23, 1, PTS_3)];
        let attached = |snapshot: &Snapshot| {
            let members: Vec<_> = shell.iter().map(|process| process.id).chain([process_of(session.leader)]).collect();
            let found = super::attached(&Tty::named("/dev/pts/3"), &session, &members, snapshot);
            found.into_iter().map(|id| id.pid).collect::<Vec<_>>()
        };
        let with_leader = Snapshot::of(shell.iter().cloned().chain([process(20, 10, PTS_3)]));
        assert_eq!(attached(&with_leader), [21]);
        assert_eq!(attached(&Snapshot::of(shell.iter().cloned())), [21, 23], "the leader is gone");
    }

    #[test]
    fn what_the_terminal_was_taken_from_with_the_leader_is_still_of_it_and_what_began_anew_is_not() {
        for (begin, is_of_it) in [("", true), ("setsid", false)] {
            let command = format!("{begin} sleep 600 & wait");
            let mut leader = Command::new("setsid").args(["sh", "-c", &command]).spawn().unwrap();
            let is_sleep = |pid: &u32| process::text(*pid, "comm").is_ok_and(|name| name == "sleep\n");
            let mut looks = (0..10_000).map(|_| Snapshot::take().descendants(leader.id()));
            let sleep = looks.find_map(|below| below.into_iter().find(is_sleep)).unwrap();
            let session = session(1, leader.id(), None);
            let snapshot = Snapshot::of([process(sleep, 1, 0)]);
            let attached = super::attached(&Tty::named("pts/3"), &session, &[process(sleep, 1, 0).id], &snapshot);
            assert_eq!(!attached.is_empty(), is_of_it, "{command}");
            Caught::by_pid(sleep).unwrap().told_by(&Snapshot::take()).unwrap().signal(rustix::process::Signal::KILL);
            leader.wait().unwrap();
        }
    }

    #[test]
    fn one_with_too_many_descriptors_does_not_make_holders_of_the_others() {
        let start = || Command::new("sleep").arg("600").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let others = [start(), start()];
        let null = std::fs::File::open("/dev/null").unwrap();
        // Unlike the file itself these are handed down.
        let many: Vec<_> = (0..500).map(|_| rustix::io::dup(&null).unwrap()).collect();
        let children = [start()].into_iter().chain(others).collect::<Vec<_>>();
        drop(many);
        let ids: Vec<_> = children.iter().map(|child| process(child.id(), 1, PTS_3).id).collect();
        let holders = |tty: &str, most: usize| holders_among(ids.clone(), &Tty::named(tty), most);
        let found = [holders("zero", 100), holders("zero", MOST_DESCRIPTORS), holders("null", MOST_DESCRIPTORS)];
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found[0], BTreeSet::from([ids[0]]), "what it has is not known");
        assert_eq!([found[1].len(), found[2].len()], [0, 3]);
    }

    #[test]
    fn a_process_has_open_what_its_descriptors_name() {
        let mut child = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let has_open = |name: &str, most: usize| super::has_open(child.id(), &Tty::named(name), &mut { most });
        assert!(has_open("null", MOST_DESCRIPTORS));
        assert!(!has_open("zero", MOST_DESCRIPTORS));
        assert!(has_open("zero", 1), "more than can be looked at");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!super::has_open(child.id(), &Tty::named("null"), &mut { MOST_DESCRIPTORS }));
    }
}
