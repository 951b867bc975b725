//! `authflow factor list --all`: a line for each user of whom there is a record, as for who has enrolled and whose initial password still
//! waits. Never the secrets.

use authflow_core::time::WallTime;
use authflow_host::records::{RecordError, Records};
use serde::Serialize;

use crate::{
    context::Context,
    error::Error,
    output::{Output, table::Table, text::clean, time::Local},
};

/// What one user can prove with, in numbers.
#[derive(Default, Serialize)]
struct Entry {
    user: String,
    managed: bool,
    disabled: bool,
    password: bool,
    initial: bool,
    password_expires_at: Option<String>,
    authenticators: usize,
    /// Absent where there is no set.
    recovery_codes_left: Option<usize>,
    /// Why the record cannot be used, which keeps its user out.
    error: Option<String>,
    #[serde(skip)]
    expires: Option<WallTime>,
}

/// Lists them.
pub(super) fn list(context: &Context) -> Result<(), Error> {
    let records = context.records()?;
    let users = records.users().map_err(|error| Error::failed("the folders of records", &error))?;
    let local = context.local();
    let entries: Vec<_> = users.into_iter().map(|user| entry(&records, user, &local)).collect();
    Ok(context.output.either(&entries, || text(&entries, &local, context.output))?)
}

/// One record that cannot be read must not hide the others.
fn entry(records: &Records, user: String, local: &Local) -> Entry {
    match read(records, &user, local) {
        Ok(entry) => Entry { user, ..entry },
        Err(error) => Entry { user, error: Some(error.to_string()), ..Entry::default() },
    }
}

fn read(records: &Records, user: &str, local: &Local) -> Result<Entry, RecordError> {
    let (keys, state) = (records.authenticators(user)?.unwrap_or_default(), records.state(user)?);
    let expires = keys.password.as_ref().and_then(|password| password.expires);
    Ok(Entry {
        user: String::new(),
        managed: records.is_managed(user)?,
        disabled: records.is_disabled(user)?,
        password: keys.password.is_some(),
        initial: keys.password.as_ref().is_some_and(|password| password.must_change),
        password_expires_at: expires.map(|at| local.rfc3339(at)),
        authenticators: keys.totp().len(),
        recovery_codes_left: keys.recovery.as_ref().map(|set| set.left(&state.spent_codes)),
        error: None,
        expires,
    })
}

fn text(entries: &[Entry], local: &Local, output: Output) -> String {
    if entries.is_empty() {
        return "nobody has a record\n".to_owned();
    }
    let mut table =
        Table::ranked(&[("USER", 0), ("PASSWORD", 0), ("AUTHENTICATORS", 1), ("RECOVERY CODES", 2), ("REMARKS", 3)]);
    for entry in entries {
        let codes = entry.recovery_codes_left.map_or("-".to_owned(), |left| left.to_string());
        let row = [clean(&entry.user), password(entry, local), entry.authenticators.to_string(), codes, remark(entry)];
        if entry.error.is_some() { table.alarming_row(row) } else { table.row(row) }
    }
    table.render(output)
}

fn password(entry: &Entry, local: &Local) -> String {
    match (entry.password, entry.initial, entry.expires) {
        (false, ..) => "-".to_owned(),
        (true, false, None) => "yes".to_owned(),
        (true, true, None) => "initial".to_owned(),
        (true, _, Some(end)) if end <= local.now => "has run out".to_owned(),
        (true, _, Some(end)) => format!("initial, until {}", local.ahead(end)),
    }
}

fn remark(entry: &Entry) -> String {
    let words = [("managed", entry.managed), ("disabled", entry.disabled)];
    let words = words.into_iter().filter(|(_, is_so)| *is_so).map(|(word, _)| word.to_owned());
    words.chain(entry.error.clone()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_a_heading() {
        let entries = [Entry { user: "alice".to_owned(), disabled: true, ..Entry::default() }];
        let told = text(&entries, &Local::new(WallTime::default()), Output::plain());
        let (heading, row) = told.trim_end().split_once('\n').unwrap();
        assert_eq!(heading.find("REMARKS"), row.find("disabled"), "{told}");
    }
}
