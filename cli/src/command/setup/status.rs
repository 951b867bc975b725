//! `authflow setup status`: which services are protected and for whom, and what waits for its confirmation.

use authflow_core::time::WallTime;
use serde::Serialize;

use super::{ledger::Ledger, rules, service::Service, texts};
use crate::{
    context::Context,
    error::Error,
    output::{table::Table, text::clean, time::Local},
    pam_stack,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Status {}

#[derive(Serialize)]
struct Report {
    waiting: Option<Waiting>,
    services: Vec<Entry>,
}

#[derive(Serialize)]
struct Waiting {
    setup: String,
    what: String,
    is_live: bool,
    is_going_back: bool,
    until: String,
}

#[derive(Serialize)]
struct Entry {
    service: Service,
    in_stack: bool,
    rules: Option<String>,
}

impl Status {
    pub(super) fn run(self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        let local = context.local();
        let pending = super::pending(ledger)?;
        let waiting = pending.as_ref().map(|pending| -> Result<Waiting, Error> {
            Ok(Waiting {
                setup: pending.name.clone(),
                what: ledger.setup(&pending.name)?.words(),
                is_live: pending.is_live(),
                is_going_back: pending.is_going_back,
                until: local.rfc3339(pending.until),
            })
        });
        let report = Report {
            waiting: waiting.transpose()?,
            services: Service::ALL.into_iter().map(|service| entry(context, service)).collect::<Result<_, _>>()?,
        };
        let fate = pending.map(|pending| going_back(&local, pending.until)).unwrap_or_default();
        Ok(context.output.either(&report, || text(context, &report, &fate))?)
    }
}

fn entry(context: &Context, service: Service) -> Result<Entry, Error> {
    let places = super::places(context);
    let read = |path: std::path::PathBuf| -> Result<String, Error> {
        let bytes = texts::read_anything(&path)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let lines = pam_stack::lines(&places.root, service.as_str());
    let in_stack = lines.iter().any(|line| line.module == pam_stack::OURS);
    let there = read(places.rules(service))?;
    let who = rules::unchanged(service, &there).map(|who| who.to_string());
    let is_on_the_way = rules::is_on_the_way(service, &there);
    let other = if is_on_the_way { "(on the way: `authflow setup remove` takes it out)" } else { "(edited)" };
    let rules = who.or_else(|| (!there.is_empty()).then(|| other.to_owned()));
    Ok(Entry { service, in_stack, rules })
}

/// What becomes of a setup that is not confirmed, in words behind its name.
pub(super) fn going_back(local: &Local, until: WallTime) -> String {
    format!("will be rolled back at {}", local.ahead(until))
}

fn text(context: &Context, report: &Report, fate: &str) -> String {
    let mut table = Table::new(&["SERVICE", "IN ITS STACK", "FOR"]);
    for entry in &report.services {
        let lines = if entry.in_stack { "yes" } else { "no" };
        table.row([entry.service.to_string(), lines.to_owned(), entry.rules.clone().unwrap_or("-".to_owned())]);
    }
    table.render(context.output) + &report.waiting.as_ref().map_or_else(String::new, |waiting| said_of(waiting, fate))
}

fn said_of(waiting: &Waiting, fate: &str) -> String {
    let what = clean(&waiting.what);
    if waiting.is_live {
        format!("\n{what} waits, and {fate}: `authflow setup confirm` in a new login keeps it\n")
    } else if waiting.is_going_back {
        format!("\n{what} is being taken back, and not all of it was: `authflow setup rollback` takes back the rest\n")
    } else {
        format!("\n{what} was stopped on the way, and {fate}\n")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_yet_to_be_rolled_back_does_not_read_as_done() {
        let local = Local::new(WallTime::default());
        let fate = going_back(&local, local.now.saturating_add(Duration::from_secs(600 - 1)));
        assert!(fate.starts_with("will be rolled back at ") && fate.ends_with("(in 10 min)"), "{fate}");
        let waiting = |is_live| Waiting {
            setup: "x".to_owned(),
            what: "sshd for alice".to_owned(),
            is_live,
            is_going_back: false,
            until: String::new(),
        };
        for is_live in [true, false] {
            assert!(said_of(&waiting(is_live), &fate).contains(", and will be rolled back at "));
        }
    }
}
