//! The interfaces as clients call them.
#![allow(missing_docs, reason = "the macro makes items that cannot be documented")]

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant};

use crate::Error;

/// The manager: all sessions.
#[zbus::proxy(
    interface = "org.authflow.sessiond1.Manager",
    default_service = "org.authflow.sessiond1",
    default_path = "/org/authflow/sessiond1"
)]
pub trait Manager {
    /// Opens a session whose leader is the caller. Root only.
    fn open_session(&self, facts: HashMap<&str, zbus::Variant<'_>>) -> Result<(String, OwnedObjectPath), Error>;

    /// Closes the session that the caller leads.
    fn close_session(&self, id: &str) -> Result<(), Error>;

    /// All sessions that the caller may see, with their properties.
    fn list_sessions(&self) -> Result<Vec<HashMap<String, OwnedVariant>>, Error>;

    /// The object of a session; `"self"` is the caller's own.
    fn get_session(&self, id: &str) -> Result<OwnedObjectPath, Error>;

    /// What the caller's own session can vouch for.
    fn vouch(&self) -> Result<HashMap<String, OwnedVariant>, Error>;

    /// The object of the session that a process is in.
    #[zbus(name = "GetSessionByPIDFD")]
    fn get_session_by_pidfd(&self, process: zbus::Fd<'_>) -> Result<OwnedObjectPath, Error>;

    /// Pushes a session's idle deadline.
    fn extend(&self, id: &str) -> Result<(), Error>;

    /// Ends a session of the caller's own user, as leaving its shell does.
    fn logout(&self, id: &str) -> Result<(), Error>;

    /// Keeps the login that the caller is in from idling until the calling process ends, whatever program it is by then.
    fn inhibit(&self, why: &str) -> Result<(), Error>;

    /// Ends a session; its user is told the message.
    fn revoke(&self, id: &str, message: &str) -> Result<(), Error>;

    /// Ends a user's sessions but those named; tells how many.
    fn revoke_user(&self, uid: u32, except: &[&str], message: &str) -> Result<u32, Error>;

    /// Ends a user's sessions and keeps new ones out; tells whether the user was let in before, and how many sessions end.
    fn deactivate(&self, user: &str, message: &str) -> Result<(bool, u32), Error>;

    /// Lets a deactivated user in again; tells whether the user was kept out.
    fn reactivate(&self, user: &str) -> Result<bool, Error>;

    /// What runs on although its login is over, as far as the caller may see it.
    fn list_leftovers(&self) -> Result<Vec<HashMap<String, OwnedVariant>>, Error>;

    /// Ends what a user left running outside of live sessions.
    fn end_leftovers(&self, uid: u32) -> Result<(), Error>;

    /// Whose account may no more be used, and whose sessions go on until an administrator decides. Root, and whom polkit lets.
    fn list_waiting(&self) -> Result<Vec<HashMap<String, OwnedVariant>>, Error>;

    /// Reads the configuration again and adopts pending logins.
    fn reload(&self) -> Result<(), Error>;

    /// A session began.
    #[zbus(signal)]
    fn session_opened(&self, id: &str) -> zbus::Result<()>;

    /// A session is about to end.
    #[zbus(signal)]
    fn session_ending(&self, id: &str) -> zbus::Result<()>;

    /// A session is over.
    #[zbus(signal)]
    fn session_closed(&self, id: &str) -> zbus::Result<()>;

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> zbus::Result<String>;

    /// How many sessions there are.
    #[zbus(property(emits_changed_signal = "false"), name = "NSessions")]
    fn n_sessions(&self) -> zbus::Result<u32>;

    /// Whether the daemon cannot keep what it is told.
    #[zbus(property(emits_changed_signal = "false"))]
    fn degraded(&self) -> zbus::Result<bool>;
}

/// One attempt of the caller's own user to prove itself, run by the daemon.
#[zbus::proxy(
    interface = "org.authflow.sessiond1.Flow",
    default_service = "org.authflow.sessiond1",
    default_path = "/org/authflow/sessiond1"
)]
pub trait Flow {
    /// Begins a flow for a PAM service, or with `""` to renew the caller's session; tells its id and what to ask. With `one_prompt`
    /// password and code are asked in one field.
    fn begin(&self, service: &str, one_prompt: bool) -> Result<(String, Vec<String>), Error>;

    /// Begins the flow after which this process may enrol an authenticator of the caller's own user. It asks for one that the user has; for
    /// the password alone where there is none yet, and a login would enrol by that as well.
    fn begin_enrolment(&self) -> Result<(String, Vec<String>), Error>;

    /// Gives all answers, each in a sealed memory file; returns when the flow is granted. Tells which session was renewed, if one was.
    fn answer(&self, flow: &str, answers: Vec<zbus::Fd<'_>>) -> Result<String, Error>;

    /// Adds an authenticator to the caller's own user, after a flow of this process that proved one: its name, the secret and a code of it in
    /// sealed memory files, and the digests of recovery codes for a user without any. Tells whether these were taken.
    fn add_totp(
        &self,
        name: &str,
        secret_and_code: (zbus::Fd<'_>, zbus::Fd<'_>),
        recovery: &[String],
    ) -> Result<bool, Error>;

    /// Takes an authenticator of the caller's own user away, after such a flow. Tells whether it was there.
    fn remove_factor(&self, name: &str) -> Result<bool, Error>;
}

/// One session.
#[zbus::proxy(interface = "org.authflow.sessiond1.Session", default_service = "org.authflow.sessiond1")]
pub trait Session {
    /// Pushes the idle deadline.
    fn extend(&self) -> Result<(), Error>;

    /// Ends it; its user is told the message.
    fn revoke(&self, message: &str) -> Result<(), Error>;

    /// Locks its screen.
    fn lock(&self) -> Result<(), Error>;
}
