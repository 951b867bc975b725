//! What changes at every attempt at one user: the steps that were used up, and the throttle's counters. As text, one TOML file
//! a user, so that an administrator can read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    throttle::{Source, Tally, Throttle},
    time::WallTime,
};

const VERSION: u32 = 1;

/// A user's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last step that passed, by the authenticator's name. Only a newer one passes (RFC 6238 §5.2).
    pub last_steps: BTreeMap<String, u64>,
    /// Failures and waits.
    pub throttle: Throttle,
}

/// Why a state is not used. There is no silent reset: a lost step would let a code in twice.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadState {
    /// No TOML, or not of the known shape.
    #[error("the state does not parse: {0}")]
    Syntax(String),
    /// Written by a newer version.
    #[error("the state has version {0}, this program knows version {VERSION}")]
    Version(u32),
    /// A source that is none.
    #[error("the state names {0:?}, which is no source of logins")]
    Source(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    consecutive_failures: u32,
    #[serde(default)]
    last_steps: BTreeMap<String, u64>,
    #[serde(default)]
    source: BTreeMap<String, Entry>,
}

/// Times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    failures: u32,
    since: u64,
    touched: u64,
    not_before: u64,
    succeeded: Option<u64>,
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    /// Anything but the exact shape. That the text is whole is for the one to know who stored it.
    pub fn parse(text: &str) -> Result<Self, BadState> {
        let file: File = toml::from_str(text).map_err(|error| BadState::Syntax(error.message().to_owned()))?;
        if file.version != VERSION {
            return Err(BadState::Version(file.version));
        }
        let mut sources = BTreeMap::new();
        for (name, entry) in file.source {
            let source = name.parse::<Source>().map_err(|_no_source| BadState::Source(name))?;
            sources.insert(source, entry.into());
        }
        Ok(Self { last_steps: file.last_steps, throttle: Throttle { sources, consecutive: file.consecutive_failures } })
    }

    /// The text that [`State::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let file = File {
            version: VERSION,
            consecutive_failures: self.throttle.consecutive,
            last_steps: self.last_steps.clone(),
            source: self.throttle.sources.iter().map(|(source, tally)| (source.to_string(), (*tally).into())).collect(),
        };
        // Every value has a TOML form, so this cannot fail; an empty text would not parse and thus deny.
        toml::to_string(&file).unwrap_or_default()
    }
}

impl From<Entry> for Tally {
    fn from(entry: Entry) -> Self {
        Self {
            failures: entry.failures,
            since: WallTime::from_micros(entry.since),
            touched: WallTime::from_micros(entry.touched),
            not_before: WallTime::from_micros(entry.not_before),
            succeeded: entry.succeeded.map(WallTime::from_micros),
        }
    }
}

impl From<Tally> for Entry {
    fn from(tally: Tally) -> Self {
        Self {
            failures: tally.failures,
            since: tally.since.as_micros(),
            touched: tally.touched.as_micros(),
            not_before: tally.not_before.as_micros(),
            succeeded: tally.succeeded.map(WallTime::as_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // TOML's integers are signed, so times and steps stay below 2^63.
    fn state() -> impl Strategy<Value = State> {
        let time = (0..u64::MAX / 2).prop_map(WallTime::from_micros);
        let tally = (any::<u32>(), time.clone(), time.clone(), time.clone(), prop::option::of(time)).prop_map(
            |(failures, since, touched, not_before, succeeded)| Tally {
                failures,
                since,
                touched,
                not_before,
                succeeded,
            },
        );
        let source = prop_oneof![
            Just(Source::Local),
            any::<u32>().prop_map(|bits| Source::Network(std::net::IpAddr::V4(bits.into())))
        ];
        let steps = prop::collection::btree_map(".{1,12}", 0..u64::MAX / 2, 0..3);
        (steps, prop::collection::btree_map(source, tally, 0..4), any::<u32>()).prop_map(
            |(last_steps, sources, consecutive)| State { last_steps, throttle: Throttle { sources, consecutive } },
        )
    }

    proptest! {
        #[test]
        fn a_state_is_read_as_it_was_written(state in state()) {
            prop_assert_eq!(State::parse(&state.to_text()), Ok(state));
        }
    }

    #[test]
    fn an_empty_or_foreign_file_is_an_error() {
        assert!(matches!(State::parse(""), Err(BadState::Syntax(_))));
        assert!(matches!(State::parse("version = 1\nconsecutive_failures = 0\nextra = 1\n"), Err(BadState::Syntax(_))));
        assert_eq!(State::parse("version = 2\nconsecutive_failures = 0\n"), Err(BadState::Version(2)));
    }
}
