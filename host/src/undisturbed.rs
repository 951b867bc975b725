//! A stretch in which nobody can stop this process. su and sudo keep the caller's real uid, so the caller may send them SIGSTOP; stopped
//! with another user's lock in hand, they would keep that user out for as long as the caller likes.

use nix::{
    sys::signal::{SigSet, SigmaskHow, Signal},
    unistd::{ResUid, getresuid, setresuid},
};

/// Lasts until dropped; then signals and real uid are as before.
#[derive(Debug)]
pub(crate) struct Undisturbed {
    mask: Option<SigSet>,
    uids: Option<ResUid>,
}

impl Undisturbed {
    /// Puts off a stop from the terminal, and takes the real uid out of the caller's reach. Where neither can be done the login goes on:
    /// being stopped is a nuisance, being refused would be one for everybody.
    pub(crate) fn begin() -> Self {
        let stops: SigSet = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].into_iter().collect();
        let mask = stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        // Only a set-uid program has two; every other host process, threads and all, is left alone.
        let is_set_uid = |uids: &ResUid| uids.effective.is_root() && !uids.real.is_root();
        let uids = getresuid().ok().filter(is_set_uid).filter(|uids| {
            let ResUid { effective, saved, .. } = *uids;
            setresuid(effective, effective, saved).is_ok()
        });
        Self { mask, uids }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        // The uid first: a stop that waits must find the process as its owner knows it. Root may always take a uid back.
        if let Some(ResUid { real, effective, saved }) = self.uids {
            let _taken_back = setresuid(real, effective, saved);
        }
        if let Some(mask) = &self.mask {
            let _restored = mask.thread_set_mask();
        }
    }
}
