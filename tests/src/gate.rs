//! Whether end-to-end tests run. They need root and a few tools, so `cargo test` alone leaves them out and says so; under
//! `make test` one that cannot run has failed.

use std::io::Write as _;

/// Whether the calling test is to run. If not, that is told past the test harness, which would swallow it.
pub(crate) fn is_open() -> bool {
    if std::env::var_os("AUTHFLOW_E2E").is_some_and(|value| value == "1") {
        assert!(rustix::process::geteuid().is_root(), "end-to-end tests need root: run `make test` as root");
        return true;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the harness shows what that prints only of tests that fail.
    let told = format!("left out: {test} (needs root and real programs; run `make test`)\n");
    // In one piece, since tests run side by side.
    std::io::stderr().write_all(told.as_bytes()).ok();
    false
}
