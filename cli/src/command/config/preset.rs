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
    /// The rules that are weaker.
    weaker_in: Vec<String>,
}

impl Compared {
    /// What stands in the file's own tables; what only a rule can say stands nowhere else.
    fn here(&self) -> &str {
        self.value.as_deref().unwrap_or("set in rules")
    }

    /// Whether it is met everywhere, or else where it is not.
    fn met_where(&self) -> String {
        match (self.met, self.weaker_in.as_slice()) {
            (true, _) => "yes".to_owned(),
            (false, []) => "no".to_owned(),
            (false, rules) => format!("not in {}", rules.join(", ")),
        }
    }
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
            let of_key = || weaker.iter().filter(|weaker| weaker.key == key);
            // Where the file's own table is weaker, so is whatever goes by it.
            let is_everywhere = of_key().any(|weaker| weaker.rule.is_none());
            let rules = of_key().filter(|_| !is_everywhere).filter_map(|weaker| weaker.rule.clone());
            Compared {
                key,
                required: clause.demand.required(),
                clause: clause.place,
                value: Some(clause.value(config)).filter(|value| !value.is_empty()),
                met: of_key().next().is_none(),
                weaker_in: rules.collect(),
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
        for one in &self.clauses {
            table.row([one.key, one.clause, one.here(), &one.met_where(), &one.required].map(str::to_owned));
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

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    fn row(text: &str, key: &str) -> String {
        let config = Config::parse(Text { name: "test", text }, &[]).unwrap();
        let told = Comparison::of(Preset::NistAal2, &config).text(Output::plain());
        told.lines().find(|line| line.starts_with(key)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_rule_alone_can_say_is_told_of_the_rules() {
        let rule = |name: &str, methods: &str| {
            format!("[[rule]]\nname='{name}'\nservice=['{name}']\nmethods=[[{methods}]]\nsession.idle='30m'\n")
        };
        let both = rule("sshd", "'password','totp'");
        assert!(row(&both, "methods").contains("set in rules yes"), "{}", row(&both, "methods"));
        let one_weak = format!("{both}{}", rule("cockpit", "'password'"));
        let methods = row(&one_weak, "methods");
        assert!(methods.contains("set in rules not in cockpit ") && !methods.contains("sshd"), "{methods}");
        let idle = both.replace("'30m'", "'2h'");
        assert!(row(&idle, "session.idle").contains("\"15m\" not in sshd "), "{}", row(&idle, "session.idle"));
        let everywhere = format!("[session]\nidle='2h'\n{idle}");
        assert!(row(&everywhere, "session.idle").contains("\"2h\" no "), "{}", row(&everywhere, "session.idle"));
    }
}
