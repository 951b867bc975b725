//! Reading an `a{sv}`: a key that is missing takes its default, one of another type is an error, an unknown one is ignored. An old
//! module stays mapped in long-lived programs for months and must go on being understood.

use std::{collections::HashMap, time::Duration};

use zbus::{OwnedVariant, Variant};

use crate::NONE;

/// A value that is missing or of another type.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadDict {
    /// A key that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value is of another type than its key says.
    #[error("{0} has the wrong type")]
    Type(&'static str),
    /// A word that its key does not know.
    #[error("{0}: {1}")]
    Word(&'static str, String),
}

pub(crate) struct Dict<'a>(pub(crate) &'a HashMap<String, OwnedVariant>);

impl<'a> Dict<'a> {
    pub(crate) fn optional<T: TryFrom<&'a Variant<'a>>>(&self, key: &'static str) -> Result<Option<T>, BadDict> {
        match self.0.get(key) {
            None => Ok(None),
            Some(value) => T::try_from(value).map(Some).map_err(|_other| BadDict::Type(key)),
        }
    }

    pub(crate) fn required<T: TryFrom<&'a Variant<'a>>>(&self, key: &'static str) -> Result<T, BadDict> {
        self.optional(key)?.ok_or(BadDict::Missing(key))
    }

    /// A text; empty counts as missing, since D-Bus has no null.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<String>, BadDict> {
        Ok(self.optional::<&str>(key)?.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    pub(crate) fn texts(&self, key: &'static str) -> Result<Vec<String>, BadDict> {
        let Some(value) = self.0.get(key) else { return Ok(Vec::new()) };
        let owned = value.try_clone().map_err(|_fd| BadDict::Type(key))?;
        Vec::<String>::try_from(owned).map_err(|_other| BadDict::Type(key))
    }

    pub(crate) fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        key: &'static str,
    ) -> Result<Option<T>, BadDict> {
        self.text(key)?.map(|word| word.parse().map_err(|why: T::Err| BadDict::Word(key, why.to_string()))).transpose()
    }

    /// A duration in microseconds.
    pub(crate) fn duration(&self, key: &'static str) -> Result<Option<Duration>, BadDict> {
        Ok(self.optional::<u64>(key)?.map(Duration::from_micros))
    }

    /// A limit in microseconds: outer `None` is missing, inner `None` is no limit.
    pub(crate) fn limit(&self, key: &'static str) -> Result<Option<Option<Duration>>, BadDict> {
        Ok(self.optional::<u64>(key)?.map(|micros| (micros != NONE).then(|| Duration::from_micros(micros))))
    }
}

/// A limit as it goes over the bus.
pub(crate) fn limit(limit: Option<Duration>) -> u64 {
    limit.map_or(NONE, micros)
}

/// A duration as it goes over the bus; one too long for it is the longest there is.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NONE - 1)
}
