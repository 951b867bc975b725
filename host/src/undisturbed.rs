//! A stretch in which nobody can stop or starve this process, or keep it from writing. su and sudo keep the caller's real uid, so the caller
//! may send them SIGSTOP, and his share of the machine; stopped or starved with another user's lock in hand, they would keep that user out
//! for as long as the caller likes.

use std::io;

use nix::{
    sys::{
        resource::{Resource, getrlimit, rlim_t, setrlimit},
        signal::{SigSet, SigmaskHow, Signal},
    },
    unistd::{ResUid, getresuid, setresuid},
};

use crate::{file, scheduling::Share};

/// Lasts until dropped; then signals, real uid, share and limits are as before.
#[derive(Debug)]
pub struct Undisturbed {
    mask: Option<SigSet>,
    set_uid: Option<(ResUid, Share)>,
    file_size: Option<(rlim_t, rlim_t)>,
}

/// What must fit: a state in its two slots, and the record.
const ENOUGH: rlim_t = 4 * file::LARGEST;

impl Undisturbed {
    /// Puts off a stop from the terminal, and takes the real uid and the share of the machine out of the caller's reach. Where none can be done the login goes on:
    /// being stopped is a nuisance, being refused would be one for everybody.
    ///
    /// # Errors
    /// The caller lets files become so short (`ulimit -f`) that a failure could not be counted, and that cannot be changed. A success may be
    /// shorter by a few bytes, so whoever chose the limit would guess as often as he likes.
    pub fn begin() -> io::Result<Self> {
        let file_size = make_room()?;
        let stops: SigSet = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].into_iter().collect();
        let mask = stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        // Only a set-uid program has two; every other host process, threads and all, is left alone.
        let is_set_uid = |uids: &ResUid| uids.effective.is_root() && !uids.real.is_root();
        let set_uid = getresuid().ok().filter(is_set_uid).filter(|uids| {
            let ResUid { effective, saved, .. } = *uids;
            setresuid(effective, effective, saved).is_ok()
        });
        // After the uid, or the caller could undo it.
        let set_uid = set_uid.map(|uids| (uids, Share::raise()));
        Ok(Self { mask, set_uid, file_size })
    }
}

/// Raises the limit of files where it is too low; what it was.
fn make_room() -> io::Result<Option<(rlim_t, rlim_t)>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if soft >= ENOUGH {
        return Ok(None);
    }
    setrlimit(Resource::RLIMIT_FSIZE, ENOUGH, hard.max(ENOUGH))?;
    Ok(Some((soft, hard)))
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        // The uid before the signals: a stop that waits must find the process as its owner knows it. Root may always take a uid back.
        if let Some((ResUid { real, effective, saved }, share)) = &self.set_uid {
            share.take_back();
            let _taken_back = setresuid(*real, *effective, *saved);
        }
        if let Some((soft, hard)) = self.file_size {
            let _lowered = setrlimit(Resource::RLIMIT_FSIZE, soft, hard);
        }
        if let Some(mask) = &self.mask {
            let _restored = mask.thread_set_mask();
        }
    }
}
