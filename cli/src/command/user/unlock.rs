//! `authflow user unlock`: lifts what failures have brought about. Codes that were used up stay so.

use serde::Serialize;

use crate::{context::Context, error::Error, output::text::clean};

#[derive(Debug, clap::Args)]
pub(crate) struct Unlock {
    /// The user
    user: String,
}

#[derive(Serialize)]
struct Unlocked {
    changed: bool,
    user: String,
}

impl Unlock {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let subject = context.subject(Some(&self.user))?;
        let changed = subject.change_state(|state| {
            let before = state.throttle.clone();
            state.throttle.unlock();
            state.throttle != before
        })?;
        let result = Unlocked { changed, user: subject.into_name() };
        Ok(context.output.either(&result, || {
            let user = clean(&result.user);
            if changed { format!("{user} is unlocked\n") } else { format!("{user} was not locked: nothing changed\n") }
        })?)
    }
}
