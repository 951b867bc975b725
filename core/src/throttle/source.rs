//! Where attempts come from, as the throttle tells them apart, and as a state file names it.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::rule::Remote;

/// Where attempts come from, as the throttle tells them apart. IPv6 by its /64: one customer owns as many addresses as he likes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// This machine, by the real uid of who calls: 0 is the console, where login runs as root; su and sudo run as their caller. One
    /// source for all would let each user lock the others out.
    Local(u32),
    /// A remote address or network.
    Network(IpAddr),
    /// A remote host that is no address.
    Unknown,
}

/// The uid that calls from this machine where no account has it. All such uids are one source: a range of subordinate uids lends its
/// owner thousands.
pub const NOBODY: u32 = u32::MAX;

impl Source {
    /// The console, and whatever else root calls.
    pub const CONSOLE: Self = Self::Local(0);

    /// Where an attempt from `remote` comes from, if a process of `calling_uid` makes it.
    #[must_use]
    pub fn new(remote: Remote, calling_uid: u32) -> Self {
        match remote {
            Remote::Local => Self::Local(calling_uid),
            Remote::Unknown => Self::Unknown,
            Remote::Address(address) => address.into(),
        }
    }

    pub(super) const fn is_local(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Network(_) | Self::Unknown => false,
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Network(address),
            IpAddr::V6(host) => {
                let network = u128::from(host) & !u128::from(u64::MAX);
                Self::Network(IpAddr::V6(network.into()))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(0) => f.write_str("local"),
            Self::Local(NOBODY) => f.write_str("local:nobody"),
            Self::Local(uid) => write!(f, "local:{uid}"),
            Self::Unknown => f.write_str("unknown"),
            Self::Network(IpAddr::V4(address)) => address.fmt(f),
            Self::Network(IpAddr::V6(network)) => write!(f, "{network}/64"),
        }
    }
}

/// A word that names no source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no source of logins: expected local, local:UID, unknown, an IPv4 address or an IPv6 /64")]
pub struct BadSource;

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            // Also what was written when all of this machine was one source.
            "local" => Ok(Self::CONSOLE),
            "local:nobody" => Ok(Self::Local(NOBODY)),
            "unknown" => Ok(Self::Unknown),
            _ => match text.strip_prefix("local:") {
                Some(uid) => uid.parse().map(Self::Local).map_err(|_no_uid| BadSource),
                None => network(text),
            },
        }
    }
}

fn network(text: &str) -> Result<Source, BadSource> {
    let address: IpAddr = text.strip_suffix("/64").unwrap_or(text).parse().map_err(|_no_address| BadSource)?;
    Ok(Source::from(address))
}
