//! `authflow user forget`: nothing that went by a name is there for whoever is given it next. The account itself may be gone by now.

use authflow_host::{
    forget::Held,
    gone::Found,
    local_accounts,
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
    /// Do not ask where the account is, or may be, still there
    #[arg(long)]
    yes: bool,
    /// Do nothing unless it is certain that the account is gone
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
        let found = if context.is_image() { Found::Nobody } else { context.look_for(&self.user) };
        if !self.if_gone {
            self.consent(context, &found, held)?;
        } else if !self.is_gone(&found, held) {
            return self.report(context, Held::default());
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

    /// Whether it is certain that no account goes by the name. Where that cannot be told of a name that something goes by, why is said.
    fn is_gone(&self, found: &Found, held: Held) -> bool {
        match found {
            Found::Account(_) => false,
            Found::Nobody => true,
            Found::Untold(why) => {
                if held.is_any() {
                    let user = clean(&self.user);
                    note(&format!("{user} is not forgotten: {why}; by your word: authflow user forget {user}"));
                }
                false
            }
        }
    }

    /// Asks wherever somebody may still be there: with a directory always, since who is gone from it may come back.
    fn consent(&self, context: &Context, found: &Found, held: Held) -> Result<(), Error> {
        let user = &self.user;
        let what = match found {
            Found::Nobody if context.is_image() => return Ok(()),
            Found::Nobody if !held.is_any() => return Err(Error::NoUser(user.clone())),
            Found::Untold(why) if !held.is_any() => return Err(Error::failed("the user data base", why)),
            Found::Nobody if !local_accounts::has_directory(&context.paths) => return Ok(()),
            Found::Nobody => format!("No account {user} is found"),
            Found::Account(account) if account.name == *user => format!("The account {user} is there"),
            Found::Account(account) => format!("{user} is another spelling of {}", account.name),
            Found::Untold(why) => format!("{user}: {why}"),
        };
        if self.yes || !held.is_any() {
            return Ok(());
        }
        context.confirm(&format!("{what}. Take the {} of {user} away?", told(held)))
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
