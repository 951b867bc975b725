//! Puts a setup into force, file by file, or not at all. The roll-back is armed first; a signal or a failure on the way is answered by
//! rolling back at once.

use std::time::Duration;

use authflow_core::time::WallTime;

use super::{
    arm::{arm, disarm},
    held::Held,
    ledger::{End, Ledger, Pending, Setup},
    plan::Step,
    programs, rollback, texts,
};
use crate::{context::Context, error::Error, output::note};

/// Why a change was not made.
enum Stopped {
    /// Somebody wants no more.
    Asked,
    /// It could not be made.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Puts all of `setup` into force, to be rolled back after that time. What cannot be put into force whole is rolled back before this
/// returns with the reason.
pub(super) fn go_live(context: &Context, ledger: &Ledger, setup: &Setup, after: Duration) -> Result<WallTime, Error> {
    let held = Held::new()?;
    let until = context.now().saturating_add(after);
    let pending = Pending { name: setup.name.clone(), until, live_since: None };
    ledger.set_pending(&pending)?;
    let done = arm(after, &setup.name).map_err(Stopped::from).and_then(|()| change_all(ledger, setup, &held));
    let done = done.and_then(|()| {
        ledger.set_pending(&Pending { live_since: Some(context.now()), ..pending }).map_err(Stopped::from)
    });
    let stopped = match done {
        Ok(()) => return Ok(until),
        Err(stopped) => stopped,
    };
    let why = match stopped {
        Stopped::Asked => Error::Failed("stopped as you asked: everything is as it was before".to_owned()),
        Stopped::Failed(error) => Error::Failed(format!("{error}; everything is as it was before")),
    };
    note("taking back what was changed so far");
    let report = rollback::undo(ledger, setup);
    if !report.failures.is_empty() {
        return Err(Error::Failed(format!(
            "{}; NOT everything could be taken back, and it is tried again at {until}: {}",
            match why {
                Error::Failed(text) => text.replace("; everything is as it was before", ""),
                other => other.to_string(),
            },
            report.failures.join("; ")
        )));
    }
    ledger.settle(&setup.name, End::RolledBack)?;
    disarm();
    Err(why)
}

/// Makes the changes without a roll-back that comes by itself: for taking protection out, of which every beginning is safe as well.
pub(super) fn change(ledger: &Ledger, setup: &Setup) -> Result<(), Error> {
    let held = Held::new()?;
    for step in &setup.steps {
        if held.is_asked_to_stop() {
            return Err(Error::Failed("stopped as you asked, on the way: run it again for the rest".to_owned()));
        }
        make(step)?;
    }
    ledger.settle(&setup.name, End::Confirmed)
}

fn change_all(ledger: &Ledger, setup: &Setup, held: &Held) -> Result<(), Stopped> {
    for step in &setup.steps {
        if held.is_asked_to_stop() {
            return Err(Stopped::Asked);
        }
        // This process may have stood still while its time ran out: what was rolled back must not come back half.
        if !ledger.pending()?.is_some_and(|pending| pending.name == setup.name) {
            return Err(Error::Failed("it was rolled back meanwhile".to_owned()).into());
        }
        make(step)?;
    }
    if held.is_asked_to_stop() { Err(Stopped::Asked) } else { Ok(()) }
}

fn make(step: &Step) -> Result<(), Error> {
    let there = texts::read_anything(&step.path)?;
    if texts::as_text(there.as_deref()) != step.before.as_deref() || there.is_some() != step.before.is_some() {
        return Err(Error::Failed(format!("{} was changed by somebody else just now", step.path.display())));
    }
    texts::replace(&step.path, step.after.as_deref())?;
    if step.is_sshd_config() { programs::reload_sshd() } else { Ok(()) }
}
