//! What the log is told: one line an event, `key=value`. Whatever comes from outside is stripped and cut before it gets here, so that
//! no name or host can forge a line.

use std::fmt::Display;

use authflow_core::outside::add_field;

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

impl Line {
    /// A line about that event.
    #[must_use]
    pub fn new(event: Event) -> Self {
        Self(format!("event={}", event.as_str()))
    }

    /// The line with one more value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        add_field(&mut self.0, key, &value.to_string());
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
