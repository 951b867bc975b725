//! What the log is told: one line an event, `key=value`. Whatever comes from outside is stripped and cut before it gets here, so that
//! no name or host can forge a line.

use std::fmt::{Display, Write as _};

use crate::event::Event;

/// How urgent a line is, in syslog's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody must look at once: the break-glass way was used.
    Alert,
    /// Something of ours is broken.
    Error,
    /// Something is not as it should be, and we went on.
    Warning,
    /// A refusal.
    Notice,
    /// A success.
    Info,
    /// For the option `debug`.
    Debug,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

/// Longest value in a line: a name of 300 bytes is shown whole, a flood is not.
const LONGEST_VALUE: usize = 320;

impl Line {
    /// A line about that event.
    #[must_use]
    pub fn new(event: Event) -> Self {
        Self(format!("event={}", event.as_str()))
    }

    /// The line with one more value: bare if it is one plain word, else in quotes.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        let value = visible(&value.to_string(), LONGEST_VALUE);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.:+@/,%".contains(c);
        // Writing to a string cannot fail.
        let _always_ok = if !value.is_empty() && value.chars().all(is_word) {
            write!(self.0, " {key}={value}")
        } else {
            write!(self.0, " {key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        };
        self
    }

    /// The line with one more value, if there is one.
    #[must_use]
    pub fn with_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text from outside, fit for a log, a tty or a prompt: control characters and those that reorder a line become `?`, and what is longer
/// than `longest` bytes is cut.
#[must_use]
pub fn visible(text: &str, longest: usize) -> String {
    let clean = text.chars().map(|c| if is_hidden(c) { '?' } else { c });
    let mut shown = String::new();
    for c in clean {
        if shown.len() + c.len_utf8() > longest {
            shown.push_str("...");
            break;
        }
        shown.push(c);
    }
    shown
}

/// Control characters, line and paragraph separators, and the marks that turn the direction of writing.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stand_bare_and_everything_else_in_quotes() {
        let line = Line::new(Event::Refused).with("user", "alice").with("reason", "wrong \"code\"").with("rhost", "");
        assert_eq!(line.as_str(), r#"event=refused user=alice reason="wrong \"code\"" rhost="""#);
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let line = Line::new(Event::Refused).with("user", "eve\nevent=granted\u{1b}[2J\u{202e}");
        assert_eq!(line.as_str(), "event=refused user=\"eve?event=granted?[2J?\"");
    }

    #[test]
    fn a_flood_is_cut() {
        assert_eq!(visible("abcdef", 3), "abc...");
        assert_eq!(visible("\u{e9}\u{e9}", 3), "\u{e9}...");
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_place(value in any::<String>()) {
            let line = Line::new(Event::Granted).with("key", &value);
            let text = line.as_str();
            prop_assert!(!text.chars().any(is_hidden));
            prop_assert!(text.len() < 3 * LONGEST_VALUE);
            let rest = text.strip_prefix("event=granted key=").unwrap();
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.strip_suffix('"').unwrap();
                prop_assert!(!end.replace("\\\\", "").replace("\\\"", "").contains('"'));
            } else {
                prop_assert!(!rest.contains([' ', '=', '"']));
            }
        }
    }
}
