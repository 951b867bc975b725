//! Puts a setup into force, file by file, or not at all. The roll-back is armed first; a signal or a failure on the way is answered by
//! rolling back at once.

use std::time::Duration;

use authflow_core::time::WallTime;

use super::{
    arm::{arm, disarm},
    held::Held,
    ledger::{End, Ledger, Live, Pending, Setup},
    plan::Step,
    preflight::{self, Defects},
    programs, rollback, texts,
};
use crate::{command::check, context::Context, error::Error};

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
/// returns with the reason. Gives when it is rolled back, and what `authflow check` warns of since.
pub(super) fn go_live(
    context: &Context,
    ledger: &Ledger,
    setup: &Setup,
    after: Duration,
) -> Result<(WallTime, Vec<String>), Error> {
    let held = Held::new()?;
    let until = context.now().saturating_add(after);
    let pending = Pending { name: setup.name.clone(), until, live: None, is_going_back: false };
    ledger.set_pending(&pending)?;
    let known = preflight::defects(context);
    let done = arm(after, &setup.name).map_err(Stopped::from);
    let done = done.and_then(|()| change_all(ledger, setup, &held));
    let done = done.and_then(|()| no_new_errors(context, &known));
    let done = done.and_then(|warnings| if held.is_asked_to_stop() { Err(Stopped::Asked) } else { Ok(warnings) });
    let done = done.and_then(|warnings| {
        // Nor may a mark come back for what was rolled back while this looked.
        still_waits(ledger, setup)?;
        ledger.set_pending(&Pending { live: Some(Live::now()?), ..pending })?;
        Ok(warnings)
    });
    match done {
        Ok(warnings) => Ok((until, warnings)),
        Err(stopped) => Err(take_back_at_once(ledger, setup, &stopped, &until)),
    }
}

/// Takes back what was changed so far; gives the reason, and whether that worked.
fn take_back_at_once(ledger: &Ledger, setup: &Setup, stopped: &Stopped, until: &WallTime) -> Error {
    let why = match stopped {
        Stopped::Asked => "stopped as you asked".to_owned(),
        Stopped::Failed(error) => error.to_string(),
    };
    let failures = rollback::undo(ledger, setup).failures;
    let settled = if failures.is_empty() { ledger.settle(&setup.name, End::RolledBack) } else { Ok(()) };
    let failures = failures.into_iter().chain(settled.err().map(|error| error.to_string())).collect::<Vec<_>>();
    if failures.is_empty() {
        disarm();
        return Error::Failed(format!("{why}: everything is as it was before"));
    }
    Error::Failed(format!(
        "{why}; NOT all could be taken back, which is tried again at {until}: {}",
        failures.join("; ")
    ))
}

/// Makes the changes without a roll-back that comes by itself: for taking protection out, of which every beginning is safe as well.
pub(super) fn change(ledger: &Ledger, setup: &Setup) -> Result<(), Error> {
    let held = Held::new()?;
    for step in &setup.steps {
        if held.is_asked_to_stop() {
            return Err(Error::Failed("stopped as you asked, on the way: run it again for the rest".to_owned()));
        }
        make(step).map_err(|error| Error::Failed(format!("{error}: stopped on the way, run it again for the rest")))?;
    }
    ledger.settle(&setup.name, End::Confirmed)
}

fn change_all(ledger: &Ledger, setup: &Setup, held: &Held) -> Result<(), Stopped> {
    for step in &setup.steps {
        if held.is_asked_to_stop() {
            return Err(Stopped::Asked);
        }
        // This process may have stood still while its time ran out: what was rolled back must not come back half.
        still_waits(ledger, setup)?;
        make(step)?;
        // Nor the one step that was under way: whoever fails here takes back what there is.
        still_waits(ledger, setup)?;
    }
    Ok(())
}

fn still_waits(ledger: &Ledger, setup: &Setup) -> Result<(), Error> {
    match ledger.pending()? {
        Some(pending) if pending.name == setup.name && !pending.is_going_back => Ok(()),
        Some(_) | None => Err(Error::Failed("it was rolled back meanwhile".to_owned())),
    }
}

/// That `authflow check` finds no error that was not there before. What was there is not setup's to mend. Gives the new warnings.
fn no_new_errors(context: &Context, known: &Defects) -> Result<Vec<String>, Stopped> {
    let found = preflight::defects(context).into_iter().filter(|(defect, _)| !known.contains_key(defect));
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.partition(|((defect, _), _)| defect.severity() == check::Severity::Error);
    let words = |found: Vec<(_, String)>| found.into_iter().map(|(_, words)| words).collect::<Vec<_>>();
    if errors.is_empty() {
        return Ok(words(warnings));
    }
    Err(Error::Failed(format!("authflow check says: {}", words(errors).join("; "))).into())
}

fn make(step: &Step) -> Result<(), Error> {
    let there = texts::read_anything(&step.path)?;
    if texts::as_text(there.as_deref()) != step.before.as_deref() || there.is_some() != step.before.is_some() {
        return Err(Error::Failed(format!("{} was changed by somebody else just now", step.path.display())));
    }
    if step.is_sshd_config() {
        // Before the file is another: who runs this again would find nothing left to tell sshd of.
        programs::sshd_could_reload()?;
    }
    texts::replace(&step.path, step.after.as_deref())?;
    if step.is_sshd_config() { programs::reload_sshd() } else { Ok(()) }
}
