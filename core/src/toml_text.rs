//! Values from TOML text. The tree is the `toml` crate's. The way from there into a type is here, and borrows it: the crate's own takes the
//! tree apart anew for each type, which made a ninth of a module that is mapped into every login.

use std::{marker::PhantomData, ops::Range};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_spanned::{Spanned, de::SpannedDeserializer};
use toml::de::{DeArray, DeInteger, DeString, DeTable, DeValue};

/// What is wrong with a text, and where. The message may repeat a value that stands there.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct TomlError {
    /// The first byte of what is wrong.
    pub offset: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Reads a value from TOML text.
///
/// # Errors
/// It is no TOML, or not of the value's shape.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, TomlError> {
    let table = DeTable::parse(text).map_err(|error| TomlError {
        offset: error.span().map_or(0, |span| span.start),
        message: error.message().to_owned(),
    })?;
    let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    read(PhantomData::<T>, &root).map_err(TomlError::from)
}

/// An error that has not found its place yet, or has.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Failure {
    offset: Option<usize>,
    message: String,
}

impl Failure {
    /// The innermost place is the nearest, so the first one stays.
    fn placed(self, span: &Range<usize>) -> Self {
        Self { offset: self.offset.or(Some(span.start)), ..self }
    }
}

impl From<Failure> for TomlError {
    fn from(failure: Failure) -> Self {
        Self { offset: failure.offset.unwrap_or_default(), message: failure.message }
    }
}

impl serde::de::Error for Failure {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { offset: None, message: message.to_string() }
    }
}

/// Every value is read here, so that an error that a type makes of it knows its place, too.
fn read<'de, T: DeserializeSeed<'de>>(seed: T, value: &Spanned<DeValue<'_>>) -> Result<T::Value, Failure> {
    seed.deserialize(Node(value)).map_err(|error| error.placed(&value.span()))
}

/// A value of the tree.
#[derive(Clone, Copy)]
struct Node<'t>(&'t Spanned<DeValue<'t>>);

fn whole_number(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => match whole_number(number) {
                Some(number) => visitor.visit_i64(number),
                None => Err(Failure::custom(format_args!("the number {number} is too large"))),
            },
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Array(values) => visitor.visit_seq(Values(values.iter())),
            DeValue::Table(table) => visitor.visit_map(Entries::of(table)),
            DeValue::Float(_) => Err(Failure::invalid_type(Unexpected::Other("floating point"), &visitor)),
            DeValue::Datetime(_) => Err(Failure::invalid_type(Unexpected::Other("date"), &visitor)),
        }
    }

    // A key that is written has a value: TOML knows no null.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        if serde_spanned::de::is_spanned(name) {
            visitor.visit_map(SpannedDeserializer::new(self, self.0.span()))
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        match self.0.get_ref() {
            DeValue::String(word) => visitor.visit_enum(word_of(word)),
            DeValue::Table(table) => visitor.visit_enum(MapAccessDeserializer::new(Entries::of(table))),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => Err(Failure::custom("expected a word")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Failure> for Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn word_of<'t>(word: &'t str) -> StrDeserializer<'t, Failure> {
    word.into_deserializer()
}

/// What is left of an array.
struct Values<'t>(<&'t DeArray<'t> as IntoIterator>::IntoIter);

impl<'de> SeqAccess<'de> for Values<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        self.0.next().map(|value| read(seed, value)).transpose()
    }
}

/// What is left of a table.
struct Entries<'t> {
    rest: <&'t DeTable<'t> as IntoIterator>::IntoIter,
    value: Option<&'t Spanned<DeValue<'t>>>,
}

impl<'t> Entries<'t> {
    fn of(table: &'t DeTable<'t>) -> Self {
        Self { rest: table.iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let text: &DeString<'_> = key.get_ref();
        seed.deserialize(word_of(text)).map(Some).map_err(|error| error.placed(&key.span()))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let value = self.value.take().ok_or_else(|| Failure::custom("a value without a key"))?;
        read(seed, value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Amount {
        All,
        Bytes(u64),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        text: String,
        count: i64,
        small: Option<u8>,
        is_set: bool,
        amount: Vec<Amount>,
        map: BTreeMap<String, Vec<String>>,
    }

    fn sample() -> impl Strategy<Value = Sample> {
        let amount = prop_oneof![Just(Amount::All), (0..u64::MAX / 2).prop_map(Amount::Bytes)];
        let map = prop::collection::btree_map(".{0,5}", prop::collection::vec(".{0,5}", 0..3), 0..3);
        (".{0,20}", any::<(i64, Option<u8>, bool)>(), prop::collection::vec(amount, 0..3), map)
            .prop_map(|(text, (count, small, is_set), amount, map)| Sample { text, count, small, is_set, amount, map })
    }

    proptest! {
        #[test]
        fn what_the_crate_writes_is_read(sample in sample()) {
            prop_assert_eq!(from_str::<Sample>(&toml::to_string(&sample).unwrap()), Ok(sample));
        }

        #[test]
        fn it_reads_what_the_crate_reads(text in "(\\PC|\n){0,80}") {
            let theirs = toml::from_str::<BTreeMap<String, String>>(&text);
            prop_assert_eq!(from_str::<BTreeMap<String, String>>(&text).ok(), theirs.ok());
        }
    }

    #[test]
    fn an_error_is_where_it_is() {
        let whole = "text = 'a'\ncount = 1\nis_set = true\namount = []\n[map]\n";
        assert!(from_str::<Sample>(whole).is_ok());
        for (old, new, at, message) in [
            ("'a'", "1", 7, "invalid type: integer `1`, expected a string"),
            ("count = 1", "count = 1.5", 19, "invalid type: floating point, expected i64"),
            ("count = 1", "count = 99999999999999999999", 19, "the number 99999999999999999999 is too large"),
            ("count = 1", "count = 1979-05-27", 19, "invalid type: date, expected i64"),
            ("count = 1", "cuont = 1", 11, "unknown field `cuont`, expected one of `text`"),
            ("count = 1\n", "", 0, "missing field `count`"),
            ("count = 1", "count = 1\nsmall = 256", 29, "invalid value: integer `256`, expected u8"),
            ("[]", "['all', 'some']", 52, "unknown variant `some`, expected `all` or `bytes`"),
            ("[]", "[7]", 45, "expected a word"),
            ("[map]", "[map]\na = ['x', true]", 63, "invalid type: boolean `true`, expected a string"),
            ("[map]", "[map", 51, "unclosed table"),
        ] {
            let error = from_str::<Sample>(&whole.replace(old, new)).unwrap_err();
            assert!(error.message.starts_with(message), "{new}: {error}");
            assert_eq!(error.offset, at, "{new}: {error}");
        }
    }
}
