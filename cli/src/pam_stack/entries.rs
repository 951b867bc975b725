//! One file of a stack, line by line: what each says, and which lines of text that is. For what edits stacks.

use std::{ops::Range, path::Path};

use super::{
    Line,
    syntax::{Parsed, base_name, logical_lines, parse},
};

/// What a line of a file says, and which lines of text that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The lines of text, counted from 1: more than one where it is continued.
    pub numbers: Range<usize>,
    /// What it says.
    pub says: Says,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A comment, nothing, or nothing that libpam understands.
    Nothing,
    /// `@include`: another file, for every phase.
    IncludeAll(String),
    /// Another file, for one phase.
    Include {
        /// The phase.
        phase: String,
        /// The file's name.
        name: String,
        /// Whether what ends it ends no more than that file.
        is_substack: bool,
    },
    /// A module.
    Module(Line),
}

/// The lines of one file, in no substack yet, with every line of its text in one of them.
pub(crate) fn entries(file: &Path, text: &str) -> Vec<Entry> {
    let (lines, _unfinished) = logical_lines(text);
    let end = text.lines().count() + 1;
    let nexts = lines.iter().skip(1).map(|(number, _)| *number).chain([end]);
    let entry = |((number, line), next): (&(usize, String), usize)| Entry {
        numbers: *number..next,
        says: says(file, *number, line),
    };
    lines.iter().zip(nexts).map(entry).collect()
}

fn says(file: &Path, number: usize, line: &str) -> Says {
    match parse(line) {
        Ok(None) | Err(_) => Says::Nothing,
        Ok(Some(Parsed::Include { phase: None, is_substack: _, name })) => Says::IncludeAll(name),
        Ok(Some(Parsed::Include { phase: Some(phase), is_substack, name })) => {
            Says::Include { phase, name, is_substack }
        }
        Ok(Some(Parsed::Call { phase, control, module, arguments })) => Says::Module(Line {
            file: file.to_owned(),
            number,
            phase,
            control,
            module: base_name(&module),
            path: module,
            arguments,
            substacks: Vec::new(),
        }),
    }
}

/// Whether the text ends in the middle of a line, to which whatever is put behind it would belong.
pub(crate) fn is_unfinished(text: &str) -> bool {
    logical_lines(text).1.is_some()
}
