//! The real PAM handle.

use std::{
    ffi::{CStr, CString},
    time::Duration,
};

use authflow_core::{password::LONGEST_PASSWORD, secret::Secret};
use pam::{
    constants::{
        PAM_CHANGE_EXPIRED_AUTHTOK, PAM_ERROR_MSG, PAM_PROMPT_ECHO_OFF, PAM_SILENT, PAM_TEXT_INFO, PamFlag,
        PamResultCode,
    },
    conv::Conv,
    items::{AuthTok, OldAuthTok, RHost, Service, Tty, User},
    module::PamHandle,
};
use zeroize::Zeroizing;

use super::calls::{self, Kept};
use crate::{
    event::Event,
    handle::{Facts, Handle, NoAnswer, UserName},
    log::{Line, Priority},
    notes::Notes,
};

/// Where [`Notes`] lie in the handle. All modules share the names; the version keeps a module that was replaced while a login was
/// under way from reading notes of another shape.
const NOTES: &str = concat!("pam_authflow.notes-", env!("CARGO_PKG_VERSION"));

/// libpam's handle for the time of one call into the module.
pub(crate) struct LibPam<'h> {
    handle: &'h mut PamHandle,
    flags: PamFlag,
}

impl<'h> LibPam<'h> {
    /// Wraps the handle that libpam passed in, with the flags that came along.
    pub(crate) fn new(handle: &'h mut PamHandle, flags: PamFlag) -> Self {
        Self { handle, flags }
    }

    fn variable(&self, name: &CStr) -> Option<String> {
        calls::variable(self.handle, name).map(|bytes| text(&bytes))
    }

    fn keep_password(&mut self, which: Kept, password: &Secret) {
        // Room for all of it at once: a vector that grows leaves what it held behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(password.expose().len() + 1));
        bytes.extend_from_slice(password.expose());
        bytes.push(0);
        // Answers come from C strings, so there is no other NUL in it; if there were, the modules behind us would ask for themselves.
        let Ok(password) = CStr::from_bytes_with_nul(&bytes) else { return };
        if let Err(code) = calls::keep_password(self.handle, which, password) {
            self.log(Priority::Warning, &Line::new(Event::PasswordNotKept).with("pam_code", code));
        }
    }

    fn converse(&self, style: i32, message: &str) -> Result<Option<Secret>, NoAnswer> {
        let conversation = self.handle.get_item::<Conv<'_>>().map_err(no_answer)?;
        let conversation = conversation.ok_or(NoAnswer(PamResultCode::PAM_CONV_ERR as i32))?;
        let answer = conversation.send(style, message).map_err(no_answer)?;
        Ok(answer.map(|bytes| bounded(bytes.as_bytes())))
    }
}

impl Handle for LibPam<'_> {
    fn facts(&self) -> Facts {
        let service = self.handle.get_item::<Service<'_>>().ok().flatten();
        let user = self.handle.get_item::<User<'_>>().ok().flatten();
        let tty = self.handle.get_item::<Tty<'_>>().ok().flatten();
        let remote_host = self.handle.get_item::<RHost<'_>>().ok().flatten();
        Facts {
            service: service.map(|item| text(item.to_bytes())).unwrap_or_default(),
            user: user.map(|item| UserName::new(item.to_bytes())),
            tty: tty.map(|item| text(item.to_bytes())).filter(|tty| !tty.is_empty()),
            remote_host: remote_host.map(|item| text(item.to_bytes())).filter(|host| !host.is_empty()),
            auth_info: self.variable(c"SSH_AUTH_INFO_0"),
            connection: self.variable(c"SSH_CONNECTION"),
            is_silent: self.flags & PAM_SILENT != 0,
            must_changes_only: self.flags & PAM_CHANGE_EXPIRED_AUTHTOK != 0,
            is_called_by_root: nix::unistd::getuid().is_root(),
        }
    }

    fn user(&mut self) -> Result<UserName, NoAnswer> {
        // The bindings report a name that is not UTF-8 as an error; by then it is in the item, and the item decides.
        let asked = self.handle.get_user(None);
        match (self.handle.get_item::<User<'_>>(), asked) {
            (Ok(Some(name)), _) => Ok(UserName::new(name.to_bytes())),
            (Ok(None), Err(code)) | (Err(code), _) => Err(no_answer(code)),
            (Ok(None), Ok(_)) => Err(NoAnswer(PamResultCode::PAM_SYSTEM_ERR as i32)),
        }
    }

    fn ask(&mut self, prompt: &str) -> Result<Option<Secret>, NoAnswer> {
        self.converse(PAM_PROMPT_ECHO_OFF, prompt)
    }

    fn tell(&mut self, text: &str) {
        let _an_answer_to_a_notice_means_nothing = self.converse(PAM_TEXT_INFO, text);
    }

    fn tell_refusal(&mut self, text: &str) {
        let _an_answer_to_a_notice_means_nothing = self.converse(PAM_ERROR_MSG, text);
    }

    fn password(&self) -> Option<Secret> {
        let item = self.handle.get_item::<AuthTok<'_>>().ok().flatten()?;
        Some(bounded(item.as_bytes()))
    }

    fn set_password(&mut self, password: &Secret) {
        self.keep_password(Kept::Password, password);
    }

    fn old_password(&self) -> Option<Secret> {
        let item = self.handle.get_item::<OldAuthTok<'_>>().ok().flatten()?;
        Some(bounded(item.as_bytes()))
    }

    fn set_old_password(&mut self, password: &Secret) {
        self.keep_password(Kept::OldPassword, password);
    }

    fn set_variable(&mut self, name: &str, value: &str) {
        let put = CString::new(format!("{name}={value}")).map(|text| calls::put_variable(self.handle, &text));
        if !matches!(put, Ok(Ok(()))) {
            self.log(Priority::Warning, &Line::new(Event::VariableNotSet).with("name", name));
        }
    }

    fn delay_failure(&mut self, at_most: Duration) {
        let microseconds = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
        if let Err(code) = calls::fail_delay(self.handle, microseconds) {
            self.log(Priority::Warning, &Line::new(Event::NoDelay).with("pam_code", code));
        }
    }

    fn notes(&self) -> Notes {
        // SAFETY: only `keep` stores under this name, and it stores `Notes` of this very version.
        let notes = unsafe { self.handle.get_data::<Notes>(NOTES) };
        notes.cloned().unwrap_or_default()
    }

    fn keep(&mut self, notes: Notes) -> Result<(), NoAnswer> {
        self.handle.set_data(NOTES, Box::new(notes)).map_err(no_answer)
    }

    fn log(&self, priority: Priority, line: &Line) {
        // A line holds no control characters, so it is always a C string.
        if let Ok(line) = CString::new(line.as_str()) {
            calls::log(Some(self.handle), priority, &line);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A secret of these bytes, cut where it is too long to be anybody's: one byte beyond what can verify, so that it never does.
fn bounded(bytes: &[u8]) -> Secret {
    Secret::new(bytes.iter().copied().take(LONGEST_PASSWORD + 1).collect())
}

fn no_answer(code: PamResultCode) -> NoAnswer {
    NoAnswer(code as i32)
}
