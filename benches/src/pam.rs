//! The application's side of PAM: what sshd or login does, as little as a measurement needs.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    ptr,
};

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    unused: c_int,
}

#[repr(C)]
struct Conversation {
    ask: extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int,
    data: *mut c_void,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        handle: *mut *mut c_void,
    ) -> c_int;
    fn pam_end(handle: *mut c_void, status: c_int) -> c_int;
    fn pam_authenticate(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut c_void, flags: c_int) -> c_int;
}

const SUCCESS: c_int = 0;
const CONV_ERR: c_int = 19;
const PROMPT_ECHO_OFF: c_int = 1;

/// Answers every hidden prompt with the password behind `data`, and lets everything else pass.
extern "C" fn answer(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: libpam frees the array with free(3), so it must come from calloc.
    let answers = unsafe { libc::calloc(count, size_of::<Response>()) }.cast::<Response>();
    if answers.is_null() {
        return CONV_ERR;
    }
    for place in 0..count {
        // SAFETY: Linux-PAM passes an array of `count` pointers to messages, and `answers` has as many elements.
        unsafe {
            if (**messages.add(place)).style == PROMPT_ECHO_OFF {
                (*answers.add(place)).text = libc::strdup(data.cast::<c_char>());
            }
        }
    }
    // SAFETY: libpam passes a place for the array.
    unsafe { *responses = answers };
    SUCCESS
}

/// One PAM transaction.
pub struct Transaction {
    handle: *mut c_void,
    // libpam keeps a pointer to the password until the end.
    _password: CString,
}

/// A phase of a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    Authenticate,
    Account,
    Open,
    Close,
}

impl Transaction {
    pub fn start(service: &str, user: &str, password: &str) -> Self {
        let (service, user) = (CString::new(service).unwrap(), CString::new(user).unwrap());
        let password = CString::new(password).unwrap();
        let conversation = Conversation { ask: answer, data: password.as_ptr().cast_mut().cast() };
        let mut handle = ptr::null_mut();
        // SAFETY: all strings outlive the call; libpam copies the conversation, and the password lives in `self`.
        let code = unsafe { pam_start(service.as_ptr(), user.as_ptr(), &raw const conversation, &raw mut handle) };
        assert_eq!(code, SUCCESS, "pam_start");
        Self { handle, _password: password }
    }

    /// Runs a phase, which must succeed.
    pub fn run(&self, phase: Phase) {
        // SAFETY: the handle is the one that pam_start made, and pam_end runs only on drop.
        let code = unsafe {
            match phase {
                Phase::Authenticate => pam_authenticate(self.handle, 0),
                Phase::Account => pam_acct_mgmt(self.handle, 0),
                Phase::Open => pam_open_session(self.handle, 0),
                Phase::Close => pam_close_session(self.handle, 0),
            }
        };
        assert_eq!(code, SUCCESS, "{phase:?} answers {code}");
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: the handle came from pam_start and is not used again.
        unsafe { pam_end(self.handle, SUCCESS) };
    }
}
