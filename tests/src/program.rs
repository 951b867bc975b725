//! A command inside a machine: one that is waited for, and one in the background.

use std::{
    fs, io,
    process::{Child, ExitStatus},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{bed, wait};

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, with odd bytes replaced.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// What it printed. Panics if it failed.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> String {
        assert!(self.status.success(), "failed: {self:#?}");
        self.stdout
    }

    /// What it printed, read as JSON. Panics if it failed.
    #[track_caller]
    #[must_use]
    pub fn json(self) -> serde_json::Value {
        let text = self.success();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
    }

    /// What it complained about. Panics if its exit code is another than `code`.
    #[track_caller]
    #[must_use]
    pub fn failure(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self.stderr
    }
}

/// A program in the background. It is killed with its value.
#[derive(Debug)]
pub struct Program {
    nsenter: Child,
    pid: u32,
}

impl Program {
    pub(crate) fn new(nsenter: Child) -> Self {
        let pid = bed::inner_soon(nsenter.id());
        Self { nsenter, pid }
    }

    /// Its number as the machine sees it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let inside = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().next_back());
        inside.and_then(|pid| pid.parse().ok()).expect("a process in a namespace has a number there")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.pid, signal).ok();
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.end();
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        wait::until("a program to end", || {
            wake_up(&self.nsenter);
            self.nsenter.try_wait().expect("it can be waited for")
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.nsenter.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.is_running() {
            send(self.pid, Signal::KILL).ok();
            bury(&mut self.nsenter);
        }
    }
}

/// Sends a signal to a process by its number on the host.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal)?)
}

/// Waits a while for the end of an nsenter whose program was killed. Not for ever: the end of the bed takes along what is left.
pub(crate) fn bury(nsenter: &mut Child) {
    for _ in 0..200 {
        wake_up(nsenter);
        if !matches!(nsenter.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// nsenter stops itself along with its program, and would not see that one's end.
fn wake_up(nsenter: &Child) {
    send(nsenter.id(), Signal::CONT).ok();
}
