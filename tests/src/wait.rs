//! Waiting for something to become true, with a limit. A limit is generous: it tells a hang from a slow machine, it measures
//! nothing.

use std::time::{Duration, Instant};

/// How long anything in a bed may take before the test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A moment after which nothing is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self(now() + limit)
    }

    /// What is left, zero when the moment has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }
}

/// Looks until there is something to see. Panics, naming `what`, when there is nothing within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(PATIENCE);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(!deadline.left().is_zero(), "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until `is_true`.
#[track_caller]
pub fn until_true(what: &str, mut is_true: impl FnMut() -> bool) {
    until(what, || is_true().then_some(()));
}

#[expect(clippy::disallowed_methods, reason = "tests wait in real time; no product does through this")]
fn now() -> Instant {
    Instant::now()
}
