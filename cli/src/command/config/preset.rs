//! `authflow config show --preset NAME`: what a standard asks of each key, where it says so, and what stands here. Pure.

use std::fmt::Write;

use authflow_core::config::{
    Config,
    preset::{Clause, Preset, Weaker, weaker_than},
};
use serde::Serialize;

use crate::output::{Output, table::Table, text::clean};

/// A standard beside the configuration.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    preset: &'static str,
    standard: &'static str,
    /// Whether this machine's configuration has chosen it, so that weaker values are refused.
    chosen: bool,
    clauses: Vec<Compared>,
    weaker: Vec<Exception>,
}

/// What one clause asks, and what stands here.
#[derive(Debug, Serialize)]
struct Compared {
    key: &'static str,
    required: String,
    clause: &'static str,
    /// Missing for what rules alone have.
    value: Option<String>,
    met: bool,
}

/// A value that is weaker than its clause.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Exception {
    pub rule: Option<String>,
    pub key: &'static str,
    pub value: String,
    pub required: String,
    pub clause: &'static str,
    pub reason: Option<String>,
}

impl From<Weaker> for Exception {
    fn from(weaker: Weaker) -> Self {
        let Weaker { key, rule, value, required, clause, reason, preset: _ } = weaker;
        Self { rule, key, value, required, clause, reason }
    }
}

impl Comparison {
    /// `preset` beside `config`.
    pub(super) fn of(preset: Preset, config: &Config) -> Self {
        let weaker = weaker_than(preset, config);
        let compared = |clause: &Clause| {
            let key = clause.demand.key();
            Compared {
                key,
                required: clause.demand.required(),
                clause: clause.place,
                value: Some(clause.value(config)).filter(|value| !value.is_empty()),
                met: !weaker.iter().any(|weaker| weaker.key == key),
            }
        };
        Self {
            preset: preset.as_str(),
            standard: preset.standard(),
            chosen: config.preset == Some(preset),
            clauses: preset.clauses().iter().map(compared).collect(),
            weaker: weaker.into_iter().map(Exception::from).collect(),
        }
    }

    /// For people: a table of all clauses, and below it what is weaker, with the reasons.
    pub(super) fn text(&self, output: Output) -> String {
        let chosen = if self.chosen { "chosen" } else { "not chosen" };
        let mut text = format!("{}: {} ({chosen} here)\n\n", self.preset, self.standard);
        let mut table = Table::new(&["KEY", "CLAUSE", "HERE", "MET", "ASKED"]);
        for Compared { key, required, clause, value, met } in &self.clauses {
            let value = value.as_deref().unwrap_or("-");
            table.row([*key, *clause, value, if *met { "yes" } else { "no" }, required].map(str::to_owned));
        }
        text.push_str(&table.render(output));
        for Exception { rule, key, value, reason, .. } in &self.weaker {
            let place = rule.as_ref().map_or_else(String::new, |rule| format!("rule {rule:?}: "));
            let reason =
                reason.as_ref().map_or_else(|| "no reason given".to_owned(), |reason| format!("since {reason}"));
            let _ = write!(text, "\nweaker: {}{key} = {}: {}", clean(&place), clean(value), clean(&reason));
        }
        if self.weaker.is_empty() { text } else { text + "\n" }
    }
}
