//! `authflow setup remove`: takes out what setup put in. Lines that somebody else put in are told, and left.

use super::{
    apply,
    ledger::Ledger,
    pam_edit, passwords,
    plan::{self, Places},
    programs, rehearse,
    service::Service,
    show,
};
use crate::{context::Context, error::Error, journal, output::note};

#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// The services; without any, all of them
    #[arg(value_enum)]
    services: Vec<Service>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Remove {
    pub(super) fn run(mut self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        if self.services.is_empty() {
            self.services = Service::ALL.to_vec();
        }
        self.services.sort();
        self.services.dedup();
        let lock = ledger.lock(super::PATIENCE)?.ok_or_else(super::busy)?;
        let places = super::places(context);
        if !self.dry_run {
            super::finish_what_was_stopped(context, ledger)?;
            rehearse::tidy_up(&places)?;
        }
        let there = super::there(context, &places, &self.services)?;
        let takes = passwords::foresee(context, &places, (&there, &self.services), None)?;
        let steps = plan::take_out(&places, &there, (&self.services, takes));
        let steps = steps.map_err(|refusal| Error::Failed(refusal.to_string()))?;
        tell_of_others(&places);
        if steps.is_empty() {
            let said = show::Shown::nothing();
            return Ok(context.output.either(&said, || "nothing of setup's is there: nothing to do\n".to_owned())?);
        }
        if self.dry_run {
            return Ok(context.output.either(&show::Shown::planned(&steps), || show::diff(&steps))?);
        }
        if steps.iter().any(plan::Step::is_sshd_config) {
            // Before the first change: stopped on the way it would leave rules that ask for less.
            programs::sshd_could_reload()?;
        }
        let lock = if self.yes {
            lock
        } else {
            drop(lock);
            show::before_asking(context, &steps)?;
            context.confirm("whoever logs in there is asked as before authflow; take it out?")?;
            super::lock_again(context, ledger, (&places, &self.services, &there))?
        };
        let setup = ledger.begin(context.now(), (&self.services, None), steps)?;
        apply::change(ledger, &setup)?;
        journal::note(context, journal::Event::SetupRemoved, &[("setup", &setup.name), ("what", &setup.words())]);
        drop(lock);
        super::refresh(context);
        let said = show::Shown::of(context, &setup, None);
        Ok(context.output.either(&said, || "taken out: logins are as before authflow\n".to_owned())?)
    }
}

/// Lines that are not setup's to take out, in any stack.
fn tell_of_others(places: &Places) {
    for (path, row) in others(places) {
        note(&format!("{}:{row}: this line was put in by hand, and stays", path.display()));
    }
}

fn others(places: &Places) -> Vec<(std::path::PathBuf, usize)> {
    let Ok(entries) = std::fs::read_dir(places.stacks()) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    let rows = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        pam_edit::foreign(&text).into_iter().map(move |row| (path.clone(), row)).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(rows).collect()
}
