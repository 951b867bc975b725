//! The report for people: a heading a question, and the answer below it, also where that is "none".

use std::{collections::BTreeMap, time::Duration};

use super::{
    Held, Told,
    evidence::{Count, Evidence},
};
use crate::{
    command::config::preset::Exception,
    history::Configuration,
    output::{
        Output,
        table::Table,
        text::clean,
        time::{Local, words},
    },
    session::{SETUP_TRIAL, Session, shortened},
};

/// As much of an id and of a digest as tells them apart here.
const SHORT: usize = 12;

/// The whole report.
pub(super) fn of(told: &Told, local: &Local, output: Output) -> String {
    let evidence = &told.evidence;
    let sections = [
        ("Ended, by reason", ended(evidence, output)),
        ("Ended by a limit", by_limit(evidence, output)),
        ("Not ended by inactivity", beyond_idle(evidence, output)),
        ("Without a longest life", counts(&evidence.without_lifetime, output)),
        ("Kept from idling by a command", counts(&evidence.inhibited, output)),
        ("Ended by somebody", revoked(evidence, local, output)),
        ("Live and beyond their limits", overdue(told, output)),
        ("Weaker than the preset", weaker(told, output)),
        ("Configurations in force", configurations(&told.configurations, local, output)),
    ];
    let mut page = heading(told, local);
    for (question, answer) in sections {
        let answer = if answer.is_empty() { "none\n".to_owned() } else { answer };
        page.push_str(&format!("\n{}\n{answer}", output.bold(question)));
    }
    page
}

fn heading(told: &Told, local: &Local) -> String {
    let time = |time| local.clock_with_seconds(time);
    let mut text = format!("Sessions from {} to {}\n", time(told.since), time(told.until));
    text.push_str(&match told.known_since {
        None => "There is no evidence yet: the daemon has kept nothing.\n".to_owned(),
        Some(known) if known > told.since => format!("The evidence reaches back to {} only.\n", time(known)),
        Some(known) => format!("The evidence reaches back to {}.\n", time(known)),
    });
    text.push_str(&match told.live {
        Some(live) => format!("{} ended, {live} live now.\n", told.ended),
        None => format!("{} ended. The daemon cannot be reached: what lives now is not told.\n", told.ended),
    });
    match told.evidence.trials {
        0 => {}
        1 => text.push_str(&format!("Besides, setup tried a session once, which is no login ({SETUP_TRIAL}).\n")),
        more => text.push_str(&format!("Besides, setup tried {more} sessions, which are no logins ({SETUP_TRIAL}).\n")),
    }
    text
}

fn ended(evidence: &Evidence, output: Output) -> String {
    let mut table = Table::new(&["REASON", "SESSIONS"]);
    for (reason, number) in &evidence.ended {
        table.row([reason.clone(), number.to_string()]);
    }
    rendered(&table, output)
}

