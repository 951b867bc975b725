//! `authflow import pam_oath`: the time-based secrets of pam_oath's users file, and its last codes.

use std::{collections::BTreeSet, path::PathBuf};

use authflow_core::totp::TotpKey;
use authflow_host::file;
use zeroize::Zeroizing;

use super::{
    newcomer::{Entry, Manner, Newcomer},
    oath_file::{self, OathKey, OathLine},
    report::{self, Part},
};
use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
pub(crate) struct PamOath {
    /// The users file, as the PAM line's usersfile= names it
    #[arg(default_value = "/etc/users.oath")]
    file: PathBuf,
    /// That user alone
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Even if the user has an authenticator, or had one: nobody else asks whether it is the user's
    #[arg(long, requires = "user")]
    add: bool,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

const NAME: &str = "pam_oath";

const NEXT_STEP: &str = "\nThe file stays where it is, and pam_oath goes on working. Next: try `authflow test USER --service S --run`, put \
                         authflow's line in place of pam_oath's, and remove the file once everybody has logged in that way: a code that one of \
                         the two modules has taken the other one does not know of.\n";

impl PamOath {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("only root imports other users' secrets")?;
        let text = file::read_trusted(&self.file, context.trust())
            .map(Zeroizing::new)
            .map_err(|error| Error::failed("not imported", &error))?;
        let is_meant = |line: &OathLine<'_>| self.user.as_deref().is_none_or(|user| user == line.user);
        let mut arrived = BTreeSet::new();
        let lines = oath_file::lines(&text).filter(is_meant);
        let parts: Vec<_> = lines.map(|line| self.import(context, line, &mut arrived)).collect();
        if let (Some(user), []) = (&self.user, parts.as_slice()) {
            return Err(Error::Failed(format!("{} names no {user:?}", self.file.display())));
        }
        report::tell(context, &parts, self.dry_run, NEXT_STEP)
    }

    /// One line's part. What is wrong with one line keeps no other out. Who has `arrived` in this run brings further lines along: the file
    /// is root's, and tells all of a user's authenticators.
    fn import(&self, context: &Context, line: OathLine<'_>, arrived: &mut BTreeSet<String>) -> Part {
        let (user, number) = (line.user, line.number);
        let refused = |why: &dyn std::error::Error| {
            Part::refused(user, Error::failed(&format!("{}:{number}", self.file.display()), why).to_string())
        };
        let key = match line.key {
            Ok(key) => key,
            Err(why) => return refused(&why),
        };
        let totp = match key.to_totp(NAME, context.now()) {
            Ok(totp) => totp,
            Err(why) => return refused(&why),
        };
        let manner = Manner { adds: self.add || arrived.contains(user), is_dry_run: self.dry_run };
        match enter(context, user, (&key, totp), manner) {
            Ok(entry) => {
                if matches!(entry, Entry::Added { .. }) {
                    arrived.insert(user.to_owned());
                }
                part(user, &key, entry)
            }
            Err(error) => refused(&error),
        }
    }
}

fn enter(context: &Context, user: &str, (oath, key): (&OathKey<'_>, TotpKey), manner: Manner) -> Result<Entry, Error> {
    let subject = context.subject(Some(user))?;
    let last_used = oath.last_used(&key, context.now());
    Newcomer { key, last_used, codes: BTreeSet::new() }.enter(context, &subject, manner)
}

fn part(user: &str, oath: &OathKey<'_>, entry: Entry) -> Part {
    let pin = "its PIN is not carried over: have the rule's method ask for the password beside the code";
    let notes = oath.has_pin.then(|| pin.to_owned()).into_iter().collect();
    Part::entered(user, entry, notes)
}
