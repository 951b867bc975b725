//! An authenticator from elsewhere, and how it comes into a user's record: beside what is there, at most once, and with the codes that
//! have passed already used up before it can be asked for.

use std::collections::BTreeSet;

use authflow_core::{
    account::{Authenticators, MOST_RECOVERY_CODES},
    news::{Event, Item},
    stand_in::{CodeDigest, RecoverySet},
    state::State,
    totp::TotpKey,
};

use crate::{
    context::Context,
    error::Error,
    journal,
    subject::{self, Subject},
};

/// What is to come in.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// The authenticator. Its name is what it is called if nothing else is called so.
    pub key: TotpKey,
    /// Its last step that may have passed.
    pub last_used: Option<u64>,
    /// Codes that stand in for it once each.
    pub codes: BTreeSet<CodeDigest>,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is there now, under that name, with so many recovery codes.
    Added { name: String, codes: usize },
    /// The secret was there already, under that name.
    Known { name: String },
}

impl Newcomer {
    /// Puts it into the record of `subject`, or tells what would come of that.
    pub(super) fn enter(self, context: &Context, subject: &Subject, is_dry_run: bool) -> Result<Entry, Error> {
        let state = subject.state()?;
        if is_dry_run {
            return self.added_to(&mut subject.authenticators()?, &state, context);
        }
        let known = subject.authenticators()?.totp().iter().any(|other| other.secret().matches(self.key.secret()));
        if let (false, Some(step)) = (known, self.last_used) {
            subject.change_state(|state| state.last_steps.use_up(&self.key, step))?;
        }
        let entry = subject.update(|keys| self.added_to(keys, &state, context))?;
        if let Entry::Added { name, .. } = &entry {
            let item = Item { at: context.now(), event: Event::FactorAdded, from: None, detail: name.clone() };
            subject.tell(item)?;
            journal::note(context, journal::Event::FactorAdded, &[("user", subject.name()), ("name", name)]);
        }
        Ok(entry)
    }

    fn added_to(&self, keys: &mut Authenticators, state: &State, context: &Context) -> Result<Entry, Error> {
        if let Some(known) = keys.totp().iter().find(|other| other.secret().matches(self.key.secret())) {
            return Ok(Entry::Known { name: known.name().to_owned() });
        }
        let key = under_free_name(&self.key, keys)?;
        let name = key.name().to_owned();
        subject::add(keys, key)?;
        Ok(Entry::Added { name, codes: self.add_codes(keys, state, context) })
    }

    /// Adds the codes for which there is room; tells how many.
    fn add_codes(&self, keys: &mut Authenticators, state: &State, context: &Context) -> usize {
        if self.codes.is_empty() {
            return 0;
        }
        let mut set =
            keys.recovery.take().unwrap_or_else(|| RecoverySet { made: context.now(), codes: BTreeSet::new() });
        let fresh = self.codes.iter().filter(|code| !set.codes.contains(code) && !state.spent_codes.contains(code));
        let fresh: Vec<_> = fresh.take(MOST_RECOVERY_CODES.saturating_sub(set.codes.len())).copied().collect();
        set.codes.extend(&fresh);
        keys.recovery = Some(set);
        fresh.len()
    }
}

/// The key as it is called here: by its own name, or by that and the first number that makes it new.
fn under_free_name(key: &TotpKey, keys: &Authenticators) -> Result<TotpKey, Error> {
    let is_free = |name: &String| keys.totp().iter().all(|other| other.name() != name);
    let numbered = (2..).map(|number| format!("{}-{number}", key.name()));
    let name = std::iter::once(key.name().to_owned()).chain(numbered).find(is_free).unwrap_or_default();
    let parameters = (key.hash(), key.digits(), key.period_seconds());
    TotpKey::with_parameters(&name, key.secret().clone(), key.added(), parameters)
        .map_err(|error| Error::failed("cannot import", &error))
}
