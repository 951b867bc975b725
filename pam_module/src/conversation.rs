//! Every text that a user is shown, and how answers are got.

use authflow_core::{flow::Prompt, qr::Background, secret::Secret};
use authflow_host::desk::{Conversation, Refused, Screen};

use crate::{
    args::FirstPass,
    handle::{Facts, Handle},
};

/// Asks a flow's questions through PAM.
pub struct Questions<'a, H> {
    pam: &'a mut H,
    first_pass: FirstPass,
    ahead: Option<Secret>,
    given: Given,
    screen: Option<Background>,
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
        Self { pam, first_pass, ahead: None, given: Given::Nothing, screen: None }
    }

    /// The same, read at that screen if there is one.
    #[must_use]
    pub const fn at(mut self, screen: Option<Background>) -> Self {
        self.screen = screen;
        self
    }

    /// The same, with a code that was asked ahead and is not asked for again.
    #[must_use]
    pub fn with_code(self, ahead: Option<Secret>) -> Self {
        Self { ahead, ..self }
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
            None => self.put(prompt.text()),
        }
    }

    fn put(&mut self, text: &str) -> Result<Secret, Refused> {
        let answer = self.pam.ask(text).map_err(|_ended| Refused)?;
        Ok(answer.unwrap_or_default())
    }
}

impl<H: Handle> Conversation for Questions<'_, H> {
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        match prompt {
            Prompt::Code => match self.ahead.take() {
                Some(code) => Ok(code),
                None => self.put(prompt.text()),
            },
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

    fn screen(&mut self) -> Option<&mut dyn Screen> {
        if self.screen.is_some() { Some(self) } else { None }
    }
}

impl<H: Handle> Screen for Questions<'_, H> {
    fn background(&self) -> Background {
        self.screen.unwrap_or(Background::Dark)
    }

    fn ask(&mut self, page: &str) -> Result<Secret, Refused> {
        self.put(page)
    }
}

/// The screen at which these questions are read, if they are read at one. sudo asks for silence at every login and shows prompts all the
/// same, so that it says nothing here; sshd's `password` method looks like its other one, and gives itself away by its answers.
#[must_use]
pub fn screen_of(facts: &Facts, is_sshd: bool) -> Option<Background> {
    match facts.tty.as_deref() {
        None => None,
        // OpenSSH's client turns what paints into text that can be read, and leaves the rest alone in a UTF-8 locale.
        Some(_) if is_sshd => Some(Background::Dark),
        // A display of X11.
        Some(tty) if tty.starts_with(':') => None,
        Some(_) => Some(Background::Painted),
    }
}
