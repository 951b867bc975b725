//! What logind says of desktops.

use std::sync::Arc;

use authflow_core::{session::SessionId, time::Clock};
use authflow_host::clock::SystemClock;

use super::Daemon;
use crate::desktop::Hint;

impl Daemon {
    /// logind did not lock a session's screen, however often it was asked.
    pub(crate) fn lock_failed(&self, id: SessionId) {
        let mut core = self.core();
        let actions = core.registry.lock_failed(id);
        self.apply(&core, actions);
    }

    /// logind was asked about a session: nothing if it is no desktop.
    pub(crate) fn desktop_seen(self: &Arc<Self>, id: SessionId, hint: Option<Hint>) {
        let mut guard = self.core();
        let core = &mut *guard;
        if core.registry.find(id).is_none() {
            return;
        }
        let before = core.activity.take_hint(id, hint);
        if before == hint {
            return;
        }
        let is_unlocked = |hint: Hint| !hint.is_locked;
        if before.is_some_and(|before| before.is_locked) && hint.is_some_and(is_unlocked) {
            let actions = core.registry.unlocked(id, SystemClock.now());
            self.apply(core, actions);
        }
        drop(guard);
        self.look(id);
    }
}
