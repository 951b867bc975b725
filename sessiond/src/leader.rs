//! A process held by its pidfd: no other process can take its place, and its end is an event.

use std::{collections::BTreeMap, io, os::fd::OwnedFd};

use authflow_core::session::Leader;
use authflow_host::process::ProcessId;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::{
    bounded::{self, identify},
    readable::readable,
    snapshot::{Process, Snapshot},
    status::Statuses,
};

/// A process, held.
#[derive(Debug)]
pub(crate) struct Held {
    id: ProcessId,
    pidfd: OwnedFd,
}

/// A process that is held, and not told from others yet.
#[derive(Debug)]
pub(crate) struct Caught {
    pid: u32,
    pidfd: OwnedFd,
}

impl Caught {
    /// Holds the process that has that pid now.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn by_pid(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, pidfd: open(pid)? })
    }

    /// Its pid.
    #[must_use]
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// The same process held once more, and told from others by what was read of it since it was caught.
    ///
    /// # Errors
    /// It is gone, does not let itself be told from another, or there are no descriptors left.
    pub(crate) fn told_by(&self, since: &Snapshot) -> io::Result<Held> {
        let found = since.find(self.pid).ok_or(io::ErrorKind::NotFound)?;
        if found.is_unreadable() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // While it is there nobody else has its pid, so what was read until now is its own.
        if is_over(&self.pidfd)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Held { id: found.id, pidfd: self.pidfd.try_clone()? })
    }
}

impl Held {
    /// Holds those of these processes that are still there, under the ids that go with them.
    #[must_use]
    pub(crate) fn all_there<'a>(seen: impl Iterator<Item = (&'a Process, ProcessId)>) -> Vec<Self> {
        let opened: Vec<_> = seen.filter_map(|(process, id)| Some((process, id, open(process.id.pid).ok()?))).collect();
        let pids: Vec<u32> = opened.iter().map(|(process, ..)| process.id.pid).collect();
        // Read after the pidfds were got: what is there then is what is held.
        let now: BTreeMap<u32, Option<io::Result<ProcessId>>> =
            bounded::look().read(&pids, ProcessId::of).into_iter().collect();
        let mut statuses = Statuses::new();
        let there = opened.into_iter().filter(|(process, ..)| {
            process.is_still_there(now.get(&process.id.pid).and_then(Option::as_ref), &mut statuses)
        });
        there.map(|(_, id, pidfd)| Self { id, pidfd }).collect()
    }

    /// Holds that very process to wait for its end; `None` if it is gone. One that does not let itself be told from another is taken for it:
    /// later looks tell, and nothing is done to it.
    ///
    /// # Errors
    /// It is there, and cannot be held: there are no descriptors left, for one.
    pub(crate) fn if_there(id: ProcessId) -> io::Result<Option<Self>> {
        let pidfd = open(id.pid);
        match identify(id.pid) {
            Ok(now) if now == id => Ok(Some(Self { id, pidfd: pidfd? })),
            Err(why) if why.kind() == io::ErrorKind::TimedOut => Ok(Some(Self { id, pidfd: pidfd? })),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Which process it is.
    #[must_use]
    pub(crate) const fn id(&self) -> ProcessId {
        self.id
    }

    /// Sends it a signal. One that is gone already needs none.
    pub(crate) fn signal(&self, signal: Signal) {
        let _gone = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Waits until it is gone.
    pub(crate) async fn gone(self) {
        // A pidfd becomes readable when its process ends. Were it not to be had, the session's own deadlines still hold.
        if let Ok(pidfd) = readable(self.pidfd) {
            let _readable = pidfd.readable().await;
        }
    }
}

/// The leader as core knows it.
#[must_use]
pub(crate) const fn leader_of(id: ProcessId) -> Leader {
    Leader { pid: id.pid, start_time: id.start_time }
}

/// The process that core knows as leader.
#[must_use]
pub(crate) const fn process_of(leader: Leader) -> ProcessId {
    ProcessId { pid: leader.pid, start_time: leader.start_time }
}

/// Whether the process has ended, a zombie too.
fn is_over(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut asked = [PollFd::new(pidfd, PollFlags::IN)];
    Ok(retry_on_intr(|| poll(&mut asked, Some(&Timespec::default())))? > 0)
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    // The descriptor is close-on-exec by itself.
    Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_end_of_a_process_is_awaited_and_its_pid_alone_is_not_enough() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let caught = Caught::by_pid(child.id()).unwrap();
        let held = caught.told_by(&Snapshot::chain(child.id())).unwrap();
        let id = held.id();
        let is_there = |id| Held::if_there(id).unwrap().is_some();
        assert!(is_there(id) && !is_there(ProcessId { start_time: id.start_time + 1, ..id }));
        held.signal(Signal::KILL);
        held.gone().await;
        child.wait().unwrap();
        assert!(!is_there(id));
        assert_eq!(caught.told_by(&Snapshot::chain(id.pid)).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn whoever_has_the_pid_of_a_process_that_is_gone_is_not_taken_for_it() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let caught = Caught::by_pid(child.id()).unwrap();
        let chain = Snapshot::chain(child.id());
        assert!(caught.told_by(&chain).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
        // As of another that came in its place.
        assert_eq!(caught.told_by(&chain).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
