//! What libpam cannot read in a file, and puts a refusal for.

use std::{io, path::PathBuf};

/// Something that libpam cannot read, and puts a refusal for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Counted from 1.
    pub number: usize,
    /// What it is.
    pub why: Why,
}

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The file of that name, which is included, cannot be read.
    Include(String, io::ErrorKind),
    /// A word where a phase should be.
    Phase(String),
    /// The line ends before it names a module.
    NoModule,
    /// The file ends in the middle of a line. libpam then reads none of it.
    Unfinished,
}
