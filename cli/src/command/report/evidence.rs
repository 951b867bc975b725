//! What an auditor asks of sessions, drawn from what the store and the daemon tell. Pure.

use std::{collections::BTreeMap, time::Duration};

use authflow_core::time::WallTime;

use crate::session::{End, Session};

/// A deadline that is this little ago is being acted on.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// The evidence of a period.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// What setup tried, which is no login and counts nowhere else.
    pub trials: usize,
    /// How many sessions ended for which reason.
    pub ended: BTreeMap<String, usize>,
    /// What the limits ended, by limit and rule.
    pub by_limit: BTreeMap<(String, String), ByLimit>,
    /// Sessions that no inactivity ends, by rule and why.
    pub beyond_idle: BTreeMap<(String, &'static str), Count>,
    /// Sessions without a longest life, by rule.
    pub without_lifetime: BTreeMap<String, Count>,
    /// Sessions whose inactivity was held off by a command, by rule.
    pub inhibited: BTreeMap<String, Count>,
    /// Sessions that somebody ended.
    pub revoked: Vec<Session>,
    /// Live sessions whose limit has passed, with by how much. There should be none.
    pub overdue: Vec<(Session, Duration)>,
}

/// What one limit of one rule ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ByLimit {
    /// How many.
    pub sessions: usize,
    /// How long after its limit the last of them was over: the longest time, and which session that was.
    pub worst: Option<(Duration, String)>,
}

/// How many sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// That are over.
    pub ended: usize,
    /// That live.
    pub live: usize,
}

impl Evidence {
    /// The evidence of sessions that ended in the period, and of those that live `now`.
    pub(super) fn of(ended: &[Session], live: &[Session], now: WallTime) -> Self {
        let mut evidence = Self::default();
        for session in ended {
            if session.is_setup_trial() {
                evidence.trials += 1;
                continue;
            }
            if let Some(end) = &session.end {
                evidence.add_end(session, end);
            }
            evidence.add_limits(session, |count| count.ended += 1);
        }
        for session in live {
            evidence.add_limits(session, |count| count.live += 1);
        }
        let overdue = live.iter().filter_map(|session| Some((session.clone(), overrun(session, now)?)));
        evidence.overdue = overdue.collect();
        evidence
    }

    fn add_end(&mut self, session: &Session, end: &End) {
        *self.ended.entry(end.reason.clone()).or_default() += 1;
        if end.by.is_some() {
            self.revoked.push(session.clone());
        }
        if matches!(end.reason.as_str(), "idle" | "lifetime") {
            let limit = self.by_limit.entry((end.reason.clone(), session.rule.clone())).or_default();
            limit.sessions += 1;
            let overrun = end.due_at.map(|due| end.closed_at.saturating_since(due));
            let worst = overrun.map(|overrun| (overrun, session.id.clone()));
            limit.worst = limit.worst.take().into_iter().chain(worst).max_by_key(|(overrun, _)| *overrun);
        }
    }

    fn add_limits(&mut self, session: &Session, mut count: impl FnMut(&mut Count)) {
        let rule = || session.rule.clone();
        if !session.inhibited_by.is_empty() {
            count(self.inhibited.entry(rule()).or_default());
        }
        // What is nested ends with the session around it, whose limits are its own.
        if session.class == "nested" {
            return;
        }
        if session.idle_limit.is_none() {
            count(self.beyond_idle.entry((rule(), "idle = \"none\"")).or_default());
        } else if session.is_beyond_idle {
            count(self.beyond_idle.entry((rule(), "without_tty = \"ignore\"")).or_default());
        }
        if session.lifetime_limit.is_none() {
            count(self.without_lifetime.entry(rule()).or_default());
        }
    }
}

