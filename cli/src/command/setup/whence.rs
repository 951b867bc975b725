//! Where logins come from, as far as sshd's `Match` tells them apart: from here, from where whoever runs setup sits, and for each `Match` from
//! some place that it is for. Pure, but for reading where the caller comes from.

use authflow_host::process;

use crate::{
    command::check::sshd::{file::File, whom},
    error::Error,
};

/// What decides whether a code is asked, as far as a `Match` may say it.
const DECIDING: [&str; 4] =
    ["authenticationmethods", "kbdinteractiveauthentication", "challengeresponseauthentication", "permitrootlogin"];

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

/// Every place that is worth trying, each once. An error tells of a `Match` that decides what is asked, where no place was found that it is for.
pub(super) fn places(file: &File) -> Result<Vec<Origin>, Error> {
    let mut places = vec![Origin::here()];
    places.extend(callers());
    for found in &file.matches {
        match of_match(&found.criteria) {
            Ok(place) => places.extend(place),
            Err(Untold) if DECIDING.iter().any(|keyword| found.settings.contains_key(*keyword)) => {
                return Err(Error::Failed(format!(
                    "{}: setup finds no place that `Match {}` is for, and so cannot try what sshd does there: write it without exceptions, or \
                     take it out",
                    found.place, found.criteria
                )));
            }
            Err(Untold) => {}
        }
    }
    let mut once = Vec::new();
    for place in places {
        if !once.contains(&place) {
            once.push(place);
        }
    }
    Ok(once)
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

/// That no place could be found for a `Match`.
#[derive(Debug, PartialEq, Eq)]
struct Untold;

/// Some place that those criteria are for. `None` where they are about whom alone, or hold nowhere.
fn of_match(criteria: &str) -> Result<Option<Origin>, Untold> {
    let mut place = Origin::here();
    for (keyword, patterns) in whom::words(criteria) {
        let is_about_a_place = ["address", "localaddress", "host", "localport", "rdomain"].contains(&keyword.as_str());
        // sshd finds nobody in a list of exceptions alone.
        if is_about_a_place && patterns.split(',').all(|pattern| pattern.starts_with('!')) {
            return Ok(None);
        }
        let an_address = || whom::an_address(patterns).map(|address| address.to_string()).ok_or(Untold);
        let a_name = || whom::a_name(patterns).ok_or(Untold);
        match keyword.as_str() {
            "address" => {
                place.address = an_address()?;
                place.host.clone_from(&place.address);
            }
            "localaddress" => place.local_address = an_address()?,
            "host" => place.host = a_name()?,
            "localport" => place.local_port = a_name()?,
            "rdomain" => place.rdomain = a_name()?,
            _ => {}
        }
    }
    Ok(Some(place).filter(|place| *place != Origin::here()))
}

fn is_address(word: &str) -> bool {
    word.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_match_has_a_place_that_it_is_for() {
        let spec = |criteria: &str| of_match(criteria).unwrap().map(|place| place.spec("u"));
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
        assert_eq!(spec("Address !127.0.0.0/16,127.0.0.0/8"), at("127.1.0.0", here), "not where the exception is");
        assert_eq!(of_match("Address 10.0.0.0/16,!10.0.0.0/8"), Err(Untold));
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
