//! What `/proc/PID/status` tells, which never waits for the process and can be dear all the same: the kernel writes all of its groups there, of
//! which a range of subordinate ones gives a user tens of thousands, and needs 20 ms for those. A thousand such processes must not stop the loop,
//! so one look computes for so long at them, and does without the rest.

use std::{io, time::Duration};

use authflow_host::process;
use rustix::time::{ClockId, clock_gettime};

/// Some thousands of ordinary ones can be read in that time.
const MOST: Duration = Duration::from_millis(200);

/// The statuses that one look reads.
#[derive(Debug)]
pub(crate) struct Statuses {
    spent: Duration,
    computed: fn() -> Duration,
}

impl Statuses {
    /// Nothing is read yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { spent: Duration::ZERO, computed }
    }

    /// The status of a process.
    ///
    /// # Errors
    /// The process is gone, or there is no time left ([`io::ErrorKind::TimedOut`]).
    pub(crate) fn of(&mut self, pid: u32) -> io::Result<String> {
        if self.spent >= MOST {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let began = (self.computed)();
        let status = process::text(pid, "status");
        self.spent = self.spent.saturating_add((self.computed)().saturating_sub(began));
        status
    }

    /// A number that begins the line of that name, if it can be told.
    pub(crate) fn number(&mut self, pid: u32, line: &str) -> Option<u32> {
        first_number(&self.of(pid).ok()?, line)
    }
}

/// The number that begins the line of that name.
pub(crate) fn first_number(status: &str, line: &str) -> Option<u32> {
    process::status_field(status, line)?.split_whitespace().next()?.parse().ok()
}

/// How long this thread has computed, and the kernel for it: on a busy machine waiting for its turn does not count.
fn computed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static COMPUTED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// Each time it is asked a quarter of what there is has passed.
    fn quarters() -> Duration {
        COMPUTED.set(COMPUTED.get() + MOST / 4);
        COMPUTED.get()
    }

    #[test]
    fn what_is_dear_is_read_for_a_while_and_what_is_cheap_always() {
        let this = std::process::id();
        let mut dear = Statuses { spent: Duration::ZERO, computed: quarters };
        let read: Vec<bool> = (0..6).map(|_| dear.number(this, "PPid").is_some()).collect();
        assert_eq!(read, [true, true, true, true, false, false]);
        assert_eq!(dear.of(this).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut cheap = Statuses { spent: Duration::ZERO, computed: || Duration::ZERO };
        assert!((0..100).all(|_| cheap.number(this, "Uid") == Some(process::real_uid())));
        assert_eq!(cheap.of(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
