//! `authflow user enable`: lifts what `disable` did. The account itself may be gone by now; the mark goes by the name.

use authflow_host::{gone::Found, records::Records};
use serde::Serialize;

use crate::{
    context::Context,
    error::Error,
    journal,
    output::{note, text::clean},
};

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
        // First of all, and by the name alone: no directory that is away may stand between.
        let mut changed = self.enable(context)?;
        if !context.is_image() {
            match context.look_for(&self.user) {
                // The mark that keeps the user out goes by the account's own name.
                Found::Account(account) if account.name != self.user => {
                    note(&format!("{} is another spelling of {}", clean(&self.user), clean(&account.name)));
                    self.user = account.name;
                    changed |= self.enable(context)?;
                }
                Found::Account(_) => {}
                // A typing error must not look like somebody who is let in.
                Found::Nobody if !changed => return Err(Error::NoUser(self.user)),
                Found::Nobody => {}
                Found::Untold(why) if !changed => return Err(Error::failed("the user data base", &why)),
                Found::Untold(why) => note(&format!("{} is enabled, as it is written: {why}", clean(&self.user))),
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
