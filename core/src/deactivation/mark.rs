//! What stands in the mark of a disabled user: a line for people and for the daemon that was away when it was written, and one with the
//! uid, by which an account is known again that was given another name since.

use std::{convert::Infallible, fmt, str::FromStr};

/// By whose word a user is disabled, and what the user is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Who; empty where the mark does not say.
    pub by: String,
    /// What the user is told; empty where nothing is to be.
    pub message: String,
    /// Whose account it was, where that is this machine's own and the mark says so.
    pub uid: Option<u32>,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line of the message's would be read as one of ours.
        write!(f, "by {}: {}", self.by, self.message.replace(['\n', '\r'], " "))?;
        self.uid.map_or(Ok(()), |uid| write!(f, "\nuid {uid}"))
    }
}

/// A mark counts whatever stands in it, so nothing is wrong: what is no such line says neither who nor why.
impl FromStr for Mark {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut lines = text.trim().lines();
        let said = lines.next().and_then(|line| line.strip_prefix("by ")?.split_once(':'));
        let (by, message) = said.unwrap_or_default();
        let uid = lines.find_map(|line| line.strip_prefix("uid ")?.trim().parse().ok());
        Ok(Self { by: by.trim().to_owned(), message: message.trim().to_owned(), uid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(by: &str, message: &str) -> Mark {
        Mark { by: by.to_owned(), message: message.to_owned(), uid: None }
    }

    #[test]
    fn a_mark_reads_as_it_was_written() {
        for mark in [mark("root", "call 4711: now"), mark("uid 1000", ""), Mark::default()] {
            let of_an_account = Mark { uid: Some(1777), ..mark.clone() };
            assert_eq!(format!("{mark}\n").parse(), Ok(mark));
            assert_eq!(format!("{of_an_account}\n").parse(), Ok(of_an_account));
        }
    }

    #[test]
    fn a_message_cannot_say_whose_account_it_is() {
        let read: Mark = mark("root", "gone\nuid 0").to_string().parse().unwrap();
        assert_eq!(read, mark("root", "gone uid 0"));
    }

    #[test]
    fn a_mark_that_says_nothing_is_one() {
        for text in ["", "\n", "left the company", "by nobody knows whom"] {
            assert_eq!(text.parse(), Ok(Mark::default()), "{text:?}");
        }
    }
}
