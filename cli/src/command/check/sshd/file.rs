//! sshd_config as sshd reads it: files inside of files, the first value wins, what follows `Match` is for some. For places, for what
//! `Match` changes, and for all of it where sshd cannot be asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::command::check::Place;

/// Files inside of files, before it is a circle; as many as sshd takes.
const DEEPEST: usize = 16;

/// The whole file, with those that it includes.
#[derive(Debug, Default)]
pub(in crate::command) struct File {
    /// What holds for everybody, by keyword in lower case.
    pub global: BTreeMap<String, Setting>,
    /// What `Match` adds for some, in order.
    pub matches: Vec<Match>,
    /// The files that it stands in.
    pub files: BTreeSet<PathBuf>,
}

/// What is written, and where.
#[derive(Clone, Debug)]
pub(in crate::command) struct Setting {
    /// The value.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

/// One `Match`.
#[derive(Debug)]
pub(in crate::command) struct Match {
    /// Whom it is for, as it is written.
    pub criteria: String,
    /// Where it begins.
    pub place: Place,
    /// What it says.
    pub settings: BTreeMap<String, Setting>,
}

/// Reads the file at its place under `root`. `None` where it cannot be read.
pub(in crate::command) fn read(root: &Path) -> Option<File> {
    let mut file = File::default();
    let main = root.join("etc/ssh/sshd_config");
    let text = fs::read_to_string(&main).ok()?;
    read_text(root, (&main, &text), (None, DEEPEST), &mut file);
    Some(file)
}

/// Adds what stands in a text. `within` is the `Match` that it is included in; one that begins here ends with the text.
fn read_text(root: &Path, (path, text): (&Path, &str), (within, depth): (Option<usize>, usize), file: &mut File) {
    let mut within = within;
    file.files.insert(path.to_owned());
    for (number, line) in (1..).zip(text.lines()) {
        let Some((keyword, value)) = keyword_and_value(line) else { continue };
        match keyword.as_str() {
            "match" => {
                within = Some(file.matches.len());
                let place = Place::line(path, number);
                file.matches.push(Match { criteria: value, place, settings: BTreeMap::new() });
            }
            "include" if depth > 0 => {
                for included in value.split_whitespace().flat_map(|name| files(root, name)) {
                    if let Ok(text) = fs::read_to_string(&included) {
                        read_text(root, (&included, &text), (within, depth - 1), file);
                    }
                }
            }
            _ => {
                let found = within.and_then(|number| file.matches.get_mut(number)).map(|found| &mut found.settings);
                let settings = found.unwrap_or(&mut file.global);
                settings.entry(keyword).or_insert_with(|| Setting { value, place: Place::line(path, number) });
            }
        }
    }
}

/// `Keyword value`, `Keyword=value`, `Keyword "value"`; nothing in an empty line.
fn keyword_and_value(line: &str) -> Option<(String, String)> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let (keyword, value) = line.split_at(end);
    let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim_matches('"');
    let keyword = keyword.to_ascii_lowercase();
    // The old name.
    let keyword =
        if keyword == "challengeresponseauthentication" { "kbdinteractiveauthentication".into() } else { keyword };
    Some((keyword, value.to_owned()))
}

/// The files that a pattern with `*` in its last part names, in their order.
fn files(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = Path::new("/etc/ssh").join(pattern);
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let folder = root.join(folder.strip_prefix("/").unwrap_or(folder));
    let Some((front, end)) = name.split_once('*') else { return vec![folder.join(name)] };
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let is_meant =
        |name: &String| name.len() >= front.len() + end.len() && name.starts_with(front) && name.ends_with(end);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_meant).collect();
    names.sort();
    names.into_iter().filter(|name| !name.starts_with('.')).map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_wins_and_a_match_ends_with_its_file() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join("etc/ssh").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "sshd_config",
            "# why\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM=yes\nUsePAM no\nMatch User bob\n  UsePam \"no\"\n",
        );
        write("sshd_config.d/b.conf", "PasswordAuthentication no\nMatch all\nX11Forwarding yes\n");
        write("sshd_config.d/a.conf", "passwordauthentication yes # for now\n");
        write("sshd_config.d/a.conf.old", "UsePAM no\n");
        let file = read(root.path()).unwrap();
        let told = |settings: &BTreeMap<String, Setting>, keyword: &str| {
            let Setting { value, place } = &settings[keyword];
            format!("{value} {}:{}", place.file.as_ref().unwrap().rsplit('/').next().unwrap(), place.line.unwrap())
        };
        assert_eq!(told(&file.global, "passwordauthentication"), "yes a.conf:1");
        assert_eq!(told(&file.global, "usepam"), "yes sshd_config:3");
        let criteria: Vec<_> = file.matches.iter().map(|found| found.criteria.as_str()).collect();
        assert_eq!(criteria, ["all", "User bob"]);
        assert_eq!(told(&file.matches[1].settings, "usepam"), "no sshd_config:6");
        assert_eq!(file.files.len(), 3);
        assert!(read(Path::new("/nonexistent")).is_none());
    }
}
