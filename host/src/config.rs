//! The configuration from its files. One that does not parse is not used: the last good one is, and only without either nobody gets
//! in. A missing file counts as broken, since a governed machine that loses its rules must not become an open door.
//!
//! A preset judges the live files, and what is applied. The last good file was judged when it was written, and is not again: an update
//! of this program whose preset asks for more must not shut a machine.

#[cfg(test)]
mod tests;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use authflow_core::config::{Config, ConfigError, Text};

use crate::{
    file::{self, FileError, Trust},
    paths::Paths,
};

/// A configuration, and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where it came from.
    pub from: From,
}

/// Where a configuration came from.
#[derive(Debug, PartialEq, Eq)]
pub enum From {
    /// The live files.
    Live,
    /// The last good ones, since the live ones cannot be used.
    LastGood {
        /// Why they cannot.
        why: String,
    },
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file cannot be read or trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// What stands in it.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Neither the live configuration nor a last good one can be used.
#[derive(Debug, thiserror::Error)]
#[error("{live}; and no last good one: {last_good}")]
pub struct LoadError {
    /// What is wrong with the live one.
    pub live: Box<Unusable>,
    /// What is wrong with the last good one.
    pub last_good: Box<Unusable>,
}

/// Loads the configuration, of root's files.
///
/// # Errors
/// Neither the live one nor a last good one can be used.
pub fn load(paths: &Paths) -> Result<Loaded, LoadError> {
    load_trusting(paths, Trust::root())
}

/// Loads the configuration, of files that `trust` names.
///
/// # Errors
/// As [`load`].
pub fn load_trusting(paths: &Paths, trust: Trust) -> Result<Loaded, LoadError> {
    let live = match read_live(paths, trust).and_then(|files| Ok(files.parse()?)) {
        Ok(config) => return Ok(Loaded { config, from: From::Live }),
        Err(unusable) => unusable,
    };
    match read_last_good(paths, trust) {
        Ok((_text, config)) => Ok(Loaded { config, from: From::LastGood { why: live.to_string() } }),
        Err(last_good) => Err(LoadError { live: live.into(), last_good: last_good.into() }),
    }
}

/// Checks the configuration as it would be with these drop-ins: each with its text, or taken away.
///
/// # Errors
/// What is wrong with it.
pub fn check_drop_ins(paths: &Paths, trust: Trust, changed: &[(PathBuf, Option<String>)]) -> Result<Config, Unusable> {
    Ok(with_drop_ins(paths, trust, changed)?.parse()?)
}

/// `text`, named `name` in messages, as the drop-in of that file name beside the live files.
///
/// # Errors
/// A live file cannot be read or trusted.
pub fn candidate_drop_in(
    paths: &Paths,
    trust: Trust,
    file_name: &str,
    (name, text): (&str, String),
) -> Result<Files, Unusable> {
    let place = paths.config_drop_ins().join(file_name);
    let mut files = with_drop_ins(paths, trust, &[(place.clone(), Some(text))])?;
    let place = place.display().to_string();
    files.drop_ins.iter_mut().filter(|(there, _)| *there == place).for_each(|(there, _)| name.clone_into(there));
    Ok(files)
}

/// Whether a file of that name in the folder of drop-ins is read. Editors' and package managers' leavings begin with a dot or end otherwise.
#[must_use]
pub fn is_drop_in(file_name: &str) -> bool {
    !file_name.starts_with('.') && !file_name.contains('/') && file_name.ends_with(".toml")
}

/// The live files, with these drop-ins changed.
fn with_drop_ins(paths: &Paths, trust: Trust, changed: &[(PathBuf, Option<String>)]) -> Result<Files, Unusable> {
    let mut files = read_live(paths, trust)?;
    for (path, text) in changed {
        let name = path.display().to_string();
        files.drop_ins.retain(|(there, _)| *there != name);
        files.drop_ins.extend(text.clone().map(|text| (name, text)));
    }
    files.drop_ins.sort();
    Ok(files)
}

/// Checks `text`, and makes it the configuration; the last good one then is what is in force from now on, drop-ins included, so that
/// a slip of a later editor changes nothing. Tells whether anything changed.
///
/// # Errors
/// What is wrong with it, or what the kernel says. Then nothing changed.
pub fn apply(paths: &Paths, trust: Trust, name: &str, text: String) -> Result<bool, Unusable> {
    let files = candidate(paths, trust, name, text)?;
    files.parse()?;
    let whole = files.text();
    // Drop-ins hold rules alone, so behind the main text they are one valid file; but for a rule in a notation that cannot be continued,
    // and a last good file that does not parse would be found out only when it is needed.
    let last_good = paths.config_last_good().display().to_string();
    Config::parse(Text { name: &last_good, text: &whole }, &[])?;
    let main = files.main.1.as_str();
    let is_same = |path: &Path, text: &str| file::read_trusted(path, trust).is_ok_and(|there| there == text);
    let unchanged = is_same(paths.config(), main) && is_same(&paths.config_last_good(), &whole);
    if !unchanged {
        write(&paths.config_last_good(), &whole)?;
        write(paths.config(), main)?;
    }
    Ok(!unchanged)
}

/// `text`, named `name` in messages, in place of the configuration file, together with the drop-ins that are there.
///
/// # Errors
/// A drop-in cannot be read or trusted.
pub fn candidate(paths: &Paths, trust: Trust, name: &str, text: String) -> Result<Files, Unusable> {
    Ok(Files { root: paths.root().to_owned(), main: (name.to_owned(), text), drop_ins: read_drop_ins(paths, trust)? })
}

fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(FileError::Missing(path.to_owned()));
    };
    file::write_durably(folder, name, text.as_bytes(), 0o644)
}

