//! Ends that somebody asks for: a login program, an administrator, the session's user. Each session is looked at once more first, so that its
//! history is true.

use std::sync::Arc;

use authflow_core::{
    session::{NotEnded, SessionId},
    time::Clock,
};
use authflow_host::clock::SystemClock;
use tokio::task::yield_now;

use super::Daemon;
use crate::snapshot::Snapshot;

impl Daemon {
    /// The application closed a session.
    pub(crate) fn close(self: &Arc<Self>, id: SessionId) {
        let snapshot = Snapshot::take();
        self.look_at(id, &snapshot);
        let mut core = self.core();
        let actions = core.registry.close(id, SystemClock.now());
        self.apply(&core, actions);
        drop(core);
        // One that leaves nothing is over at once.
        self.look_at(id, &snapshot);
    }

    /// Ends a session.
    ///
    /// # Errors
    /// There is none of that id.
    pub(crate) fn revoke(self: &Arc<Self>, id: SessionId, by: &str, message: &str) -> Result<(), NotEnded> {
        self.revoke_seen(id, (by, message), &Snapshot::take())
    }

    /// Ends these sessions; tells how many there were. One that is over by now needs no ending.
    pub(crate) async fn revoke_all(self: &Arc<Self>, ids: &[SessionId], by: &str, message: &str) -> usize {
        if ids.is_empty() {
            return 0;
        }
        let snapshot = Snapshot::take_aside().await;
        let mut ended = 0;
        for id in ids {
            ended += usize::from(self.revoke_seen(*id, (by, message), &snapshot).is_ok());
            // The loop is everybody's: a login must not wait for a thousand ends.
            yield_now().await;
        }
        ended
    }

    fn revoke_seen(
        self: &Arc<Self>,
        id: SessionId,
        (by, message): (&str, &str),
        snapshot: &Snapshot,
    ) -> Result<(), NotEnded> {
        self.look_at(id, snapshot);
        let message = Some(message).filter(|message| !message.is_empty());
        let mut core = self.core();
        let actions = core.registry.revoke(id, by, message, SystemClock.now())?;
        self.apply(&core, actions);
        Ok(())
    }

    /// Its user logs out of a session.
    ///
    /// # Errors
    /// There is none of that id.
    pub(crate) fn log_out(self: &Arc<Self>, id: SessionId) -> Result<(), NotEnded> {
        self.look(id);
        let mut core = self.core();
        let actions = core.registry.log_out(id, SystemClock.now())?;
        self.apply(&core, actions);
        Ok(())
    }
}
