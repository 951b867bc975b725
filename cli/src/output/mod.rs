//! Where results go: text for people or JSON for programs, to standard output. Knows nothing of sessions or records.

pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether a program reads.
    pub json: bool,
    /// Whether the reader is a terminal that may be coloured.
    pub colour: bool,
    /// How many columns the reader's terminal has; `None` where the reader is none.
    pub width: Option<usize>,
}

impl Output {
    /// JSON where it was asked for; colour only for people at a terminal that takes it.
    pub(crate) fn new(json: bool) -> Self {
        let is_terminal = !json && io::stdout().is_terminal();
        Self { json, colour: is_terminal && terminal_takes_colour(), width: None }.measured()
    }

    /// The same for a terminal whose size may have changed.
    pub(crate) fn measured(self) -> Self {
        let size = if self.json { None } else { terminal_size::terminal_size_of(io::stdout()) };
        // One that does not tell its size, as serial lines do, gets it all.
        Self { width: size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0), ..self }
    }

    /// Text for a reader of whom nothing is known.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { json: false, colour: false, width: None }
    }

    /// Writes text as it stands. What came from outside must have gone through [`text::clean`].
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes one JSON document.
    pub(crate) fn json(self, value: &impl Serialize) -> io::Result<()> {
        self.text(&json::document(value)?)
    }

    /// Writes JSON or what `text` makes, as the reader wants it.
    pub(crate) fn either(self, value: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json { self.json(value) } else { self.text(&text()) }
    }

    /// `text` in bold where colour is allowed.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// `text` in red where colour is allowed.
    pub(crate) fn alarming(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether a terminal may be coloured: not if its user has set `NO_COLOR` (no-color.org), nor if it is a dumb one.
pub(crate) fn terminal_takes_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !refused && !dumb
}

/// Says something beside the result, to standard error. A reader that is gone is no reason to stop.
pub(crate) fn note(message: &str) {
    let _ = writeln!(io::stderr(), "authflow: {message}");
}
