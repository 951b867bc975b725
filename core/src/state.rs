//! What changes at every attempt at one user: the steps and codes that were used up, the throttle's counters, and what the user has to
//! be told. As text, one TOML file a user, so that an administrator can read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    enrolment::{Grace, Graces},
    last_steps::LastSteps,
    news::{Event, Item, News},
    stand_in::{Bypass, CodeDigest},
    throttle::{Source, Tally, Throttle},
    time::WallTime,
    toml_text,
};

const VERSION: u32 = 1;

/// How much room a state's text needs for the next attempt, whatever comes of it: more than twice what one adds.
pub const GROWTH: usize = 1024;

/// A user's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The steps that passed.
    pub last_steps: LastSteps,
    /// The recovery codes that passed. Only another passes.
    pub spent_codes: BTreeSet<CodeDigest>,
    /// The bypass code, until it passes or is withdrawn.
    pub bypass: Option<Bypass>,
    /// Failures and waits.
    pub throttle: Throttle,
    /// Failed attempts that the user has not been told of.
    pub failures: Failures,
    /// What the user has not been told yet.
    pub news: News,
    /// How much was used of the time to enrol in, by rule.
    pub graces: Graces,
}

/// Failed attempts that the user has not been told of. A success at sudo or a locker leaves them: nobody reads a notice there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last was, and from where.
    pub last: Option<(WallTime, Source)>,
}

