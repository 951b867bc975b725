//! Sleeping until a moment on the boot clock. The runtime's own timers stand still while the machine is suspended; deadlines do not.

use std::{io, os::fd::OwnedFd};

use authflow_core::time::BootTime;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::readable::readable;

/// A timer on the boot clock.
#[derive(Debug)]
pub(crate) struct BootTimer {
    descriptor: AsyncFd<OwnedFd>,
}

impl BootTimer {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The kernel has none to give.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self { descriptor: readable(descriptor)? })
    }

    /// Waits until then; for ever if it is never.
    ///
    /// # Errors
    /// The kernel refuses the time.
    pub(crate) async fn until(&self, at: Option<BootTime>) -> io::Result<()> {
        let Some(at) = at else { return std::future::pending().await };
        let at = at.since_origin();
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A time of zero would unset the timer; one nanosecond after boot is as long ago.
        let value = Timespec {
            tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at.subsec_nanos().max(1)),
        };
        let spec = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(self.descriptor.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)?;
        let mut ready = self.descriptor.readable().await?;
        let _expirations = rustix::io::read(self.descriptor.get_ref(), &mut [0_u8; 8]);
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::time::Clock;
    use authflow_host::clock::SystemClock;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_moment_is_awaited_and_one_that_has_passed_is_not() {
        let timer = BootTimer::new().unwrap();
        let soon = SystemClock.now().boot.saturating_add(std::time::Duration::from_millis(20));
        timer.until(Some(soon)).await.unwrap();
        assert!(SystemClock.now().boot >= soon);
        timer.until(Some(BootTime::default())).await.unwrap();
    }
}
