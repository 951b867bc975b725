//! What setup shows: the changes as a diff, the plan in a few lines, and what to do once it is live.

use authflow_core::time::WallTime;
use serde::Serialize;

use super::{ledger::Setup, plan::Step, programs, service::Service, who::Who};
use crate::{context::Context, error::Error, output::text::clean};

/// What a setup did, for programs.
#[derive(Serialize)]
pub(super) struct Shown {
    pub changed: bool,
    pub setup: Option<String>,
    pub until: Option<String>,
    pub files: Vec<String>,
    /// Where it was only asked what would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Shown {
    /// Nothing, since all is so already.
    pub(super) const fn nothing() -> Self {
        Self { changed: false, setup: None, until: None, files: Vec::new(), diff: None }
    }

    /// What would change.
    pub(super) fn planned(steps: &[Step]) -> Self {
        Self { files: files(steps), diff: Some(diff(steps)), ..Self::nothing() }
    }

    pub(super) fn of(setup: &Setup, until: Option<WallTime>) -> Self {
        Self {
            changed: true,
            setup: Some(setup.name.clone()),
            until: until.map(|until| until.to_string()),
            files: files(&setup.steps),
            diff: None,
        }
    }
}

impl Setup {
    /// What it is about, in a few words.
    pub(super) fn words(&self) -> String {
        let services: Vec<&str> = self.services.iter().map(|service| service.as_str()).collect();
        let services = services.join(", ");
        match &self.who {
            None => format!("{services} without authflow"),
            Some(Who::Everybody) => format!("{services} for everybody"),
            Some(Who::EverybodyButRoot) => format!("{services} for everybody but root"),
            Some(Who::Users(users)) => {
                format!("{services} for {}", users.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Each file once, from what stood there to what will.
fn changes(steps: &[Step]) -> Vec<Step> {
    let mut changes: Vec<Step> = Vec::new();
    for step in steps {
        match changes.iter_mut().find(|change| change.path == step.path) {
            Some(change) => change.after.clone_from(&step.after),
            None => changes.push(step.clone()),
        }
    }
    changes
}

fn files(steps: &[Step]) -> Vec<String> {
    changes(steps).iter().map(|step| step.path.display().to_string()).collect()
}

/// A unified diff of every file.
pub(super) fn diff(steps: &[Step]) -> String {
    changes(steps).iter().map(diff_of).collect()
}

fn diff_of(change: &Step) -> String {
    let path = change.path.display().to_string();
    let path = path.trim_start_matches('/');
    let (before, after) = (change.before.as_deref().unwrap_or_default(), change.after.as_deref().unwrap_or_default());
    let name = |side: &str, text: &Option<String>| {
        if text.is_some() { format!("{side}/{path}") } else { "/dev/null".to_owned() }
    };
    let diff = similar::TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(&name("a", &change.before), &name("b", &change.after)).to_string();
    text.lines().map(|line| clean(&line.replace('\t', "        ")) + "\n").collect()
}

/// Shows a person what is about to change; a program has asked for JSON alone.
pub(super) fn before_asking(context: &Context, steps: &[Step]) -> Result<(), Error> {
    if context.output.json { Ok(()) } else { Ok(context.output.text(&plan(steps))?) }
}

/// What changes, a line a file.
fn plan(steps: &[Step]) -> String {
    let line = |change: &Step| {
        let deed = match (&change.before, &change.after) {
            (None, _) => "new     ",
            (_, None) => "gone    ",
            _ => "changed ",
        };
        format!("{deed}{}\n", clean(&change.path.display().to_string()))
    };
    changes(steps).iter().map(line).collect()
}

/// What is live, and what to do now.
pub(super) fn live(context: &Context, setup: &Setup, until: WallTime) -> String {
    let way = setup.services.first().map_or("log in", |service| match service {
        Service::Sshd => "ssh here",
        Service::Login => "log in at a console",
        Service::Su => "su",
        Service::Sudo => "use sudo",
    });
    let until = context.local().ahead(until);
    let reboot = if programs::has_systemd() {
        "also after a reboot"
    } else {
        "but NOT after a reboot, since systemd does not run here"
    };
    format!(
        "{} is live.\n\nNow, leaving this terminal open: {way} anew from another one, and run there\n\n    sudo authflow setup confirm\n\n\
         Without that everything is put back at {until}, {reboot}; `authflow setup rollback` does so at once.\n",
        clean(&setup.words())
    )
}
