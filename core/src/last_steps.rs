//! Which steps of which secrets were used up. A secret and not a name is what a code belongs to: removed and enrolled again under another
//! name, it must not let a code in that passed already.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::totp::TotpKey;

/// How many secrets are remembered: more than a user can go through while a code lasts. The oldest is forgotten first.
const REMEMBERED: usize = 64;

/// The length of a step whose label does not tell it.
const USUAL_PERIOD: u64 = 30;

/// The last step that passed, by a label of the secret. Only a newer one passes (RFC 6238 §5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastSteps(BTreeMap<String, u64>);

impl LastSteps {
    /// The last step of that authenticator's secret that passed.
    #[must_use]
    pub fn last(&self, key: &TotpKey) -> Option<u64> {
        // Earlier versions wrote down names.
        let by_name = self.0.get(key.name());
        self.0.get(&label(key)).max(by_name).copied()
    }

    /// Whether that step of the authenticator's secret may still pass.
    #[must_use]
    pub fn allow(&self, key: &TotpKey, step: u64) -> bool {
        self.last(key).is_none_or(|last| step > last)
    }

    /// Uses that step up, and all before it.
    pub fn use_up(&mut self, key: &TotpKey, step: u64) {
        let label = label(key);
        let last = self.0.entry(label.clone()).or_default();
        *last = step.max(*last);
        while self.0.len() > REMEMBERED {
            let others = self.0.iter().filter(|(other, _)| **other != label);
            let Some(oldest) = others.min_by_key(|(other, step)| began(other, **step)).map(|(other, _)| other.clone())
            else {
                return;
            };
            self.0.remove(&oldest);
        }
    }

    /// Whether nothing has passed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a code depends on, but for the number of digits: the shorter code is the end of the longer one. The period stands before the
/// digest, since steps of different length cannot be compared.
fn label(key: &TotpKey) -> String {
    let mut sum = Sha256::new().chain_update(b"authflow step\0").chain_update(key.hash().as_str()).chain_update(b"\0");
    sum.update(key.secret().expose());
    // Half of it: to find another secret with the same is out of reach, and would only burn that one's codes.
    let digest = sum.finalize();
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}s {digits}", key.period_seconds())
}

/// When a step began, in seconds since 1970.
fn began(label: &str, step: u64) -> u64 {
    let period = label.split_once("s ").and_then(|(period, _)| period.parse().ok()).unwrap_or(USUAL_PERIOD);
    step.saturating_mul(period)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{secret::Secret, time::WallTime, totp::Hash};

    fn key(name: &str, secret: u8) -> TotpKey {
        TotpKey::new(name, Secret::new(vec![secret; 20]), WallTime::default()).unwrap()
    }

    #[test]
    fn a_secret_under_another_name_is_the_same_and_another_secret_under_that_name_is_not() {
        let mut steps = LastSteps::default();
        steps.use_up(&key("phone", 1), 7);
        assert!(!steps.allow(&key("tablet", 1), 7) && steps.allow(&key("tablet", 1), 8));
        assert!(steps.allow(&key("phone", 2), 7));
    }

    #[test]
    fn a_step_of_another_length_or_hash_is_another_step_and_one_of_more_digits_is_not() {
        let with = |parameters| {
            TotpKey::with_parameters("phone", Secret::new(vec![1; 20]), WallTime::default(), parameters).unwrap()
        };
        let mut steps = LastSteps::default();
        steps.use_up(&key("phone", 1), 7);
        assert!(steps.allow(&with((Hash::Sha1, 6, 60)), 7) && steps.allow(&with((Hash::Sha256, 6, 30)), 7));
        assert!(!steps.allow(&with((Hash::Sha1, 8, 30)), 7));
    }

    #[test]
    fn names_that_an_earlier_version_wrote_still_count() {
        let mut steps: LastSteps = toml::from_str("phone = 7\n").unwrap();
        assert!(!steps.allow(&key("phone", 1), 7) && steps.allow(&key("phone", 1), 8));
        steps.use_up(&key("phone", 1), 9);
        assert_eq!(steps.last(&key("phone", 1)), Some(9));
        assert!(!toml::to_string(&steps).unwrap().contains(&"01".repeat(16)), "no secret is in it");
    }

    proptest! {
        #[test]
        fn no_step_passes_twice_however_a_secret_is_named(
            tries in prop::collection::vec(("[a-z]{1,3}", 0_u8..4, 0_u64..20), 0..100),
        ) {
            let (mut steps, mut passed) = (LastSteps::default(), Vec::new());
            for (name, secret, step) in tries {
                let key = key(&name, secret);
                if steps.allow(&key, step) {
                    prop_assert!(!passed.contains(&(secret, step)));
                    steps.use_up(&key, step);
                    passed.push((secret, step));
                }
            }
        }

        #[test]
        fn the_map_stays_small_and_keeps_the_newest(secrets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut steps = LastSteps::default();
            for (step, secret) in secrets.iter().enumerate() {
                steps.use_up(&key("phone", *secret), step as u64);
                prop_assert_eq!(steps.last(&key("phone", *secret)), Some(step as u64));
            }
            prop_assert!(steps.0.len() <= REMEMBERED);
        }
    }

    impl FromIterator<(String, u64)> for LastSteps {
        fn from_iter<I: IntoIterator<Item = (String, u64)>>(steps: I) -> Self {
            Self(steps.into_iter().collect())
        }
    }
}
