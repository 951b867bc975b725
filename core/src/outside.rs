//! Text from outside (users, hosts, terminals, messages), made harmless for a log, a terminal, a prompt or a table, so that no name or
//! host forges a line or a key of one.

use std::fmt::Write as _;

/// Longest value in a log line: a name of 300 bytes is shown whole, a flood is not.
const LONGEST_VALUE: usize = 512;

/// Whether a terminal would obey or hide it: control characters, line and paragraph separators, and the marks that turn the direction of
/// writing or take no room.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with `?` for all that is harmful, cut where it is longer than `longest` bytes.
#[must_use]
pub fn visible(text: &str, longest: usize) -> String {
    let clean = text.chars().map(|c| if is_harmful(c) { '?' } else { c });
    let mut shown = String::new();
    for c in clean {
        if shown.len() + c.len_utf8() > longest {
            shown.push_str("...");
            break;
        }
        shown.push(c);
    }
    shown
}

/// Adds `key=value` to a log line: the value bare if it is one plain word, else in quotes.
pub fn add_field(line: &mut String, key: &str, value: &str) {
    let value = visible(value, LONGEST_VALUE);
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.:+@/,%".contains(c);
    // Writing to a string cannot fail.
    let _always_ok = if !value.is_empty() && value.chars().all(is_word) {
        write!(line, " {key}={value}")
    } else {
        write!(line, " {key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(fields: &[(&str, &str)]) -> String {
        let mut line = "event=x".to_owned();
        fields.iter().for_each(|(key, value)| add_field(&mut line, key, value));
        line
    }

    #[test]
    fn words_stand_bare_and_everything_else_in_quotes() {
        let line = line(&[("user", "alice"), ("reason", "wrong \"code\""), ("why", "C:\\"), ("rhost", "")]);
        assert_eq!(line, r#"event=x user=alice reason="wrong \"code\"" why="C:\\" rhost="""#);
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_a_key() {
        let line = line(&[("user", "eve\nevent=granted\u{1b}[2J\u{202e} rhost=10.0.0.1")]);
        assert_eq!(line, "event=x user=\"eve?event=granted?[2J? rhost=10.0.0.1\"");
    }

    #[test]
    fn a_flood_is_cut() {
        assert_eq!(visible("abcdef", 3), "abc...");
        assert_eq!(visible("\u{e9}\u{e9}", 3), "\u{e9}...");
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_place(value in any::<String>()) {
            let text = line(&[("key", &value)]);
            prop_assert!(!text.chars().any(is_harmful));
            prop_assert!(text.len() < 3 * LONGEST_VALUE);
            let rest = text.strip_prefix("event=x key=").unwrap();
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.strip_suffix('"').unwrap();
                prop_assert!(!end.replace("\\\\", "").replace("\\\"", "").contains(['"', '\\']));
            } else {
                prop_assert!(!rest.contains([' ', '=', '"']));
            }
        }
    }
}
