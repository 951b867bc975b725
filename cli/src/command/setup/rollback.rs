//! `authflow setup rollback`: what stood in the files before a setup stands there again. Run by an administrator at any time, by the timer
//! when nobody confirmed, and at a boot that comes before the confirmation. It can be stopped anywhere and run again.
//!
//! A file that somebody edited meanwhile is a way in that must be given back all the same: our lines are taken out of an edited PAM
//! stack and the edit stays; of the files that setup alone writes what stood there before comes back. What was there is kept in the
//! setup's folder, and said.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    anew,
    arm::{disarm, wait},
    by_hand,
    ledger::{End, Ledger, Pending, Setup},
    pam_edit,
    plan::Step,
    programs,
    show::Shown,
    texts,
};
use crate::{
    context::Context,
    error::Error,
    journal,
    output::{note, text::clean},
};

/// How long the unattended one waits for whoever is at work. Then it goes on all the same: a setup that is stopped in the middle keeps the
/// lock, and notices when it goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A full disk may have room again. Where there is systemd, that tries again.
const TRIES: usize = 100;
const BETWEEN_TRIES: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only what waits for its confirmation, and without a word to a terminal: for the timer and the boot
    #[arg(long, hide = true)]
    unattended: bool,
    /// Wait so long first
    #[arg(long, hide = true, value_name = "DURATION", value_parser = humantime::parse_duration, requires = "unattended")]
    after: Option<Duration>,
    /// Only that setup
    #[arg(long, hide = true, value_name = "NAME", requires = "unattended")]
    only: Option<String>,
}

/// What a roll-back came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Files that somebody had edited, each with where the edited text is kept, or why it is not.
    pub edited: Vec<(PathBuf, Result<PathBuf, Error>)>,
    /// What could not be done.
    pub failures: Vec<String>,
}

impl Rollback {
    pub(super) fn run(self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        let Some(after) = self.after else { return self.try_once(context, ledger) };
        wait(after);
        for _ in 0..TRIES {
            if self.try_once(context, ledger).is_ok() {
                return Ok(());
            }
            wait(BETWEEN_TRIES);
        }
        self.try_once(context, ledger)
    }

    fn try_once(&self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        let done = self.roll_back(context, ledger);
        if self.unattended
            && let Err(error) = &done
        {
            by_hand::cry(context, ledger, error);
        }
        done
    }

    fn roll_back(&self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        let patience = if self.unattended { PATIENCE } else { super::PATIENCE };
        let mut lock = ledger.lock(patience)?;
        if lock.is_none() && !self.unattended {
            return Err(super::busy());
        }
        let waiting = waiting(ledger)?;
        if self.only.as_ref().is_some_and(|only| waiting.as_ref().is_none_or(|setup| setup.name != *only)) {
            return Ok(());
        }
        let was_pending = waiting.is_some();
        let setup = match waiting {
            Some(setup) => setup,
            None if self.unattended => return Ok(()),
            None => standing(ledger)?,
        };
        if !self.unattended && !self.yes && !was_pending {
            drop(lock.take());
            context.confirm(&format!("take back the setup of {} ({})?", setup.name, setup.words()))?;
            lock = Some(ledger.lock(patience)?.ok_or_else(super::busy)?);
            if self::waiting(ledger)?.is_some() || standing(ledger)? != setup {
                return Err(super::changed_meanwhile());
            }
        }
        // A confirmation that was killed on its way, or `config apply` meanwhile, can have made what goes back now the last good one.
        let was_applied = super::is_applied(context);
        let report = take_back(context, ledger, &setup)?;
        if self.unattended {
            tell_everybody(&setup);
        } else {
            let said = Shown::of(context, &setup, None);
            context
                .output
                .either(&said, || format!("{} is as it was before {}\n", clean(&setup.words()), setup.name))?;
        }
        if !was_pending || was_applied {
            super::refresh(context);
        } else {
            anew::tell_if_refused(context);
        }
        drop(lock);
        tell(&report);
        Ok(())
    }
}

/// The setup that waits for its confirmation. Where the word of it cannot be read, it is the newest one that nobody has settled.
pub(super) fn waiting(ledger: &Ledger) -> Result<Option<Setup>, Error> {
    let unreadable = match ledger.pending() {
        Ok(pending) => return pending.map(|pending| ledger.setup(&pending.name)).transpose(),
        Err(error) => error,
    };
    let newest = ledger.newest_unsettled()?;
    match &newest {
        Some(setup) => note(&clean(&format!("{unreadable}: going by the newest setup, {}", setup.name))),
        None => ledger.forget_pending()?,
    }
    Ok(newest)
}

