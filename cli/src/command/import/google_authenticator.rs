//! `authflow import google-authenticator`: the secret, the scratch codes, the used codes and the clock of `~/.google_authenticator`.

use authflow_core::{
    stand_in::CodeDigest,
    totp::{Hash, TotpKey},
};
use authflow_host::{accounts::Account, local_accounts};

use super::{
    google_file::{GoogleFile, Refusal},
    google_terms,
    newcomer::{Entry, Manner, Newcomer},
    report::{self, Part},
};
use crate::{as_owner, context::Context, error::Error};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false, id = "whose")]
pub(crate) struct Whose {
    /// Every user in /etc/passwd who has such a file
    #[arg(long)]
    all: bool,
    /// That user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GoogleAuthenticator {
    #[command(flatten)]
    whose: Whose,
    /// Even if the user has an authenticator, or had one: nobody else asks whether it is the user's
    #[arg(long, conflicts_with = "all")]
    add: bool,
    /// Tell what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Its place in a home.
const FILE: &str = ".google_authenticator";
const NAME: &str = "google-authenticator";

const NEXT_STEP: &str = "\nThe files stay where they are, and pam_google_authenticator goes on working. Next: try `authflow test USER --service S \
                         --run`, put authflow's line in place of pam_google_authenticator's, and remove the files once everybody has logged in \
                         that way: a code that one of the two modules has taken the other one does not know of.\n";

impl GoogleAuthenticator {
    pub(super) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("only root imports other users' secrets")?;
        if context.is_image() {
            return Err(Error::Usage(
                "the homes of an image's users are not there yet: import on the machine".to_owned(),
            ));
        }
        let mut parts = Vec::new();
        for name in self.users(context)? {
            parts.extend(self.import(context, &name));
        }
        if let (Some(user), []) = (&self.whose.user, parts.as_slice()) {
            return Err(Error::Failed(format!("{user} has no ~/{FILE}")));
        }
        report::tell(context, &parts, self.dry_run, NEXT_STEP)
    }

    fn users(&self, context: &Context) -> Result<Vec<String>, Error> {
        match &self.whose.user {
            Some(user) => Ok(vec![context.account(user)?.name]),
            None => local_accounts::names(&context.paths).map_err(|error| Error::failed("/etc/passwd", &error)),
        }
    }

    /// One user's part; `None` where there is no file. What is wrong with one user keeps nobody else out.
    fn import(&self, context: &Context, name: &str) -> Option<Part> {
        let part = context.account(name).and_then(|account| self.try_import(context, &account));
        part.unwrap_or_else(|error| Some(Part::refused(name, error.to_string())))
    }

    fn try_import(&self, context: &Context, account: &Account) -> Result<Option<Part>, Error> {
        let path = account.home.join(FILE);
        let Some(bytes) = as_owner::read(account, &path)? else { return Ok(None) };
        let file = GoogleFile::parse(&bytes).map_err(|error| Error::failed(&path.display().to_string(), &error))?;
        let subject = context.subject(Some(&account.name))?;
        let newcomer = newcomer(context, &file).map_err(|error| Error::failed(&path.display().to_string(), &error))?;
        let mut notes = google_terms::notes(&context.config()?, &file);
        notes.extend(on_used_codes(context, &file, &newcomer));
        let offered = newcomer.codes.len();
        let manner = Manner { adds: self.add, is_dry_run: self.dry_run };
        let entry = newcomer.enter(context, &subject, manner)?;
        if let Entry::Added { codes, .. } = &entry {
            notes.extend(on_scratch_codes(*codes, offered));
        }
        Ok(Some(Part::entered(&account.name, entry, notes)))
    }
}

fn newcomer(context: &Context, file: &GoogleFile) -> Result<Newcomer, Refusal> {
    let now = context.now();
    let parameters = (Hash::Sha1, 6, file.period);
    let key = TotpKey::with_parameters(NAME, file.secret.clone(), now, parameters)?.with_drift(file.clock_skew)?;
    let last_used = file.last_used(now.as_secs() / key.period_seconds());
    Ok(Newcomer { key, last_used, codes: file.scratch_codes.iter().filter_map(CodeDigest::of).collect() })
}

/// What is to be said where it is not written down which codes were used.
fn on_used_codes(context: &Context, file: &GoogleFile, newcomer: &Newcomer) -> Option<String> {
    file.used.is_none().then(|| {
        let next = newcomer.last_used.unwrap_or_default().saturating_add(1);
        format!(
            "it is not written down which codes were used (no DISALLOW_REUSE), so the first that passes is the one of {}",
            context.local().clock_with_seconds(newcomer.key.start_of(next))
        )
    })
}

/// What is to be said of the scratch codes when so many of those that are offered come in.
fn on_scratch_codes(coming: usize, offered: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if coming > 0 {
        notes.push(
            "scratch codes have 26 bits where 64 are asked for (NIST SP 800-63B-4 4.2.1.1): `authflow factor recovery-codes` makes better ones"
                .to_owned(),
        );
    }
    if coming < offered {
        notes.push(format!(
            "{coming} of {offered} scratch codes came in: codes that are there already stay alone, and so do spent ones"
        ));
    }
    notes
}
