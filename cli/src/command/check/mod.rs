//! `authflow check`: what is wrong with this machine's logins, each with its place, what comes of it, and what to do. What is read is
//! read at the edges; the judgements are functions of what was read.
//!
//! # Layout
//!
//! - `catalogue`: every defect there is, with its id
//! - `finding`: a defect at a place; their order
//! - `report`: how people are shown them
//! - `ground`: the configuration and the machine that is looked at
//! - `service`: what is known of PAM services by their names
//! - `owner`: whose a file is
//! - `own`: what somebody can be asked for
//! - `config_file`: the configuration's own files
//! - `rules`: rules by themselves; `preset`: settings against a standard
//! - `pam`: the PAM stacks
//! - `sshd`: sshd's settings
//! - `sudo`: sudoers
//! - `files`, `records`, `programs`: authflow's own; `names`: whose names they go by; `outdated`: passwords
//! - `shut`: the services that let nobody in
//! - `clock`, `daemon`: what runs beside

mod catalogue;
mod clock;
mod config_file;
mod daemon;
mod files;
mod finding;
#[cfg(test)]
mod fixture;
mod ground;
mod names;
mod outdated;
mod own;
mod owner;
mod pam;
mod places;
mod preset;
mod programs;
mod records;
mod report;
mod rules;
mod service;
mod shut;
pub(in crate::command) mod sshd;
mod sudo;

use authflow_core::config::{Config, preset::Preset};
use authflow_host::config::{Files, Unusable};
use serde::Serialize;

pub(crate) use self::{
    catalogue::{Defect, Severity},
    finding::{Finding, Place},
};
use self::{config_file::InForce, ground::Ground};
use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Only name the defects that can be found, and look at nothing
    #[arg(long)]
    list: bool,
    /// Also look for what is weaker than that standard asks: nist-aal2, pci-dss-4, stig-rhel9, cis
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if self.list {
            return Ok(context.output.either(&known(), report::catalogue)?);
        }
        let found = findings_by(context, self.preset);
        context.output.either(&found, || report::findings(&found, context.output))?;
        let is_clean = found.iter().all(|finding| finding.defect.severity() == Severity::Note);
        if is_clean { Ok(()) } else { Err(Error::Defects) }
    }
}

/// Everything that is wrong with this machine, or with an image, worst first.
pub(crate) fn findings(context: &Context) -> Vec<Finding> {
    findings_by(context, None)
}

fn findings_by(context: &Context, preset: Option<Preset>) -> Vec<Finding> {
    let in_force = config_file::read(context);
    let mut found = in_force.found.clone();
    if let Some(config) = &in_force.config {
        let ground = Ground::new(context, config, in_force.files.as_ref());
        found.extend(rules::findings(&ground));
        found.extend(records::findings(&ground));
        found.extend(of_config(&ground).into_iter().filter(|finding| !is_unknown(&in_force, finding)));
        found.extend(of_machine(&ground));
        found.extend(preset::findings(&ground, preset));
        found.extend(places::findings(&ground));
    }
    finding::in_order(found)
}

/// Whether that is a guess. Where the live rules are refused, the older ones in force tell nothing of what setup left beside the live
/// ones, and taking that out would be the wrong mend.
fn is_unknown(in_force: &InForce, finding: &Finding) -> bool {
    let is_refused = |found: &Finding| matches!(found.defect, Defect::ConfigBroken | Defect::ConfigUnreadable);
    finding.defect == Defect::SshdDropInLeft && in_force.files.is_none() && in_force.found.iter().any(is_refused)
}

/// What is wrong with a configuration that may come to be in force here.
pub(crate) struct Judgement {
    /// With its rules, what stands around them, and what users have for them. Worst first.
    pub found: Vec<Finding>,
    /// Whether rules, or the records that they need, are wrong. Lines that come later, as at a first setup, are no such thing.
    pub is_wrong: bool,
    /// The services that would let nobody in any more.
    pub shut: Vec<String>,
}

/// Judges a configuration that may come to be in force here.
pub(crate) fn judge(context: &Context, config: &Config, files: &Files) -> Judgement {
    let ground = Ground::new(context, config, Some(files));
    let found = of_config(&ground);
    let own = [rules::findings(&ground), records::findings(&ground)].concat();
    let is_wrong = own.iter().any(|finding| finding.defect.severity() == Severity::Error);
    Judgement { found: finding::in_order([found, own].concat()), is_wrong, shut: shut::services(&ground) }
}

/// What the text cannot be used for.
pub(crate) fn unusable(context: &Context, why: &Unusable) -> Finding {
    config_file::unusable(context, why)
}

/// What other files make of the rules.
fn of_config(ground: &Ground<'_>) -> Vec<Finding> {
    [pam::findings(ground), sudo::findings(ground), sshd::findings(ground)].concat()
}

/// What has nothing to do with what is about to be put in force.
fn of_machine(ground: &Ground<'_>) -> Vec<Finding> {
    [files::findings(ground), programs::findings(ground), clock::findings(ground), daemon::findings(ground)].concat()
}

#[derive(Serialize)]
struct Known {
    id: &'static str,
    severity: &'static str,
    summary: &'static str,
    consequence: &'static str,
}

fn known() -> Vec<Known> {
    let one = |defect: &Defect| Known {
        id: defect.id(),
        severity: defect.severity().as_str(),
        summary: defect.summary(),
        consequence: defect.consequence(),
    };
    Defect::ALL.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_setup_left_is_not_judged_by_rules_that_stand_in_for_refused_ones() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let context = Context::new(false, Some(root.path().to_owned()));
        let is_told = || findings(&context).iter().any(|finding| finding.defect == Defect::SshdDropInLeft);
        const MAIN: &str = "etc/authflow/authflow.toml";
        write("etc/ssh/sshd_config.d/10-authflow.conf", "AuthenticationMethods publickey\n");
        write(MAIN, "");
        write(&format!("{MAIN}.last-good"), "");
        assert!(is_told(), "no rule is about sshd");
        write(MAIN, "[[rule\n");
        assert!(!is_told(), "it may be in what cannot be read");
    }
}
