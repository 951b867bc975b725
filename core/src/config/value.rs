//! The values of a configuration file that need more than TOML's own types: each is checked as it is read, so that an error
//! points at it.

use std::{str::FromStr, time::Duration};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    enrolment::Enroll,
    factor::{Factor, Factors},
    policy::parse_size,
    rule::{AccountMode, FromSession, Method, Network},
};

/// Longer than any session; keeps sums of times far from overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A duration above zero.
pub(super) struct Span(pub(super) Duration);

/// The longest time between the polite signal and the hard one. Whoever ignores the first stays that long beyond every limit.
const LONGEST_GRACE: Duration = Duration::from_secs(5 * 60);

/// A duration above zero, of at most [`LONGEST_GRACE`].
pub(super) struct Grace(pub(super) Duration);

/// A duration above zero, or `"none"`.
pub(super) struct Bound(pub(super) Option<Duration>);

/// A duration, or `"0"` for none at all.
pub(super) struct Allowance(pub(super) Duration);

/// A number of bytes.
pub(super) struct Size(pub(super) u64);

/// A number from a range, which an error names.
pub(super) struct Within<const LOW: u64, const HIGH: u64>(pub(super) u64);

/// A count, or `"none"`.
pub(super) struct Count(pub(super) Option<u32>);

/// A word that has a `FromStr`.
pub(super) struct Word<T>(pub(super) T);

/// A duration as a file writes it: in the largest unit that it is a whole number of.
#[must_use]
pub fn written(length: Duration) -> String {
    let seconds = length.as_secs();
    match (length.subsec_nanos(), seconds % 86_400, seconds % 3600, seconds % 60) {
        (0, _, _, _) if seconds == 0 => "0".to_owned(),
        (0, 0, _, _) => format!("{}d", seconds / 86_400),
        (0, _, 0, _) => format!("{}h", seconds / 3600),
        (0, _, _, 0) => format!("{}m", seconds / 60),
        (0, _, _, _) => format!("{seconds}s"),
        (nanos, _, _, _) if nanos % 1_000_000 == 0 => format!("{}ms", length.as_millis()),
        (_, _, _, _) => format!("{}ns", length.as_nanos()),
    }
}

fn span<E: Error>(text: &str) -> Result<Duration, E> {
    let duration = humantime::parse_duration(text).map_err(|_why| {
        E::custom(format!("{text:?} is no duration: expected a number with a unit, as 30s, 15m, 12h, 7d"))
    })?;
    if duration.is_zero() {
        return Err(E::custom(format!("{text:?} is zero: expected a duration above zero")));
    }
    if duration > LONGEST {
        return Err(E::custom(format!(
            "{text:?} is longer than ten years; \"none\" is no limit, where that is allowed"
        )));
    }
    Ok(duration)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        span(&String::deserialize(deserializer)?).map(Self)
    }
}

impl<'de> Deserialize<'de> for Grace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match span(&text)? {
            length if length > LONGEST_GRACE => Err(D::Error::custom(format!(
                "{text:?} is longer than 5m: what ignores the polite signal would outlive every limit by so much"
            ))),
            length => Ok(Self(length)),
        }
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "none" { Ok(Self(None)) } else { span(&text).map(|duration| Self(Some(duration))) }
    }
}

impl<'de> Deserialize<'de> for Allowance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "0" { Ok(Self(Duration::ZERO)) } else { span(&text).map(Self) }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom(format!("{text:?} is no size: expected one like 64KiB or 19MiB"));
        parse_size(&text).map(Self).ok_or_else(wrong)
    }
}

impl<'de, const LOW: u64, const HIGH: u64> Deserialize<'de> for Within<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let inside = u64::try_from(number).ok().filter(|number| (LOW..=HIGH).contains(number));
        inside.map(Self).ok_or_else(|| D::Error::custom(format!("{number} is not {LOW} to {HIGH}")))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected \"none\" or a number from 1")]
        enum Raw {
            Number(u32),
            Word(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(number @ 1..) => Ok(Self(Some(number))),
            Raw::Word(word) if word == "none" => Ok(Self(None)),
            Raw::Number(0) | Raw::Word(_) => Err(D::Error::custom("expected \"none\" or a number from 1")),
        }
    }
}

