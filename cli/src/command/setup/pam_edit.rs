//! Puts our lines into the text of a PAM stack and takes them out again. Pure: what an `@include` holds is passed in. No line that was
//! there is changed or moved, and what was put in comes out to the byte.

use std::{ops::Range, path::Path};

use super::pam_place::{COMMON_PASSWORD, Inserted, Refusal, account, auth, password, session};
use crate::pam_stack::{
    Line, OURS,
    entries::{Entry, Says, entries, is_unfinished},
};

/// What every line of ours ends with. libpam takes it for a comment; by it the line is found again.
pub(super) const MARK: &str = "# authflow setup";

/// The lines of another file, by its name.
pub(super) type Included<'a> = &'a dyn Fn(&str) -> Vec<Line>;

/// A line of the file, and the modules that it stands for.
#[derive(Debug)]
pub(super) struct Item {
    /// The lines of text, counted from 0.
    pub rows: Range<usize>,
    /// Its module, or all that it includes.
    pub modules: Vec<Line>,
    /// Whether it is an include.
    pub is_include: bool,
}

impl Item {
    /// Its modules of that phase.
    pub(super) fn of<'a>(&'a self, phase: &'a str) -> impl Iterator<Item = &'a Line> {
        self.modules.iter().filter(move |line| line.phase == phase)
    }
}

/// The text with our lines in every phase that has none yet; `options` is what they say behind the module's name.
pub(super) fn add(text: &str, options: &str, included: Included<'_>) -> Result<String, Refusal> {
    let items = items(text, included);
    let common = included(COMMON_PASSWORD);
    let mut all = Vec::new();
    for phase in ["auth", "account", "session", "password"] {
        if !items.iter().any(|item| item.of(phase).any(|line| line.module == OURS)) {
            all.extend(match phase {
                "auth" => Some(auth(&items, options)?),
                "account" => Some(account(&items, options)?),
                "session" => Some(session(&items, options)?),
                // A machine with other names for its common stacks changes passwords elsewhere.
                _ if common.is_empty() => None,
                _ => Some(password(&items, &common)?),
            });
        }
    }
    if is_unfinished(text) && !all.is_empty() {
        return Err(Refusal::Unfinished);
    }
    // From the end, so that the places of the others stay what they are. Two at one place keep their order.
    all.sort_by_key(|inserted: &Inserted| inserted.row);
    let mut rows: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for inserted in all.into_iter().rev() {
        let row = inserted.row.min(rows.len());
        rows.splice(row..row, inserted.lines.into_iter().map(|line| format!("{line}  {MARK}")));
    }
    Ok(rows.join("\n"))
}

/// The text without the lines that [`add`] put in.
pub(super) fn remove(text: &str) -> String {
    let rows: Vec<&str> = text.split('\n').filter(|row| !is_marked(row)).collect();
    rows.join("\n")
}

/// The rows that name our module without being setup's, counted from 1.
pub(super) fn foreign(text: &str) -> Vec<usize> {
    let names =
        |(_, row): &(usize, &str)| !is_marked(row) && row.split('#').next().is_some_and(|said| said.contains(OURS));
    text.split('\n').enumerate().filter(names).map(|(row, _)| row + 1).collect()
}

fn is_marked(row: &str) -> bool {
    row.trim_end().ends_with(MARK)
}

fn items(text: &str, included: Included<'_>) -> Vec<Item> {
    let item = |entry: Entry| {
        let rows = entry.numbers.start.saturating_sub(1)..entry.numbers.end.saturating_sub(1);
        let (modules, is_include) = match entry.says {
            Says::Nothing => (Vec::new(), false),
            Says::IncludeAll(name) => (included(&name), true),
            Says::Include { phase, name, .. } => {
                (included(&name).into_iter().filter(|line| line.phase == phase).collect(), true)
            }
            Says::Module(line) => (vec![line], false),
        };
        Item { rows, modules, is_include }
    };
    entries(Path::new(""), text).into_iter().map(item).collect()
}

#[cfg(test)]
#[path = "pam_edit_tests.rs"]
mod tests;
