//! PAM stacks as libpam reads them: the lines of a service in their order, included files opened. Only read here, never written.
//!
//! # Layout
//!
//! - `broken`: what libpam cannot read
//! - `control`: what a module's answer does to its stack
//! - `entries`: one file, line by line, for what edits it
//! - `role`: what a line is there for
//! - `syntax`: the words of a file

mod broken;
pub(crate) mod control;
pub(crate) mod entries;
pub(crate) mod role;
mod syntax;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use self::syntax::{Parsed, base_name, logical_lines, parse};
pub(crate) use self::{
    broken::{Broken, Why},
    syntax::as_written,
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
    /// The same as it is written.
    pub path: String,
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

    /// Whether our module is meant by a name that is none: written with a slip or two, or without its ending.
    pub(crate) fn is_almost_ours(&self) -> bool {
        let name = self.module.strip_suffix(".so").unwrap_or(&self.module);
        let ours = OURS.strip_suffix(".so").unwrap_or(OURS);
        self.module != OURS && slips(name, ours) <= 2
    }
}

/// How many letters are wrong, missing or too many.
fn slips(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, left) in one.bytes().zip(1..) {
        let mut next = vec![left];
        for ((across, corner), up) in other.bytes().zip(&row).zip(row.iter().skip(1)) {
            let before = next.last().copied().unwrap_or(left);
            next.push((corner + usize::from(above != across)).min(up + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(one.len())
}

/// The module's own name.
pub(crate) const OURS: &str = "pam_authflow.so";

/// As deep as libpam follows includes.
const DEEPEST: usize = 32;

/// The PAM files of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Stacks {
    root: PathBuf,
    /// Where files are looked for, the first before the others.
    folders: Vec<PathBuf>,
}

/// What libpam reads for a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    /// The service's own file.
    pub file: PathBuf,
    /// Its lines, in the order in which modules are called, all phases together.
    pub lines: Vec<Line>,
    /// Every file that was read.
    pub files: BTreeSet<PathBuf>,
    /// What libpam cannot read.
    pub broken: Vec<Broken>,
}

/// The lines that libpam reads for `service` on the machine with that root; none where it has no file.
pub(crate) fn lines(root: &Path, service: &str) -> Vec<Line> {
    Stacks::under(root).of(service).map(|stack| stack.lines).unwrap_or_default()
}

impl Stack {
    /// The lines of one phase.
    pub(crate) fn phase<'a>(&'a self, phase: &'a str) -> impl Iterator<Item = &'a Line> + Clone {
        self.lines.iter().filter(move |line| line.phase == phase)
    }

    /// Our own lines in one phase.
    pub(crate) fn ours<'a>(&'a self, phase: &'a str) -> impl Iterator<Item = &'a Line> + Clone {
        self.phase(phase).filter(|line| line.module == OURS)
    }

    /// Whether a file that it includes cannot be read, so that not all of its lines are known.
    pub(crate) fn lacks_a_file(&self) -> bool {
        self.broken.iter().any(|broken| matches!(broken.why, Why::Include(..)))
    }

    /// Whether we are called at all.
    pub(crate) fn calls_us(&self) -> bool {
        self.lines.iter().any(|line| line.module == OURS)
    }
}

impl Stacks {
    /// The files of the machine with that root.
    pub(crate) fn under(root: &Path) -> Self {
        let folders = ["etc/pam.d", "usr/lib/pam.d"].map(|folder| root.join(folder)).to_vec();
        Self { root: root.to_owned(), folders }
    }

    /// The names of all files but what editors and package managers leave behind.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let entries = self.folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let files = entries.filter(|entry| entry.path().is_file());
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| !name.contains('.') && !name.ends_with('~')).collect()
    }

    /// What libpam reads for `service`. `None` where it has no file.
    pub(crate) fn of(&self, service: &str) -> Option<Stack> {
        let (file, text) = self.open(service).ok()?;
        let mut stack = Stack { file: file.clone(), ..Stack::default() };
        self.read((file, &text), &Place { only: None, depth: DEEPEST, substacks: &[] }, &mut stack);
        Some(stack)
    }

    /// The file that libpam opens for a name.
    fn open(&self, name: &str) -> io::Result<(PathBuf, String)> {
        let candidates = match name.strip_prefix('/') {
            Some(absolute) => vec![self.root.join(absolute)],
            None => self.folders.iter().map(|folder| folder.join(name)).collect(),
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for file in candidates {
            match fs::read(&file) {
                Ok(bytes) => return Ok((file, String::from_utf8_lossy(&bytes).into_owned())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Adds the lines of a file.
    fn read(&self, (file, text): (PathBuf, &str), place: &Place<'_>, stack: &mut Stack) {
        stack.files.insert(file.clone());
        let (lines, unfinished) = logical_lines(text);
        stack.broken.extend(unfinished.map(|number| Broken { file: file.clone(), number, why: Why::Unfinished }));
        for (number, line) in lines {
            match parse(&line) {
                Ok(Some(Parsed::Include { phase, is_substack, name })) => {
                    if is_wanted(place, phase.as_deref()) {
                        self.include((&file, number), Included { phase, is_substack, name }, place, stack);
                    }
                }
                Ok(Some(Parsed::Call { phase, .. })) if !is_wanted(place, Some(&phase)) => {}
                Ok(Some(Parsed::Call { phase, control, module, arguments })) => stack.lines.push(Line {
                    file: file.clone(),
                    number,
                    phase,
                    control,
                    module: base_name(&module),
                    path: module,
                    arguments,
                    substacks: place.substacks.to_vec(),
                }),
                Ok(None) => {}
                Err(why) => stack.broken.push(Broken { file: file.clone(), number, why }),
            }
        }
    }

    fn include(&self, (file, number): (&Path, usize), what: Included, place: &Place<'_>, stack: &mut Stack) {
        let Some(depth) = place.depth.checked_sub(1) else { return };
        match self.open(&what.name) {
            Ok((included, text)) => {
                // No two that hold lines begin at the same one.
                let inner = [place.substacks, &[stack.lines.len()]].concat();
                let substacks = if what.is_substack { &inner } else { place.substacks };
                let only = what.phase.as_deref().or(place.only);
                self.read((included, &text), &Place { only, depth, substacks }, stack);
            }
            Err(error) => {
                let why = Why::Include(what.name, error.kind());
                stack.broken.push(Broken { file: file.to_owned(), number, why });
            }
        }
    }
}

/// Where a file is included.
struct Place<'a> {
    /// The one phase that it is included for.
    only: Option<&'a str>,
    /// How much deeper it may still go.
    depth: usize,
    substacks: &'a [usize],
}

/// What is included.
struct Included {
    phase: Option<String>,
    is_substack: bool,
    name: String,
}

fn is_wanted(place: &Place<'_>, phase: Option<&str>) -> bool {
    place.only.is_none_or(|only| phase.is_none_or(|phase| phase == only))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Stacks) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let stacks = Stacks::under(root.path());
        (root, stacks)
    }

    #[test]
    fn includes_continued_lines_and_brackets_are_read_as_libpam_reads_them() {
        let sshd = "# a comment\n@include common\n-SESSION [success=ok default=bad] \\\n /lib/security/pam_a.so x y # z\n\
                    session include more\n";
        let (_root, stacks) = machine(&[
            ("etc/pam.d/sshd", sshd),
            ("etc/pam.d/common", "auth required pam_b.so\n"),
            (
                "usr/lib/pam.d/more",
                "auth required pam_c.so\nsession optional pam_d.so user_readenv=1\nsession include more\n",
            ),
        ]);
        let stack = stacks.of("sshd").unwrap();
        let shown: Vec<_> = stack
            .lines
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
        assert!(stack.lines.len() < DEEPEST + 3, "a file that includes itself has an end");
        assert_eq!((stack.files.len(), stack.broken.len()), (3, 0));
        assert_eq!(stacks.names().into_iter().collect::<Vec<_>>(), ["common", "more", "sshd"]);
    }

    #[test]
    fn what_libpam_cannot_read_is_told_with_its_line() {
        let (_root, stacks) = machine(&[(
            "etc/pam.d/sshd",
            "auth required\n@include gone\nauht required pam_a.so\nauth substack gone\n",
        )]);
        let stack = stacks.of("sshd").unwrap();
        let missing = Why::Include("gone".into(), io::ErrorKind::NotFound);
        let broken: Vec<_> = stack.broken.into_iter().map(|broken| (broken.number, broken.why)).collect();
        let expected = [(1, Why::NoModule), (2, missing.clone()), (3, Why::Phase("auht".into())), (4, missing)];
        assert_eq!(broken, expected);
    }

    #[test]
    fn a_line_goes_on_and_brackets_hold_a_word_together_as_they_do_to_libpam() {
        let joined = "auth [success = done \\\n# a comment\n\n default=ignore]/lib/pam_a.so [a b] [c\\]d] \\ # y\nauth INCLUDE more\n\
                      auth [substack] more\n@INCLUDE more\n# z \\\nsession required pam_c.so\n";
        let more = "session required pam_d.so\nauth required pam_b.so [user_readenv=1]\n";
        let (_root, stacks) = machine(&[("etc/pam.d/sshd", joined), ("etc/pam.d/more", more)]);
        let stack = stacks.of("sshd").unwrap();
        let shown: Vec<_> = stack.lines.iter().map(|line| (line.number, line.module.as_str())).collect();
        let more = [(2, "pam_b.so"), (2, "pam_b.so"), (1, "pam_d.so"), (2, "pam_b.so")];
        assert_eq!(shown, [&[(1, "pam_a.so")], &more[..], &[(9, "pam_c.so")]].concat());
        let first = stack.lines.first().unwrap();
        assert_eq!(first.arguments, ["a b", "c]d", "\\"]);
        assert_eq!(control::action(&first.control, "success"), control::Action::Done);
        assert!(stack.lines.iter().any(|line| line.says("user_readenv=1")));
        assert!(stack.broken.is_empty());
    }

    #[test]
    fn a_name_with_a_slip_is_almost_ours() {
        let (_root, stacks) = machine(&[(
            "etc/pam.d/sshd",
            "auth required pam_authflw.so\nauth required pam_authlfow.so\nauth required pam_authflow\nauth required pam_unix.so\n\
             auth required pam_auth_flow.so\nauth required /lib/x/pam_authflow.so\nauth required pam_tally.so\n",
        )]);
        let almost: Vec<_> = stacks
            .of("sshd")
            .unwrap()
            .lines
            .iter()
            .filter(|line| line.is_almost_ours())
            .map(|line| line.number)
            .collect();
        assert_eq!(almost, [1, 2, 3, 5]);
    }

    #[test]
    fn a_service_without_a_file_has_no_stack() {
        assert!(Stacks::under(Path::new("/nonexistent")).of("sshd").is_none());
    }
}
