//! `authflow factor list`: what a user can prove with, and how the throttle stands. Never the secrets.

use authflow_core::{
    account::Authenticators,
    state::State,
    throttle::{CEILING, Tally},
    time::WallTime,
    totp::TotpKey,
};
use serde::Serialize;

use super::{PASSWORD, everybody};
use crate::{
    context::Context,
    error::Error,
    output::{Output, table::Table, text::clean, time::Local},
};

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Whose; by default root's own
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// A line for each user who has a record
    #[arg(long, conflicts_with = "user")]
    all: bool,
}

#[derive(Serialize)]
struct Report {
    user: String,
    factors: Vec<Entry>,
    /// Absent where there is no set.
    recovery_codes_left: Option<usize>,
    bypass: Option<BypassEntry>,
    throttle: Throttle,
}

#[derive(Serialize)]
struct BypassEntry {
    good_until: String,
    reason: String,
    #[serde(skip)]
    until: WallTime,
}

#[derive(Default, Serialize)]
struct Entry {
    name: String,
    kind: &'static str,
    added_at: Option<String>,
    last_used_at: Option<String>,
    /// An administrator chose it: it is to be changed at the next login.
    initial: bool,
    /// When it proves nothing any more.
    expires_at: Option<String>,
    /// By how much its clock is taken to be ahead of this one; behind it where that is negative.
    drift_seconds: i64,
    #[serde(skip)]
    drift_steps: i16,
    #[serde(skip)]
    expires: Option<WallTime>,
    #[serde(skip)]
    added: Option<WallTime>,
    #[serde(skip)]
    last_used: Option<WallTime>,
}

#[derive(Serialize)]
struct Throttle {
    consecutive_failures: u32,
    stopped_for_strangers: bool,
    sources: Vec<SourceEntry>,
}

#[derive(Serialize)]
struct SourceEntry {
    source: String,
    failures: u32,
    locked_until: Option<String>,
    stopped: bool,
    last_success_at: Option<String>,
    #[serde(skip)]
    tally: Tally,
}

impl List {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root(
            "what users can prove is shown to root only; add to your own by authflow factor add totp, \
             and take away by authflow factor remove NAME",
        )?;
        if self.all {
            return everybody::list(context);
        }
        let subject = context.subject(self.user.as_deref())?;
        let (keys, state, local) = (subject.authenticators()?, subject.state()?, context.local());
        let (factors, throttle) = (entries(&keys, &state, &local), throttle(&state, &local));
        let recovery_codes_left = keys.recovery.as_ref().map(|set| set.left(&state.spent_codes));
        let good = state.bypass.as_ref().filter(|bypass| bypass.is_good(local.now));
        let bypass = good.map(|bypass| BypassEntry {
            good_until: local.rfc3339(bypass.until),
            reason: bypass.reason.clone(),
            until: bypass.until,
        });
        let report = Report { user: subject.into_name(), factors, recovery_codes_left, bypass, throttle };
        Ok(context.output.either(&report, || text(&report, &local, context.output))?)
    }
}

fn entries(keys: &Authenticators, state: &State, local: &Local) -> Vec<Entry> {
    let entry = |name: &str, kind, added: WallTime, last_used: Option<WallTime>| {
        // A record written by hand need not say since when.
        let added = Some(added).filter(|added| *added != WallTime::default());
        let added_at = added.map(|at| local.rfc3339(at));
        let last_used_at = last_used.map(|at| local.rfc3339(at));
        Entry { name: name.to_owned(), kind, added_at, last_used_at, added, last_used, ..Entry::default() }
    };
    // The step tells when a code was used, to half a minute; one of a phone that is ahead was used by now.
    let used = |key: &TotpKey| {
        // An import notes step 0 of a secret whose codes it knows nothing of.
        let step = state.last_steps.last(key).filter(|step| *step > 0)?;
        Some(key.start_of(step).min(local.now))
    };
    // Nothing is kept of when a password was used: a success from somewhere may have been by a key and a code.
    let password = keys.password.as_ref().map(|password| Entry {
        initial: password.must_change,
        expires_at: password.expires.map(|end| local.rfc3339(end)),
        expires: password.expires,
        ..entry(PASSWORD, "password", password.changed, None)
    });
    let codes = keys.totp().iter().map(|key| Entry {
        drift_seconds: key.drift_seconds(),
        drift_steps: key.drift(),
        ..entry(key.name(), "totp", key.added(), used(key))
    });
    password.into_iter().chain(codes).collect()
}

