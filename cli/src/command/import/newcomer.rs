//! An authenticator from elsewhere, and how it comes into a user's record: by itself only where there is and was none, since whoever has
//! the user's shell writes such a source too. The codes that have passed are used up before it can be asked for.

use std::collections::BTreeSet;

use authflow_core::{
    account::{Authenticators, MOST_RECOVERY_CODES},
    news::{Event, Item},
    stand_in::{CodeDigest, RecoverySet},
    state::State,
    time::WallTime,
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
    /// The user was left alone.
    Left(LeftAlone),
}

/// Why an administrator has to name the user and `--add`: nobody proved anything, and a source can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LeftAlone {
    /// Another authenticator is there.
    #[error("has an authenticator already; --user with --add takes this one too")]
    HasOne,
    /// One was there, imported or enrolled.
    #[error("had an authenticator before, and it was removed since; --user with --add takes this one")]
    HadOne,
}

/// How an import enters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Even where there is an authenticator, or was.
    pub adds: bool,
    /// Only tell what would come of it.
    pub is_dry_run: bool,
}

impl Newcomer {
    /// Puts it into the record of `subject`, or tells what would come of that.
    pub(super) fn enter(self, context: &Context, subject: &Subject, manner: Manner) -> Result<Entry, Error> {
        let (state, now) = (subject.state()?, context.now());
        // On a copy first: a secret that stays out must not push used steps out of the user's state.
        let expected = self.added_to(&mut subject.authenticators()?, &state, (manner, now))?;
        if manner.is_dry_run || !matches!(expected, Entry::Added { .. }) {
            return Ok(expected);
        }
        // Step 0 where none is known to have passed: what is left in the state tells the next import that there was an authenticator.
        let step = self.last_used.unwrap_or_default();
        subject.change_state(|state| state.last_steps.use_up(&self.key, step))?;
        let entry = subject.update(|keys| self.added_to(keys, &state, (manner, now)))?;
        if let Entry::Added { name, .. } = &entry {
            let item = Item { at: now, event: Event::FactorAdded, from: None, detail: name.clone() };
            subject.tell(item)?;
            journal::note(context, journal::Event::FactorAdded, &[("user", subject.name()), ("name", name)]);
        }
        Ok(entry)
    }

    /// `state` is what it was before this import.
    fn added_to(
        &self,
        keys: &mut Authenticators,
        state: &State,
        (manner, now): (Manner, WallTime),
    ) -> Result<Entry, Error> {
        if let Some(known) = keys.totp().iter().find(|other| other.secret().matches(self.key.secret())) {
            return Ok(Entry::Known { name: known.name().to_owned() });
        }
        if !manner.adds && !keys.totp().is_empty() {
            return Ok(Entry::Left(LeftAlone::HasOne));
        }
        if !manner.adds && !state.last_steps.is_empty() {
            return Ok(Entry::Left(LeftAlone::HadOne));
        }
        let key = under_free_name(&self.key, keys)?;
        let name = key.name().to_owned();
        subject::add(keys, key)?;
        Ok(Entry::Added { name, codes: self.add_codes(keys, state, now) })
    }

    /// Makes the codes the user's recovery codes, unless there are such, which are better; tells how many.
    fn add_codes(&self, keys: &mut Authenticators, state: &State, now: WallTime) -> usize {
        if keys.recovery.as_ref().is_some_and(|set| !set.codes.is_empty()) {
            return 0;
        }
        let fresh = self.codes.iter().filter(|code| !state.spent_codes.contains(code));
        let codes: BTreeSet<_> = fresh.take(MOST_RECOVERY_CODES).copied().collect();
        let count = codes.len();
        if count > 0 {
            keys.recovery = Some(RecoverySet { made: now, codes });
        }
        count
    }
}

/// The key as it is called here: by its own name, or by that and the first number that makes it new.
fn under_free_name(key: &TotpKey, keys: &Authenticators) -> Result<TotpKey, Error> {
    let is_free = |name: &String| keys.totp().iter().all(|other| other.name() != name);
    let numbered = (2..).map(|number| format!("{}-{number}", key.name()));
    let name = std::iter::once(key.name().to_owned()).chain(numbered).find(is_free).unwrap_or_default();
    let parameters = (key.hash(), key.digits(), key.period_seconds());
    TotpKey::with_parameters(&name, key.secret().clone(), key.added(), parameters)
        .and_then(|named| named.with_drift(key.drift()))
        .map_err(|error| Error::failed("cannot import", &error))
}

