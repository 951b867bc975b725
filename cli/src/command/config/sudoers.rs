//! Whether sudo's own ticket hides a rule from people: for some minutes after a success sudo asks PAM nothing. Reads of sudoers what it
//! takes to tell, and nothing else of that language.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use authflow_core::{config::Config, rule::Rule};

/// What `timestamp_timeout` is where nobody sets it, in the words of a warning.
const UNSET: &str = "some minutes";

/// Files inside of files, before it is a circle.
const DEEPEST: usize = 16;

/// What stands about tickets, where a rule about sudo goes by how fresh a login is. Nothing where sudo is not installed.
pub(super) fn warnings(config: &Config, root: &Path) -> Vec<String> {
    let is_about_sudo = |rule: &Rule| ["sudo", "sudo-i"].iter().any(|name| rule.governs(name));
    let concerned = config.rules.iter().find(|rule| rule.from_session.is_some() && is_about_sudo(rule));
    let Some(rule) = concerned else { return Vec::new() };
    let mut settings = Vec::new();
    let main = Path::new("/etc/sudoers");
    match read(root, main, DEEPEST, &mut settings) {
        Ok(()) => tickets(&settings).map(|ticket| warning(&rule.name, &ticket)).collect(),
        Err((file, error)) if file == main && error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err((file, error)) => {
            vec![format!(
                "{}: {error}: whether sudo's own ticket hides rule {:?} is not known",
                file.display(),
                rule.name
            )]
        }
    }
}

/// A `timestamp_timeout` in a sudoers file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    file: PathBuf,
    line: usize,
    value: String,
    /// Whether it holds for everybody, and not for one user, host, command or target.
    is_global: bool,
}

impl Setting {
    fn gives_no_ticket(&self) -> bool {
        self.value.parse::<f64>() == Ok(0.0)
    }
}

/// A ticket that sudo gives.
struct Ticket {
    place: String,
    length: String,
}

/// The tickets that these settings give: the last one for everybody decides, and each of those for somebody.
fn tickets(settings: &[Setting]) -> impl Iterator<Item = Ticket> {
    let global = settings.iter().rfind(|setting| setting.is_global);
    let unset = global.is_none().then(|| Ticket { place: "/etc/sudoers".to_owned(), length: UNSET.to_owned() });
    let scoped = settings.iter().filter(|setting| !setting.is_global);
    let given = global.into_iter().chain(scoped).filter(|setting| !setting.gives_no_ticket()).map(|setting| Ticket {
        place: format!("{}:{}", setting.file.display(), setting.line),
        length: format!("timestamp_timeout={}", setting.value),
    });
    unset.into_iter().chain(given).collect::<Vec<_>>().into_iter()
}

fn warning(rule: &str, ticket: &Ticket) -> String {
    let Ticket { place, length } = ticket;
    format!(
        "{place}: sudo's own ticket ({length}) hides rule {rule:?}: until it runs out nobody is asked, however old the login is; \
         write \"Defaults timestamp_timeout=0\" into /etc/sudoers.d/authflow"
    )
}