fn throttle(state: &State, local: &Local) -> Throttle {
    let sources = state.throttle.sources.iter().map(|(source, tally)| SourceEntry {
        source: source.to_string(),
        failures: tally.failures,
        locked_until: Some(tally.not_before).filter(|end| *end > local.now).map(|end| local.rfc3339(end)),
        stopped: state.throttle.is_stopped(source),
        last_success_at: tally.succeeded.map(|at| local.rfc3339(at)),
        tally: *tally,
    });
    Throttle {
        consecutive_failures: state.throttle.consecutive,
        stopped_for_strangers: state.throttle.consecutive >= CEILING,
        sources: sources.collect(),
    }
}

/// By how much that clock is off, to the second: it is a number of whole steps, and one less is another code.
fn off(entry: &Entry) -> String {
    let (seconds, steps) = (entry.drift_seconds.unsigned_abs(), entry.drift_steps.unsigned_abs());
    let plural = if steps == 1 { "" } else { "s" };
    let way = if entry.drift_seconds > 0 { "ahead of" } else { "behind" };
    format!("{seconds} s ({steps} step{plural}) {way}")
}

fn text(report: &Report, local: &Local, output: Output) -> String {
    let time = |at: Option<WallTime>| at.map_or("-".to_owned(), |at| local.past(at));
    let mut text = String::new();
    if report.factors.is_empty() {
        text.push_str(&format!("{} has no factors\n", clean(&report.user)));
    } else {
        let mut table = Table::new(&["NAME", "KIND", "ADDED", "LAST USED"]);
        for entry in &report.factors {
            table.row([entry.name.clone(), entry.kind.to_owned(), time(entry.added), time(entry.last_used)]);
        }
        text.push_str(&table.render(output));
    }
    if let Some(entry) = report.factors.iter().find(|entry| entry.initial) {
        let until = match entry.expires {
            Some(end) if end <= local.now => output.alarming("; it has run out"),
            Some(end) => format!("; good until {}", local.ahead(end)),
            None => String::new(),
        };
        text.push_str(&format!("\nthe password is an initial one, to be changed at the next login{until}\n"));
    }
    for entry in report.factors.iter().filter(|entry| entry.drift_seconds != 0) {
        text.push_str(&format!("\nthe clock of {} is taken to be {} this one\n", clean(&entry.name), off(entry)));
    }
    if let Some(left) = report.recovery_codes_left {
        text.push_str(&format!("\nrecovery codes left: {left}\n"));
    }
    if let Some(BypassEntry { until, reason, .. }) = &report.bypass {
        text.push_str(&format!("\na bypass code is good until {}: {}\n", local.ahead(*until), clean(reason)));
    }
    if !report.throttle.sources.is_empty() {
        let mut table = Table::new(&["SOURCE", "FAILURES", "LOCKED UNTIL", "LAST SUCCESS"]);
        for entry in &report.throttle.sources {
            let locked = Some(entry.tally.not_before).filter(|end| *end > local.now);
            table.row([
                entry.source.clone(),
                entry.failures.to_string(),
                if entry.stopped {
                    "for good".to_owned()
                } else {
                    locked.map_or("-".to_owned(), |end| local.ahead(end))
                },
                time(entry.tally.succeeded),
            ]);
        }
        text.push_str(&format!("\n{}", table.render(output)));
    }
    if report.throttle.stopped_for_strangers {
        let failures = report.throttle.consecutive_failures;
        let notice = format!("stopped for sources without an earlier success: {failures} failures in a row");
        text.push_str(&format!("\n{}\n", output.alarming(&notice)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_to_the_second() {
        let told =
            |steps: i16| off(&Entry { drift_seconds: i64::from(steps) * 30, drift_steps: steps, ..Entry::default() });
        assert_eq!(told(1), "30 s (1 step) ahead of");
        assert_eq!(told(-29), "870 s (29 steps) behind");
    }
}
