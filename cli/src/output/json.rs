//! JSON as programs read it, safe to look at on a terminal too.

use std::io;

use serde::Serialize;

/// One document, indented, with a newline at its end.
pub(crate) fn document(value: &impl Serialize) -> io::Result<String> {
    Ok(escape_controls(&serde_json::to_string_pretty(value)?) + "\n")
}

/// One document on one line, for streams of them.
pub(crate) fn line(value: &impl Serialize) -> io::Result<String> {
    Ok(escape_controls(&serde_json::to_string(value)?) + "\n")
}

/// JSON leaves DEL and the C1 controls raw, and a terminal would obey them. They can only stand within a string, where
/// an escape means the same; the one control outside of strings is the newline of the layout.
fn escape_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() && c != '\n' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_a_terminal_and_none_is_lost() {
        let hostile = "a\u{1b}[2Jb\u{9b}31mc\u{7f}\n";
        let json = document(&hostile).unwrap();
        assert!(json.trim_end().chars().all(|c| !c.is_control()), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line(&["a", "b\n"]).unwrap(), "[\"a\",\"b\\n\"]\n");
    }
}
