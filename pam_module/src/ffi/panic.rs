//! A panic must say nothing: its message would go to the host's standard error, with whatever it holds, and `RUST_BACKTRACE`, which is
//! the caller's under su and sudo, would make it slow and large.

use std::sync::Once;

use super::calls;
use crate::log::Priority;

static ONCE: Once = Once::new();

/// Makes panics of this library silent but for one fixed line in the log. The hook is this library's own: a host written in Rust has
/// another copy of the standard library, and keeps its hook.
pub(crate) fn silence_panics() {
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|_what| {
            calls::log(
                None,
                Priority::Alert,
                c"pam_authflow: event=panic reason=\"a defect of pam_authflow; the phase is refused\"",
            );
        }));
    });
}
