//! How a call fails, by the names that clients in any language see.

/// A refusal of the daemon, `org.authflow.sessiond1.Error.NAME` on the bus. The text is for people.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.authflow.sessiond1.Error")]
pub enum Error {
    /// What the bus itself says: no daemon, no reply.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// There is no such session, or it is another user's: the two look the same.
    NoSuchSession(String),
    /// There is no such user.
    NoSuchUser(String),
    /// The caller may not do that.
    NotAuthorized(String),
    /// The user has as many sessions as the rule grants.
    TooManySessions(String),
    /// Too many calls.
    RateLimited(String),
    /// An argument is not what it should be.
    InvalidArgument(String),
    /// There is no such flow: it is over, it was another process's, or two minutes have passed.
    NoSuchFlow(String),
    /// The flow was denied. The reason is in the log alone.
    Denied(String),
    /// The daemon cannot keep what it is told.
    Degraded(String),
    /// This version does not do that yet.
    NotSupported(String),
}
