//! `docs/events.md` against what a machine has logged: each line of ours has the keys that its row names, in that order.

const CATALOGUE: &str = include_str!("../../docs/events.md");

/// What is wrong with the lines of this log that are ours, a text for each.
pub(crate) fn faults(log: &str) -> Vec<String> {
    let faulty = |line: &&str| match parse(line) {
        Some((section, event, keys)) => !ways(section, event).iter().any(|way| way.allows(&keys)),
        None => false,
    };
    log.lines().filter(faulty).map(str::to_owned).collect()
}

/// The keys of one way to log an event, and which may be left out.
#[derive(Debug)]
struct Way<'a>(Vec<(&'a str, bool)>);

impl Way<'_> {
    fn allows(&self, keys: &[&str]) -> bool {
        let mut keys = keys.iter().peekable();
        let mut all_needed = self.0.iter();
        all_needed.all(|(key, is_optional)| keys.next_if(|found| *found == key).is_some() || *is_optional)
            && keys.next().is_none()
    }
}

/// The section of whoever wrote the line, the event, and the keys. `None` for what others write.
fn parse(line: &str) -> Option<(&'static str, &str, Vec<&str>)> {
    let (before, rest) = line.split_once(": event=")?;
    let program = before.rsplit(' ').next()?;
    let section = match program.split_once(['[', '(']).map_or(program, |(name, _)| name) {
        "pam_authflow" => "The module",
        "authflow-sessiond" => "The daemon",
        "authflow" => "The command",
        _ => return None,
    };
    let (event, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut keys = Vec::new();
    while let Some((key, value)) = rest.split_once('=') {
        keys.push(key.trim_start());
        rest = &value[length_of_value(value)..];
    }
    Some((section, event, keys))
}

/// Up to the blank behind it, or to the quote that ends it.
fn length_of_value(text: &str) -> usize {
    if !text.starts_with('"') {
        return text.find(' ').unwrap_or(text.len());
    }
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(index, _)| index + 1)
}

/// What the row of the event allows. Ways stand with `;` between them, what may be left out in square brackets.
fn ways<'a>(section: &str, event: &str) -> Vec<Way<'a>> {
    let (_, rest) = CATALOGUE.split_once(&format!("\n## {section}\n")).expect("a section for each product");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let Some(row) = section.lines().find(|line| line.starts_with(&format!("| `{event}` |"))) else { return Vec::new() };
    let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
    cell.split(';').map(way).collect()
}

fn way(text: &str) -> Way<'_> {
    let mut is_optional = false;
    let pieces = text.split('`').enumerate();
    let keys = pieces.filter_map(|(number, piece)| {
        if number % 2 == 1 {
            return Some((piece, is_optional));
        }
        is_optional = piece.rfind(['[', ']']).map_or(is_optional, |at| piece[at..].starts_with('['));
        None
    });
    Way(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(line: &str) -> bool {
        faults(line).is_empty()
    }

    #[test]
    fn a_line_has_the_keys_of_its_row_in_their_order() {
        let module =
            "<85>Nov 28 10:00:00 sshd[8]: pam_authflow(sshd:auth): event=refused phase=authenticate service=sshd";
        assert!(is_fine(&format!("{module} user=alice rhost=10.0.0.1 tty=ssh reason=\"a \\\"b=c\\\" d\"")));
        assert!(is_fine(&format!("{module} reason=x")));
        assert!(!is_fine(module), "no reason");
        assert!(!is_fine(&format!("{module} rhost=10.0.0.1 user=alice reason=x")), "the other way round");
        assert!(!is_fine(&format!("{module} reason=x more=y")), "one that nobody was told of");
        let daemon = "Nov 28 10:00:00 bed authflow-sessiond[9]: event=";
        assert!(is_fine(&format!("{daemon}store-recovered")));
        assert!(is_fine(&format!("{daemon}swept uid=7 more=2")) && !is_fine(&format!("{daemon}swept uid=7")));
        assert!(!is_fine(&format!("{daemon}unheard-of")));
        assert!(is_fine("Nov 28 10:00:00 bed other[9]: event=unheard-of"));
    }
}
