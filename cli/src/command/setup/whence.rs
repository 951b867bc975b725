//! Where logins come from, as far as sshd's `Match` tells them apart: from here, from where whoever runs setup sits, and for each `Match` from
//! some place that it is for. Pure, but for reading where the caller comes from.

use authflow_host::process;

use crate::command::check::sshd::file::File;

/// A connection, in the words of `sshd -T -C`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    address: String,
    host: String,
    local_address: String,
    local_port: String,
    rdomain: String,
}

impl Origin {
    /// From the machine itself.
    pub(super) fn here() -> Self {
        Self::of("127.0.0.1", "127.0.0.1", "22")
    }

    fn of(address: &str, local_address: &str, local_port: &str) -> Self {
        let host = if address == "127.0.0.1" { "localhost" } else { address };
        Self {
            address: address.to_owned(),
            host: host.to_owned(),
            local_address: local_address.to_owned(),
            local_port: local_port.to_owned(),
            rdomain: String::new(),
        }
    }

    /// All of it, for that user. Whatever a `Match` asks about has to be told, or sshd ends.
    pub(super) fn spec(&self, user: &str) -> String {
        let Self { address, host, local_address, local_port, rdomain } = self;
        format!("user={user},host={host},addr={address},laddr={local_address},lport={local_port},rdomain={rdomain}")
    }
}

/// Where from, in words behind a sentence; nothing for the machine itself.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let here = Self::here();
        if *self == here {
            return Ok(());
        }
        write!(f, " from {}", if self.address == here.address { &self.host } else { &self.address })?;
        let is_elsewhere = (&self.local_address, &self.local_port) != (&here.local_address, &here.local_port);
        if is_elsewhere { write!(f, " to {} port {}", self.local_address, self.local_port) } else { Ok(()) }
    }
}

/// Every place that is worth trying, each once.
pub(super) fn places(file: &File) -> Vec<Origin> {
    let of_matches = file.matches.iter().filter_map(|found| of_match(&found.criteria));
    let mut places = vec![Origin::here()];
    for place in callers().into_iter().chain(of_matches) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Where whoever runs this has come from by ssh: sudo and su leave no word of it in our own environment, but it stands in that of the
/// login's shell.
fn callers() -> Option<Origin> {
    /// More than anybody nests.
    const DEEPEST: usize = 64;
    let parent = |pid: &u32| process::parent(*pid).ok().filter(|pid| *pid > 1);
    let mut ancestors = std::iter::successors(Some(std::process::id()), parent).take(DEEPEST);
    ancestors.find_map(|pid| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let variables = String::from_utf8_lossy(&environment);
        of_connection(variables.split('\0').find_map(|variable| variable.strip_prefix("SSH_CONNECTION="))?)
    })
}

/// From sshd's own words: client, its port, server, its port. They may be anybody's by now, so that only what is an address counts.
fn of_connection(words: &str) -> Option<Origin> {
    let words: Vec<&str> = words.split(' ').collect();
    let [address, _, local_address, local_port] = words.as_slice() else { return None };
    let is_plain = is_address(address) && is_address(local_address) && local_port.parse::<u16>().is_ok();
    is_plain.then(|| Origin::of(address, local_address, local_port))
}

/// Some place that those criteria are for. `None` where they are about whom alone, or about no place that could be told.
fn of_match(criteria: &str) -> Option<Origin> {
    let mut words = criteria.split([' ', '\t', '=']).filter(|word| !word.is_empty());
    let mut place = Origin::here();
    while let Some(keyword) = words.next() {
        let keyword = keyword.to_ascii_lowercase();
        if keyword == "all" {
            continue;
        }
        let list = words.next().unwrap_or_default().trim_matches('"');
        let mut patterns = list.split(',').filter(|pattern| !pattern.starts_with('!'));
        match keyword.as_str() {
            "address" => {
                place.address = patterns.find_map(an_address)?;
                place.host.clone_from(&place.address);
            }
            "localaddress" => place.local_address = patterns.find_map(an_address)?,
            "host" => place.host = patterns.next().map(a_name)?,
            "localport" => place.local_port = patterns.next().map(a_name)?,
            "rdomain" => place.rdomain = patterns.next().map(a_name)?,
            _ => {}
        }
    }
    (place != Origin::here()).then_some(place)
}

/// An address that the pattern is for: a network's own, or one with something in place of what may be anything.
fn an_address(pattern: &str) -> Option<String> {
    let network = pattern.split('/').next().unwrap_or(pattern);
    let filled = a_name(network);
    let ends = ["", ".1", ".1.1", ".1.1.1", ":1", "::1"];
    ends.iter().map(|end| format!("{filled}{end}")).find(|address| is_address(address))
}

/// Something that fits the pattern.
fn a_name(pattern: &str) -> String {
    pattern.replace(['*', '?'], "1")
}

fn is_address(word: &str) -> bool {
    word.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_match_has_a_place_that_it_is_for() {
        let spec = |criteria: &str| of_match(criteria).map(|place| place.spec("u"));
        let at = |address: &str, rest: &str| Some(format!("user=u,host={address},addr={address},{rest},rdomain="));
        let here = "laddr=127.0.0.1,lport=22";
        assert_eq!(spec("Address 10.20.0.0/16"), at("10.20.0.0", here));
        assert_eq!(spec("User bob Address !10.1.1.1,10.20.*"), at("10.20.1.1", here));
        assert_eq!(spec("Address \"fe80::/10\""), at("fe80::", here));
        assert_eq!(spec("LocalPort=2222"), Some(Origin::here().spec("u").replace("=22,", "=2222,")));
        assert_eq!(spec("Host *.example.org"), Some(Origin::here().spec("u").replace("localhost", "1.example.org")));
        assert_eq!(spec("LocalAddress 192.0.2.? RDomain blue").unwrap().matches("192.0.2.1").count(), 1);
        for nowhere in ["all", "User bob", "Group a,b", "Address !10.0.0.1", ""] {
            assert_eq!(spec(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn the_callers_connection_counts_if_it_is_one() {
        let place = of_connection("192.0.2.7 50000 198.51.100.1 22").unwrap();
        assert_eq!(place.to_string(), " from 192.0.2.7 to 198.51.100.1 port 22");
        assert_eq!(Origin::here().to_string(), "");
        for odd in ["", "192.0.2.7", "x 1 192.0.2.7 22", "192.0.2.7 1 a,user=root 22", "192.0.2.7 1 192.0.2.8 22 9"] {
            assert_eq!(of_connection(odd), None, "{odd}");
        }
    }
}
