//! `authflow config show`: the values in force and where each comes from, or what a standard says of them.

use std::fmt::Write;

use authflow_core::config::preset::Preset;
use authflow_host::config::{self, Files};
use serde::Serialize;

use super::{
    effective::{self, RuleSettings, Setting, Value},
    preset::Comparison,
};
use crate::{
    context::Context,
    error::Error,
    output::{Output, text::clean},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// What that standard asks, clause by clause, beside what is in force: nist-aal2, pci-dss-4, stig-rhel9, cis
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
}

#[derive(Serialize)]
struct Report {
    settings: Vec<Setting>,
    rules: Vec<RuleSettings>,
}

impl Show {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if let Some(preset) = self.preset {
            let comparison = Comparison::of(preset, &context.config()?);
            return Ok(context.output.either(&comparison, || comparison.text(context.output))?);
        }
        let config = context.config()?;
        // Where the live files cannot be used, something else is in force, and nothing comes from them.
        let files = config::read_live(&context.paths, context.trust()).ok().filter(|files| files.parse().is_ok());
        let texts: Vec<_> = files.iter().flat_map(Files::texts).collect();
        let report = Report {
            settings: effective::settings(&config, texts.first().copied()),
            rules: effective::rules(&config, &texts),
        };
        Ok(context.output.either(&report, || text(&report, context.output))?)
    }
}

/// A configuration file that says the same, each line with its origin behind it.
fn text(report: &Report, output: Output) -> String {
    let mut text = String::new();
    let mut table = "";
    for setting in &report.settings {
        let (outer, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if outer != table {
            table = outer;
            let _ = writeln!(text, "\n{}", output.bold(&format!("[{table}]")));
        }
        // Whatever word stood for what is not set would be taken for a value by who pastes it back.
        let unset = (setting.value == Value::Unset).then(|| format!("#{key} ="));
        let key = unset.as_deref().unwrap_or(key);
        let _ = writeln!(text, "{}", line(key, &setting.value.to_string(), &setting.origin));
    }
    for rule in &report.rules {
        let _ = writeln!(text, "\n{}", line(&output.bold("[[rule]]"), "", &rule.origin));
        for (key, value) in &rule.values {
            let _ = writeln!(text, "{} = {}", key, clean(&value.to_string()));
        }
    }
    text
}

fn line(key: &str, value: &str, origin: &str) -> String {
    let assignment = if value.is_empty() { key.to_owned() } else { format!("{key} = {}", clean(value)) };
    format!("{assignment:40}  # {}", clean(origin))
}
