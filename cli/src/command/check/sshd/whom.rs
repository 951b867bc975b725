//! Whom a `Match` is for, as far as its words tell before anybody comes: users, groups, and the network that a rule is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
pub(in crate::command) fn words(criteria: &str) -> Vec<(String, &str)> {
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

/// An address that the patterns hold, and no exception among them, if one is found.
pub(in crate::command) fn an_address(patterns: &str) -> Option<IpAddr> {
    let exceptions: Vec<Network> =
        patterns.split(',').filter_map(|pattern| network(pattern.strip_prefix('!')?)).collect();
    let of_one = |pattern: &str| match network(pattern) {
        Some(network) => of_network(network, &exceptions),
        None => of_wildcard(pattern),
    };
    let mut all = patterns.split(',').filter(|pattern| !pattern.starts_with('!')).flat_map(of_one);
    all.find(|address: &IpAddr| is_from(patterns, *address))
}

/// An address, and how many bits count.
type Network = (IpAddr, u32);

/// The network that a pattern without wildcards is for.
fn network(pattern: &str) -> Option<Network> {
    let (address, length) =
        pattern.split_once('/').map_or((pattern, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(all), |length| length.parse().ok())?;
    (length <= all).then_some((address, length))
}

/// Addresses of a network that are worth trying: its first, then what begins behind each exception, which for networks are all that can be
/// left; for exceptions with wildcards one with each other bit.
fn of_network((first, length): Network, exceptions: &[Network]) -> Vec<IpAddr> {
    let behind =
        exceptions.iter().filter(|(address, _)| address.is_ipv4() == first.is_ipv4()).map(|(address, length)| {
            let next = if address.is_ipv4() { bit(32, *length) } else { bit(128, *length) };
            (bits(*address) & !next.saturating_sub(1)).wrapping_add(next)
        });
    let all = if first.is_ipv4() { 32 } else { 128 };
    let flipped = (length..all).map(|place| bits(first) | bit(all, place + 1));
    let found = [bits(first)].into_iter().chain(behind).chain(flipped);
    found.filter_map(|bits| of_bits(bits, first)).collect()
}

/// Addresses with something in place of what may be anything.
fn of_wildcard(pattern: &str) -> Vec<IpAddr> {
    let ends = ["", ".1", ".1.1", ".1.1.1", ":1", "::1"];
    let filled = ["1", "0", "2", "77", "200"].map(|something| pattern.replace(['*', '?'], something));
    filled.iter().flat_map(|filled| ends.iter().filter_map(move |end| format!("{filled}{end}").parse().ok())).collect()
}

/// The last of the first `length` of so many bits; 0 for none of them.
fn bit(all: u32, length: u32) -> u128 {
    1_u128.checked_shl(all.saturating_sub(length)).filter(|_| length > 0).unwrap_or(0)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of those bits, of the same kind as the other.
fn of_bits(bits: u128, like: IpAddr) -> Option<IpAddr> {
    match like {
        IpAddr::V4(_) => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(_) => Some(Ipv6Addr::from_bits(bits).into()),
    }
}

/// A name that the patterns hold, if one is easily made.
pub(in crate::command) fn a_name(patterns: &str) -> Option<String> {
    let positive = || patterns.split(',').filter(|pattern| !pattern.starts_with('!'));
    let named = |something: &str| {
        let mut filled = positive().map(|one| one.replace(['*', '?'], something));
        filled.find(|name| is_named(patterns, name))
    };
    ["1", "x", "2", "77"].into_iter().find_map(named)
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
            ("!127.0.0.0/16,127.0.0.0/8", Some("127.1.0.0")),
            ("10.0.0.0/8,!10.0.0.0/9,!10.128.0.0/10", Some("10.192.0.0")),
            ("10.0.0.0/8,!10.0.*", Some("10.128.0.0")),
            ("10.0.0.0/30,!10.0.0.0,!10.0.0.1,!10.0.0.2", Some("10.0.0.3")),
            ("10.0.*,!10.0.1.*", Some("10.0.0.1")),
            ("fe80::/10,!fe80::/64", Some("fe80:0:0:1::")),
            ("0.0.0.0/0,!0.0.0.0/1", Some("128.0.0.0")),
            ("10.0.0.0/16,!10.0.0.0/8", None),
            ("255.0.0.0/8,!255.0.0.0/8", None),
            ("!10.0.0.0/8", None),
            ("nonsense", None),
        ] {
            assert_eq!(an_address(patterns), expected.map(|text| text.parse().unwrap()), "{patterns}");
        }
        assert_eq!(a_name("*.example.org,!1.example.org").as_deref(), Some("x.example.org"));
        assert_eq!(a_name("a,!a").as_deref(), None);
        assert_eq!(a_name("2222").as_deref(), Some("2222"));
        assert_eq!(literals("alice,!bob,c*,dora").collect::<Vec<_>>(), ["alice", "dora"]);
        let calling = Somebody { local_port: Some(2222), host: Some("a.example.org".into()), ..Somebody::default() };
        assert!(is_for("LocalPort 2222 Host *.example.org", &calling) && !is_for("LocalPort 22", &calling));
    }
}
