//! What a user is told when a session opens, or why none does.

use std::time::Duration;

use authflow_core::{news::Item, outside::visible, policy::Limits, time::WallTime};

use crate::{daemon::DaemonError, error::Error};

/// What a user is told about the session that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The session's id.
    pub id: &'a str,
    /// The level that was reached.
    pub aal: u8,
    /// The session's limits.
    pub limits: &'a Limits,
    /// From when the lifetime counts.
    pub since: WallTime,
    /// The user's success before this one, and where from.
    pub previous: Option<(WallTime, &'a str)>,
    /// How many attempts failed since then, and when and from where the last did.
    pub failures: Option<(u32, WallTime, &'a str)>,
    /// Whether the user never succeeded from here before.
    pub is_new_source: bool,
    /// What else the user has to be told.
    pub news: &'a [Item],
    /// Whether the daemon has yet to take the session on.
    pub is_pending: bool,
}

/// One line: which session it is, when it ends, and when the user was last here. One more for each thing that the user has to be told.
impl std::fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As many digits as `authflow sessions` shows; a prefix names a session.
        let short = self.id.get(..8).unwrap_or(self.id);
        write!(f, "authflow: session {short}, AAL {}; ", self.aal)?;
        match (self.limits.idle, self.limits.lifetime) {
            (None, None) => f.write_str("no time limit.")?,
            (Some(idle), None) => write!(f, "ends after {} idle.", span(idle))?,
            (None, Some(lifetime)) => write!(f, "ends at {}.", minute(self.since.saturating_add(lifetime)))?,
            (Some(idle), Some(lifetime)) => {
                write!(f, "ends after {} idle or at {}.", span(idle), minute(self.since.saturating_add(lifetime)))?;
            }
        }
        if let Some((at, source)) = self.previous {
            write!(f, " Last login {}{}.", minute(at), place(source))?;
        }
        if self.is_new_source {
            f.write_str(" The first login from here.")?;
        }
        if let Some((count, at, source)) = self.failures {
            let since = if self.previous.is_some() { "since then" } else { "so far" };
            write!(f, " Failed attempts {since}: {count}, the last {}{}.", minute(at), place(source))?;
        }
        if self.is_pending {
            f.write_str(" Not tracked yet: the session daemon takes it over when it can.")?;
        }
        for item in self.news {
            write!(f, "\nauthflow: {}: {}.", minute(item.at), visible(&item.text(), 512))?;
        }
        Ok(())
    }
}

/// What a user is told whose session was refused after all. The reasons are in the log, but for the one that the user can mend.
#[must_use]
pub const fn refusal(error: &Error) -> &'static str {
    if matches!(error, Error::Daemon(DaemonError::TooManySessions(_))) {
        "authflow: you have as many sessions as are allowed; end one of them first."
    } else {
        "authflow: no session could be opened; the system's log says why."
    }
}

/// What the account's own user is told while attempts are not judged.
#[must_use]
pub fn wait(until: WallTime, now: WallTime) -> String {
    let left = until.saturating_since(now).as_secs().max(1);
    let left = if left < 120 { format!("{left} s") } else { format!("{} min", left.div_ceil(60)) };
    format!("authflow: too many failed attempts; try again in {left}.")
}

/// Why the daemon runs no flow now.
#[must_use]
pub fn not_now(why: &str) -> String {
    format!("authflow: {}.", visible(why, 128))
}

/// Where something came from, as the end of a clause. `local`, `local:UID`, `service:NAME` and `unknown` stand for no address.
fn place(source: &str) -> String {
    match source {
        "unknown" => String::new(),
        local if local == "local" || local.starts_with("local:") => " on this machine".to_owned(),
        source => match source.strip_prefix("service:") {
            Some(service) => format!(" at the service {}", visible(service, 64)),
            None => format!(" from {}", visible(source, 64)),
        },
    }
}

