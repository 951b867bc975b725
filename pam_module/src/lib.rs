//! The PAM module: runs the flow in the auth phase, guards the account phase, opens and closes the session, changes passwords.
//!
//! It lives in other people's processes, most of them root, some setuid. It reads no environment, keeps no thread, descriptor or
//! signal handler, writes to no standard stream, and never aborts: a panic is caught at its edge and refuses.
//!
//! # Layout
//!
//! - [`phase`]: what the entry points have in common: read the line, run, log, answer
//! - [`authenticate`], [`account`], [`session`], [`password`]: the phases
//! - [`ahead`]: the questions, put by a line of ours for another one
//! - [`login`]: a login as PAM describes it, and the configuration that it is judged by
//! - [`step_up`]: whether the session that the caller is in vouches for its owner
//! - [`guard`]: where enough must have been proved
//! - [`notes`], [`receipt`]: what one phase leaves for the next, on the handle and across sshd's processes
//! - [`tracking`], [`daemon`], `call`: has the session tracked, by the daemon or until that is back
//! - [`unprivileged`], [`flow`]: the phases in a process that is not root, by a flow that the daemon runs
//! - [`conversation`]: every text that a user is shown
//! - [`ask_new`]: the conversation of a password change
//! - [`log`], [`event`]: every line for the log, and their names
//! - [`error`], [`code`]: why a phase refuses, and the PAM code for it
//! - [`args`], [`ssh`], [`console`]: the PAM line, what sshd tells, what is a real console
//! - [`handle`], `ffi`: PAM as a trait, and over the real libpam
#![deny(unsafe_code)]

pub mod account;
pub mod ahead;
pub mod args;
pub mod ask_new;
pub mod authenticate;
mod call;
pub mod code;
pub mod console;
pub mod conversation;
pub mod daemon;
pub mod error;
pub mod event;
#[cfg(test)]
mod fake;
mod ffi;
pub mod flow;
pub mod guard;
pub mod handle;
pub mod log;
pub mod login;
pub mod notes;
pub mod notice;
pub mod password;
#[cfg(test)]
mod password_tests;
pub mod phase;
pub mod receipt;
pub mod session;
pub mod ssh;
pub mod step_up;
#[cfg(test)]
mod tests;
pub mod tracking;
pub mod unprivileged;

use std::ffi::CStr;

use pam::{
    constants::{PamFlag, PamResultCode},
    module::{PamHandle, PamHooks},
};

use crate::{ffi::LibPam, login::Place, phase::Phase};

/// Flags of `pam_sm_chauthtok` alone (`pam_modules.h`).
const PAM_PRELIM_CHECK: PamFlag = 0x4000;
const PAM_UPDATE_AUTHTOK: PamFlag = 0x2000;

/// What libpam calls, by way of `entry`.
pub struct Authflow;

impl PamHooks for Authflow {
    fn sm_authenticate(handle: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        enter(Phase::Authenticate, handle, &args, flags)
    }

    /// Nothing to do for any flag; sshd calls it three times.
    fn sm_setcred(_handle: &mut PamHandle, _args: Vec<&CStr>, _flags: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }

    fn acct_mgmt(handle: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        enter(Phase::Account, handle, &args, flags)
    }

    fn sm_open_session(handle: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        enter(Phase::OpenSession, handle, &args, flags)
    }

    fn sm_close_session(handle: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        enter(Phase::CloseSession, handle, &args, flags)
    }

    /// Called twice: once to see whether the password may be changed, once to change it.
    fn sm_chauthtok(handle: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        match (flags & PAM_PRELIM_CHECK != 0, flags & PAM_UPDATE_AUTHTOK != 0) {
            (true, false) => enter(Phase::CheckPassword, handle, &args, flags),
            (false, true) => enter(Phase::ChangePassword, handle, &args, flags),
            (true, true) | (false, false) => PamResultCode::PAM_SYSTEM_ERR,
        }
    }
}

/// The bindings call this inside `catch_unwind`; a panic answers `PAM_ABORT`.
fn enter(phase: Phase, handle: &mut PamHandle, args: &[&CStr], flags: PamFlag) -> PamResultCode {
    ffi::silence_panics();
    let arguments = args.iter().map(|argument| argument.to_bytes());
    phase::run(phase, &mut LibPam::new(handle, flags), arguments, &Place::default())
}
