//! PAM stacks as libpam reads them: the lines of a service in their order, included files opened. Only read here, never written.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// One line of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Counted from 1.
    pub number: usize,
    /// `auth`, `account`, `session` or `password`.
    pub phase: String,
    /// What its outcome does: a word as `required`, or pairs in brackets.
    pub control: String,
    /// The module's file name, without its folder.
    pub module: String,
    /// What the module is told.
    pub arguments: Vec<String>,
    /// The substacks that it stands in, the outermost first, each by a number of its own. What is included otherwise is in none.
    pub substacks: Vec<usize>,
}

impl Line {
    /// Whether the module is told exactly this.
    pub(crate) fn says(&self, argument: &str) -> bool {
        self.arguments.iter().any(|word| word == argument)
    }
}

/// The module's own name.
pub(crate) const OURS: &str = "pam_authflow.so";

/// As deep as libpam follows includes.
const DEEPEST: usize = 32;

/// The lines of `service`, from the files in `folder`. A file that cannot be read has none.
pub(crate) fn lines(folder: &Path, service: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    read(&folder.join(service), &Place { only: None, depth: DEEPEST, substacks: &[] }, &mut lines);
    lines
}

/// Where a file is included.
struct Place<'a> {
    /// The one phase that it is included for.
    only: Option<&'a str>,
    /// How much deeper it may still go.
    depth: usize,
    substacks: &'a [usize],
}

/// Adds the lines of `file`.
fn read(file: &Path, place: &Place<'_>, lines: &mut Vec<Line>) {
    let (Some(depth), Ok(text)) = (place.depth.checked_sub(1), std::fs::read_to_string(file)) else { return };
    let Place { only, substacks, .. } = *place;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let is_asked_for = |phase: &str| only.is_none_or(|only| only == phase);
    for Entry { says, .. } in entries(file, &text) {
        match says {
            Says::Nothing => {}
            Says::IncludeAll(name) => read(&folder.join(name), &Place { only, depth, substacks }, lines),
            Says::Include { phase, name, is_substack } if is_asked_for(&phase) => {
                // No two that hold lines begin at the same one.
                let inner = [substacks, &[lines.len()]].concat();
                let substacks = if is_substack { &inner } else { substacks };
                read(&folder.join(name), &Place { only: Some(&phase), depth, substacks }, lines);
            }
            Says::Module(line) if is_asked_for(&line.phase) => {
                lines.push(Line { substacks: substacks.to_vec(), ..line });
            }
            Says::Include { .. } | Says::Module(_) => {}
        }
    }
}

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
    let lines = logical_lines(text);
    let end = text.lines().count() + 1;
    let nexts = lines.iter().skip(1).map(|(number, _)| *number).chain([end]);
    let entry = |((number, line), next): (&(usize, String), usize)| Entry {
        numbers: *number..next,
        says: parse(file, *number, line),
    };
    lines.iter().zip(nexts).map(entry).collect()
}

fn parse(file: &Path, number: usize, line: &str) -> Says {
    let mut words = words(line).into_iter();
    let Some(phase) = words.next() else { return Says::Nothing };
    if phase == "@include" {
        return words.next().map_or(Says::Nothing, Says::IncludeAll);
    }
    // A dash in front only keeps libpam from logging that the module is missing.
    let phase = phase.trim_start_matches('-').to_ascii_lowercase();
    let (Some(control), Some(module)) = (words.next(), words.next()) else { return Says::Nothing };
    if matches!(control.as_str(), "include" | "substack") {
        return Says::Include { phase, name: module, is_substack: control == "substack" };
    }
    let module = module.rsplit('/').next().unwrap_or(&module).to_owned();
    let (file, arguments) = (file.to_owned(), words.collect());
    Says::Module(Line { file, number, phase, control, module, arguments, substacks: Vec::new() })
}

/// Lines with their numbers, comments gone and continued ones joined.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (place, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let (number, before) = begun.take().unwrap_or((place + 1, String::new()));
        match line.trim_end().strip_suffix('\\') {
            Some(front) => begun = Some((number, before + front + " ")),
            None => lines.push((number, before + line)),
        }
    }
    lines.extend(begun);
    lines
}

/// The words of a line; what stands in brackets is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end =
            if rest.starts_with('[') { rest.find(']').map(|end| end + 1) } else { rest.find(char::is_whitespace) };
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_continued_lines_and_brackets_are_read_as_libpam_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "sshd",
            "# a comment\n@include common\n-SESSION [success=ok default=bad] \\\n /lib/security/pam_a.so x y # z\n\
             session include more\nauth broken\n",
        );
        write("common", "auth required pam_b.so\n");
        write("more", "auth required pam_c.so\nsession optional pam_d.so user_readenv=1\nsession include more\n");
        let lines = lines(folder.path(), "sshd");
        let shown: Vec<_> = lines
            .iter()
            .take(3)
            .map(|line| {
                format!(
                    "{}:{} {} {} {:?}",
                    line.file.file_name().unwrap().display(),
                    line.number,
                    line.phase,
                    line.module,
                    line.arguments
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "common:1 auth pam_b.so []",
                "sshd:3 session pam_a.so [\"x\", \"y\"]",
                "more:2 session pam_d.so [\"user_readenv=1\"]"
            ]
        );
        assert!(lines.len() < DEEPEST + 3, "a file that includes itself has an end");
    }

    #[test]
    fn a_service_without_a_file_has_no_lines() {
        assert_eq!(lines(Path::new("/nonexistent"), "sshd"), []);
    }
}
