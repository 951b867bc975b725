//! Which sessions a command is about, beyond whose they are. All that is given must fit.

use std::time::Duration;

use authflow_core::{
    rule::{Network, Remote},
    time::WallTime,
};

use crate::session::Session;

/// What sessions must be like. Without any of these, all fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Filter {
    /// Only sessions of this PAM service
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only sessions from this address or network; "local" and "unknown" are the other two places
    #[arg(long, value_name = "NETWORK")]
    pub from: Option<Network>,
    /// Only sessions that were opened at least so long ago, as 8h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub older_than: Option<Duration>,
    /// Only sessions that nobody has used for at least so long, as 30m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub idle_for: Option<Duration>,
}

impl Filter {
    /// Whether it lets all through.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the session is one of those that are meant.
    pub(crate) fn fits(&self, session: &Session, now: WallTime) -> bool {
        let Self { service, from, older_than, idle_for } = self;
        service.as_ref().is_none_or(|service| &session.service == service)
            && from.is_none_or(|network| network.holds(Remote::from_rhost(session.remote_host.as_deref())))
            && older_than.is_none_or(|age| now.saturating_since(session.opened_at) >= age)
            && idle_for.is_none_or(|idle| idled(session, now).is_some_and(|idled| idled >= idle))
    }
}

/// For how long nobody has used it. `None` where nothing tells whether anybody does.
fn idled(session: &Session, now: WallTime) -> Option<Duration> {
    let is_known = session.activity_basis != "none" || session.idle_deadline.is_some();
    session.last_active_at.filter(|_| is_known).map(|at| now.saturating_since(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_micros(10_000_000_000);

    fn before(seconds: u64) -> WallTime {
        NOW.saturating_sub(Duration::from_secs(seconds))
    }

    fn session() -> Session {
        Session {
            service: "sshd".into(),
            remote_host: Some("10.20.3.4".into()),
            activity_basis: "tty".into(),
            opened_at: before(3600),
            last_active_at: Some(before(60)),
            ..Session::default()
        }
    }

    fn fits(filter: &Filter, session: &Session) -> bool {
        filter.fits(session, NOW)
    }

    #[test]
    fn no_filter_lets_all_through() {
        assert!(Filter::default().is_empty() && fits(&Filter::default(), &session()));
    }

    #[test]
    fn everything_that_is_asked_must_fit() {
        let sshd = Filter { service: Some("sshd".into()), ..Filter::default() };
        assert!(fits(&sshd, &session()));
        let old = Filter { older_than: Some(Duration::from_secs(3600)), ..sshd.clone() };
        assert!(fits(&old, &session()));
        let older = Filter { older_than: Some(Duration::from_secs(3601)), ..sshd };
        assert!(!fits(&older, &session()));
    }

    #[test]
    fn a_network_holds_addresses_and_the_two_other_places_are_words() {
        let from = |place: &str| Filter { from: Some(place.parse().unwrap()), ..Filter::default() };
        let local = Session { remote_host: None, ..session() };
        let named = Session { remote_host: Some("host.example.org".into()), ..session() };
        assert!(fits(&from("10.20.0.0/16"), &session()) && fits(&from("10.20.3.4"), &session()));
        assert!(!fits(&from("10.20.0.0/16"), &local) && !fits(&from("10.20.0.0/16"), &named));
        assert!(fits(&from("local"), &local) && !fits(&from("local"), &session()));
        assert!(fits(&from("unknown"), &named));
    }

    #[test]
    fn a_session_of_which_nothing_is_known_has_not_idled() {
        let idle = Filter { idle_for: Some(Duration::from_secs(60)), ..Filter::default() };
        assert!(fits(&idle, &session()));
        assert!(!fits(&idle, &Session { last_active_at: Some(before(59)), ..session() }));
        assert!(!fits(&idle, &Session { last_active_at: None, ..session() }));
        let unmeasured = Session { activity_basis: "none".into(), ..session() };
        assert!(!fits(&idle, &unmeasured));
        assert!(fits(&idle, &Session { idle_deadline: Some(NOW), ..unmeasured }), "it idles since it was opened");
    }
}
