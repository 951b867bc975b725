//! The conversation of a password change, and every text in it.

use authflow_core::{flow::Prompt, password::PasswordHash, password_rules::PasswordRules, secret::Secret};
use authflow_host::{
    desk::{Conversation, DeskError, Refused},
    hashing,
    records::RecordError,
};

use crate::{
    args::{FirstPass, Options},
    error::{BadNewPassword, Error},
    handle::Handle,
};

const OLD: &str = "Current password: ";
const NEW: &str = "New password: ";
const AGAIN: &str = "Retype new password: ";

/// How often a password that will not do may be answered by a better one.
const TRIES: usize = 3;

/// Asks for the password before the change.
pub struct AskOld<'a, H> {
    pam: &'a mut H,
    first_pass: FirstPass,
    given: Secret,
}

impl<'a, H: Handle> AskOld<'a, H> {
    /// The question on that handle; the answer may come from the module before us.
    pub fn new(pam: &'a mut H, first_pass: FirstPass) -> Self {
        Self { pam, first_pass, given: Secret::default() }
    }

    /// What was given.
    #[must_use]
    pub fn into_given(self) -> Secret {
        self.given
    }
}

impl<H: Handle> Conversation for AskOld<'_, H> {
    fn ask(&mut self, _the_only_one: Prompt) -> Result<Secret, Refused> {
        let before = match self.first_pass {
            FirstPass::Ask => None,
            FirstPass::Try => self.pam.old_password(),
            FirstPass::Use => Some(self.pam.old_password().unwrap_or_default()),
        };
        let given = match before {
            Some(password) => password,
            None => self.pam.ask(OLD).map_err(|_ended| Refused)?.unwrap_or_default(),
        };
        self.given = given.clone();
        Ok(given)
    }
}

/// Asks for a new password that will do.
#[derive(Debug)]
pub struct NewPasswords<'a> {
    /// The PAM line.
    pub options: &'a Options,
    /// What it must be.
    pub rules: &'a PasswordRules,
    /// The one that it must not be.
    pub before: Option<&'a PasswordHash>,
}

impl NewPasswords<'_> {
    /// Asks, or takes what the module before us was given, as the PAM line says. Why one will not do is told before the next question.
    ///
    /// # Errors
    /// None was given, or none that will do.
    pub fn ask<H: Handle>(&self, pam: &mut H) -> Result<Secret, Error> {
        if self.options.use_authtok || self.options.first_pass == FirstPass::Use {
            let given = pam.password().filter(|password| !password.is_empty()).ok_or(BadNewPassword::NotGiven)?;
            self.check(&given)?;
            return Ok(given);
        }
        for _ in 1..TRIES {
            match self.ask_once(pam) {
                Err(Error::NewPassword(BadNewPassword::NotGiven)) => return Err(BadNewPassword::NotGiven.into()),
                Err(Error::NewPassword(why)) => pam.tell_refusal(&sentence(&why)),
                given @ (Ok(_) | Err(_)) => return given,
            }
        }
        self.ask_once(pam)
    }

    fn ask_once<H: Handle>(&self, pam: &mut H) -> Result<Secret, Error> {
        ask_twice(pam, |given| self.check(given))
    }

    fn check(&self, given: &Secret) -> Result<(), Error> {
        self.rules.check(given).map_err(BadNewPassword::Refused)?;
        match self.before {
            Some(before) if hashing::verify(before, given)? => Err(BadNewPassword::Unchanged.into()),
            Some(_) | None => Ok(()),
        }
    }
}

/// Asks for a new password that a module behind us is to take, and to judge.
///
/// # Errors
/// None was given.
pub fn ask_for_another<H: Handle>(pam: &mut H) -> Result<Secret, Error> {
    ask_twice(pam, |_judged_by_that_module| Ok(()))
}

fn ask_twice<H: Handle>(pam: &mut H, check: impl FnOnce(&Secret) -> Result<(), Error>) -> Result<Secret, Error> {
    let given = pam.ask(NEW)?.filter(|password| !password.is_empty()).ok_or(BadNewPassword::NotGiven)?;
    check(&given)?;
    let again = pam.ask(AGAIN)?.unwrap_or_default();
    if again.matches(&given) { Ok(given) } else { Err(BadNewPassword::Different.into()) }
}

/// What a user is told whose password was not changed. Which of several causes it was is the log's where it is not the user's to mend.
#[must_use]
pub fn refusal(error: &Error) -> String {
    match error {
        Error::NewPassword(why) => sentence(why),
        Error::Denied(_) => "The current password was not accepted.".to_owned(),
        Error::Record(RecordError::Managed(_)) => {
            "The password is managed elsewhere: it cannot be changed on this machine.".to_owned()
        }
        Error::Record(RecordError::Busy) | Error::Desk(DeskError::Record(RecordError::Busy)) => {
            "The account is busy; try again in a moment.".to_owned()
        }
        Error::Options(_)
        | Error::Config(_)
        | Error::Account(_)
        | Error::Record(_)
        | Error::Desk(_)
        | Error::Password(_)
        | Error::Application(_)
        | Error::UserChanged { .. }
        | Error::NameIsNoText
        | Error::NoAccount
        | Error::Disabled
        | Error::ClosedMeanwhile
        | Error::NoRule
        | Error::Expired
        | Error::NotProved { .. }
        | Error::Receipt(_)
        | Error::Flow(_)
        | Error::NotOneself
        | Error::Daemon(_)
        | Error::Process(_)
        | Error::Shadow(_)
        | Error::Unwatched(_)
        | Error::Folder(_) => "The password could not be changed; the system's log says why.".to_owned(),
    }
}

fn sentence(why: &BadNewPassword) -> String {
    let text = match why {
        BadNewPassword::NoList(_) => {
            "new passwords cannot be checked at the moment, so only an administrator can set one".to_owned()
        }
        BadNewPassword::Refused(_)
        | BadNewPassword::Different
        | BadNewPassword::Unchanged
        | BadNewPassword::NotGiven
        | BadNewPassword::ChangedMeanwhile => why.to_string(),
    };
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
