//! How long the hashes of a login took, as the preloaded `hash_clock.c` saw it.

use std::time::Duration;

/// What asks it.
pub struct HashClock(extern "C" fn() -> i64);

impl HashClock {
    /// The one that was preloaded.
    pub fn preloaded() -> Self {
        // SAFETY: looks a name up; the name ends with a zero.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"hashes_took".as_ptr()) };
        assert!(!found.is_null(), "benches/hash_clock.c is preloaded, as benches/inside.sh does");
        // SAFETY: that name is a function of this type, and a preloaded library is never unloaded.
        Self(unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i64>(found) })
    }

    /// What all took since it was asked last.
    pub fn took(&self) -> Duration {
        Duration::from_nanos((self.0)().try_into().expect("time does not go back"))
    }
}