fn by_limit(evidence: &Evidence, output: Output) -> String {
    let mut table = Table::new(&["LIMIT", "RULE", "SESSIONS", "WORST OVERRUN", "OF"]);
    for ((limit, rule), ended) in &evidence.by_limit {
        let (overrun, id) = match &ended.worst {
            Some((overrun, id)) => (precise(*overrun), shortened(id, SHORT)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        table.row([limit.clone(), rule.clone(), ended.sessions.to_string(), overrun, id]);
    }
    rendered(&table, output)
}

fn beyond_idle(evidence: &Evidence, output: Output) -> String {
    let mut table = Table::new(&["RULE", "BECAUSE", "ENDED", "LIVE"]);
    for ((rule, why), number) in &evidence.beyond_idle {
        table.row([rule.clone(), (*why).to_owned(), number.ended.to_string(), number.live.to_string()]);
    }
    rendered(&table, output)
}

fn counts(counts: &BTreeMap<String, Count>, output: Output) -> String {
    let mut table = Table::new(&["RULE", "ENDED", "LIVE"]);
    for (rule, number) in counts {
        table.row([rule.clone(), number.ended.to_string(), number.live.to_string()]);
    }
    rendered(&table, output)
}

fn revoked(evidence: &Evidence, local: &Local, output: Output) -> String {
    let mut table = Table::new(&["WHEN", "SESSION", "USER", "REASON", "BY", "MESSAGE"]);
    for session in &evidence.revoked {
        let end = session.end.clone().unwrap_or_default();
        table.row([
            local.clock_with_seconds(end.closed_at),
            shortened(&session.id, SHORT),
            session.user.clone(),
            end.reason,
            session.ended_by().unwrap_or("-").to_owned(),
            end.message.unwrap_or_default(),
        ]);
    }
    rendered(&table, output)
}

fn overdue(told: &Told, output: Output) -> String {
    if told.live.is_none() {
        return "not told: the daemon cannot be reached\n".to_owned();
    }
    let mut table = Table::new(&["SESSION", "USER", "RULE", "STATE", "BY"]);
    for (Session { id, user, rule, state, .. }, overrun) in &told.evidence.overdue {
        table.row([shortened(id, SHORT), user.clone(), rule.clone(), state.clone(), words(*overrun)]);
    }
    rendered(&table, output)
}

fn weaker(told: &Told, output: Output) -> String {
    let Some(Held { preset, weaker }) = &told.held else {
        return "not told: the configuration cannot be used\n".to_owned();
    };
    let Some(preset) = preset else { return "no preset is chosen\n".to_owned() };
    let mut table = Table::new(&["WHERE", "KEY", "VALUE", "CLAUSE", "REASON"]);
    for Exception { rule, key, value, clause, reason, .. } in weaker {
        let place = rule.as_ref().map_or_else(|| "the file".to_owned(), |rule| format!("rule {rule:?}"));
        let reason = reason.clone().unwrap_or_else(|| "-".to_owned());
        table.row([place, (*key).to_owned(), value.clone(), (*clause).to_owned(), reason]);
    }
    format!(
        "{preset} ({})\n{}",
        preset.standard(),
        if weaker.is_empty() { "none\n".to_owned() } else { rendered(&table, output) }
    )
}

fn configurations(configurations: &[Configuration], local: &Local, output: Output) -> String {
    let mut text = String::new();
    for config in configurations {
        let digest = if config.digest.is_empty() { "-".to_owned() } else { shortened(&config.digest, SHORT) };
        let seen = local.clock_with_seconds(config.seen_at);
        text.push_str(&format!("from {seen} on: {} {}\n", clean(&config.origin), clean(&digest)));
        let mut table = Table::new(&["  RULE", "IDLE", "LIFETIME"]);
        for rule in &config.rules {
            let limit = |limit: Option<Duration>| limit.map_or_else(|| "none".to_owned(), words);
            table.row([format!("  {}", rule.name), limit(rule.limits.idle), limit(rule.limits.lifetime)]);
        }
        text.push_str(&rendered(&table, output));
    }
    text
}

fn rendered(table: &Table, output: Output) -> String {
    if table.is_empty() { String::new() } else { table.render(output) }
}

/// An overrun is a matter of milliseconds, or it is a defect.
fn precise(length: Duration) -> String {
    if length < Duration::from_secs(60) { format!("{:.1} s", length.as_secs_f64()) } else { words(length) }
}

#[cfg(test)]
mod tests {
    use authflow_core::time::WallTime;

    use super::*;

    #[test]
    fn a_report_without_evidence_says_so() {
        let local = Local::new(WallTime::from_micros(1_795_509_180_000_000));
        let told = |trials| Told {
            since: WallTime::default(),
            until: local.now,
            known_since: None,
            ended: 0,
            live: None,
            evidence: Evidence { trials, ..Evidence::default() },
            configurations: Vec::new(),
            held: None,
        };
        let with = |trials| of(&told(trials), &local, Output::plain());
        let page = with(0);
        assert!(page.contains("There is no evidence yet"), "{page}");
        assert!(page.contains("Ended, by reason\nnone\n"), "{page}");
        assert!(page.contains("beyond their limits\nnot told"), "{page}");
        assert!(!page.contains("setup"), "{page}");
        assert!(with(1).contains("setup tried a session once, which is no login (authflow-setup-trial)"));
        assert!(with(2).contains("setup tried 2 sessions, which are no logins"));
    }

    #[test]
    fn overruns_are_told_to_a_tenth_of_a_second() {
        assert_eq!(precise(Duration::from_millis(340)), "0.3 s");
        assert_eq!(precise(Duration::from_secs(3600)), "1 h");
    }
}