/// Names and texts of the files of one configuration.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    main: (String, String),
    drop_ins: Vec<(String, String)>,
}

impl Files {
    /// The main file, then the drop-ins.
    pub fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        std::iter::once(&self.main).chain(&self.drop_ins).map(as_text)
    }

    /// The configuration that they are.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(&self) -> Result<Config, ConfigError> {
        let texts: Vec<Text<'_>> = self.drop_ins.iter().map(as_text).collect();
        Config::parse(as_text(&self.main), &texts)
    }

    /// The same, held to no preset: for whoever asks what of it is weaker, and not to be put in force.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse_unjudged(&self) -> Result<Config, ConfigError> {
        let texts: Vec<Text<'_>> = self.drop_ins.iter().map(as_text).collect();
        Config::parse_unjudged(as_text(&self.main), &texts)
    }

    /// All of them as the one text that would say the same.
    #[must_use]
    pub fn text(&self) -> String {
        let mut whole = self.main.1.clone();
        for (name, text) in &self.drop_ins {
            // Of an image that is being built: its own machine knows no other root.
            let name = match Path::new(name).strip_prefix(&self.root) {
                Ok(inside) => Path::new("/").join(inside).display().to_string(),
                Err(_elsewhere) => name.clone(),
            };
            whole.push_str(&format!("\n# {name}\n{text}"));
        }
        whole
    }
}

fn as_text((name, text): &(String, String)) -> Text<'_> {
    Text { name, text }
}

/// The live files, right or wrong: to check them, and to show where a value comes from.
///
/// # Errors
/// One cannot be read or trusted.
pub fn read_live(paths: &Paths, trust: Trust) -> Result<Files, Unusable> {
    let text = file::read_trusted(paths.config(), trust)?;
    candidate(paths, trust, &paths.config().display().to_string(), text)
}

/// The last good file, and the configuration that it is.
///
/// # Errors
/// It cannot be read or trusted, or is wrong.
pub fn read_last_good(paths: &Paths, trust: Trust) -> Result<(String, Config), Unusable> {
    let path = paths.config_last_good();
    let text = file::read_trusted(&path, trust)?;
    let config = Config::parse_judged(Text { name: &path.display().to_string(), text: &text })?;
    Ok((text, config))
}

/// The drop-ins in the order of their names. A folder that is not there holds none.
fn read_drop_ins(paths: &Paths, trust: Trust) -> Result<Vec<(String, String)>, Unusable> {
    let mut found = Vec::new();
    for path in drop_in_paths(&paths.config_drop_ins())? {
        found.push((path.display().to_string(), file::read_trusted(&path, trust)?));
    }
    Ok(found)
}

fn drop_in_paths(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |source| FileError::Io { action: "read", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| is_drop_in(&name.to_string_lossy())) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
