//! sudoers that are in no file of the machine's: a directory's, which sudo asks where nsswitch.conf says so. Nobody asks it here.

use std::fs;

use super::super::{Ground, Place, catalogue::Defect, finding::Finding};

/// That sudo goes by more than files, if it does.
pub(super) fn not_looked_at(ground: &Ground<'_>) -> Option<Finding> {
    let file = ground.root.join("etc/nsswitch.conf");
    let text = String::from_utf8_lossy(&fs::read(&file).ok()?).into_owned();
    // sudo goes by the first of such lines.
    let (line, sources) = (1..).zip(text.lines()).find_map(|(line, text)| Some((line, sources(text)?)))?;
    let elsewhere: Vec<&str> = sources.split_whitespace().filter(|source| is_elsewhere(source)).collect();
    (!elsewhere.is_empty()).then(|| {
        Finding::new(
            Defect::SudoersNotLookedAt,
            Place::line(&file, line),
            format!("sudo also goes by {}, which is no file", elsewhere.join(", ")),
            "see by `sudo -l -U NAME` what it says: NOPASSWD, and options of sudo's",
        )
    })
}

/// What follows `sudoers:`, without a comment.
fn sources(line: &str) -> Option<&str> {
    let (name, sources) = line.split('#').next()?.trim_start().split_once(':')?;
    name.eq_ignore_ascii_case("sudoers").then_some(sources)
}

/// Whether that is a source, and not what to do after one, and is none of the machine's own.
fn is_elsewhere(word: &str) -> bool {
    !word.contains(['[', ']', '=']) && !word.eq_ignore_ascii_case("files")
}