/// The setup that was confirmed and can still be taken back.
fn standing(ledger: &Ledger) -> Result<Setup, Error> {
    const INSTEAD: &str = "`authflow setup remove` takes out what is set up";
    let setup = ledger.newest_standing()?;
    let setup = setup.ok_or_else(|| Error::Failed(format!("there is no setup to roll back: {INSTEAD}")))?;
    let others = not_as_left(&setup)?;
    if others.is_empty() {
        return Ok(setup);
    }
    // What was edited is in the way of a removal as well, and that says so.
    Err(Error::Failed(format!(
        "{} not as the setup of {} left it any more, so that half of something older could come back: {INSTEAD}, and says which file has to be moved \
         away first, if one was edited",
        others.iter().map(|path| format!("{} is", path.display())).collect::<Vec<_>>().join(", "),
        setup.name
    )))
}

/// The files of a setup in which something stands that it never put or found there. Our lines can be taken out of a stack whatever else
/// it says.
fn not_as_left(setup: &Setup) -> Result<Vec<&Path>, Error> {
    let mut others = Vec::new();
    for step in &setup.steps {
        let there = texts::read_anything(&step.path)?;
        let text = texts::as_text(there.as_deref());
        let is_known = match text {
            Some(_) if step.is_stack() => true,
            None if there.is_some() => false,
            text => known(&setup.steps, step).contains(&text),
        };
        if !is_known && !others.contains(&step.path.as_path()) {
            others.push(&step.path);
        }
    }
    Ok(others)
}

/// What stood in the step's file before the setup, on its way and behind it.
fn known<'a>(steps: &'a [Step], step: &Step) -> BTreeSet<Option<&'a str>> {
    let of_file = steps.iter().filter(|other| other.path == step.path);
    of_file.flat_map(|step| [step.before.as_deref(), step.after.as_deref()]).collect()
}

/// Takes a setup back for good, and says in the log that it did.
pub(super) fn take_back(context: &Context, ledger: &Ledger, setup: &Setup) -> Result<Report, Error> {
    say_that_it_goes_back(ledger, setup);
    let report = undo(ledger, setup);
    if !report.failures.is_empty() {
        tell(&report);
        note(&format!("the files as they were are under {}", ledger.copies_of(&setup.name).display()));
        return Err(Error::Failed(format!("not all could be taken back: {}", report.failures.join("; "))));
    }
    ledger.settle(&setup.name, End::RolledBack)?;
    disarm();
    journal::note(context, journal::Event::SetupRolledBack, &[("setup", &setup.name), ("what", &setup.words())]);
    super::reload_daemon(context);
    Ok(report)
}

/// What is half taken back can be confirmed no more.
fn say_that_it_goes_back(ledger: &Ledger, setup: &Setup) {
    let waiting = ledger.pending().ok().flatten().filter(|pending| pending.name == setup.name);
    let Some(pending) = waiting else { return };
    // The way back matters more than the word of it.
    if let Err(error) = ledger.set_pending(&Pending { is_going_back: true, ..pending }) {
        note(&clean(&error.to_string()));
    }
}

/// Takes the changes back, the last one first. What fails does not keep the rest from being taken back.
pub(super) fn undo(ledger: &Ledger, setup: &Setup) -> Report {
    let mut report = Report::default();
    for (place, step) in setup.steps.iter().enumerate().rev() {
        if let Err(error) = undo_one(ledger, setup, (place, step), &mut report) {
            report.failures.push(error.to_string());
        }
    }
    report
}

fn undo_one(ledger: &Ledger, setup: &Setup, (place, step): (usize, &Step), report: &mut Report) -> Result<(), Error> {
    let there = texts::read_anything(&step.path)?;
    let text = match (&there, texts::as_text(there.as_deref())) {
        (None, _) => Some(None),
        (Some(_), text) => text.map(Some),
    };
    match decide(&setup.steps, place, text) {
        // sshd may yet have to hear of it: an earlier roll-back can have been stopped just then.
        Way::Leave => {}
        Way::Restore => texts::replace(&step.path, step.before.as_deref())?,
        Way::Edited(to) => {
            // The way in matters more than the copy.
            if let Some(there) = &there {
                let kept = texts::keep(&ledger.folder_of(&setup.name).join("edited"), &step.path, there);
                report.edited.push((step.path.clone(), kept));
            }
            texts::replace(&step.path, to.as_deref())?;
        }
    }
    if step.is_sshd_config() { programs::reload_sshd() } else { Ok(()) }
}

