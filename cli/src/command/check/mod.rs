//! `authflow check`: what is wrong with this machine's logins, each with its place, what comes of it, and what to do.
//!
//! # Layout
//!
//! - `catalogue`: every defect there is, with its id
//! - `finding`: a defect at a place; their order
//! - `report`: how people are shown them

mod catalogue;
mod finding;
mod report;

use serde::Serialize;

pub(crate) use self::{
    catalogue::{Defect, Severity},
    finding::{Finding, Place},
};
use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Only name the defects that can be found, and look at nothing
    #[arg(long)]
    list: bool,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if self.list {
            return Ok(context.output.either(&known(), report::catalogue)?);
        }
        let found = findings(context);
        context.output.either(&found, || report::findings(&found, context.output))?;
        let is_clean = found.iter().all(|finding| finding.defect.severity() == Severity::Note);
        if is_clean { Ok(()) } else { Err(Error::Defects) }
    }
}

/// Everything that is wrong with this machine, or with an image, worst first.
pub(crate) fn findings(_context: &Context) -> Vec<Finding> {
    finding::in_order(Vec::new())
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
