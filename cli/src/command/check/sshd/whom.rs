//! Whom a `Match` is for, as far as its words tell before anybody comes: users, groups, and the network that a rule is for.

use std::net::IpAddr;

/// Somebody who logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Somebody {
    /// The name; one that nobody has stands for everybody else.
    pub user: String,
    /// The groups that are known.
    pub groups: Vec<String>,
    /// Whether the groups are only supposed, so that sshd would not find the user in them.
    pub is_supposed: bool,
    /// Where from, where a rule is for somewhere.
    pub address: Option<IpAddr>,
    /// The name of that place.
    pub host: Option<String>,
    /// The address that is called.
    pub local_address: Option<IpAddr>,
    /// The port that is called.
    pub local_port: Option<u16>,
}

/// Whether all of these criteria hold for somebody. Those that cannot be told do not.
pub(super) fn is_for(criteria: &str, somebody: &Somebody) -> bool {
    let holds = |(keyword, patterns): &(String, &str)| match keyword.as_str() {
        "all" => true,
        "user" => is_named(patterns, &somebody.user),
        "group" => matches(patterns, &somebody.groups.iter().collect::<Vec<_>>()),
        "address" => somebody.address.is_some_and(|address| is_from(patterns, address)),
        "host" => somebody.host.as_ref().is_some_and(|host| is_named(patterns, host)),
        "localaddress" => somebody.local_address.is_some_and(|address| is_from(patterns, address)),
        "localport" => somebody.local_port.is_some_and(|port| is_named(patterns, &port.to_string())),
        _ => false,
    };
    let all = words(criteria);
    !all.is_empty() && all.iter().all(holds)
}

/// Each criterion by its keyword in lower case, with its patterns.
pub(super) fn words(criteria: &str) -> Vec<(String, &str)> {
    let mut words = criteria.split([' ', '\t', '=']).filter(|word| !word.is_empty());
    let mut found = Vec::new();
    while let Some(keyword) = words.next() {
        let keyword = keyword.to_ascii_lowercase();
        let patterns = if keyword == "all" { "" } else { words.next().unwrap_or_default().trim_matches('"') };
        found.push((keyword, patterns));
    }
    found
}

/// The groups that criteria name, as they stand there.
pub(super) fn groups(criteria: &str) -> Vec<&str> {
    let lists = words(criteria).into_iter().filter(|(keyword, _)| keyword == "group").map(|(_, list)| list);
    lists.flat_map(|list| list.split(',')).map(|name| name.trim_start_matches('!')).collect()
}

/// What patterns name as it is: no others, and no text with a wildcard.
pub(super) fn literals(patterns: &str) -> impl Iterator<Item = &str> {
    patterns.split(',').filter(|pattern| !pattern.starts_with('!') && !pattern.contains(['*', '?']))
}

/// An address that the patterns hold, if one is easily made.
pub(super) fn an_address(patterns: &str) -> Option<IpAddr> {
    let of_one = |pattern: &str| match pattern.split_once('/') {
        Some((network, _)) => network.parse().ok(),
        None => {
            let plain = pattern.replace(['*', '?'], "1");
            let missing = 3_usize.saturating_sub(plain.matches('.').count());
            plain.parse().or_else(|_| format!("{plain}{}", ".1".repeat(missing)).parse()).ok()
        }
    };
    let all = patterns.split(',').filter(|pattern| !pattern.starts_with('!')).filter_map(of_one);
    all.into_iter().find(|address: &IpAddr| is_from(patterns, *address))
}

/// A name that the patterns hold, if one is easily made.
pub(super) fn a_name(patterns: &str) -> Option<String> {
    let plain = patterns.split(',').filter(|pattern| !pattern.starts_with('!')).map(|one| one.replace(['*', '?'], "x"));
    plain.into_iter().find(|name| is_named(patterns, name))
}

/// Whether that name is in the list.
fn is_named(patterns: &str, name: &str) -> bool {
    is_listed(patterns, |pattern| fits(pattern, name))
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
        let alice = Somebody { user: "alice".into(), groups: vec!["staff".into()], address, ..Somebody::default() };
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
        assert_eq!(groups("User bob Group \"staff,!ops\""), ["staff", "ops"]);
        assert!(is_for("User *,!root", &Somebody { user: "somebody".into(), ..Somebody::default() }));
    }

    #[test]
    fn somebody_is_made_for_patterns() {
        for (patterns, expected) in [
            ("10.20.0.0/16", Some("10.20.0.0")),
            ("!10.20.0.0/16,10.20.*,192.0.2.7", Some("192.0.2.7")),
            ("10.20.*", Some("10.20.1.1")),
            ("*,!10.0.0.0/8", Some("1.1.1.1")),
            ("fe80::/10", Some("fe80::")),
            ("!10.0.0.0/8", None),
            ("nonsense", None),
        ] {
            assert_eq!(an_address(patterns), expected.map(|text| text.parse().unwrap()), "{patterns}");
        }
        assert_eq!(a_name("*.example.org,!x.example.org").as_deref(), None);
        assert_eq!(a_name("2222").as_deref(), Some("2222"));
        assert_eq!(literals("alice,!bob,c*,dora").collect::<Vec<_>>(), ["alice", "dora"]);
        let calling = Somebody { local_port: Some(2222), host: Some("a.example.org".into()), ..Somebody::default() };
        assert!(is_for("LocalPort 2222 Host *.example.org", &calling) && !is_for("LocalPort 22", &calling));
    }
}
