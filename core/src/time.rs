//! Two clocks as two types, so that neither can be compared with the other.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Time since boot, suspend included (`CLOCK_BOOTTIME`). Deadlines run on it: setting the wall clock moves none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootTime(Duration);

/// Wall clock time in UTC, counted from 1970. For people, for codes and for what must outlive a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WallTime(Duration);

macro_rules! instant {
    ($name:ident) => {
        impl $name {
            /// The time `since` after the clock's origin.
            #[must_use]
            pub const fn new(since: Duration) -> Self {
                Self(since)
            }

            /// The time that many microseconds after the clock's origin.
            #[must_use]
            pub const fn from_micros(micros: u64) -> Self {
                Self(Duration::from_micros(micros))
            }

            /// Microseconds since the clock's origin.
            #[must_use]
            pub fn as_micros(self) -> u64 {
                u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
            }

            /// Whole seconds since the clock's origin.
            #[must_use]
            pub const fn as_secs(self) -> u64 {
                self.0.as_secs()
            }

            /// The time since the clock's origin.
            #[must_use]
            pub const fn since_origin(self) -> Duration {
                self.0
            }

            /// How long after `earlier` this is; zero if it is not after it.
            #[must_use]
            pub const fn saturating_since(self, earlier: Self) -> Duration {
                self.0.saturating_sub(earlier.0)
            }

            /// This time moved later, or the last one there is.
            #[must_use]
            pub const fn saturating_add(self, by: Duration) -> Self {
                Self(self.0.saturating_add(by))
            }

            /// This time moved earlier, or the clock's origin.
            #[must_use]
            pub const fn saturating_sub(self, by: Duration) -> Self {
                Self(self.0.saturating_sub(by))
            }
        }
    };
}

instant!(BootTime);
instant!(WallTime);

/// RFC 3339 in UTC, to the second.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter knows years up to 9999; a later time is a broken clock, and still must print.
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        write!(f, "{}", humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + self.0.min(LAST)))
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// What the boot clock says.
    pub boot: BootTime,
    /// What the wall clock says.
    pub wall: WallTime,
}

/// Where the time comes from: the machine in a product, a value in a test.
pub trait Clock {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_in_utc_and_never_panics() {
        assert_eq!(WallTime::from_micros(1_795_509_180_000_000).to_string(), "2026-11-24T08:33:00Z");
        assert_eq!(WallTime::new(Duration::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn subtraction_stops_at_the_origin() {
        let early = BootTime::new(Duration::from_secs(1));
        let late = BootTime::new(Duration::from_secs(3));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
        assert_eq!(late.saturating_since(early), Duration::from_secs(2));
    }
}
