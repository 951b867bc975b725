//! Commands that keep a session from idling, held by their processes: they let go when they end, however they do.

use std::sync::Arc;

use authflow_core::{
    session::{Holder, NotInhibited, SessionId},
    time::Clock,
};
use authflow_host::{clock::SystemClock, process::ProcessId};

use super::{Daemon, departures::UNTIL_THERE_IS_ROOM};
use crate::{event::Event, leader::Held, log::Line};

impl Daemon {
    /// Keeps the login that the session is in from idling until the process ends.
    ///
    /// # Errors
    /// There is no such session, it is being ended, or its rule grants it not.
    pub(crate) fn inhibit(self: &Arc<Self>, id: SessionId, held: Held, why: &str) -> Result<(), NotInhibited> {
        let ProcessId { pid, start_time } = held.id();
        let line = Line::info(Event::Inhibited).with("pid", pid).with("why", why);
        let mut core = self.core();
        let (login, actions) = core.registry.inhibit(id, Holder { pid, start_time, why: why.to_owned() })?;
        // Who asks again and again is watched once: each watch costs a descriptor.
        if actions.is_empty() {
            return Ok(());
        }
        self.apply(&core, actions);
        drop(core);
        self.log.write(&line.with("session", login));
        self.release_when_gone(login, held);
        Ok(())
    }

    /// Watches a holder that an earlier daemon knew. One that is gone held the session until now, as far as anybody knows.
    pub(super) fn watch_holder(self: &Arc<Self>, id: SessionId, holder: ProcessId) {
        match Held::if_there(holder) {
            Ok(Some(held)) => self.release_when_gone(id, held),
            Ok(None) => self.release(id, holder),
            Err(why) => {
                self.log.write(&Line::error(Event::ProcessNotHeld).with("session", id).with("why", why));
                let daemon = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(UNTIL_THERE_IS_ROOM).await;
                    daemon.watch_holder(id, holder);
                });
            }
        }
    }

    fn release_when_gone(self: &Arc<Self>, id: SessionId, held: Held) {
        let (daemon, process) = (Arc::clone(self), held.id());
        tokio::spawn(async move {
            held.gone().await;
            daemon.release(id, process);
        });
    }

    fn release(&self, id: SessionId, process: ProcessId) {
        let mut core = self.core();
        let actions = core.registry.release(id, (process.pid, process.start_time), SystemClock.now());
        self.apply(&core, actions);
    }
}
