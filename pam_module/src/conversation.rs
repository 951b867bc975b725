//! Every text that a user is shown, and how answers are got.

use std::time::Duration;

use authflow_core::{flow::Prompt, policy::Limits, secret::Secret, time::WallTime};
use authflow_host::desk::{Conversation, Refused};

use crate::{args::FirstPass, daemon::DaemonError, error::Error, handle::Handle, log::visible};

/// Asks a flow's questions through PAM.
pub struct Questions<'a, H> {
    pam: &'a mut H,
    first_pass: FirstPass,
    given: Given,
}

/// The password that the user gave, and what it was given in.
#[derive(Debug, Default)]
pub enum Given {
    /// None was asked for.
    #[default]
    Nothing,
    /// A field of its own.
    Password(Secret),
    /// The one field, with the code behind it.
    PasswordAndCode(Secret),
}

impl<'a, H: Handle> Questions<'a, H> {
    /// Questions on that handle; the password may come from the module before us.
    pub const fn new(pam: &'a mut H, first_pass: FirstPass) -> Self {
        Self { pam, first_pass, given: Given::Nothing }
    }

    /// The password that was given.
    #[must_use]
    pub fn into_given(self) -> Given {
        self.given
    }

    /// The password from where the PAM line says. An empty one stands for none, and proves nothing.
    fn password(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        let before = match self.first_pass {
            FirstPass::Ask => None,
            FirstPass::Try => self.pam.password(),
            FirstPass::Use => Some(self.pam.password().unwrap_or_default()),
        };
        match before {
            Some(password) => Ok(password),
            None => self.put(prompt),
        }
    }

    fn put(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        let answer = self.pam.ask(prompt.text()).map_err(|_ended| Refused)?;
        Ok(answer.unwrap_or_default())
    }
}

impl<H: Handle> Conversation for Questions<'_, H> {
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        match prompt {
            Prompt::Code => self.put(prompt),
            Prompt::Password => {
                let password = self.password(prompt)?;
                self.given = Given::Password(password.clone());
                Ok(password)
            }
            Prompt::PasswordAndCode => {
                let both = self.password(prompt)?;
                self.given = Given::PasswordAndCode(both.clone());
                Ok(both)
            }
        }
    }
}

/// What a user is told about the session that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The session's id.
    pub id: &'a str,
    /// The level that was reached.
    pub aal: u8,
    /// The session's limits.
    pub limits: &'a Limits,
    /// From when the lifetime counts.
    pub since: WallTime,
    /// The user's success before this one, and where from.
    pub previous: Option<(WallTime, &'a str)>,
    /// Whether the daemon has yet to take the session on.
    pub is_pending: bool,
}

/// One line: which session it is, when it ends, and when the user was last here.
impl std::fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // As many digits as `authflow sessions` shows; a prefix names a session.
        let short = self.id.get(..8).unwrap_or(self.id);
        write!(f, "authflow: session {short}, AAL {}; ", self.aal)?;
        match (self.limits.idle, self.limits.lifetime) {
            (None, None) => f.write_str("no time limit.")?,
            (Some(idle), None) => write!(f, "ends after {} idle.", span(idle))?,
            (None, Some(lifetime)) => write!(f, "ends at {}.", minute(self.since.saturating_add(lifetime)))?,
            (Some(idle), Some(lifetime)) => {
                write!(f, "ends after {} idle or at {}.", span(idle), minute(self.since.saturating_add(lifetime)))?;
            }
        }
        if let Some((at, source)) = self.previous {
            write!(f, " Last login {}", minute(at))?;
            // `local` and `unknown` stand for no address.
            match source {
                "local" => f.write_str(" on this machine.")?,
                "unknown" => f.write_str(".")?,
                address => write!(f, " from {}.", visible(address, 64))?,
            }
        }
        if self.is_pending {
            f.write_str(" Not tracked yet: the session daemon takes it over when it can.")?;
        }
        Ok(())
    }
}

/// What a user is told whose session was refused after all. The reasons are in the log, but for the one that the user can mend.
#[must_use]
pub const fn refusal(error: &Error) -> &'static str {
    if matches!(error, Error::Daemon(DaemonError::TooManySessions(_))) {
        "authflow: you have as many sessions as are allowed; end one of them first."
    } else {
        "authflow: no session could be opened; the system's log says why."
    }
}

/// A time to the minute, in UTC: the zone of the reader is not known here.
fn minute(time: WallTime) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// A duration in its largest whole unit.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a91c0aaaaaaaaaaaaaaaaaaaaaaaa";

    fn notice(limits: &Limits) -> Notice<'_> {
        let since = WallTime::from_micros(1_795_509_180_000_000);
        Notice { id: ID, aal: 2, limits, since, previous: None, is_pending: false }
    }

    #[test]
    fn the_notice_is_one_line_that_says_when_the_session_ends() {
        let limits = Limits::default();
        let previous = Some((WallTime::from_micros(1_795_400_000_000_000), "10.0.0.5"));
        assert_eq!(
            Notice { previous, ..notice(&limits) }.to_string(),
            "authflow: session 3f2a91c0, AAL 2; ends after 15 min idle or at 2026-11-24 20:33 UTC. \
             Last login 2026-11-23 02:13 UTC from 10.0.0.5."
        );
    }

    #[test]
    fn a_limit_that_is_none_is_not_mentioned() {
        let none = Limits { idle: None, lifetime: None, ..Limits::default() };
        assert!(notice(&none).to_string().ends_with("no time limit."));
        let idle = Limits { idle: Some(Duration::from_secs(90)), ..none.clone() };
        assert!(notice(&idle).to_string().ends_with("ends after 90 s idle."));
        let lifetime = Limits { lifetime: Some(Duration::from_secs(60)), ..none };
        assert!(notice(&lifetime).to_string().ends_with("ends at 2026-11-24 08:34 UTC."));
    }

    #[test]
    fn a_last_login_without_an_address_is_not_from_anywhere() {
        let limits = Limits::default();
        let told = |source| Notice { previous: Some((WallTime::default(), source)), ..notice(&limits) }.to_string();
        assert!(told("local").ends_with("Last login 1970-01-01 00:00 UTC on this machine."));
        assert!(told("unknown").ends_with("Last login 1970-01-01 00:00 UTC."));
    }

    #[test]
    fn what_comes_from_outside_cannot_speak_to_the_terminal() {
        let limits = Limits::default();
        let previous = Some((WallTime::default(), "\u{1b}[2Jhost\n"));
        let text = Notice { previous, ..notice(&limits) }.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
