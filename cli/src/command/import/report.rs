//! What an import did, user by user, for people and for programs.

use std::fmt::Write;

use serde::Serialize;

use super::newcomer::Entry;
use crate::{context::Context, error::Error, output::text::clean};

/// One user's part.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    user: String,
    outcome: Outcome,
    /// What the authenticator is called here.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    recovery_codes: usize,
    /// Why nothing came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is different here from where it came from.
    notes: Vec<String>,
}

/// What came of one user's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// It came in.
    Imported,
    /// It was in already, or the user was left alone.
    Unchanged,
    /// It cannot be used here.
    Refused,
}

#[derive(Serialize)]
struct Report<'a> {
    changed: bool,
    dry_run: bool,
    users: &'a [Part],
}

impl Part {
    /// Of a secret that can be used here, with `notes` on what is different if it came in.
    pub(super) fn entered(user: &str, entry: Entry, notes: Vec<String>) -> Self {
        let user = user.to_owned();
        let unchanged = Outcome::Unchanged;
        match entry {
            Entry::Added { name, codes } => {
                let name = Some(name);
                Self { user, outcome: Outcome::Imported, name, recovery_codes: codes, reason: None, notes }
            }
            Entry::Known { name } => {
                let name = Some(name);
                Self { user, outcome: unchanged, name, recovery_codes: 0, reason: None, notes: Vec::new() }
            }
            Entry::Left(why) => {
                let reason = Some(why.to_string());
                Self { user, outcome: unchanged, name: None, recovery_codes: 0, reason, notes: Vec::new() }
            }
        }
    }

    /// Of a secret that stays out.
    pub(super) fn refused(user: &str, reason: String) -> Self {
        let (outcome, reason) = (Outcome::Refused, Some(reason));
        Self { user: user.to_owned(), outcome, name: None, recovery_codes: 0, reason, notes: Vec::new() }
    }

    fn line(&self, is_dry_run: bool) -> String {
        let would = if is_dry_run { "would be " } else { "" };
        let name = self.name.as_deref().unwrap_or_default();
        let mut line = match self.outcome {
            Outcome::Imported => {
                let codes = match self.recovery_codes {
                    0 => String::new(),
                    1 => ", with one recovery code".to_owned(),
                    more => format!(", with {more} recovery codes"),
                };
                format!("{}: {would}imported as {name:?}{codes}\n", self.user)
            }
            Outcome::Unchanged => match &self.reason {
                Some(reason) => format!("{}: {reason}\n", self.user),
                None => format!("{}: has this secret already, as {name:?}\n", self.user),
            },
            Outcome::Refused => {
                format!("{}: not imported: {}\n", self.user, self.reason.as_deref().unwrap_or_default())
            }
        };
        line = clean(line.trim_end()) + "\n";
        for note in &self.notes {
            let _ = writeln!(line, "    {}", clean(note));
        }
        line
    }
}

/// Tells all parts. An error if some secret stayed out.
pub(super) fn tell(context: &Context, parts: &[Part], is_dry_run: bool, next_step: &str) -> Result<(), Error> {
    let would_change = parts.iter().any(|part| part.outcome == Outcome::Imported);
    let report = Report { changed: would_change && !is_dry_run, dry_run: is_dry_run, users: parts };
    context.output.either(&report, || {
        let mut text: String = parts.iter().map(|part| part.line(is_dry_run)).collect();
        if parts.is_empty() {
            text.push_str("there is nothing to import\n");
        } else if report.changed {
            text.push_str(next_step);
        }
        text
    })?;
    let is_refused = |part: &Part| part.outcome == Outcome::Refused;
    if parts.iter().any(is_refused) { Err(Error::Untold(Box::new(Error::Defects))) } else { Ok(()) }
}
