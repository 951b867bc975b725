//! Signals that would end setup between two changes: they wait, and are asked for where stopping is possible.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use crate::error::Error;

/// As long as it lives Ctrl-C, a terminal that is gone and the like end nothing by themselves.
pub(super) struct Held {
    signals: SigSet,
    arrived: SignalFd,
}

impl Held {
    pub(super) fn new() -> Result<Self, Error> {
        let failed = |error: nix::errno::Errno| Error::failed("cannot hold signals back", &error);
        let signals: SigSet =
            [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP].into_iter().collect();
        signals.thread_block().map_err(failed)?;
        let arrived = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)?;
        Ok(Self { signals, arrived })
    }

    /// Whether somebody wants it to stop.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.arrived.read_signal().is_ok_and(|signal| signal.is_some())
    }
}

/// It can be read where somebody wants it to stop.
impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrived.as_fd()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What came too late to stop anything must not end the words about it either.
        while self.is_asked_to_stop() {}
        let _ = self.signals.thread_unblock();
    }
}