impl<'de, T: FromStr<Err: std::fmt::Display>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&Vec::<Factor>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A mode, and with `grace` alone its length.
impl<'de> Deserialize<'de> for Enroll {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Mode {
            Required,
            Grace,
            Optional,
            Ticket,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            mode: Mode,
            #[serde(rename = "for")]
            length: Option<Span>,
        }
        let Raw { mode, length } = Raw::deserialize(deserializer)?;
        match (mode, length) {
            (Mode::Grace, Some(Span(length))) => Ok(Self::Grace(length)),
            (Mode::Grace, None) => Err(D::Error::custom("a grace has an end: expected for = \"7d\" beside the mode")),
            (Mode::Required, None) => Ok(Self::Required),
            (Mode::Optional, None) => Ok(Self::Optional),
            (Mode::Ticket, None) => Ok(Self::Ticket),
            (Mode::Required | Mode::Optional | Mode::Ticket, Some(_)) => {
                Err(D::Error::custom("only the mode \"grace\" has a length: expected no \"for\""))
            }
        }
    }
}

const fn is_provable(factor: Factor) -> bool {
    match factor {
        Factor::Password | Factor::Totp | Factor::Publickey => true,
        Factor::Session
        | Factor::Stack
        | Factor::Recovery
        | Factor::Bypass
        | Factor::Certificate
        | Factor::SecurityKey => false,
    }
}

/// Factors of which a session can say that its owner has proved them.
struct Provable(Factors);

impl<'de> Deserialize<'de> for Provable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let factors = Vec::<Factor>::deserialize(deserializer)?;
        if let Some(other) = factors.iter().find(|factor| !is_provable(**factor)) {
            return Err(D::Error::custom(format!(
                "{other} is nothing that a session has proved: expected password, totp or publickey"
            )));
        }
        if factors.is_empty() {
            return Err(D::Error::custom("a session that proved nothing vouches for nothing: expected factors"));
        }
        Ok(Self(factors.into_iter().collect()))
    }
}

impl<'de> Deserialize<'de> for FromSession {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            proved: Provable,
            within: Span,
        }
        let Raw { proved, within } = Raw::deserialize(deserializer)?;
        Ok(Self { proved: proved.0, within: within.0 })
    }
}

/// A word that is no account mode.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not one of: auto enforce")]
pub struct BadAccountMode(String);

impl FromStr for AccountMode {
    type Err = BadAccountMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Self::Auto),
            "enforce" => Ok(Self::Enforce),
            _ => Err(BadAccountMode(word.to_owned())),
        }
    }
}

/// A word that is no network.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no network: expected an address, one with a prefix length (10.20.0.0/16), \"local\" or \"unknown\"; names are never resolved"
)]
pub struct BadNetwork(String);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "unknown" => Ok(Self::Unknown),
            "local" => Ok(Self::Local),
            _ => word
                .parse::<IpNet>()
                .or_else(|_no_prefix| word.parse::<std::net::IpAddr>().map(IpNet::from))
                .map(|net| Self::Net(plain(net)))
                .map_err(|_no_address| BadNetwork(word.to_owned())),
        }
    }
}

/// A network of IPv4 addresses in IPv6 clothing as what it is: remote addresses are compared unclothed.
fn plain(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(mapped) => {
            let unclothed = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
            unclothed.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
        }
        IpNet::V4(_) => net,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_duration_is_read_as_it_is_written(seconds in 0_u64..300_000_000, nanos in 0_u32..1_000_000_000, is_whole: bool) {
            let length = Duration::new(seconds + 1, if is_whole { 0 } else { nanos });
            proptest::prop_assert_eq!(humantime::parse_duration(&written(length)), Ok(length));
        }
    }

    #[test]
    fn a_duration_is_written_in_its_largest_unit() {
        for (seconds, expected) in [(0, "0"), (30, "30s"), (900, "15m"), (43_200, "12h"), (86_400, "1d"), (90, "90s")] {
            assert_eq!(written(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(written(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn a_network_is_read_as_what_remote_addresses_are_compared_with() {
        for (word, expected) in [
            ("10.20.0.0/16", "10.20.0.0/16"),
            ("10.20.3.4", "10.20.3.4/32"),
            ("::ffff:10.20.0.0/112", "10.20.0.0/16"),
            ("::ffff:10.20.3.4", "10.20.3.4/32"),
            ("::ffff:10.20.0.0/64", "::ffff:10.20.0.0/64"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert!(matches!(word.parse(), Ok(Network::Net(net)) if net == expected.parse().unwrap()), "{word}");
        }
        for bad in ["", "host", "10.20.0.0/33", "10.20/16", "fe80::1%eth0", "10.20.0.0/16 "] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
    }
}
