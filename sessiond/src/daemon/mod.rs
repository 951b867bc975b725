//! The daemon: owns the registry, turns events into its methods and hands its actions on. What must be durable is kept at once, under the
//! lock; everything else goes to the executor, in order.

mod deactivating;
mod departures;
mod endings;
mod info;
mod inhibiting;
mod logins;
mod newborn;
mod queries;
mod screens;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use authflow_core::{
    deactivation::User,
    session::{
        Action, Ended, Holder, Manner, NotExtended, NotRenewed, Registry, Renewal, Seen, Session, SessionId, State,
    },
    time::{BootTime, Clock},
};
use authflow_host::{clock::SystemClock, paths::Paths, process::ProcessId};
use tokio::{
    sync::{Notify, mpsc},
    task::yield_now,
};

use self::departures::Departures;
pub(crate) use self::{logins::Login, queries::Inspected};

use crate::{
    activity::Activity,
    audit::{Audit, Record},
    event::Event,
    holders::holders,
    in_force::InForce,
    keeper::Keeper,
    known::Known,
    leader::process_of,
    leftovers::EndedLogins,
    log::{Line, Log},
    members::{members, scope_is_populated},
    remains::left,
    snapshot::Snapshot,
    store::Store,
    tty::Tty,
};

/// The daemon.
pub(crate) struct Daemon {
    /// The log.
    pub(crate) log: Log,
    /// The kernel's audit log.
    pub(crate) audit: Audit,
    pub(crate) paths: Paths,
    boot_id: String,
    // A std mutex and not tokio's: it is never held over an await.
    core: Mutex<Core>,
    keeper: Mutex<Keeper>,
    /// Held by whoever looks which configuration is in force.
    noting: Mutex<()>,
    ended: Mutex<EndedLogins>,
    /// The users who wait for an administrator, and why their sessions would end.
    waiting: Mutex<BTreeMap<User, String>>,
    /// Told when any session is another than it was.
    pub(crate) changed: Notify,
    /// Told when a session begins.
    pub(crate) opened: Notify,
    /// Told when a session is over.
    pub(crate) over: Notify,
    /// Told when the next deadline may have changed.
    pub(crate) wake: Notify,
    /// Told when logind may have something new to say of desktops.
    pub(crate) desktops_changed: Notify,
    todo: mpsc::UnboundedSender<Action>,
    departures: Mutex<Departures>,
    /// What was struck and is waited for.
    awaited: Mutex<BTreeSet<ProcessId>>,
    /// Told of each departure.
    something_ended: Notify,
    /// Sessions that have just begun, to be looked at once more.
    newborn: Mutex<BTreeSet<SessionId>>,
    /// Told of each of these.
    something_began: Notify,
}

/// What belongs together under the one lock.
#[derive(Default)]
struct Core {
    registry: Registry,
    activity: Activity,
    known: Known,
    ttys: BTreeMap<SessionId, BTreeSet<Tty>>,
}

impl Daemon {
    /// A daemon that hands its actions to `todo`.
    #[must_use]
    pub(crate) fn new(log: Log, paths: Paths, boot_id: String, todo: mpsc::UnboundedSender<Action>) -> Arc<Self> {
        let keeper = Keeper::open(&paths, &boot_id, SystemClock.now(), &log);
        Arc::new(Self {
            log,
            audit: Audit::open(),
            paths,
            boot_id,
            core: Mutex::default(),
            keeper: Mutex::new(keeper),
            noting: Mutex::default(),
            ended: Mutex::default(),
            waiting: Mutex::default(),
            changed: Notify::new(),
            opened: Notify::new(),
            over: Notify::new(),
            wake: Notify::new(),
            desktops_changed: Notify::new(),
            todo,
            departures: Mutex::default(),
            awaited: Mutex::default(),
            something_ended: Notify::new(),
            newborn: Mutex::default(),
            something_began: Notify::new(),
        })
    }

