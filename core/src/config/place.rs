//! Where in the files a value stands that a preset refuses, or that is warned of: that is known only once everything was read, so it is
//! looked up in the text.

use toml::de::{DeTable, DeValue};

use super::{ConfigError, Text, preset::Weaker};

/// The error that a weaker value is, at its place, and how many more there are: so that nobody finds out one by one.
pub(super) fn error(weaker: &Weaker, more: usize, (main, drop_ins): (Text<'_>, &[Text<'_>])) -> ConfigError {
    let mut files = std::iter::once(&main).chain(drop_ins);
    let found = files.find_map(|file| Some((*file, key_offset(file.text, weaker.rule.as_deref(), weaker.key)?)));
    // A value that nobody wrote is as strong as the preset, so there always is a place.
    let (file, offset) = found.unwrap_or((main, 0));
    let (of_rule, place) = match &weaker.rule {
        Some(rule) => (format!("rule {rule:?}: "), "the rule".to_owned()),
        None => (String::new(), format!("[{}]", weaker.table())),
    };
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    ConfigError::at(file, offset, format!("{of_rule}{weaker}; or weaker_than_preset = \"the reason\" in {place}{more}"))
}

/// Where in that text the value of a key begins, in bytes: in the rule of that name, or in the file's own tables. Its table is before its
/// dot, as in `session.idle`.
#[must_use]
pub fn key_offset(text: &str, rule_name: Option<&str>, key: &str) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let table = match rule_name {
        Some(name) => rule(file.get_ref(), name)?,
        None => file.get_ref(),
    };
    value(table, key)
}

fn rule<'t>(file: &'t DeTable<'t>, name: &str) -> Option<&'t DeTable<'t>> {
    let rules = file.get("rule")?.get_ref().as_array()?;
    let mut tables = rules.iter().filter_map(|rule| rule.get_ref().as_table());
    tables.find(|table| table.get("name").and_then(|value| value.get_ref().as_str()) == Some(name))
}

fn value(table: &DeTable<'_>, key: &str) -> Option<usize> {
    match key.split_once('.') {
        None => table.get(key).map(|value| value.span().start),
        Some((outer, inner)) => match table.get(outer)?.get_ref() {
            DeValue::Table(table) => value(table, inner),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => None,
        },
    }
}
