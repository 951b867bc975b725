//! What the service manager is told, where there is one (`sd_notify(3)`): that the daemon is ready, and that its loop goes round.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    time::Duration,
};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Beats within the time after which the manager takes the daemon for hung: one or two may come late.
const BEATS: u32 = 4;

/// Says that the daemon is ready.
pub(crate) fn ready() {
    tell(b"READY=1");
}

/// Beats as long as the loop that it is part of goes round. A manager that misses it starts the daemon anew, which finds every
/// session again.
#[derive(Debug)]
pub(crate) struct Heart(Option<Interval>);

impl Heart {
    /// A heart that beats as often as the manager wants, or never if it does not listen.
    pub(crate) fn new() -> Self {
        let variable = |name| env::var(name).ok();
        let pause = pause(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), process::id());
        Self(pause.map(|pause| {
            let mut beats = interval(pause);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        }))
    }

    /// Waits until the next beat is due, and beats. May be given up at any time.
    pub(crate) async fn beat(&mut self) {
        match &mut self.0 {
            Some(beats) => {
                beats.tick().await;
                tell(b"WATCHDOG=1");
            }
            None => std::future::pending().await,
        }
    }
}

/// How long from one beat to the next. Of no concern to us is what was meant for the process that started us.
fn pause(limit: Option<&str>, meant_for: Option<&str>, own: u32) -> Option<Duration> {
    if meant_for.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let limit = Duration::from_micros(limit?.parse().ok()?);
    Some(limit / BEATS).filter(|pause| !pause.is_zero())
}

/// Tells whoever `NOTIFY_SOCKET` names. A manager that does not listen is none of our business.
fn tell(what: &[u8]) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => std::str::from_utf8(name).map_err(std::io::Error::other).and_then(SocketAddr::from_pathname),
    };
    let _unheard = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up the loop.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(what, &address)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heart_beats_several_times_within_the_managers_patience() {
        assert_eq!(pause(Some("60000000"), Some("7"), 7), Some(Duration::from_secs(15)));
        assert_eq!(pause(Some("60000000"), None, 7), Some(Duration::from_secs(15)));
    }

    #[test]
    fn without_a_watchdog_of_our_own_there_is_no_heart() {
        for (limit, meant_for) in [
            (None, None),
            (Some("60000000"), Some("8")),
            (Some("60000000"), Some("x")),
            (Some("soon"), None),
            (Some("0"), None),
        ] {
            assert_eq!(pause(limit, meant_for, 7), None, "{limit:?} {meant_for:?}");
        }
    }
}
