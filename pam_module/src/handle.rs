//! What the phases need of PAM, as one narrow trait: `ffi::LibPam` over the real library, a value in tests. Everything that comes out
//! is a copy, since an application's conversation may change an item while we look at it.

use std::time::Duration;

use authflow_core::secret::Secret;

use crate::{
    log::{Line, Priority},
    notes::Notes,
};

/// The PAM handle of one login.
pub trait Handle {
    /// What the application said about the login.
    fn facts(&self) -> Facts;

    /// `PAM_USER`, asked for if nobody has given it yet.
    ///
    /// # Errors
    /// The application would not ask.
    fn user(&mut self) -> Result<UserName, NoAnswer>;

    /// Asks the user something, without showing what is typed. `None` if the application has no answer.
    ///
    /// # Errors
    /// The conversation ended.
    fn ask(&mut self, prompt: &str) -> Result<Option<Secret>, NoAnswer>;

    /// Tells the user something. That it may not arrive is nobody's loss.
    fn tell(&mut self, text: &str);

    /// Tells the user why it goes no further. Shown also where notices are not, as by `su -c`.
    fn tell_refusal(&mut self, text: &str);

    /// `PAM_AUTHTOK`: the password that a module before us was given.
    fn password(&self) -> Option<Secret>;

    /// Leaves the password to the modules behind us.
    fn set_password(&mut self, password: &Secret);

    /// `PAM_OLDAUTHTOK`: the password before a change, as a module before us was given it.
    fn old_password(&self) -> Option<Secret>;

    /// Leaves the password before a change to the modules behind us.
    fn set_old_password(&mut self, password: &Secret);

    /// Puts a variable into the environment of the session. Nothing of ours reads it back.
    fn set_variable(&mut self, name: &str, value: &str);

    /// Lets a failure take up to that long.
    fn delay_failure(&mut self, at_most: Duration);

    /// What an earlier phase noted on this handle.
    fn notes(&self) -> Notes;

    /// Notes something for later phases of this handle. It does not reach another process.
    ///
    /// # Errors
    /// There is no memory for it.
    fn keep(&mut self, notes: Notes) -> Result<(), NoAnswer>;

    /// Writes to the system's log.
    fn log(&self, priority: Priority, line: &Line);
}

/// PAM, or the person behind it, gave no answer.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the conversation ended without an answer (PAM code {0})")]
pub struct NoAnswer(pub i32);

/// What the application said about the login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The PAM service.
    pub service: String,
    /// `PAM_USER` as it stands, without asking.
    pub user: Option<UserName>,
    /// `PAM_TTY`.
    pub tty: Option<String>,
    /// `PAM_RHOST`.
    pub remote_host: Option<String>,
    /// `SSH_AUTH_INFO_0` of the PAM environment.
    pub auth_info: Option<String>,
    /// `SSH_CONNECTION` of the PAM environment.
    pub connection: Option<String>,
    /// Whether the application wants no messages.
    pub is_silent: bool,
    /// Whether the application wants passwords changed only where they must be, as a login does.
    pub must_changes_only: bool,
    /// Whether root called the application: its real uid, which `passwd` keeps.
    pub is_called_by_root: bool,
}

/// A user's name as PAM gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    text: String,
    is_text: bool,
}

impl UserName {
    /// The name of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self { text: text.to_owned(), is_text: true },
            // It goes through the same flow as any name, under one that no account has.
            Err(_not_text) => Self { text: format!("not:text:{}", bytes.escape_ascii()), is_text: false },
        }
    }

    /// The name, or what stands for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is text at all. A user whose name is not is never let in.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        self.is_text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_never_become_somebodys_name() {
        assert_eq!(UserName::new(b"alice").as_str(), "alice");
        let odd = UserName::new(b"al\xffice");
        assert!(!odd.is_text());
        assert_eq!(odd.as_str(), "not:text:al\\xffice");
    }
}
