//! Processes that ended, and what that means for their sessions. Many end together, as when a thousand sessions are revoked, and each look
//! at all processes of the machine is dear: all that ended before one is taken share it.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use authflow_core::{
    session::{Class, Session, SessionId, State},
    time::Clock,
};
use authflow_host::{clock::SystemClock, process::ProcessId};
use tokio::task::yield_now;

use super::{Daemon, has_targets};
use crate::{event::Event, leader::Held, log::Line, members::members, snapshot::Snapshot};

/// How often an orphan is looked at, at most.
const BETWEEN_LOOKS_AT_AN_ORPHAN: Duration = Duration::from_secs(1);

/// How long before a process is held that could not be: the descriptors may have run out.
pub(super) const UNTIL_THERE_IS_ROOM: Duration = Duration::from_secs(5);

/// How long after a leader's end it takes at most to hear that logind had it ended.
const LOGIND_SAYS_SO: Duration = Duration::from_secs(1);

/// Sessions of which something ended that nobody has looked at.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Their leader, or the last member that was waited for.
    led: BTreeSet<SessionId>,
    /// All processes that a step of their end struck.
    struck: BTreeSet<SessionId>,
}

impl Daemon {
    /// Looks at what ends, for as long as the daemon lives.
    pub(crate) async fn follow_departures(self: Arc<Self>) {
        loop {
            self.something_ended.notified().await;
            let Departures { led, struck } =
                std::mem::take(&mut *self.departures.lock().unwrap_or_else(PoisonError::into_inner));
            if led.is_empty() && struck.is_empty() {
                continue;
            }
            let began = SystemClock.now().boot;
            let snapshot = Snapshot::take_aside().await;
            for id in struck {
                self.look_at(id, &snapshot);
                // The loop is everybody's: a login must not wait for a thousand ends.
                yield_now().await;
            }
            for id in led {
                self.gone(id, &snapshot);
                yield_now().await;
            }
            // Half of the time at most: what ends meanwhile is looked at together.
            tokio::time::sleep(SystemClock.now().boot.saturating_since(began)).await;
        }
    }

    /// Waits for the end of a session's leader.
    pub(super) fn watch(self: &Arc<Self>, id: SessionId, process: ProcessId) {
        match Held::if_there(process) {
            Ok(Some(held)) => self.watch_held(id, held),
            Ok(None) => self.departed(|departures| departures.led.insert(id)),
            Err(why) => {
                self.log.write(&Line::error(Event::ProcessNotHeld).with("session", id).with("why", why));
                let daemon = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(UNTIL_THERE_IS_ROOM).await;
                    daemon.watch(id, process);
                });
            }
        }
    }

    /// Looks again when one of these is gone. What cannot be killed is struck again and again, and waited for once.
    pub(crate) fn look_when_gone(self: &Arc<Self>, id: SessionId, struck: Vec<Held>) {
        for held in struck {
            let process = held.id();
            if !self.awaited().insert(process) {
                continue;
            }
            let daemon = Arc::clone(self);
            tokio::spawn(async move {
                held.gone().await;
                daemon.awaited().remove(&process);
                daemon.departed(|departures| departures.struck.insert(id));
            });
        }
    }

    pub(super) fn watch_held(self: &Arc<Self>, id: SessionId, held: Held) {
        let daemon = Arc::clone(self);
        tokio::spawn(async move {
            held.gone().await;
            // Members of an orphan that come and go all the time must not keep the loop busy.
            if daemon.find(id).is_some_and(|session| session.state == State::Orphaned) {
                tokio::time::sleep(BETWEEN_LOOKS_AT_AN_ORPHAN).await;
            }
            if daemon.may_be_logged_out_by_logind(id) {
                tokio::time::sleep(LOGIND_SAYS_SO).await;
            }
            daemon.departed(|departures| departures.led.insert(id));
        });
    }

    /// Whether logind may be ending the session, which makes it a logout even where the leader dies of that.
    fn may_be_logged_out_by_logind(&self, id: SessionId) -> bool {
        let is_led = |session: &Session| session.opening.class != Class::Nested && session.logind_id.is_some();
        self.find(id).is_some_and(|session| session.state == State::Active && is_led(&session))
    }

    fn awaited(&self) -> MutexGuard<'_, BTreeSet<ProcessId>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn departed(&self, note: impl FnOnce(&mut Departures) -> bool) {
        note(&mut self.departures.lock().unwrap_or_else(PoisonError::into_inner));
        self.something_ended.notify_one();
    }

    /// The leader, or the last member that was waited for, is gone.
    fn gone(self: &Arc<Self>, id: SessionId, snapshot: &Snapshot) {
        self.look_at(id, snapshot);
        let mut core = self.core();
        let Some(session) = core.registry.find(id).cloned() else { return };
        let left = members(&session, &core.registry, &core.known, snapshot);
        let has_targets = has_targets(&session, &left, (&core.registry, snapshot));
        let actions = core.registry.leader_exited(id, has_targets, SystemClock.now());
        self.apply(&core, actions);
        drop(core);
        // An orphan is over when its last member is: wait for any of them, then look again.
        if let Some(member) = left.into_iter().find(|_| has_targets) {
            self.watch_member(id, member);
        }
    }

    fn watch_member(self: &Arc<Self>, id: SessionId, member: ProcessId) {
        if let Ok(Some(held)) = Held::if_there(member) {
            return self.watch_held(id, held);
        }
        // It ended since the look; another may have come in its place.
        let daemon = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(BETWEEN_LOOKS_AT_AN_ORPHAN).await;
            daemon.departed(|departures| departures.led.insert(id));
        });
    }
}
