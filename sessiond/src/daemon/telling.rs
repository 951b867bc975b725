//! What the daemon itself writes to terminals, which must not be taken for their users' activity.

use std::collections::BTreeSet;

use authflow_core::time::Clock;
use authflow_host::clock::SystemClock;

use super::Daemon;
use crate::tty::Tty;

impl Daemon {
    /// Notes that the daemon is about to write to these ttys; a daemon that is started anew meanwhile must know it, too.
    pub(crate) fn will_tell(&self, ttys: &BTreeSet<Tty>) {
        let (mut core, now) = (self.core(), SystemClock.now().wall);
        for id in core.activity.will_tell(ttys, now) {
            let actions = core.registry.note_told(id, now);
            self.apply(&core, actions);
        }
    }
}
