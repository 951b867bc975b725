//! What sudoers sets by `Defaults`, and where it says NOPASSWD. Reads of that language what it takes to tell, and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files inside of files, before it is a circle.
const DEEPEST: usize = 16;

/// What stands in sudoers.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// In the order in which sudo reads them.
    defaults: Vec<Setting>,
    /// Where commands are free of questions.
    pub free: Vec<Free>,
}

/// Where a line frees commands of questions.
#[derive(Debug)]
pub(super) struct Free {
    /// Where it stands.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// What does it.
    pub word: &'static str,
}

impl Settings {
    /// What that setting comes to: the last one for everybody, if there is any, and each of those for somebody.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Setting> {
        let all = || self.defaults.iter().filter(move |setting| setting.name == name);
        let global = all().rfind(|setting| setting.is_global);
        global.into_iter().chain(all().filter(|setting| !setting.is_global))
    }
}

/// What a `Defaults` line sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Where it stands.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// As sudo calls it.
    pub name: String,
    /// What it is set to; none for `!name`, and nothing for the name alone.
    pub value: Option<String>,
    /// Whether it holds for everybody, and not for one user, host, command or target.
    pub is_global: bool,
}

/// Where sudo begins to read.
pub(super) fn main_file() -> &'static Path {
    Path::new("/etc/sudoers")
}

/// Reads everything, under that root.
///
/// # Errors
/// A file that cannot be read, and why.
pub(super) fn read(root: &Path) -> Result<Settings, (PathBuf, io::Error)> {
    let mut settings = Settings::default();
    read_file(root, main_file(), DEEPEST, &mut settings)?;
    Ok(settings)
}

/// Reads a file, and those that it includes, in the order in which sudo does.
fn read_file(root: &Path, file: &Path, depth: usize, found: &mut Settings) -> Result<(), (PathBuf, io::Error)> {
    if depth == 0 {
        return Err((file.to_owned(), io::Error::other("too many files inside of files")));
    }
    let place = root.join(file.strip_prefix("/").unwrap_or(file));
    let text = fs::read_to_string(place).map_err(|error| (file.to_owned(), error))?;
    for (line, text) in lines(&text) {
        if let Some(name) = directive(&text, "include") {
            read_file(root, &beside(file, name), depth - 1, found)?;
        } else if let Some(name) = directive(&text, "includedir") {
            for file in files_in(root, &beside(file, name)) {
                read_file(root, &file, depth - 1, found)?;
            }
        } else {
            found.defaults.extend(defaults(&text, (file, line)));
            found.free.extend(frees(&text).map(|word| Free { file: file.to_owned(), line, word }));
        }
    }
    Ok(())
}

/// The lines with their numbers, those that a backslash goes on put together.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (line, text) in (1..).zip(text.lines()) {
        let (text, more) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, before)) => before.push_str(text),
            None => lines.push((line, text.to_owned())),
        }
        goes_on = more;
    }
    lines
}

/// What is included, if the line is `@include NAME`, or `#include NAME` as it once was.
fn directive<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(['@', '#'])?.strip_prefix(word)?;
    rest.starts_with([' ', '\t']).then(|| rest.trim().trim_matches('"'))
}

fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).join(name)
}

/// The files of a folder that sudo reads: in the order of their names, but no backups and nothing with a dot.
fn files_in(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let place = root.join(folder.strip_prefix("/").unwrap_or(folder));
    let names =
        fs::read_dir(place).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with('~') && !name.contains('.')).collect();
    names.sort();
    names.iter().map(|name| folder.join(name)).collect()
}

/// What a `Defaults` line sets.
fn defaults(text: &str, (file, line): (&Path, usize)) -> Vec<Setting> {
    let Some(rest) = text.trim_start().strip_prefix("Defaults") else { return Vec::new() };
    let is_global = rest.starts_with([' ', '\t']);
    let rest = without_comment(rest);
    let scoped = || rest.split_once([' ', '\t']).map_or("", |(_whom, settings)| settings);
    let settings = if is_global { rest } else { scoped() };
    let setting = |text: &str| {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.trim().trim_matches('"').to_owned())),
            None => text.trim().strip_prefix('!').map_or((text, Some(String::new())), |name| (name, None)),
        };
        Setting { file: file.to_owned(), line, name: name.trim().to_owned(), value, is_global }
    };
    settings.split(',').map(setting).collect()
}

/// What in a line frees commands of questions: a tag, or for a group, a user or all a default.
fn frees(line: &str) -> Option<&'static str> {
    let line = without_comment(line.trim_start());
    let is_default = line.starts_with("Defaults");
    let frees_all = is_default && line.contains("!authenticate");
    let frees_some = !is_default && !line.starts_with('#') && has_tag(line, "NOPASSWD");
    if frees_all { Some("!authenticate") } else { frees_some.then_some("NOPASSWD") }
}

/// Whether that tag stands there, with its colon: sudo allows blanks before it.
fn has_tag(line: &str, tag: &str) -> bool {
    let is_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(tag).any(|(place, tag)| {
        let (before, behind) = (line.get(..place).unwrap_or(""), line.get(place + tag.len()..).unwrap_or(""));
        !before.ends_with(is_of_a_word) && behind.trim_start().starts_with(':')
    })
}

fn without_comment(line: &str) -> &str {
    line.split_once(" #").map_or(line, |(before, _comment)| before)
}
