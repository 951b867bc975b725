//! The calls of libpam that the bindings lack, each behind a safe function.

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    ptr,
};

use pam::{constants::PamResultCode, module::PamHandle};

use crate::log::Priority;

/// A password that libpam keeps between modules, by its number in `_pam_types.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Kept {
    /// `PAM_AUTHTOK`: the password, or in a change the new one.
    Password = 6,
    /// `PAM_OLDAUTHTOK`: in a change the old one.
    OldPassword = 7,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_set_item(pamh: *mut PamHandle, item_type: c_int, item: *const c_void) -> c_int;
    fn pam_getenv(pamh: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_putenv(pamh: *mut PamHandle, name_value: *const c_char) -> c_int;
    fn pam_fail_delay(pamh: *mut PamHandle, usec: c_uint) -> c_int;
    fn pam_syslog(pamh: *const PamHandle, priority: c_int, format: *const c_char, ...);
}

/// Keeps a password for other modules; libpam makes a copy of its own, and wipes it.
pub(super) fn keep_password(handle: &mut PamHandle, which: Kept, password: &CStr) -> Result<(), i32> {
    // SAFETY: the handle is libpam's own for this call, and the text is a C string that outlives it.
    succeeded(unsafe { pam_set_item(handle, which as c_int, password.as_ptr().cast()) })
}

/// A copy of a variable of the PAM environment.
pub(super) fn variable(handle: &PamHandle, name: &CStr) -> Option<Vec<u8>> {
    // SAFETY: libpam only reads through the handle here, although its prototype asks for a mutable one.
    let value = unsafe { pam_getenv(ptr::from_ref(handle).cast_mut(), name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: not null, hence a C string in the handle's environment, which nothing changes before the copy is made.
    let text = unsafe { CStr::from_ptr(value) };
    Some(text.to_bytes().to_vec())
}

/// Puts `NAME=VALUE` into the PAM environment; libpam keeps a copy of its own.
pub(super) fn put_variable(handle: &mut PamHandle, name_value: &CStr) -> Result<(), i32> {
    // SAFETY: the handle is libpam's own for this call, and the text is a C string that outlives it.
    succeeded(unsafe { pam_putenv(handle, name_value.as_ptr()) })
}

/// Asks libpam to let a failure take about that long.
pub(super) fn fail_delay(handle: &mut PamHandle, microseconds: u32) -> Result<(), i32> {
    // SAFETY: the handle is libpam's own for this call.
    succeeded(unsafe { pam_fail_delay(handle, microseconds) })
}

/// Logs one line to authpriv. Without a handle the line says "PAM" in place of module, service and phase.
pub(super) fn log(handle: Option<&PamHandle>, priority: Priority, line: &CStr) {
    let handle = handle.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: libpam takes a null handle here; the format has one `%s`, and the line is the C string for it.
    unsafe { pam_syslog(handle, level(priority), c"%s".as_ptr(), line.as_ptr()) };
}

const fn level(priority: Priority) -> c_int {
    match priority {
        Priority::Alert => libc::LOG_ALERT,
        Priority::Error => libc::LOG_ERR,
        Priority::Warning => libc::LOG_WARNING,
        Priority::Notice => libc::LOG_NOTICE,
        Priority::Info => libc::LOG_INFO,
        Priority::Debug => libc::LOG_DEBUG,
    }
}

fn succeeded(code: c_int) -> Result<(), i32> {
    if code == PamResultCode::PAM_SUCCESS as c_int { Ok(()) } else { Err(code) }
}
