//! Whether tests that need root run. Plain `cargo test` leaves them out and says so, as it does of the end-to-end tests.

use std::io::Write as _;

/// Whether the calling test is to run. If not, that is told past the test harness, which would swallow it.
pub(crate) fn is_open() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let told = format!("left out: {test} (needs root; run `make test`)\n");
    // In one piece, since tests run side by side.
    std::io::stderr().write_all(told.as_bytes()).ok();
    false
}
