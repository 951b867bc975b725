//! Whom a `Match` is for, as far as its words tell before anybody comes: users, groups, and the network that a rule is for.

use std::net::IpAddr;

/// Somebody who logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Somebody {
    /// The name; one that nobody has stands for everybody else.
    pub user: String,
    /// The groups that are known.
    pub groups: Vec<String>,
    /// Where from, where a rule is for somewhere.
    pub address: Option<IpAddr>,
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
            "address" => somebody.address.is_some_and(|address| is_from(patterns, address)),
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

/// Whether one of the names is in the list.
fn matches(patterns: &str, names: &[&String]) -> bool {
    is_listed(patterns, |pattern| names.iter().any(|name| fits(pattern, name)))
}

/// Whether the address is in one of the networks, or looks like one of the others.
fn is_from(patterns: &str, address: IpAddr) -> bool {
    let is_in = |pattern: &str| match pattern.split_once('/') {
        Some((network, length)) => network.parse().is_ok_and(|network| begin_alike(network, address, length)),
        None => fits(pattern, &address.to_string()),
    };
    is_listed(patterns, is_in)
}

/// Whether as many bits of both are the same.
fn begin_alike(one: IpAddr, other: IpAddr, length: &str) -> bool {
    let Ok(length) = length.parse::<u32>() else { return false };
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() >= length,
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() >= length,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Whether a pattern of the list is the one, and none behind a `!`.
fn is_listed(patterns: &str, is_in: impl Fn(&str) -> bool) -> bool {
    let (refused, taken): (Vec<&str>, Vec<&str>) = patterns.split(',').partition(|pattern| pattern.starts_with('!'));
    taken.into_iter().any(&is_in) && !refused.into_iter().any(|pattern| is_in(pattern.trim_start_matches('!')))
}

/// `*` is any text and `?` any character.
pub(in crate::command) fn fits(pattern: &str, name: &str) -> bool {
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
        let address = Some(IpAddr::from([10, 20, 0, 0]));
        let alice = Somebody { user: "alice".into(), groups: vec!["staff".into()], address };
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
            ("User alice Address 10.0.0.0/8", true),
            ("Group staff Address 192.0.2.0/24,10.20.*", true),
            ("Group staff Address 10.21.0.0/16,fe80::/10", false),
            ("Address 10.20.0.0/16,!10.20.0.0/24", false),
            ("User alice Host *.example.org", false),
            ("", false),
        ] {
            assert_eq!(is_for(criteria, &alice), expected, "{criteria}");
        }
        assert!(!is_for("Address 10.0.0.0/8", &Somebody { address: None, ..alice }), "from anywhere");
        assert_eq!(groups("User bob Group \"staff,!ops\"").collect::<Vec<_>>(), ["staff", "ops"]);
        assert!(is_for("User *,!root", &Somebody { user: "somebody".into(), ..Somebody::default() }));
    }
}
