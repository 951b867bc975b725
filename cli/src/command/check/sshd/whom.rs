//! Whom a `Match` is for, as far as its words tell: users and groups. What it says of addresses is of no use before somebody comes.

/// Somebody who logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Somebody {
    /// The name; one that nobody has stands for everybody else.
    pub user: String,
    /// The groups that are known.
    pub groups: Vec<String>,
}

/// Whether all of these criteria hold for somebody. Those that cannot be told do not.
pub(super) fn is_for(criteria: &str, somebody: &Somebody) -> bool {
    let mut words = criteria.split([' ', '\t', '=']).filter(|word| !word.is_empty());
    let mut is_any = false;
    while let Some(keyword) = words.next() {
        is_any = true;
        let keyword = keyword.to_ascii_lowercase();
        if keyword == "all" {
            continue;
        }
        let patterns = words.next().unwrap_or_default().trim_matches('"');
        let holds = match keyword.as_str() {
            "user" => matches(patterns, &[&somebody.user]),
            "group" => matches(patterns, &somebody.groups.iter().collect::<Vec<_>>()),
            _ => false,
        };
        if !holds {
            return false;
        }
    }
    is_any
}

/// The groups that criteria name, as they stand there.
pub(super) fn groups(criteria: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = criteria.split([' ', '\t', '=']).filter(|word| !word.is_empty()).collect();
    let behind = |pair: &[&str]| pair.first().is_some_and(|word| word.eq_ignore_ascii_case("group"));
    let lists: Vec<&str> =
        words.windows(2).filter(|pair| behind(pair)).filter_map(|pair| pair.last().copied()).collect();
    lists.into_iter().flat_map(|list| list.trim_matches('"').split(',')).map(|name| name.trim_start_matches('!'))
}

/// Whether one of the names is in the list: by a pattern, and by none behind a `!`.
fn matches(patterns: &str, names: &[&String]) -> bool {
    let is_in = |pattern: &str| names.iter().any(|name| fits(pattern, name));
    let (refused, taken): (Vec<&str>, Vec<&str>) = patterns.split(',').partition(|pattern| pattern.starts_with('!'));
    taken.into_iter().any(is_in) && !refused.into_iter().any(|pattern| is_in(pattern.trim_start_matches('!')))
}

/// `*` is any text and `?` any character.
fn fits(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => name
            .char_indices()
            .map(|(place, _)| place)
            .chain([name.len()])
            .any(|place| name.get(place..).is_some_and(|end| fits(rest.as_str(), end))),
        Some(wanted) => {
            let mut name = name.chars();
            name.next().is_some_and(|c| wanted == '?' || wanted == c) && fits(rest.as_str(), name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_hold_for_whom_they_name() {
        let alice = Somebody { user: "alice".into(), groups: vec!["staff".into()] };
        for (criteria, expected) in [
            ("all", true),
            ("User alice", true),
            ("user bob,al*", true),
            ("User=\"?lice\"", true),
            ("User *,!alice", false),
            ("User bob", false),
            ("Group staff", true),
            ("Group ops", false),
            ("User alice Group ops", false),
            ("User alice Address 10.0.0.0/8", false),
            ("", false),
        ] {
            assert_eq!(is_for(criteria, &alice), expected, "{criteria}");
        }
        assert_eq!(groups("User bob Group \"staff,!ops\"").collect::<Vec<_>>(), ["staff", "ops"]);
        assert!(is_for("User *,!root", &Somebody { user: "somebody".into(), ..Somebody::default() }));
    }
}
