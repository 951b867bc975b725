//! A descriptor whose readability is awaited: a pidfd, a timer.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Registers it with the runtime.
///
/// # Errors
/// The kernel's event queue is full.
#[allow(
    deprecated,
    reason = "the successor is unsafe for the sake of types that are no OwnedFd, which keeps its promise"
)]
pub(crate) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