/// A time to the minute, in UTC: the zone of the reader is not known here.
fn minute(time: WallTime) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// A duration in its largest whole unit.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::news::Event;

    use super::*;

    const ID: &str = "3f2a91c0aaaaaaaaaaaaaaaaaaaaaaaa";

    fn notice(limits: &Limits) -> Notice<'_> {
        let since = WallTime::from_micros(1_795_509_180_000_000);
        Notice {
            id: ID,
            aal: 2,
            limits,
            since,
            previous: None,
            failures: None,
            is_new_source: false,
            news: &[],
            is_pending: false,
        }
    }

    #[test]
    fn the_notice_is_one_line_that_says_when_the_session_ends() {
        let limits = Limits::default();
        let previous = Some((WallTime::from_micros(1_795_400_000_000_000), "10.0.0.5"));
        assert_eq!(
            Notice { previous, ..notice(&limits) }.to_string(),
            "authflow: session 3f2a91c0, AAL 2; ends after 15 min idle or at 2026-11-24 20:33 UTC. \
             Last login 2026-11-23 02:13 UTC from 10.0.0.5."
        );
    }

    #[test]
    fn a_limit_that_is_none_is_not_mentioned() {
        let none = Limits { idle: None, lifetime: None, ..Limits::default() };
        assert!(notice(&none).to_string().ends_with("no time limit."));
        let idle = Limits { idle: Some(Duration::from_secs(90)), ..none.clone() };
        assert!(notice(&idle).to_string().ends_with("ends after 90 s idle."));
        let lifetime = Limits { lifetime: Some(Duration::from_secs(60)), ..none };
        assert!(notice(&lifetime).to_string().ends_with("ends at 2026-11-24 08:34 UTC."));
    }

    #[test]
    fn a_last_login_without_an_address_is_not_from_anywhere() {
        let limits = Limits::default();
        let told = |source| Notice { previous: Some((WallTime::default(), source)), ..notice(&limits) }.to_string();
        assert!(told("local").ends_with("Last login 1970-01-01 00:00 UTC on this machine."));
        assert!(told("service:smtp").ends_with("Last login 1970-01-01 00:00 UTC at the service smtp."));
        assert!(told("local:1000").ends_with("Last login 1970-01-01 00:00 UTC on this machine."));
        assert!(told("unknown").ends_with("Last login 1970-01-01 00:00 UTC."));
    }

    #[test]
    fn a_wait_is_told_in_seconds_then_minutes() {
        let told = |seconds| wait(WallTime::new(Duration::from_secs(seconds)), WallTime::default());
        assert_eq!(told(40), "authflow: too many failed attempts; try again in 40 s.");
        assert!(told(841).contains("try again in 15 min."));
    }

    #[test]
    fn failures_a_new_place_and_news_are_told() {
        let limits = Limits::default();
        let previous = Some((WallTime::default(), "local"));
        let failures = Some((3, WallTime::default(), "10.0.0.9"));
        let item = |event, detail: &str| Item { at: WallTime::default(), event, from: None, detail: detail.into() };
        let news = [item(Event::RecoveryCodeUsed, "4"), item(Event::FactorAdded, "tablet\x1b")];
        let text = Notice { previous, failures, is_new_source: true, news: &news, ..notice(&limits) }.to_string();
        assert!(
            text.ends_with(
                "Last login 1970-01-01 00:00 UTC on this machine. The first login from here. \
             Failed attempts since then: 3, the last 1970-01-01 00:00 UTC from 10.0.0.9.\n\
             authflow: 1970-01-01 00:00 UTC: a recovery code was used; 4 left.\n\
             authflow: 1970-01-01 00:00 UTC: the authenticator \"tablet\\u{1b}\" was added."
            ),
            "{text}"
        );
    }

    #[test]
    fn failures_before_the_first_login_are_told_without_one() {
        let limits = Limits::default();
        let failures = Some((1, WallTime::default(), "10.0.0.9"));
        let text = Notice { failures, ..notice(&limits) }.to_string();
        assert!(text.contains("Failed attempts so far: 1, the last "), "{text}");
    }

    #[test]
    fn what_comes_from_outside_cannot_speak_to_the_terminal() {
        let limits = Limits::default();
        let previous = Some((WallTime::default(), "\u{1b}[2Jhost\n"));
        let text = Notice { previous, ..notice(&limits) }.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