#[cfg(test)]
mod tests {
    use authflow_core::secret::Secret;

    use super::*;

    const BY_ITSELF: (Manner, WallTime) =
        (Manner { adds: false, is_dry_run: false }, WallTime::from_micros(1_000_000_000));
    const ADDING: (Manner, WallTime) = (Manner { adds: true, is_dry_run: false }, BY_ITSELF.1);

    fn code(text: &str) -> CodeDigest {
        CodeDigest::of(&Secret::from(text)).unwrap()
    }

    fn newcomer(secret: u8) -> Newcomer {
        let key = TotpKey::new("phone", Secret::new(vec![secret; 20]), WallTime::default()).unwrap();
        Newcomer { key, last_used: None, codes: BTreeSet::from([code("12345678"), code("87654321")]) }
    }

    fn added(name: &str, codes: usize) -> Entry {
        Entry::Added { name: name.to_owned(), codes }
    }

    #[test]
    fn who_has_an_authenticator_is_left_alone_unless_the_admin_says_add() {
        let (mut keys, state) = (Authenticators::default(), State::default());
        assert_eq!(newcomer(1).added_to(&mut keys, &state, BY_ITSELF).unwrap(), added("phone", 2));
        let again = newcomer(1).added_to(&mut keys, &state, BY_ITSELF).unwrap();
        assert_eq!(again, Entry::Known { name: "phone".to_owned() });
        assert_eq!(newcomer(2).added_to(&mut keys, &state, BY_ITSELF).unwrap(), Entry::Left(LeftAlone::HasOne));
        assert_eq!((keys.totp().len(), keys.recovery.as_ref().map(|set| set.codes.len())), (1, Some(2)));
        assert_eq!(newcomer(2).added_to(&mut keys, &state, ADDING).unwrap(), added("phone-2", 0));
    }

    #[test]
    fn a_drift_stays_whatever_the_authenticator_is_called_here() {
        let (mut keys, state) = (Authenticators::default(), State::default());
        assert_eq!(newcomer(1).added_to(&mut keys, &state, BY_ITSELF).unwrap(), added("phone", 2));
        let other = newcomer(2);
        let other = Newcomer { key: other.key.with_drift(-20).unwrap(), ..other };
        assert_eq!(other.added_to(&mut keys, &state, ADDING).unwrap(), added("phone-2", 0));
        assert_eq!(keys.totp().iter().map(TotpKey::drift).collect::<Vec<_>>(), [0, -20]);
    }

    #[test]
    fn who_had_an_authenticator_is_left_alone_whatever_the_secret_is() {
        let mut state = State::default();
        state.last_steps.use_up(&newcomer(1).key, 0);
        let state = State::parse(&state.to_text()).unwrap();
        for secret in [1, 2] {
            let mut keys = Authenticators::default();
            let entry = newcomer(secret).added_to(&mut keys, &state, BY_ITSELF).unwrap();
            assert_eq!(entry, Entry::Left(LeftAlone::HadOne));
            assert!(keys.totp().is_empty() && keys.recovery.is_none());
        }
        let entry = newcomer(1).added_to(&mut Authenticators::default(), &state, ADDING).unwrap();
        assert_eq!(entry, added("phone", 2));
    }

    #[test]
    fn scratch_codes_stay_out_of_a_set_that_is_there_and_spent_ones_out_of_any() {
        let own = RecoverySet { made: WallTime::default(), codes: BTreeSet::from([code("11111111")]) };
        let mut keys = Authenticators::default();
        keys.recovery = Some(own.clone());
        assert_eq!(newcomer(1).added_to(&mut keys, &State::default(), BY_ITSELF).unwrap(), added("phone", 0));
        assert_eq!(keys.recovery, Some(own));
        let state = State { spent_codes: BTreeSet::from([code("12345678")]), ..State::default() };
        let mut keys = Authenticators::default();
        assert_eq!(newcomer(1).added_to(&mut keys, &state, BY_ITSELF).unwrap(), added("phone", 1));
        assert_eq!(keys.recovery.unwrap().codes, BTreeSet::from([code("87654321")]));
    }
}
