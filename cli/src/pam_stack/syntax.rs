//! The text of a PAM file: its lines as libpam joins them, their words, and what a line says. Opens nothing.

use super::{broken::Why, control::is_written_as};

/// What a line says.
pub(super) enum Parsed {
    Include { phase: Option<String>, is_substack: bool, name: String },
    Call { phase: String, control: String, module: String, arguments: Vec<String> },
}

/// What a line says; nothing where it is empty.
pub(super) fn parse(line: &str) -> Result<Option<Parsed>, Why> {
    let mut words = words(line).into_iter();
    let Some(first) = words.next() else { return Ok(None) };
    if first.eq_ignore_ascii_case("@include") {
        let name = words.next().ok_or(Why::NoModule)?;
        return Ok(Some(Parsed::Include { phase: None, is_substack: false, name }));
    }
    // A dash in front only keeps libpam from logging that the module is missing.
    let phase = first.strip_prefix('-').unwrap_or(&first).to_ascii_lowercase();
    if !["auth", "account", "session", "password"].contains(&phase.as_str()) {
        return Err(Why::Phase(first));
    }
    let (control, module) = words.next().zip(words.next()).ok_or(Why::NoModule)?;
    let is_substack = is_written_as(&control, "substack");
    Ok(Some(if is_substack || is_written_as(&control, "include") {
        Parsed::Include { phase: Some(phase), is_substack, name: unbracketed(&module) }
    } else {
        let arguments = words.map(|word| unbracketed(&word)).collect();
        Parsed::Call { phase, control, module: unbracketed(&module), arguments }
    }))
}

pub(super) fn base_name(module: &str) -> String {
    module.rsplit('/').next().unwrap_or(module).to_owned()
}

/// Lines with their numbers, comments gone and continued ones joined; and where the text ends in the middle of a line, the number of that.
pub(super) fn logical_lines(text: &str) -> (Vec<(usize, String)>, Option<usize>) {
    let mut lines = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (line, number) in text.lines().zip(1..) {
        let (said, is_commented) = line.split_once('#').map_or((line, false), |(said, _)| (said, true));
        // What says nothing does not end a line that goes on.
        if begun.is_some() && said.trim().is_empty() {
            continue;
        }
        let (first, before) = begun.take().unwrap_or((number, String::new()));
        match said.trim_end().strip_suffix('\\').filter(|_| !is_commented) {
            Some(front) => begun = Some((first, before + front + " ")),
            None => lines.push((first, before + said)),
        }
    }
    let unfinished = begun.as_ref().map(|(number, _)| *number);
    lines.extend(begun);
    (lines, unfinished)
}

/// The words of a line; what stands in brackets is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let end = if rest.starts_with('[') { closing(rest) } else { rest.find(char::is_whitespace) };
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Behind the bracket that closes the first one; one behind a backslash is a letter like others.
fn closing(text: &str) -> Option<usize> {
    let ends = text.match_indices(']').map(|(place, _)| place);
    let mut closing = ends.filter(|place| text.get(..*place).is_none_or(|before| !before.ends_with('\\')));
    closing.next().map(|place| place + 1)
}

/// A word without the brackets around it, as its module gets it.
fn unbracketed(word: &str) -> String {
    let Some(inner) = word.strip_prefix('[') else { return word.to_owned() };
    inner.strip_suffix(']').unwrap_or(inner).replace("\\]", "]")
}

/// The same as it stands in a file.
pub(crate) fn as_written(word: &str) -> String {
    let needs_brackets = word.is_empty() || word.starts_with('[') || word.contains(char::is_whitespace);
    if needs_brackets { format!("[{}]", word.replace(']', "\\]")) } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_brackets_is_read_as_it_is_written() {
        for word in ["plain", "a b", "c]d", "", "[x", "[x] y]", "\\"] {
            let read = words(&as_written(word)).into_iter().map(|word| unbracketed(&word));
            assert_eq!(read.collect::<Vec<_>>(), [word]);
        }
        assert_eq!(words("a[b c]d [e\\] f]g [h"), ["a[b", "c]d", "[e\\] f]", "g", "[h"]);
    }

    #[test]
    fn where_a_text_ends_in_the_middle_of_a_line_that_is_known() {
        for (text, expected) in [
            ("auth required pam_a.so\nauth required \\", Some(2)),
            ("\nauth required pam_b.so x\\ \n\n# x\n", Some(2)),
            ("auth required pam_a.so # \\\n# \\", None),
        ] {
            assert_eq!(logical_lines(text).1, expected, "{text:?}");
        }
    }
}
