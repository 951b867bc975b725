//! Rules: which methods a service, user, group or remote network needs. First match wins.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    console,
    enrolment::Enroll,
    factor::{Factor, Factors},
    policy::{Limits, WhenUnavailable},
    throttle::ServiceName,
};

/// A set of factors that together are enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method(Factors);

/// Why a list of factors is no method.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoMethod {
    /// A method that asks nothing would let everybody in.
    #[error("a method needs at least one factor")]
    Empty,
    /// One factor twice.
    #[error("the factor {0} stands in the method twice")]
    Twice(Factor),
    /// `stack` hands the decision to other modules, so nothing can be asked beside it.
    #[error("\"stack\" stands alone in a method: other modules of the PAM stack decide there")]
    StackInCompany,
    /// A word that says more about a factor, and is none by itself.
    #[error("{0} only says how another factor was proved: write that one")]
    Detail(Factor),
}

impl Method {
    /// A method of these factors.
    ///
    /// # Errors
    /// No factors, one twice, a mere detail of one, or `stack` beside others.
    pub fn new(factors: &[Factor]) -> Result<Self, NoMethod> {
        let mut set = Factors::none();
        for &factor in factors {
            if set.contains(factor) {
                return Err(NoMethod::Twice(factor));
            }
            if factor.is_detail() {
                return Err(NoMethod::Detail(factor));
            }
            set.insert(factor);
        }
        if set.is_empty() {
            return Err(NoMethod::Empty);
        }
        if set.contains(Factor::Stack) && factors.len() > 1 {
            return Err(NoMethod::StackInCompany);
        }
        Ok(Self(set))
    }

    /// What it takes.
    #[must_use]
    pub const fn factors(&self) -> &Factors {
        &self.0
    }

    /// Whether other modules decide.
    #[must_use]
    pub fn is_stack(&self) -> bool {
        self.0.contains(Factor::Stack)
    }

    /// Whether `proved` has all that this method takes.
    #[must_use]
    pub fn is_satisfied_by(&self, proved: &Factors) -> bool {
        self.is_stack() || self.0.iter().all(|factor| proved.contains(factor))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a login comes from, as far as it can be trusted. Names from DNS never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remote {
    /// The machine's own console.
    Console,
    /// No remote host, and a service that nobody reaches over a network: this machine.
    Local,
    /// No remote host, of a service that runs for others and may be anybody's.
    Untold,
    /// An address.
    Address(IpAddr),
    /// A remote host that is no address; matches `from` only where a rule lists `"unknown"`.
    Unknown,
}

impl Remote {
    /// Reads `PAM_RHOST`. Where there is none, [`crate::console::place`] knows more.
    #[must_use]
    pub fn from_rhost(rhost: Option<&str>) -> Self {
        match rhost {
            None | Some("") => Self::Local,
            Some(text) => address(text).map_or(Self::Unknown, |address| Self::Address(address.to_canonical())),
        }
    }
}

/// The address that `text` is. A link-local one carries its interface behind a `%`, and no other does.
fn address(text: &str) -> Option<IpAddr> {
    match text.split_once('%') {
        None => text.parse().ok(),
        Some((address, _interface)) => address.parse().ok().filter(Ipv6Addr::is_unicast_link_local).map(IpAddr::V6),
    }
}

/// `local`, the address, or `unknown`, as rules write it.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Console | Self::Local => f.write_str("local"),
            Self::Address(address) => address.fmt(f),
            Self::Untold | Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// One entry of a rule's `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A network, or one address.
    Net(IpNet),
    /// `"unknown"`: remote hosts that are no address, and none where it may be anybody.
    Unknown,
    /// `"local"`: this machine.
    Local,
}

impl Network {
    /// Whether a remote host is in it.
    #[must_use]
    pub fn holds(&self, remote: Remote) -> bool {
        match (self, remote) {
            (Self::Net(net), Remote::Address(address)) => net.contains(&address),
            (Self::Unknown, Remote::Untold | Remote::Unknown) | (Self::Local, Remote::Console | Remote::Local) => true,
            (Self::Net(_), Remote::Console | Remote::Local | Remote::Untold | Remote::Unknown)
            | (Self::Unknown, Remote::Console | Remote::Local | Remote::Address(_))
            | (Self::Local, Remote::Untold | Remote::Unknown | Remote::Address(_)) => false,
        }
    }
}

/// How the account phase treats a login whose flow this PAM handle has not seen (su by root, NOPASSWD, cron).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountMode {
    /// Only the account's own standing is checked.
    #[default]
    Auto,
    /// The method must have been proved: ends NOPASSWD.
    Enforce,
}

