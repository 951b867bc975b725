//! `authflow config check [FILE]`: whether the configuration would be used, and what in it is probably not meant.

use std::path::{Path, PathBuf};

use authflow_core::config::Config;
use authflow_host::config::{self, Files, Unusable};

use crate::{
    command::{
        check::{self, Finding, Judgement, Severity},
        setup::anew,
    },
    context::Context,
    error::Error,
    output::{Output, text::clean},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// A new configuration to check in place of the live one, together with the drop-ins
    file: Option<PathBuf>,
    /// The file is to become that drop-in, beside the live configuration; one that is there is replaced
    #[arg(long, value_name = "NAME", requires = "file")]
    drop_in: Option<String>,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let checked = match &self.file {
            Some(file) => check_file(context, file, self.drop_in.as_deref())?,
            None => parsed(context, config::read_live(&context.paths, context.trust())),
        };
        let (found, is_right) = match &checked {
            Ok((config, files)) => {
                let Judgement { found, is_wrong, shut: _ } = check::judge(context, config, files);
                (found, !is_wrong)
            }
            Err(Unusable::File(error)) if error.is_denied() && !context.is_root() => {
                return Err(Error::failed("you may not read the configuration", error));
            }
            Err(why) => (vec![check::unusable(context, why)], false),
        };
        context.output.either(&found, || match &checked {
            Ok(_) => text(&found, is_right, context.output),
            Err(why) => format!("{}: {}\n", context.output.alarming("error"), clean(&why.to_string())),
        })?;
        if is_right { Ok(()) } else { Err(Error::Defects) }
    }
}

fn check_file(
    context: &Context,
    file: &Path,
    drop_in: Option<&str>,
) -> Result<Result<(Config, Files), Unusable>, Error> {
    if let Some(no_drop_in) = drop_in.filter(|name| !config::is_drop_in(name)) {
        return Err(Error::Usage(format!("{no_drop_in:?} would not be read: a drop-in is NAME.toml, without a path")));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Error::failed(&name, &error))?;
    let (paths, trust) = (&context.paths, context.trust());
    let files = match drop_in {
        Some(drop_in) => config::candidate_drop_in(paths, trust, drop_in, (&name, text)),
        None => config::candidate(paths, trust, &name, text),
    };
    Ok(parsed(context, files))
}

fn parsed(context: &Context, files: Result<Files, Unusable>) -> Result<(Config, Files), Unusable> {
    let files = files?;
    Ok((anew::parse(context, &files)?, files))
}

/// A line each, and at the end what was judged of the text itself. What stands around it may yet be made to go with it, and is no fault of it.
fn text(found: &[Finding], is_right: bool, output: Output) -> String {
    let severity = |severity: Severity| match severity {
        Severity::Error => output.alarming("error"),
        Severity::Warning | Severity::Note => output.bold(severity.as_str()),
    };
    let line = |finding: &Finding| {
        let defect = finding.defect;
        format!("{}: {} [{}]\n", severity(defect.severity()), clean(&finding.on_one_line()), defect.id())
    };
    let text: String = found.iter().map(line).collect();
    text + verdict(found, is_right)
}

fn verdict(found: &[Finding], is_right: bool) -> &'static str {
    let has_errors = found.iter().any(|finding| finding.defect.severity() == Severity::Error);
    match (is_right, has_errors) {
        (true, false) => "the configuration is right\n",
        (true, true) => {
            "the configuration by itself is right, and the machine around it is not ready for it: the errors say what is wrong there\n"
        }
        (false, _) => "the configuration can be used, and its rules, or the records that they need, are wrong\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{Defect, Place};

    #[test]
    fn what_is_called_right_is_the_text_and_not_the_machine_around_it() {
        let of = |defect| [Finding::new(defect, Place::none(), "it is", "change it")];
        for defect in [Defect::RuleWeakerMethod, Defect::LineTwice] {
            assert_eq!(verdict(&of(defect), true), "the configuration is right\n");
        }
        let machine = verdict(&of(Defect::SshdWithoutPam), true);
        assert!(
            machine.contains("by itself is right") && machine.contains("the machine around it is not"),
            "{machine}"
        );
        assert!(!verdict(&of(Defect::RecordUnusable), false).contains("right"));
    }
}
