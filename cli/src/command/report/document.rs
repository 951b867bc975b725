//! The report for programs. Durations are seconds, times RFC 3339.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Told, evidence::Count};
use crate::{history::Configuration, output::time::Local};

/// The whole report.
pub(super) fn of(told: &Told, local: &Local) -> impl Serialize {
    let evidence = &told.evidence;
    let by_limit = evidence.by_limit.iter().map(|((limit, rule), ended)| {
        let worst = ended.worst.as_ref();
        json!({
            "limit": limit,
            "rule": rule,
            "sessions": ended.sessions,
            "worst_overrun": worst.map(|(overrun, _)| seconds(*overrun)),
            "worst_session": worst.map(|(_, id)| id),
        })
    });
    let beyond_idle = evidence.beyond_idle.iter().map(|((rule, why), number)| counted(rule, Some(why), *number));
    let revoked = evidence.revoked.iter().map(|session| {
        let end = session.end.clone().unwrap_or_default();
        json!({
            "id": session.id,
            "user": session.user,
            "closed_at": local.rfc3339(end.closed_at),
            "end_reason": end.reason,
            "ended_by": session.ended_by(),
            "message": end.message,
        })
    });
    let overdue = evidence.overdue.iter().map(|(session, overrun)| {
        json!({ "id": session.id, "user": session.user, "rule": session.rule, "overrun": seconds(*overrun) })
    });
    json!({
        "since": local.rfc3339(told.since),
        "until": local.rfc3339(told.until),
        "known_since": told.known_since.map(|time| local.rfc3339(time)),
        "ended": told.ended,
        "live": told.live,
        "setup_trials": evidence.trials,
        "ended_by_reason": evidence.ended,
        "ended_by_limit": by_limit.collect::<Vec<_>>(),
        "not_governed_by_idle": beyond_idle.collect::<Vec<_>>(),
        "without_lifetime": by_rule(evidence.without_lifetime.iter()),
        "kept_by_commands": by_rule(evidence.inhibited.iter()),
        "revoked": revoked.collect::<Vec<_>>(),
        "beyond_limits": overdue.collect::<Vec<_>>(),
        "preset": told.held.as_ref().and_then(|held| held.preset).map(|preset| preset.as_str()),
        "weaker_than_preset": told.held.as_ref().map(|held| &held.weaker),
        "configurations": told.configurations.iter().map(|config| configuration(config, local)).collect::<Vec<_>>(),
    })
}

fn by_rule<'a>(counts: impl Iterator<Item = (&'a String, &'a Count)>) -> Vec<Value> {
    counts.map(|(rule, number)| counted(rule, None, *number)).collect()
}

fn counted(rule: &str, why: Option<&str>, number: Count) -> Value {
    let mut entry = Map::from_iter([("rule".to_owned(), json!(rule))]);
    entry.extend(why.map(|why| ("why".to_owned(), json!(why))));
    entry.extend([("ended".to_owned(), json!(number.ended)), ("live".to_owned(), json!(number.live))]);
    entry.into()
}

fn configuration(config: &Configuration, local: &Local) -> Value {
    let rules = config.rules.iter().map(|rule| {
        let whole = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
        let (idle, lifetime) = (whole(rule.limits.idle), whole(rule.limits.lifetime));
        json!({ "name": rule.name, "idle": idle, "lifetime": lifetime })
    });
    json!({
        "seen_at": local.rfc3339(config.seen_at),
        "digest": config.digest,
        "origin": config.origin,
        "rules": rules.collect::<Vec<_>>(),
    })
}

/// An overrun, to the millisecond: how punctual an end was shows behind the point.
fn seconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 1000.0).round() / 1000.0
}
