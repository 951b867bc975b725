//! What share of the machine this thread gets. A program keeps its caller's, through set-uid bits too: su under `chrt --idle` on a CPU that
//! the caller keeps busy hardly runs at all. The C library has these calls for any process, hence the `unsafe` here.
#![allow(unsafe_code)]

use std::io;

use libc::c_int;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The thread that asks, in all of these calls.
const THIS: Pid = Pid::from_raw(0);

/// Ahead of whatever a user may start, for a moment: a crowd of busy processes is as good as a low class.
const FIRST: c_int = -20;

/// ioprio_set(2): the class "best effort" at its middle. What is beyond it waits for others.
const USUAL_IO: c_int = (2 << 13) | 4;

/// What the thread had, as far as it was changed.
#[derive(Debug, Default)]
pub(crate) struct Share {
    policy: Option<c_int>,
    nice: Option<c_int>,
    io: Option<c_int>,
    cpus: Option<CpuSet>,
}

impl Share {
    /// Takes a share that no caller can starve, and gives back the one before. What the kernel does not give is gone without.
    pub(crate) fn raise() -> Self {
        Self {
            policy: policy().filter(|policy| is_idle(*policy) && set_policy(libc::SCHED_OTHER).is_ok()),
            nice: nice().filter(|nice| *nice > FIRST && set_nice(FIRST).is_ok()),
            io: io_priority().filter(|io| *io > USUAL_IO && set_io_priority(USUAL_IO).is_ok()),
            cpus: sched_getaffinity(THIS).ok().filter(|_| sched_setaffinity(THIS, &every_cpu()).is_ok()),
        }
    }

    /// Takes that share again. It is never more than the thread has, so the kernel does not refuse.
    pub(crate) fn take_back(&self) {
        let _restored = self.cpus.as_ref().map(|cpus| sched_setaffinity(THIS, cpus));
        let _restored = self.io.map(set_io_priority);
        let _restored = self.nice.map(set_nice);
        let _restored = self.policy.map(set_policy);
    }
}

/// The kernel leaves out those that the machine has not, or that are not for this process.
fn every_cpu() -> CpuSet {
    let mut cpus = CpuSet::new();
    for cpu in 0..CpuSet::count() {
        let _within = cpus.set(cpu);
    }
    cpus
}

const fn is_idle(policy: c_int) -> bool {
    policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_IDLE
}

fn policy() -> Option<c_int> {
    // SAFETY: it takes a number and gives one.
    let policy = unsafe { libc::sched_getscheduler(THIS.as_raw()) };
    (policy >= 0).then_some(policy)
}

/// One of the classes that know no priority of their own.
fn set_policy(policy: c_int) -> io::Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter lives longer than the call, which only reads it.
    done(unsafe { libc::sched_setscheduler(THIS.as_raw(), policy, &raw const none) }.into())
}

fn nice() -> Option<c_int> {
    nix::errno::Errno::clear();
    // SAFETY: it takes numbers and gives one.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // -1 is a value like any other.
    (nice != -1 || nix::errno::Errno::last_raw() == 0).then_some(nice)
}

fn set_nice(nice: c_int) -> io::Result<()> {
    // SAFETY: it takes numbers alone.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }.into())
}

/// `IOPRIO_WHO_PROCESS` of ioprio_set(2), which the C library has no function for.
const WHO_PROCESS: c_int = 1;

fn io_priority() -> Option<c_int> {
    // SAFETY: it takes numbers and gives one.
    let io = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, 0) };
    c_int::try_from(io).ok().filter(|io| *io >= 0)
}

fn set_io_priority(io: c_int) -> io::Result<()> {
    // SAFETY: it takes numbers alone.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, io) })
}

fn done(answer: libc::c_long) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