/// What a rule grants beyond the flow: the session's limits, and what happens without the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The session's limits.
    pub limits: Limits,
    /// What the module does when the daemon cannot be reached.
    pub when_unavailable: WhenUnavailable,
}

/// What the factor `session` asks of the session that the caller is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromSession {
    /// The factors that its owner must have proved there. Never empty.
    pub proved: Factors,
    /// How long ago at most.
    pub within: Duration,
}

/// A named rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the configuration.
    pub name: String,
    /// PAM services; `*` for all. Never empty.
    pub services: Vec<String>,
    /// User names; empty for all.
    pub users: Vec<String>,
    /// Groups by name or gid, of which one must be the user's; empty for all.
    pub groups: Vec<String>,
    /// Networks, of which one must hold the remote address; empty for all.
    pub from: Vec<Network>,
    /// What is enough, best first. Never empty.
    pub methods: Vec<Method>,
    /// What the factor `session` asks. There where a method takes that factor, and only there.
    pub from_session: Option<FromSession>,
    /// How the account phase treats logins without a flow.
    pub account: AccountMode,
    /// Whether recovery and bypass codes stand in for `totp`.
    pub recovery: bool,
    /// What a login is like for a user without an authenticator for `totp`. `None`: it is denied.
    pub enroll: Option<Enroll>,
    /// What it grants.
    pub session: SessionPolicy,
}

/// Who wants in, and where.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The PAM service.
    pub service: &'a str,
    /// The user name as given.
    pub user: &'a str,
    /// Those of the groups that rules name which the user is in, as the rules write them. It is gids that were compared: two
    /// groups may share a name where several name services answer. Empty for an unknown user.
    pub groups: &'a [String],
    /// Where from.
    pub remote: Remote,
}

impl Rule {
    /// A rule of no file, by which the password alone is asked for: before it is changed, the old one is proved.
    #[must_use]
    pub fn of_password_alone(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            services: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            from: Vec::new(),
            methods: vec![Method(Factors::none().with(Factor::Password))],
            from_session: None,
            account: AccountMode::Auto,
            recovery: false,
            enroll: None,
            session: SessionPolicy::default(),
        }
    }

    /// Whether this rule is about that service at all.
    #[must_use]
    pub fn governs(&self, service: &str) -> bool {
        self.services.iter().any(|name| name == "*" || name == service)
    }

    /// Whether this rule names that service itself, not by `*`.
    #[must_use]
    pub fn names(&self, service: &str) -> bool {
        self.services.iter().any(|name| name == service)
    }

    /// The name by which attempts at that service are counted, where they tell of no place: its own where a rule or authflow knows it.
    #[must_use]
    pub fn counted_name(&self, service: &str) -> ServiceName {
        if self.names(service) || console::is_known(service) {
            ServiceName::new(service)
        } else {
            ServiceName::of_others()
        }
    }

    /// Whether this rule decides that request: lists are "or", different keys "and".
    #[must_use]
    pub fn matches(&self, request: &Request<'_>) -> bool {
        self.mismatch(request).is_none()
    }

    /// Whether this rule is about that user, at whatever service and from wherever. `groups` as in [`Request`].
    #[must_use]
    pub fn is_of(&self, user: &str, groups: &[String]) -> bool {
        let is_named = self.users.is_empty() || self.users.iter().any(|name| name == user);
        is_named && (self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group)))
    }

    /// The first key by which this rule is not about that request. `None` if it decides it.
    #[must_use]
    pub fn mismatch(&self, request: &Request<'_>) -> Option<Mismatch> {
        let is_of = |list: &[String], is_one: &dyn Fn(&String) -> bool| list.is_empty() || list.iter().any(is_one);
        if !self.governs(request.service) {
            Some(Mismatch::Service)
        } else if !is_of(&self.users, &|user| user == request.user) {
            Some(Mismatch::User)
        } else if !is_of(&self.groups, &|group| request.groups.contains(group)) {
            Some(Mismatch::Group)
        } else if !self.from.is_empty() && !self.from.iter().any(|network| network.holds(request.remote)) {
            Some(Mismatch::Network)
        } else {
            None
        }
    }
}

/// Why a rule is not about a request.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Mismatch {
    /// It is for other services.
    #[error("it is for other services")]
    Service,
    /// It is for other users.
    #[error("it is for other users")]
    User,
    /// The user is in none of its groups.
    #[error("the user is in none of its groups")]
    Group,
    /// None of its networks holds the address.
    #[error("none of its networks holds that address")]
    Network,
}