/// By how much its limit has passed, if one has.
fn overrun(session: &Session, now: WallTime) -> Option<Duration> {
    session.ends_at().map(|end| now.saturating_since(end)).filter(|passed| *passed > UNDER_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SETUP_TRIAL;

    fn at(seconds: u64) -> WallTime {
        WallTime::new(Duration::from_secs(seconds))
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn live(id: &str) -> Session {
        let limit = Some(secs(900));
        Session { id: id.into(), rule: "ssh".into(), idle_limit: limit, lifetime_limit: limit, ..Session::default() }
    }

    fn ended(id: &str, reason: &str, due: Option<u64>, closed: u64) -> Session {
        let end = End { closed_at: at(closed), due_at: due.map(at), reason: reason.into(), ..End::default() };
        Session { end: Some(end), ..live(id) }
    }

    #[test]
    fn the_worst_overrun_is_told_by_limit_and_rule() {
        let robot = Session { rule: "robots".into(), ..ended("d", "idle", Some(100), 101) };
        let sessions = [
            ended("a", "idle", Some(100), 102),
            ended("b", "idle", Some(200), 207),
            ended("c", "idle", Some(300), 300),
            robot,
            ended("e", "lifetime", None, 300),
            ended("f", "logout", None, 300),
        ];
        let evidence = Evidence::of(&sessions, &[], at(1000));
        let by = |limit: &str, rule: &str| evidence.by_limit[&(limit.to_owned(), rule.to_owned())].clone();
        assert_eq!(by("idle", "ssh"), ByLimit { sessions: 3, worst: Some((secs(7), "b".into())) });
        assert_eq!(by("idle", "robots"), ByLimit { sessions: 1, worst: Some((secs(1), "d".into())) });
        assert_eq!(by("lifetime", "ssh"), ByLimit { sessions: 1, worst: None });
        assert_eq!(evidence.ended["idle"], 4);
        assert_eq!(evidence.ended["logout"], 1);
    }

    #[test]
    fn what_idleness_does_not_reach_is_told_with_why_and_nested_ones_are_not_told_twice() {
        let endless = Session { idle_limit: None, lifetime_limit: None, ..live("a") };
        let without_tty = Session { is_beyond_idle: true, ..live("b") };
        let nested = Session { class: "nested".into(), ..endless.clone() };
        let closed = Session { idle_limit: None, ..ended("c", "logout", None, 9) };
        let evidence = Evidence::of(&[closed], &[endless, without_tty, nested, live("d")], at(1000));
        let of = |why| evidence.beyond_idle.get(&("ssh".to_owned(), why)).copied();
        assert_eq!(of("idle = \"none\""), Some(Count { ended: 1, live: 1 }));
        assert_eq!(of("without_tty = \"ignore\""), Some(Count { ended: 0, live: 1 }));
        assert_eq!(evidence.without_lifetime["ssh"], Count { ended: 0, live: 1 });
    }

    #[test]
    fn a_live_session_past_its_limit_stands_out() {
        let late = Session { lifetime_deadline: Some(at(990)), idle_deadline: Some(at(2000)), ..live("a") };
        let due_now = Session { idle_deadline: Some(at(1000)), ..live("b") };
        let in_time = Session { idle_deadline: Some(at(1001)), ..live("c") };
        let evidence = Evidence::of(&[], &[late.clone(), due_now, in_time], at(1000));
        assert_eq!(evidence.overdue, [(late, secs(10))]);
    }

    #[test]
    fn what_setup_tried_is_counted_apart_and_is_no_login() {
        let name = || SETUP_TRIAL.to_owned();
        let trial =
            Session { service: name(), rule: name(), lifetime_limit: None, ..ended("a", "leader-exited", None, 5) };
        let expected = Evidence { trials: 1, ..Evidence::default() };
        assert_eq!(Evidence::of(std::slice::from_ref(&trial), &[], at(10)), expected);
        let login = Session { factors: vec!["password".into()], ..trial };
        let evidence = Evidence::of(&[login], &[], at(10));
        assert_eq!((evidence.trials, evidence.ended["leader-exited"]), (0, 1), "one that only calls itself so");
        assert!(evidence.without_lifetime.contains_key(SETUP_TRIAL));
    }

    #[test]
    fn who_ended_a_session_is_evidence_whatever_the_reason_is_called() {
        let mut revoked = ended("a", "revoked", None, 5);
        revoked.end.as_mut().unwrap().by = Some("root".into());
        let evidence = Evidence::of(&[revoked.clone(), ended("b", "logout", None, 6)], &[], at(10));
        assert_eq!(evidence.revoked, [revoked]);
    }
}
