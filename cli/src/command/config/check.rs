//! `authflow config check [FILE]`: whether the configuration would be used, and what in it is probably not meant.

use std::path::{Path, PathBuf};

use authflow_core::config::Config;
use authflow_host::config::{self, Files, Unusable};
use serde::Serialize;

use crate::{
    command::check::{self, Finding, Severity},
    context::Context,
    error::Error,
    output::{Output, text::clean},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// A new configuration to check in place of the live one, together with the drop-ins
    file: Option<PathBuf>,
}

#[derive(Default, Serialize)]
struct Report {
    ok: bool,
    errors: Vec<Defect>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Defect {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let checked = match &self.file {
            Some(file) => check_file(context, file)?,
            None => parsed(config::read_live(&context.paths, context.trust())),
        };
        let report = match checked {
            Ok((config, files)) => {
                let found = check::findings_of(context, &config, &files);
                let told = found.iter().filter(|finding| finding.defect.severity() != Severity::Note);
                Report { ok: true, warnings: told.map(Finding::on_one_line).collect(), ..Report::default() }
            }
            Err(unusable) => Report { errors: vec![defect(unusable)], ..Report::default() },
        };
        context.output.either(&report, || text(&report, context.output))?;
        if report.ok { Ok(()) } else { Err(Error::Defects) }
    }
}

fn check_file(context: &Context, file: &Path) -> Result<Result<(Config, Files), Unusable>, Error> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Error::failed(&name, &error))?;
    Ok(parsed(config::candidate(&context.paths, context.trust(), &name, text)))
}

fn parsed(files: Result<Files, Unusable>) -> Result<(Config, Files), Unusable> {
    let files = files?;
    Ok((files.parse()?, files))
}

fn defect(unusable: Unusable) -> Defect {
    match unusable {
        Unusable::Config(error) => Defect {
            file: Some(error.file),
            line: Some(error.line),
            column: Some(error.column),
            message: error.message,
        },
        Unusable::File(error) => Defect { file: None, line: None, column: None, message: error.to_string() },
    }
}

fn text(report: &Report, output: Output) -> String {
    let errors = report.errors.iter().map(|defect| match (&defect.file, defect.line, defect.column) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: {}", defect.message),
        _ => defect.message.clone(),
    });
    let errors = errors.map(|error| format!("{}: {}\n", output.alarming("error"), clean(&error)));
    let warnings = report.warnings.iter().map(|warning| format!("{}: {}\n", output.bold("warning"), clean(warning)));
    let text: String = errors.chain(warnings).collect();
    if report.ok { text + "the configuration is right\n" } else { text }
}