/// Reads a file, and those that it includes, in the order in which sudo does.
fn read(root: &Path, file: &Path, depth: usize, found: &mut Vec<Setting>) -> Result<(), (PathBuf, io::Error)> {
    if depth == 0 {
        return Err((file.to_owned(), io::Error::other("too many files inside of files")));
    }
    let place = root.join(file.strip_prefix("/").unwrap_or(file));
    let text = fs::read_to_string(place).map_err(|error| (file.to_owned(), error))?;
    for (line, text) in lines(&text) {
        if let Some(name) = directive(&text, "include") {
            read(root, &beside(file, name), depth - 1, found)?;
        } else if let Some(name) = directive(&text, "includedir") {
            for file in files_in(root, &beside(file, name)) {
                read(root, &file, depth - 1, found)?;
            }
        } else {
            let setting = |(value, is_global)| Setting { file: file.to_owned(), line, value, is_global };
            found.extend(timeouts(&text).into_iter().map(setting));
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

/// The timeouts that a `Defaults` line sets, each with whether it is for everybody.
fn timeouts(line: &str) -> Vec<(String, bool)> {
    let Some(rest) = line.trim_start().strip_prefix("Defaults") else { return Vec::new() };
    let is_global = rest.starts_with([' ', '\t']);
    let rest = rest.split_once(" #").map_or(rest, |(before, _comment)| before);
    let scoped = || rest.split_once([' ', '\t']).map_or("", |(_whom, settings)| settings);
    let settings = if is_global { rest } else { scoped() };
    let timeout = |setting: &str| match setting.split_once('=') {
        Some((name, value)) if name.trim() == "timestamp_timeout" => Some(value.trim().trim_matches('"').to_owned()),
        None if setting.trim() == "!timestamp_timeout" => Some("0".to_owned()),
        Some(_) | None => None,
    };
    settings.split(',').filter_map(timeout).map(|value| (value, is_global)).collect()
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    const STEP_UP: &str = "[[rule]]\nname = 'step-up'\nservice = ['sudo']\nmethods = [['session'], ['password']]\n\
                           from_session = { proved = ['password'], within = '5m' }\n";

    fn warned(rules: &str, files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let place = root.path().join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        let config = Config::parse(Text { name: "authflow.toml", text: rules }, &[]).unwrap();
        warnings(&config, root.path())
    }

    #[test]
    fn a_ticket_that_hides_a_rule_is_warned_of_with_its_place() {
        let unset = warned(STEP_UP, &[("etc/sudoers", "root ALL=(ALL) ALL\n")]);
        assert_eq!(unset.len(), 1);
        assert!(
            unset[0].starts_with("/etc/sudoers: sudo's own ticket (some minutes) hides rule \"step-up\""),
            "{unset:?}"
        );
        let files = [
            ("etc/sudoers", "Defaults env_reset\n@includedir /etc/sudoers.d\n"),
            ("etc/sudoers.d/a", "# why\nDefaults !lecture, \\\n    timestamp_timeout = 5 # minutes\n"),
        ];
        let set = warned(STEP_UP, &files);
        assert!(
            set.len() == 1 && set[0].starts_with("/etc/sudoers.d/a:2: sudo's own ticket (timestamp_timeout=5)"),
            "{set:?}"
        );
    }

    #[test]
    fn without_a_ticket_there_is_nothing_to_warn_of() {
        for none in [
            "Defaults timestamp_timeout=0\n",
            "Defaults\t!timestamp_timeout\n",
            "Defaults timestamp_timeout=5\nDefaults lecture, timestamp_timeout=0.0\n",
        ] {
            assert_eq!(warned(STEP_UP, &[("etc/sudoers", none)]), Vec::<String>::new(), "{none}");
        }
        assert_eq!(warned(STEP_UP, &[]), Vec::<String>::new(), "no sudo");
        let other = "[[rule]]\nname = 'a'\nservice = ['sudo']\nmethods = [['password']]\n";
        assert_eq!(warned(other, &[("etc/sudoers", "")]), Vec::<String>::new(), "nothing to hide");
    }

    #[test]
    fn one_users_ticket_is_one_too_many() {
        let some = "Defaults timestamp_timeout=0\nDefaults:alice timestamp_timeout=-1\n#Defaults timestamp_timeout=9\n";
        let warned = warned(STEP_UP, &[("etc/sudoers", some)]);
        assert!(warned.len() == 1 && warned[0].starts_with("/etc/sudoers:2: "), "{warned:?}");
    }

    #[test]
    fn files_inside_of_files_are_read_and_a_circle_ends() {
        let files = [
            ("etc/sudoers", "@include more\n#includedir sudoers.d\n"),
            ("etc/more", "Defaults timestamp_timeout=7\n"),
            ("etc/sudoers.d/z", "Defaults timestamp_timeout=0\n"),
            ("etc/sudoers.d/zz~", "Defaults timestamp_timeout=8\n"),
            ("etc/sudoers.d/zz.old", "Defaults timestamp_timeout=8\n"),
        ];
        assert_eq!(warned(STEP_UP, &files), Vec::<String>::new(), "the last one decides");
        let circle = warned(STEP_UP, &[("etc/sudoers", "@include /etc/sudoers\n")]);
        assert!(circle[0].contains("too many files inside of files"), "{circle:?}");
    }
}
