//! Where attempts come from, as the throttle tells them apart, and as a state file names it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::rule::Remote;

/// Where attempts come from, as the throttle tells them apart. IPv6 by its /64: one customer owns as many addresses as he likes. For the
/// same reason all of loopback is [`Source::LOOPBACK`], and IPv6 that belongs to an IPv4 address is that address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This machine, by the real uid of who calls, as su and sudo have it. One source for all would let each user lock the others out.
    /// Nobody calls by 0: it is the console.
    Local(u32),
    /// A service that root runs and that tells neither a remote host nor a console. Whoever is behind it, a network or a screen, stops
    /// that service alone.
    Service(ServiceName),
    /// A remote address or network.
    Network(IpAddr),
    /// A remote host that is no address.
    Unknown,
}

/// The name of a PAM service as a source: short, of letters, digits and `_`, `-`, `.`, `@`, `+`. Any other name is `other`, which is also the
/// one that libpam has for what it does not know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(String);

/// No attempt may make a state grow by much.
const LONGEST_NAME: usize = 32;

const OTHER: &str = "other";

impl ServiceName {
    /// That service's.
    #[must_use]
    pub fn new(service: &str) -> Self {
        Self(if is_plain(service) { service } else { OTHER }.to_owned())
    }

    /// That of all services that no rule names. Whoever can have a program ask PAM under any name would else have as many sources.
    #[must_use]
    pub fn of_others() -> Self {
        Self(OTHER.to_owned())
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(service: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@+".contains(&byte);
    (1..=LONGEST_NAME).contains(&service.len()) && service.bytes().all(is_plain)
}

/// The uid that calls from this machine where no account has it. All such uids are one source: a range of subordinate uids lends its
/// owner thousands.
pub const NOBODY: u32 = u32::MAX;

impl Source {
    /// The machine's own console, and no other service of root's.
    pub const CONSOLE: Self = Self::Local(0);

    /// This machine over its network: 127.0.0.0/8 and `::1`, any of which whoever has an account here may take. By the name that versions
    /// which told them apart can read.
    pub const LOOPBACK: Self = Self::Network(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// Where an attempt from `remote` comes from, if a process of `calling_uid` makes it at that service.
    #[must_use]
    pub fn new(remote: Remote, calling_uid: u32, service: ServiceName) -> Self {
        match remote {
            Remote::Unknown => Self::Unknown,
            Remote::Address(address) => address.into(),
            Remote::Console | Remote::Local | Remote::Untold if calling_uid != 0 => Self::Local(calling_uid),
            Remote::Console => Self::CONSOLE,
            Remote::Local | Remote::Untold => Self::Service(service),
        }
    }

    /// Whether it is on this machine, where everyone is counted alone: whoever has an account here, or reaches one service, could otherwise
    /// stop a user's logins from anywhere new.
    pub(super) const fn is_here(&self) -> bool {
        match self {
            Self::Local(_) | Self::Service(_) => true,
            Self::Network(address) => address.is_loopback(),
            Self::Unknown => false,
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        let source = match address.to_canonical() {
            IpAddr::V6(host) => ipv4_of(host).map_or_else(|| network_of(host).into(), IpAddr::V4),
            address @ IpAddr::V4(_) => address,
        };
        // In the /64 of `::1` nobody else has an address.
        if source.is_loopback() || source == Ipv6Addr::UNSPECIFIED { Self::LOOPBACK } else { Self::Network(source) }
    }
}

/// The IPv4 address that an IPv6 one belongs to. Whoever has one has 65536 networks of 6to4 (RFC 3056); and all of IPv4 would be one network
/// behind a translator (NAT64's prefix, RFC 6052).
fn ipv4_of(host: Ipv6Addr) -> Option<Ipv4Addr> {
    let [high, low] = match host.segments() {
        [0x2002, high, low, ..] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [high, low],
        _ => return None,
    };
    let address = Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    // No such packet comes from here.
    Some(address).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

fn network_of(host: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(host.to_bits() & !u128::from(u64::MAX))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(0) => f.write_str("local"),
            Self::Local(NOBODY) => f.write_str("local:nobody"),
            Self::Local(uid) => write!(f, "local:{uid}"),
            Self::Service(ServiceName(name)) => write!(f, "service:{name}"),
            Self::Unknown => f.write_str("unknown"),
            Self::Network(IpAddr::V4(address)) => address.fmt(f),
            Self::Network(IpAddr::V6(network)) => write!(f, "{network}/64"),
        }
    }
}

/// A word that names no source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no source of logins: expected local, local:UID, service:NAME, unknown, an IPv4 address or an IPv6 /64")]
pub struct BadSource;

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            // Also what was written when all of this machine, or all that root runs, was one source.
            "local" => Ok(Self::CONSOLE),
            "local:nobody" => Ok(Self::Local(NOBODY)),
            "unknown" => Ok(Self::Unknown),
            _ => match text.split_once(':') {
                Some(("local", uid)) => uid.parse().map(Self::Local).map_err(|_no_uid| BadSource),
                Some(("service", name)) if is_plain(name) => Ok(Self::Service(ServiceName(name.to_owned()))),
                Some(_) | None => network(text),
            },
        }
    }
}

fn network(text: &str) -> Result<Source, BadSource> {
    let address: IpAddr = text.strip_suffix("/64").unwrap_or(text).parse().map_err(|_no_address| BadSource)?;
    Ok(Source::from(address))
}
