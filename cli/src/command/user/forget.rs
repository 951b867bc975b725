//! `authflow user forget`: nothing that went by a name is there for whoever is given it next. The account itself may be gone by now.

use authflow_host::{
    accounts,
    forget::Held,
    records::{RecordError, Records},
};
use serde::Serialize;

use crate::{
    context::Context,
    error::Error,
    journal,
    output::{note, text::clean},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Forget {
    /// The user
    user: String,
    /// Do not ask where the account is still there
    #[arg(long)]
    yes: bool,
    /// Do nothing where the account is still there, or the name services cannot be asked
    #[arg(long, conflicts_with = "yes")]
    if_gone: bool,
}

#[derive(Serialize)]
struct Forgotten {
    changed: bool,
    user: String,
    #[serde(flatten)]
    held: Held,
}

impl Forget {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("only root forgets users")?;
        let records = Records::trusting(context.paths.clone(), context.trust());
        let held = records.held(&self.user)?;
        let is_there = match self.is_there(context) {
            Ok(is_there) => is_there,
            Err(why) if self.if_gone => {
                note(&format!("{} is not forgotten: {why}", clean(&self.user)));
                true
            }
            Err(why) => return Err(why),
        };
        if is_there && self.if_gone {
            return self.report(context, Held::default());
        }
        if !held.is_any() && !is_there && !self.if_gone && !context.is_image() {
            return Err(Error::NoUser(self.user));
        }
        if is_there && held.is_any() && !self.yes {
            let question = format!("The account {} is there. Take its {} away?", self.user, told(held));
            context.confirm(&question)?;
        }
        let forgotten = match records.forget(&self.user) {
            // A hook is no place to be told at each removal what is as it should be.
            Err(RecordError::Managed(_)) if self.if_gone && !held.is_any() => Held::default(),
            forgotten => forgotten?,
        };
        if forgotten.is_any() {
            let fields = [("user", self.user.as_str()), ("what", &told(forgotten))];
            journal::note(context, journal::Event::Forgotten, &fields);
        }
        self.report(context, forgotten)
    }

    /// Whether an account has that name as its own. What goes by another spelling of it is nobody's.
    fn is_there(&self, context: &Context) -> Result<bool, Error> {
        if context.is_image() {
            return Ok(false);
        }
        let found = accounts::by_name(&self.user).map_err(|error| Error::failed("the user data base", &error))?;
        Ok(found.is_some_and(|account| self.if_gone || account.name == self.user))
    }

    fn report(self, context: &Context, held: Held) -> Result<(), Error> {
        let result = Forgotten { changed: held.is_any(), user: self.user, held };
        Ok(context.output.either(&result, || {
            let user = clean(&result.user);
            if result.changed {
                format!("forgotten of {user}: {}\n", told(held))
            } else {
                format!("nothing of {user} was forgotten: nothing changed\n")
            }
        })?)
    }
}

fn told(held: Held) -> String {
    let words =
        [(held.record, "password and authenticators"), (held.state, "counters"), (held.mark, "mark as disabled")];
    let words: Vec<_> = words.into_iter().filter_map(|(is_there, word)| is_there.then_some(word)).collect();
    words.join(", ")
}
