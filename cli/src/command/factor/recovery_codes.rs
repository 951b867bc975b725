//! `authflow factor recovery-codes`: makes a new set, shows it this once, and voids the old.

use authflow_core::{
    account::Authenticators,
    news::{Event, Item},
    state::State,
};
use serde::Serialize;
use zeroize::Zeroizing;

use authflow_host::codes;

use crate::{context::Context, error::Error, journal, output::text::clean, subject::Subject};

#[derive(Debug, clap::Args)]
pub(crate) struct RecoveryCodes {
    /// Whose; by default root's own
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Do not ask before the old codes become void
    #[arg(long)]
    yes: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    changed: bool,
    user: &'a str,
    codes: Vec<&'a str>,
}

impl RecoveryCodes {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root(
            "only root makes new recovery codes; whoever has none left gets some with the next authenticator: \
             authflow factor add totp",
        )?;
        let subject = context.subject(self.user.as_deref())?;
        let left = left(&subject.authenticators()?, &subject.state()?);
        if left > 0 && !self.yes && !context.output.json {
            context.confirm(&format!("{} has {left} recovery codes, which become void. Go on?", subject.name()))?;
        }
        let codes = make(context, &subject)?;
        let made =
            Made { changed: true, user: subject.name(), codes: codes.iter().map(|code| code.as_str()).collect() };
        Ok(context
            .output
            .either(&made, || format!("{}{} has new ones\n", *codes::page(&codes), clean(subject.name())))?)
    }
}

/// Makes a set for the user; gives the codes to be shown.
pub(super) fn make(context: &Context, subject: &Subject) -> Result<Vec<Zeroizing<String>>, Error> {
    let (codes, set) = codes::fresh_set(context.now())?;
    subject.update(|keys| {
        keys.recovery = Some(set);
        Ok(())
    })?;
    subject.change_state(|state| state.spent_codes.clear())?;
    subject.tell(Item { at: context.now(), event: Event::RecoveryCodesMade, from: None, detail: String::new() })?;
    journal::note(context, journal::Event::RecoveryCodesMade, &[("user", subject.name())]);
    Ok(codes)
}

/// How many codes of the set are left.
pub(super) fn left(keys: &Authenticators, state: &State) -> usize {
    keys.recovery.as_ref().map_or(0, |set| set.left(&state.spent_codes))
}
