//! The D-Bus contract between the daemon and whoever calls it: names, types, errors, proxies. No logic.
//!
//! Times are microseconds of wall clock, durations end in `USec`; [`NONE`] stands for "no limit" and "never".
//!
//! # Layout
//!
//! - [`opening`]: what `OpenSession` takes
//! - [`session`]: what a session shows
//! - [`left_over`]: what runs on although its login is over
//! - [`waiting`]: whose sessions go on until an administrator decides
//! - [`vouch`]: what the caller's own session says for step-up
//! - [`error`]: how a call fails
//! - `proxy`: the interfaces for clients (feature `proxy`)
#![forbid(unsafe_code)]

mod dict;
pub mod error;
pub mod left_over;
pub mod opening;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod session;
pub mod vouch;
pub mod waiting;

pub use error::Error;
pub use left_over::LeftOver;
pub use session::SessionInfo;
pub use waiting::Waiting;

/// The daemon's bus name.
pub const NAME: &str = "org.authflow.sessiond1";

/// The manager's object.
pub const PATH: &str = "/org/authflow/sessiond1";

/// Sessions are at this path with a `/` and their id behind it.
pub const SESSION_PATH: &str = "/org/authflow/sessiond1/session";

/// The manager's interface.
pub const MANAGER_INTERFACE: &str = "org.authflow.sessiond1.Manager";

/// A session's interface.
pub const SESSION_INTERFACE: &str = "org.authflow.sessiond1.Session";

/// The interface for those who cannot read the records themselves, on the manager's object.
pub const FLOW_INTERFACE: &str = "org.authflow.sessiond1.Flow";

/// The polkit action for other users' sessions.
pub const MANAGE_ACTION: &str = "org.authflow.sessiond1.manage";

/// No limit, or never.
pub const NONE: u64 = u64::MAX;

/// The name that stands for the caller's own session in `GetSession`.
pub const SELF: &str = "self";

/// The object path of the session of that id, which is 32 hexadecimal digits.
#[must_use]
pub fn session_path(id: &str) -> String {
    format!("{SESSION_PATH}/{id}")
}