impl Failures {
    /// Counts one more.
    pub fn add(&mut self, at: WallTime, from: Source) {
        self.count = self.count.saturating_add(1);
        self.last = Some((at, from));
    }
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
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    spent_codes: BTreeSet<CodeDigest>,
    failures: Option<FailuresEntry>,
    bypass: Option<BypassEntry>,
    #[serde(default)]
    last_steps: LastSteps,
    #[serde(default)]
    source: BTreeMap<String, Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    news: Vec<NewsEntry>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    grace: BTreeMap<String, GraceEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GraceEntry {
    used: u64,
    latest: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FailuresEntry {
    count: u32,
    last: u64,
    from: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BypassEntry {
    code: CodeDigest,
    issued: u64,
    until: u64,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewsEntry {
    at: u64,
    event: Event,
    from: Option<String>,
    detail: String,
}

/// Times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    failures: u32,
    #[serde(default)]
    locks: u32,
    since: u64,
    touched: u64,
    not_before: u64,
    succeeded: Option<u64>,
    #[serde(default, skip_serializing_if = "is_none")]
    in_a_row: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    /// Anything but the exact shape. That the text is whole is for the one to know who stored it.
    pub fn parse(text: &str) -> Result<Self, BadState> {
        let file: File = toml_text::from_str(text).map_err(|error| BadState::Syntax(error.message))?;
        if file.version != VERSION {
            return Err(BadState::Version(file.version));
        }
        let read = |(name, entry): (String, Entry)| Ok((read_source(name)?, entry.into()));
        let tallies = file.source.into_iter().map(read).collect::<Result<Vec<_>, BadState>>()?;
        let failures = match file.failures {
            Some(FailuresEntry { count, last, from }) => {
                Failures { count, last: Some((WallTime::from_micros(last), read_source(from)?)) }
            }
            None => Failures::default(),
        };
        let news = file.news.into_iter().map(NewsEntry::read).collect::<Result<_, _>>()?;
        Ok(Self {
            last_steps: file.last_steps,
            spent_codes: file.spent_codes,
            bypass: file.bypass.map(Bypass::from),
            throttle: Throttle::read(file.consecutive_failures, tallies),
            failures,
            news,
            graces: file.grace.into_iter().map(|(rule, entry)| (rule, entry.into())).collect(),
        })
    }

    /// The text that [`State::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let file = File {
            version: VERSION,
            consecutive_failures: self.throttle.consecutive,
            spent_codes: self.spent_codes.clone(),
            failures: self.failures.last.as_ref().map(|(at, source)| FailuresEntry {
                count: self.failures.count,
                last: at.as_micros(),
                from: source.to_string(),
            }),
            bypass: self.bypass.as_ref().map(BypassEntry::from),
            last_steps: self.last_steps.clone(),
            source: self.throttle.sources.iter().map(|(source, tally)| (source.to_string(), (*tally).into())).collect(),
            news: self.news.items().iter().map(NewsEntry::from).collect(),
            grace: self.graces.iter().map(|(rule, grace)| (rule.to_owned(), grace.into())).collect(),
        };
        // Every value has a TOML form, so this cannot fail; an empty text would not parse and thus deny.
        toml::to_string(&file).unwrap_or_default()
    }
}

fn read_source(name: String) -> Result<Source, BadState> {
    name.parse().map_err(|_no_source| BadState::Source(name))
}

impl NewsEntry {
    fn read(self) -> Result<Item, BadState> {
        let from = self.from.map(read_source).transpose()?;
        Ok(Item { at: WallTime::from_micros(self.at), event: self.event, from, detail: self.detail })
    }
}

impl From<&Item> for NewsEntry {
    fn from(item: &Item) -> Self {
        let from = item.from.as_ref().map(ToString::to_string);
        Self { at: item.at.as_micros(), event: item.event, from, detail: item.detail.clone() }
    }
}

impl From<BypassEntry> for Bypass {
    fn from(entry: BypassEntry) -> Self {
        let (issued, until) = (WallTime::from_micros(entry.issued), WallTime::from_micros(entry.until));
        Self { code: entry.code, issued, until, reason: entry.reason }
    }
}

impl From<&Bypass> for BypassEntry {
    fn from(bypass: &Bypass) -> Self {
        let Bypass { code, issued, until, reason } = bypass;
        Self { code: *code, issued: issued.as_micros(), until: until.as_micros(), reason: reason.clone() }
    }
}

impl From<GraceEntry> for Grace {
    fn from(entry: GraceEntry) -> Self {
        Self { used: Duration::from_micros(entry.used), latest: WallTime::from_micros(entry.latest) }
    }
}

impl From<Grace> for GraceEntry {
    fn from(grace: Grace) -> Self {
        Self { used: WallTime::new(grace.used).as_micros(), latest: grace.latest.as_micros() }
    }
}

impl From<Entry> for Tally {
    fn from(entry: Entry) -> Self {
        Self {
            failures: entry.failures,
            locks: entry.locks,
            since: WallTime::from_micros(entry.since),
            touched: WallTime::from_micros(entry.touched),
            not_before: WallTime::from_micros(entry.not_before),
            succeeded: entry.succeeded.map(WallTime::from_micros),
            in_a_row: entry.in_a_row,
        }
    }
}

impl From<Tally> for Entry {
    fn from(tally: Tally) -> Self {
        Self {
            failures: tally.failures,
            locks: tally.locks,
            since: tally.since.as_micros(),
            touched: tally.touched.as_micros(),
            not_before: tally.not_before.as_micros(),
            succeeded: tally.succeeded.map(WallTime::as_micros),
            in_a_row: tally.in_a_row,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        secret::Secret,
        stand_in::{CODE_BYTES, code_from},
        throttle::ServiceName,
    };

    fn digest(random: &[u8; CODE_BYTES]) -> CodeDigest {
        CodeDigest::of(&Secret::from(code_from(random).as_str())).unwrap()
    }

    // TOML's integers are signed, so times and steps stay below 2^63.
    pub(crate) fn state() -> impl Strategy<Value = State> {
        let time = (0..u64::MAX / 2).prop_map(WallTime::from_micros);
        let tally = (any::<(u32, u32, u32)>(), time.clone(), time.clone(), time.clone(), prop::option::of(time))
            .prop_map(|((failures, locks, in_a_row), since, touched, not_before, succeeded)| Tally {
                failures,
                locks,
                since,
                touched,
                not_before,
                succeeded,
                in_a_row,
            });
        let source = prop_oneof![
            any::<u32>().prop_map(Source::Local),
            "[a-z0-9.-]{1,34}".prop_map(|name| Source::Service(ServiceName::new(&name))),
            any::<u32>().prop_map(|bits| Source::from(std::net::IpAddr::V4(bits.into())))
        ];
        let steps = prop::collection::btree_map(".{1,12}", 0..u64::MAX / 2, 0..3);
        let code = any::<[u8; CODE_BYTES]>().prop_map(|random| digest(&random));
        let moment = (0..u64::MAX / 2).prop_map(WallTime::from_micros);
        let bypass = (code.clone(), moment.clone(), moment.clone(), ".{0,20}")
            .prop_map(|(code, issued, until, reason)| Bypass { code, issued, until, reason });
        let failures = (any::<u32>(), moment.clone())
            .prop_map(|(count, at)| Failures { count, last: Some((at, Source::CONSOLE)) });
        let item = (moment, prop::bool::ANY, ".{0,20}").prop_map(|(at, is_local, detail)| Item {
            at,
            event: if is_local { Event::FactorAdded } else { Event::CodeReused },
            from: is_local.then_some(Source::CONSOLE),
            detail,
        });
        let throttle = (prop::collection::btree_map(source, tally, 0..4), any::<u32>())
            .prop_map(|(sources, consecutive)| Throttle { sources, consecutive });
        let codes = prop::collection::btree_set(code, 0..3);
        let grace = (0..u64::MAX / 2, 0..u64::MAX / 2).prop_map(|(used, latest)| Grace {
            used: Duration::from_micros(used),
            latest: WallTime::from_micros(latest),
        });
        let graces = prop::collection::btree_map(".{1,12}", grace, 0..3);
        let rest = (prop::option::of(bypass), prop::option::of(failures), prop::collection::vec(item, 0..3), graces);
        (steps, codes, throttle, rest).prop_map(|(last_steps, spent_codes, throttle, rest)| {
            let (bypass, failures, news, graces) = rest;
            State {
                last_steps: last_steps.into_iter().collect(),
                spent_codes,
                bypass,
                throttle,
                failures: failures.unwrap_or_default(),
                news: news.into_iter().collect(),
                graces: graces.into_iter().collect(),
            }
        })
    }

    #[test]
    fn a_state_that_tells_addresses_of_loopback_apart_is_read_as_what_is_one_source() {
        let source = |name, not_before| {
            format!("[source.\"{name}\"]\nfailures = 1\nsince = 1\ntouched = 2\nnot_before = {not_before}\n")
        };
        let sources: String =
            [("127.0.0.1", 0), ("127.0.0.5", 7), ("::/64", 0)].map(|(name, at)| source(name, at)).concat();
        let failures = "[failures]\ncount = 3\nlast = 2\nfrom = \"127.0.0.5\"\n";
        let state = State::parse(&format!("version = 1\nconsecutive_failures = 3\n{sources}{failures}")).unwrap();
        let one = state.throttle.sources.get(&Source::LOOPBACK).copied().unwrap();
        assert_eq!((state.throttle.sources.len(), one.failures, one.not_before), (1, 3, WallTime::from_micros(7)));
        assert_eq!(state.failures.last, Some((WallTime::from_micros(2), Source::LOOPBACK)));
        assert!(state.to_text().contains("[source.\"127.0.0.1\"]"), "and the version before reads it again");
        assert_eq!(State::parse(&state.to_text()), Ok(state));
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
        // A newer version's, for one. To pass over it could pass over its lock.
        let tally = "failures = 5\nsince = 1\ntouched = 1\nnot_before = 9\n";
        let source = format!("version = 1\nconsecutive_failures = 0\n[source.\"seat:7\"]\n{tally}");
        assert_eq!(State::parse(&source), Err(BadState::Source("seat:7".to_owned())));
    }
}