    /// Finds every session again that lived before this daemon did. What changed meanwhile is noticed now.
    pub(crate) fn restore(self: &Arc<Self>) {
        let now = SystemClock.now();
        let sessions = self.keeper().live(now, &self.log);
        for session in sessions {
            let (id, leader) = (session.id, process_of(session.leader));
            let holders = session.inhibition.holders.clone();
            let is_of_this_boot = session.boot_id == self.boot_id;
            let was_locked = session.state_word() == "locked";
            let mut core = self.core();
            let actions = core.registry.load(session, &self.boot_id, now);
            self.apply(&core, actions);
            drop(core);
            if is_of_this_boot {
                let _announced = self.todo.send(Action::AnnounceOpened(id));
                if was_locked {
                    // The daemon before this one may have died before it asked.
                    let _asked = self.todo.send(Action::Lock(id));
                }
                self.watch(id, leader);
                for Holder { pid, start_time, .. } in holders {
                    self.watch_holder(id, ProcessId { pid, start_time });
                }
            }
        }
        self.desktops_changed.notify_one();
        // What later looks are compared with.
        let (snapshot, ids) = (Snapshot::take(), self.ids());
        for id in ids {
            self.look_at(id, &snapshot);
        }
    }

    /// Notes which configuration is in force, on a thread beside the loop: nothing here depends on it.
    pub(crate) fn note_config(self: &Arc<Self>) {
        let daemon = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // One after the other: what was looked at first must not be noted last.
            let _turn = daemon.noting.lock().unwrap_or_else(PoisonError::into_inner);
            let config = InForce::look(&daemon.paths);
            daemon.keeper().note_config(config, SystemClock.now(), &daemon.log);
        });
    }

    /// Looks through the whole store, on a thread beside the loop: with a long history that takes seconds.
    pub(crate) fn look_through_store(self: &Arc<Self>) {
        let daemon = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(why) = Store::look_through(&daemon.paths.sessions_db()) {
                daemon.keeper().looked_through(&why, SystemClock.now(), &daemon.log);
            }
        });
    }

    /// Pushes a session's idle deadline.
    ///
    /// # Errors
    /// There is none of that id, or its user may not any more.
    pub(crate) fn extend(self: &Arc<Self>, id: SessionId, by_user: bool) -> Result<(), NotExtended> {
        let mut core = self.core();
        let actions = core.registry.extend(id, by_user, SystemClock.now())?;
        self.apply(&core, actions);
        drop(core);
        self.log.write(&Line::info(Event::Extended).with("session", id));
        Ok(())
    }

    /// Restarts both limits of a session whose owner has authenticated again inside it.
    ///
    /// # Errors
    /// There is none of that id, it is at its end, or the authentication is not one that renews it.
    pub(crate) fn renew(self: &Arc<Self>, id: SessionId, renewal: &Renewal) -> Result<(), NotRenewed> {
        let mut core = self.core();
        let actions = core.registry.renew(id, renewal)?;
        self.apply(&core, actions);
        drop(core);
        self.log.write(&Line::info(Event::Renewed).with("session", id).with("factors", &renewal.factors));
        Ok(())
    }

    /// When to look next.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<BootTime> {
        self.core().registry.next_deadline()
    }

    /// Looks at every session that is due.
    pub(crate) async fn look_at_due(self: &Arc<Self>) {
        let due = self.core().registry.due(SystemClock.now().boot);
        // One for all: many may fall due together.
        let snapshot = if due.is_empty() { return } else { Snapshot::take_aside().await };
        for id in due {
            self.look_at(id, &snapshot);
            yield_now().await;
        }
    }

    /// Looks at a session and has the registry decide about it.
    pub(crate) fn look(self: &Arc<Self>, id: SessionId) {
        self.look_at(id, &Snapshot::take());
    }

    fn look_at(self: &Arc<Self>, id: SessionId, snapshot: &Snapshot) {
        let mut core = self.core();
        let actions = self.review(&mut core, id, snapshot);
        self.apply(&core, actions);
    }

    /// The same, of which nothing is done yet.
    fn review(&self, core: &mut Core, id: SessionId, snapshot: &Snapshot) -> Vec<Action> {
        let Some(session) = core.registry.find(id).cloned() else { return Vec::new() };
        let now = SystemClock.now();
        let found = members(&session, &core.registry, &core.known, snapshot);
        let look = core.activity.look(&session, &found, snapshot, now);
        if look.has_future_stamp {
            self.log.write(&Line::warning(Event::TtyStampInTheFuture).with("session", id));
        }
        let is_alive = has_targets(&session, &found, (&core.registry, snapshot));
        core.known.note(id, &found, snapshot);
        core.ttys.entry(id).or_default().extend(look.ttys);
        let seen = Seen { basis: look.basis, active_at: look.active_at, is_alive };
        core.registry.review(id, seen, now)
    }

    /// Keeps at once what must be kept, and hands the rest on.
    fn apply(&self, core: &Core, actions: Vec<Action>) {
        let mut kept = BTreeSet::new();
        for action in actions {
            match action {
                // As it is after all of them, so once is enough.
                Action::Persist(id) => {
                    if kept.insert(id)
                        && let Some(session) = core.registry.find(id)
                    {
                        self.keeper().keep(session, SystemClock.now(), &self.log);
                    }
                }
                Action::Archive(ended) => self.archive(core, &ended),
                Action::Warn { .. }
                | Action::Lock(_)
                | Action::Farewell { .. }
                | Action::Strike { .. }
                | Action::AnnounceOpened(_)
                | Action::AnnounceEnding(_)
                | Action::AnnounceClosed(_) => {
                    // The executor lives as long as the daemon does.
                    let _sent = self.todo.send(action);
                }
            }
        }
        self.changed.notify_one();
        self.wake.notify_one();
    }

    fn archive(&self, core: &Core, ended: &Ended) {
        let id = ended.session.id;
        let ttys: Vec<String> = core.ttys.get(&id).into_iter().flatten().map(|tty| tty.name().to_owned()).collect();
        self.keeper().archive(ended, &ttys, &self.log);
        self.ended().note(ended);
        let line = Line::info(Event::Closed)
            .with("session", id)
            .with("user", &ended.session.opening.user)
            .with("reason", ended.reason.as_str())
            .with("by", ended.by.as_deref().unwrap_or("-"))
            .with("message", ended.message.as_deref().unwrap_or("-"));
        self.log.write(&line);
        if let Some(record) = Record::closed(ended) {
            self.audit.tell(record);
        }
    }

    /// Forgets what was remembered of a session that is over.
    pub(crate) fn forget(&self, id: SessionId) {
        let mut core = self.core();
        core.activity.forget(id);
        core.known.forget(id);
        core.ttys.remove(&id);
        drop(core);
        self.over.notify_waiters();
    }

    // A panic elsewhere must not take every later call along: the data are values that are replaced as a whole.
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, EndedLogins> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether anything is left that the session's end would end.
fn has_targets(session: &Session, found: &[ProcessId], (registry, snapshot): (&Registry, &Snapshot)) -> bool {
    let State::Closing(closing) = &session.state else { return !found.is_empty() };
    match (closing.manner, closing.step) {
        // Its leader may be in the scope as well for a while, and is not ended.
        (Manner::Remains, _) => {
            left(session, closing, found, snapshot).next().is_some()
                || !snapshot.runs(process_of(session.leader)) && scope_is_populated(session, registry, snapshot)
        }
        // Before the first signal even a hang-up has everything before it, whether the leader is there or not.
        (Manner::Hangup, None) => !found.is_empty(),
        // What forks and ends all the time is never seen twice, or at all; the kernel knows that its scope is not empty.
        (Manner::Terminate, _) => !found.is_empty() || scope_is_populated(session, registry, snapshot),
        (Manner::Hangup, Some(_)) => {
            snapshot.runs(process_of(session.leader)) || !holders(session, found, snapshot).is_empty()
        }
    }
}
