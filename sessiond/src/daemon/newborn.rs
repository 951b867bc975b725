//! A second look at a session soon after it began. su and sudo open theirs before they start what runs in it, and who kills them then leaves
//! behind what nobody has seen below them: it would be in no session.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use authflow_core::session::{Class, Session, SessionId};
use tokio::task::yield_now;

use super::Daemon;
use crate::snapshot::Snapshot;

/// Long enough to start a program, also where many are started. All that begins meanwhile is looked at together.
const SOON: Duration = Duration::from_secs(1);

impl Daemon {
    /// Looks at new sessions once more, for as long as the daemon lives.
    pub(crate) async fn follow_newborn(self: Arc<Self>) {
        loop {
            self.something_began.notified().await;
            // What begins from now on waits for the next turn: each has the whole time.
            let ids = mem::take(&mut *self.newborn());
            tokio::time::sleep(SOON).await;
            // Most of what sudo runs is over by now.
            let live: Vec<SessionId> = ids.into_iter().filter(|id| self.find(*id).is_some()).collect();
            if live.is_empty() {
                continue;
            }
            let snapshot = Snapshot::take_aside().await;
            for id in live {
                self.look_at(id, &snapshot);
                yield_now().await;
            }
        }
    }

    /// Notes a session that has just begun, if descent is all that tells its processes.
    pub(super) fn note_newborn(&self, session: &Session) {
        if session.opening.class == Class::Nested || session.audit_id.is_none() {
            self.newborn().insert(session.id);
            self.something_began.notify_one();
        }
    }

    fn newborn(&self) -> MutexGuard<'_, BTreeSet<SessionId>> {
        self.newborn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
