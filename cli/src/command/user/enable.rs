//! `authflow user enable`: lifts what `disable` did. The account itself may be gone by now; the mark goes by the name.

use authflow_host::records::Records;
use serde::Serialize;

use crate::{context::Context, error::Error, journal, output::text::clean};

#[derive(Debug, clap::Args)]
pub(crate) struct Enable {
    /// The user
    user: String,
}

#[derive(Serialize)]
struct Enabled {
    changed: bool,
    user: String,
}

impl Enable {
    pub(crate) fn run(mut self, context: &Context) -> Result<(), Error> {
        let mut changed = self.enable(context)?;
        if !changed && !context.is_image() {
            // A typing error must not look like somebody who is let in.
            let own = context.account(&self.user)?.name;
            if own != self.user {
                self.user = own;
                changed = self.enable(context)?;
            }
        }
        if changed && context.is_root() {
            journal::note(context, journal::Event::Enabled, &[("user", &self.user)]);
        }
        let result = Enabled { changed, user: self.user };
        Ok(context.output.either(&result, || {
            let user = clean(&result.user);
            if changed { format!("{user} is enabled\n") } else { format!("{user} was not disabled: nothing changed\n") }
        })?)
    }

    fn enable(&self, context: &Context) -> Result<bool, Error> {
        if context.is_image() || context.is_root() {
            Ok(Records::trusting(context.paths.clone(), context.trust()).enable(&self.user)?)
        } else {
            context.daemon()?.reactivate(&self.user)
        }
    }
}
