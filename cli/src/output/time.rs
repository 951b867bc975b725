//! Times for people ("09:29, in 14 min"), for programs (RFC 3339 with offset), and from people (`--since 2h`).

use std::time::Duration;

use authflow_core::time::WallTime;
use jiff::{Span, Timestamp, ZonedDateTime, civil, tz::TimeZone};

/// The reader's time zone and the moment of the report.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    /// When the report is made.
    pub now: WallTime,
    zone: TimeZone,
}

impl Local {
    /// `now`, as the system's time zone shows it.
    pub(crate) fn new(now: WallTime) -> Self {
        Self { now, zone: TimeZone::system() }
    }

    /// RFC 3339 with the offset that held at that time, to the second.
    pub(crate) fn rfc3339(&self, time: WallTime) -> String {
        let moment = second(time);
        moment.display_with_offset(self.zone.to_offset(moment)).to_string()
    }

    /// The time of day today, the date and the time on any other day.
    pub(crate) fn clock(&self, time: WallTime) -> String {
        let zoned = self.zoned(time);
        let format = if zoned.date() == self.zoned(self.now).date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        zoned.strftime(format).to_string()
    }

    /// The date and the time to the second.
    pub(crate) fn clock_with_seconds(&self, time: WallTime) -> String {
        self.zoned(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// `09:29 (in 14 min)`.
    pub(crate) fn ahead(&self, time: WallTime) -> String {
        match time.saturating_since(self.now) {
            Duration::ZERO => format!("{} (now)", self.clock(time)),
            left => format!("{} (in {})", self.clock(time), words(to_the_minute(left))),
        }
    }

    /// `09:14 (3 min ago)`.
    pub(crate) fn past(&self, time: WallTime) -> String {
        format!("{} ({} ago)", self.clock(time), words(self.now.saturating_since(time)))
    }

    /// The time that a person means by `2h`, `7d`, `today`, `yesterday`, `2026-11-24`, `2026-11-24 09:00` or RFC 3339.
    pub(crate) fn since(&self, text: &str) -> Result<WallTime, BadTime> {
        let bad = || BadTime(text.to_owned());
        let now = self.zoned(self.now);
        let zoned = match text {
            "today" => now.start_of_day(),
            "yesterday" => now.yesterday().and_then(|day| day.start_of_day()),
            _ => {
                if let Ok(moment) = text.parse::<Timestamp>() {
                    return wall(moment).ok_or_else(bad);
                }
                if let Ok(local) = text.parse::<civil::DateTime>() {
                    local.to_zoned_datetime(self.zone.clone())
                } else {
                    now.checked_sub(text.parse::<Span>().map_err(|_| bad())?.abs())
                }
            }
        };
        wall(zoned.map_err(|_| bad())?.timestamp()).ok_or_else(bad)
    }

    fn zoned(&self, time: WallTime) -> ZonedDateTime {
        second(time).to_zoned_datetime(self.zone.clone())
    }
}

/// A text that names no time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no time: expected one like 2h, 7d, today, 2026-11-24 or 2026-11-24T09:00:00Z")]
pub(crate) struct BadTime(String);

/// To the nearest minute, where minutes are told: ten of them are not nine a moment after they began.
fn to_the_minute(length: Duration) -> Duration {
    const MINUTE: u64 = 60;
    let seconds = length.as_secs().saturating_add(u64::from(length.subsec_millis() >= 500));
    if seconds < MINUTE {
        return length;
    }
    Duration::from_secs(seconds.saturating_add(MINUTE / 2) / MINUTE * MINUTE)
}

/// A length of time, rounded down to what matters: `45 s`, `14 min`, `3 h 12 min`, `5 d`.
pub(crate) fn words(length: Duration) -> String {
    let seconds = length.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (_, _, 0) => format!("{seconds} s"),
        (_, 0, minutes) => format!("{minutes} min"),
        (0 | 1, hours, minutes) if minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        (0 | 1, hours, _) => format!("{hours} h"),
        (days, _, _) => format!("{days} d"),
    }
}

/// A time that no calendar holds comes from a broken clock; it is shown as the last one there is.
fn second(time: WallTime) -> Timestamp {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

fn wall(moment: Timestamp) -> Option<WallTime> {
    u64::try_from(moment.as_microsecond()).ok().map(WallTime::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24 10:33 in a zone two hours east.
    fn local() -> Local {
        Local {
            now: WallTime::from_micros(1_795_509_180_000_000),
            zone: TimeZone::fixed(jiff::tz::Offset::constant(2)),
        }
    }

    fn after(seconds: u64) -> WallTime {
        local().now.saturating_add(Duration::from_secs(seconds))
    }

    fn before(seconds: u64) -> WallTime {
        local().now.saturating_sub(Duration::from_secs(seconds))
    }

    #[test]
    fn programs_get_the_offset() {
        assert_eq!(local().rfc3339(local().now), "2026-11-24T10:33:00+02:00");
    }

    #[test]
    fn people_get_the_hour_and_how_far_it_is() {
        assert_eq!(local().ahead(after(14 * 60 + 29)), "10:47 (in 14 min)");
        assert_eq!(local().ahead(after(14 * 60 + 30)), "10:47 (in 15 min)");
        assert_eq!(local().ahead(after(3599)), "11:32 (in 1 h)");
        assert_eq!(local().ahead(after(59)), "10:33 (in 59 s)");
        assert_eq!(local().ahead(before(1)), "10:32 (now)");
        assert_eq!(local().past(before(180)), "10:30 (3 min ago)");
        assert_eq!(local().clock(before(86_400)), "2026-11-23 10:33");
    }

    #[test]
    fn lengths_are_told_in_the_units_that_matter() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3600, "1 h"),
            (3720, "1 h 2 min"),
            (90_000, "25 h"),
            (200_000, "2 d"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn people_may_name_a_time_in_their_own_way() {
        let local = local();
        assert_eq!(local.since("2h"), Ok(before(7200)));
        assert_eq!(local.since("1d"), Ok(before(86_400)));
        assert_eq!(local.since("today"), Ok(before(10 * 3600 + 33 * 60)));
        assert_eq!(local.since("2026-11-24"), local.since("today"));
        assert_eq!(local.since("2026-11-24 10:00"), Ok(before(33 * 60)));
        assert_eq!(local.since("2026-11-24T08:00:00Z"), Ok(before(33 * 60)));
        for bad in ["", "soon", "2026-13-01", "1850-01-01"] {
            assert_eq!(local.since(bad), Err(BadTime(bad.into())), "{bad}");
        }
    }

    #[test]
    fn a_broken_clock_still_prints() {
        assert!(local().rfc3339(WallTime::from_micros(u64::MAX)).starts_with("9999"));
    }
}