/// What is to be done about one step.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// It was not taken, or is taken back already.
    Leave,
    /// What stood there before comes back.
    Restore,
    /// Somebody edited the file: this comes there.
    Edited(Option<String>),
}

/// Decides about the step at `place`, from what stands in its file: nothing, a text, or (`None`) what is no text.
fn decide(steps: &[Step], place: usize, there: Option<Option<&str>>) -> Way {
    let Some(step) = steps.get(place) else { return Way::Leave };
    match there {
        Some(there) if there == step.after.as_deref() => Way::Restore,
        Some(there) if known(steps, step).contains(&there) => Way::Leave,
        Some(Some(text)) if step.is_stack() => Way::Edited(Some(pam_edit::remove(text))),
        Some(_) | None => Way::Edited(step.before.clone()),
    }
}

fn tell(report: &Report) {
    for (path, kept) in &report.edited {
        let kept = match kept {
            Ok(place) => format!("is kept as {}", place.display()),
            Err(error) => format!("could not be kept: {error}"),
        };
        let path = path.display();
        note(&clean(&format!(
            "{path} had been edited since: what authflow put there is out of it, and the edited text {kept}"
        )));
    }
}

/// Whoever waits for the time to run out sits at some terminal.
fn tell_everybody(setup: &Setup) {
    let text = format!("authflow: the setup of {} was not confirmed and is rolled back.", clean(&setup.words()));
    let _nobody_there = programs::agrees(&["wall", &text]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &str, before: Option<&str>, after: Option<&str>) -> Step {
        Step { path: path.into(), before: before.map(str::to_owned), after: after.map(str::to_owned) }
    }

    fn steps() -> Vec<Step> {
        vec![
            step("/etc/pam.d/sshd", Some("stock\n"), Some("stock\nours  # authflow setup\n")),
            step("/etc/authflow/authflow.toml.d/50-setup-sshd.toml", None, Some("easing")),
            step("/etc/ssh/sshd_config.d/10-authflow.conf", None, Some("methods")),
            step("/etc/authflow/authflow.toml.d/50-setup-sshd.toml", Some("easing"), Some("rules")),
        ]
    }

    /// Takes back from there, and gives what then stands in the files.
    fn taken_back(steps: &[Step], mut there: Vec<(PathBuf, Option<String>)>) -> Vec<(PathBuf, Option<String>)> {
        for place in (0..steps.len()).rev() {
            let (_, text) = there.iter_mut().find(|(path, _)| *path == steps[place].path).unwrap();
            match decide(steps, place, Some(text.as_deref())) {
                Way::Leave => {}
                Way::Restore => text.clone_from(&steps[place].before),
                Way::Edited(to) => *text = to,
            }
        }
        there
    }

    fn stock(steps: &[Step]) -> Vec<(PathBuf, Option<String>)> {
        let mut there: Vec<(PathBuf, Option<String>)> = Vec::new();
        for step in steps {
            if !there.iter().any(|(path, _)| *path == step.path) {
                there.push((step.path.clone(), step.before.clone()));
            }
        }
        there
    }

    #[test]
    fn from_wherever_setup_was_stopped_the_way_back_leads_to_the_beginning() {
        let steps = steps();
        for made in 0..=steps.len() {
            let mut there = stock(&steps);
            for step in &steps[..made] {
                there.iter_mut().find(|(path, _)| *path == step.path).unwrap().1.clone_from(&step.after);
            }
            // And from wherever the roll-back was stopped.
            assert_eq!(taken_back(&steps, there.clone()), stock(&steps), "{made} made");
            assert_eq!(taken_back(&steps, taken_back(&steps, there)), stock(&steps));
        }
    }

    #[test]
    fn an_edited_stack_keeps_the_edit_and_loses_our_lines() {
        let steps = steps();
        let edited = "stock\nmine\nours  # authflow setup\n";
        assert_eq!(decide(&steps, 0, Some(Some(edited))), Way::Edited(Some("stock\nmine\n".to_owned())));
        assert_eq!(decide(&steps, 0, None), Way::Edited(Some("stock\n".to_owned())), "no text at all");
        assert_eq!(decide(&steps, 0, Some(None)), Way::Edited(Some("stock\n".to_owned())), "the file is gone");
        assert_eq!(decide(&steps, 3, Some(Some("mine"))), Way::Edited(Some("easing".to_owned())));
        assert_eq!(decide(&steps, 2, Some(Some("mine"))), Way::Edited(None));
    }
}
