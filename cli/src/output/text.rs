//! Text from outside (users, hosts, ttys, messages), made harmless for a terminal.

/// `text` with everything that a terminal would obey or hide replaced by `?`: control characters, and the marks that
/// turn the direction of writing or take no room.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { '?' } else { c }).collect()
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_direction_marks_are_replaced() {
        assert_eq!(clean("al\u{1b}[31mice\r\n"), "al?[31mice??");
        assert_eq!(clean("\u{202e}toor\u{9b}A"), "?toor?A");
        assert_eq!(clean("Zoë 東"), "Zoë 東");
    }
}
