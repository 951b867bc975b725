//! The machine's clocks: the only place in the products that reads one.

use std::{io, time::Duration};

use authflow_core::time::{BootTime, Clock, Now, WallTime};
use nix::time::{ClockId, clock_gettime};

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        // These clocks always exist on Linux; were one missing, its origin makes codes fail and waits last, which denies.
        let read = |clock| read(clock).unwrap_or_default();
        Now { boot: BootTime::new(read(ClockId::CLOCK_BOOTTIME)), wall: WallTime::new(read(ClockId::CLOCK_REALTIME)) }
    }
}

/// How far the monotonic clock has come, to bound a wait.
pub(crate) fn monotonic() -> Duration {
    read(ClockId::CLOCK_MONOTONIC).unwrap_or(Duration::MAX)
}

fn read(clock: ClockId) -> io::Result<Duration> {
    let time = clock_gettime(clock)?;
    // A wall clock before 1970 counts as 1970.
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    Ok(Duration::new(seconds, u32::try_from(time.tv_nsec()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_and_the_wall_clock_is_in_this_century() {
        let (before, after) = (SystemClock.now(), SystemClock.now());
        assert!(before.boot <= after.boot);
        assert!(after.wall.as_secs() > 1_700_000_000);
    }
}
