//! The log: one line an event, `event=NAME key=value ..`, to syslog's authpriv, or to standard error where an administrator or a test watches.
//! What comes from outside is stripped of control characters, so that nobody forges a second line.

use std::{fmt, io::Write as _, path::Path, time::Duration};

use authflow_core::outside::{self, add_field};

use crate::{event::Event, log_queue::Queue};

/// How urgent a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// For whoever searches.
    Debug,
    /// The usual.
    Info,
    /// Somebody should know.
    Warning,
    /// Something is broken.
    Error,
}

/// A line under construction.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    urgency: Urgency,
    text: String,
}

impl Line {
    /// A line about that event.
    #[must_use]
    pub(crate) fn info(event: Event) -> Self {
        Self { urgency: Urgency::Info, text: format!("event={}", event.as_str()) }
    }

    /// A line for whoever searches.
    #[must_use]
    pub(crate) fn debug(event: Event) -> Self {
        Self { urgency: Urgency::Debug, ..Self::info(event) }
    }

    /// A line that somebody should read.
    #[must_use]
    pub(crate) fn warning(event: Event) -> Self {
        Self { urgency: Urgency::Warning, ..Self::info(event) }
    }

    /// A line about something broken.
    #[must_use]
    pub(crate) fn error(event: Event) -> Self {
        Self { urgency: Urgency::Error, ..Self::info(event) }
    }

    /// How urgent it is.
    pub(crate) fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// What it says.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Adds `key=value`.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        add_field(&mut self.text, key, &value.to_string());
        self
    }
}

/// Longest text that anybody is told.
const LONGEST_TEXT: usize = 1024;

/// Text from outside, fit for a terminal, and not endless.
#[must_use]
pub(crate) fn visible(text: &str) -> String {
    outside::visible(text, LONGEST_TEXT)
}

/// Where lines go.
#[derive(Clone)]
pub(crate) struct Log {
    to_stderr: bool,
    syslog: Queue,
}

impl Log {
    /// A log to syslog, and to standard error as well if `to_stderr`.
    #[must_use]
    pub(crate) fn new(to_stderr: bool) -> Self {
        Self { to_stderr, syslog: Queue::to(Path::new("/dev/log")) }
    }

    /// Writes a line. One that cannot be written is lost: the daemon must go on.
    pub(crate) fn write(&self, line: &Line) {
        if self.to_stderr {
            let _lost = writeln!(std::io::stderr(), "{}", line.text);
        }
        self.syslog.push(line);
    }

    /// Waits for lines that syslog had no room for, at most so long.
    pub(crate) fn flush(&self, at_most: Duration) {
        self.syslog.flush(at_most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_forges_a_line_or_a_key() {
        let line =
            Line::info(Event::Opened).with("user", "eve\nopened user=root").with("tty", "pts/1").with("host", "");
        assert_eq!(line.text, "event=opened user=\"eve?opened user=root\" tty=pts/1 host=\"\"");
    }
}
