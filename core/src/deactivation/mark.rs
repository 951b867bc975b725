//! What stands in the mark of a disabled user: one line, for people and for the daemon that was away when it was written.

use std::{convert::Infallible, fmt, str::FromStr};

/// By whose word a user is disabled, and what the user is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Who; empty where the mark does not say.
    pub by: String,
    /// What the user is told; empty where nothing is to be.
    pub message: String,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}: {}", self.by, self.message)
    }
}

/// A mark counts whatever stands in it, so nothing is wrong: what is no such line says neither who nor why.
impl FromStr for Mark {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let said = text.trim().strip_prefix("by ").and_then(|rest| rest.split_once(':'));
        let (by, message) = said.unwrap_or_default();
        Ok(Self { by: by.trim().to_owned(), message: message.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(by: &str, message: &str) -> Mark {
        Mark { by: by.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn a_mark_reads_as_it_was_written() {
        for mark in [mark("root", "call 4711: now"), mark("uid 1000", ""), Mark::default()] {
            assert_eq!(format!("{mark}\n").parse(), Ok(mark));
        }
    }

    #[test]
    fn a_mark_that_says_nothing_is_one() {
        for text in ["", "\n", "left the company", "by nobody knows whom"] {
            assert_eq!(text.parse(), Ok(Mark::default()), "{text:?}");
        }
    }
}
