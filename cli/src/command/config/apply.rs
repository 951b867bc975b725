//! `authflow config apply FILE`: puts a file in force. It is checked together with the drop-ins first; a file with an error
//! changes nothing, and neither does one that lets nobody in, unless that is meant.

use std::path::PathBuf;

use authflow_host::config;
use serde::Serialize;

use crate::{
    command::{check, setup::anew},
    context::Context,
    error::Error,
    output::{note, text::clean},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// The new configuration
    file: PathBuf,
    /// Also where it lets nobody in by a service that calls authflow
    #[arg(long)]
    anyway: bool,
}

#[derive(Serialize)]
struct Applied {
    changed: bool,
    file: String,
}

impl Apply {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("only root changes the configuration")?;
        let name = self.file.display().to_string();
        let failed = |error: &dyn std::error::Error| Error::failed("not applied", error);
        let text = std::fs::read_to_string(&self.file).map_err(|error| Error::failed(&name, &error))?;
        let files =
            config::candidate(&context.paths, context.trust(), &name, text.clone()).map_err(|error| failed(&error))?;
        let checked = anew::parse(context, &files).map_err(|error| failed(&error))?;
        let judged = check::judge(context, &checked, &files);
        for finding in &judged.found {
            let defect = finding.defect;
            note(&format!("{}: {} [{}]", defect.severity().as_str(), clean(&finding.on_one_line()), defect.id()));
        }
        if !judged.shut.is_empty() && !self.anyway {
            return Err(shut(&judged.shut));
        }
        let changed = config::apply(&context.paths, context.trust(), &name, text).map_err(|error| failed(&error))?;
        if changed && !context.is_image() {
            // So that the daemon's evidence has it at once; one that is away notices it when it comes.
            let open = context.daemon().and_then(|daemon| daemon.reload().and_then(|()| daemon.sessions()));
            let open = open.map_or(0, |open| open.len());
            if open > 0 {
                // Nobody should take a stricter rule for one that reaches who is in already.
                note(&format!("sessions that are open ({open}) keep the limits that they were opened with"));
            }
        }
        let applied = Applied { changed, file: context.paths.config().display().to_string() };
        Ok(context.output.either(&applied, || match changed {
            true => format!("{} is in force\n", clean(&applied.file)),
            false => format!("{} said so already: nothing changed\n", clean(&applied.file)),
        })?)
    }
}

fn shut(services: &[String]) -> Error {
    Error::Failed(format!(
        "not applied: nobody would get in by {} (enrol somebody first, let people enrol in the login, or say --anyway)",
        services.join(", ")
    ))
}
