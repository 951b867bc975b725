//! Text from outside (users, hosts, ttys, messages), made harmless for a terminal.

use authflow_core::outside::is_harmful;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns of a terminal `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// As much of `text` as takes no more than `room` columns; what was cut shows as an ellipsis.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken < room
    };
    let mut short: String = text.chars().take_while(fits).collect();
    if room > 0 {
        short.push('\u{2026}');
    }
    short
}

/// `text` with everything that a terminal would obey or hide replaced by `?`: control characters, and the marks that
/// turn the direction of writing or take no room.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_harmful(c) { '?' } else { c }).collect()
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

    #[test]
    fn what_is_cut_shows_that_it_is_and_takes_no_more_room() {
        assert_eq!(cut("alice", 5), "alice");
        assert_eq!(cut("alice", 4), "ali\u{2026}");
        assert_eq!(cut("\u{6771}\u{4eac}", 3), "\u{6771}\u{2026}");
        assert_eq!(cut("\u{6771}\u{4eac}", 2), "\u{2026}");
        assert_eq!((cut("alice", 1), cut("alice", 0)), ("\u{2026}".into(), String::new()));
    }
}
