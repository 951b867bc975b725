//! The store behind one promise: the daemon goes on whatever the disk does. What cannot be kept is kept in memory, loudly; and a spare
//! copy of every live session outlives both the daemon and the store.

use std::{
    collections::BTreeMap,
    fmt::Display,
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use authflow_core::{
    session::{Ended, Session, SessionId},
    time::{BootTime, Now},
};
use authflow_host::paths::Paths;

use crate::{
    event::Event,
    in_force::InForce,
    log::{Line, Log},
    spare::Spares,
    store::{Store, StoreError, set_aside},
};

/// A disk that breaks each new store must not be filled with broken ones.
const BETWEEN_NEW_STORES: Duration = Duration::from_secs(10 * 60);

/// The store, and what it has yet to take.
pub(crate) struct Keeper {
    path: PathBuf,
    boot_id: String,
    /// `None` while it cannot be opened.
    store: Option<Store>,
    /// What could be read of a store that could not be opened for writing.
    read_only: Vec<Session>,
    spares: Option<Spares>,
    /// What the store refused, the newest of each session: written as soon as it takes something again.
    owed: BTreeMap<SessionId, Owed>,
    /// Whether the log has it that the store takes nothing. A line for each refusal would fill the disk that is full.
    is_told: bool,
    /// When a broken store last had to give way.
    gave_way: Option<BootTime>,
    /// Which configuration is in force.
    config: Option<InForce>,
    /// How long history is kept. Nothing is removed before that is known.
    retention: Option<Duration>,
}

#[derive(Clone)]
enum Owed {
    Live(Box<Session>),
    Archive(Box<Ended>, Vec<String>),
}

impl Keeper {
    /// Opens the store and the spare copies. A store that is broken is set aside under another name, so that nobody's evidence is lost.
    #[must_use]
    pub(crate) fn open(paths: &Paths, boot_id: &str, now: Now, log: &Log) -> Self {
        let spares = told(Spares::open(paths), Event::NoSpareCopies, log);
        Self::with(&paths.sessions_db(), spares, boot_id, now, log)
    }

    fn with(path: &Path, spares: Option<Spares>, boot_id: &str, now: Now, log: &Log) -> Self {
        let mut keeper = Self {
            path: path.to_owned(),
            boot_id: boot_id.to_owned(),
            store: None,
            read_only: Vec::new(),
            spares,
            owed: BTreeMap::new(),
            is_told: false,
            gave_way: None,
            config: None,
            retention: None,
        };
        keeper.open_store(now, log);
        if keeper.store.is_none() {
            // What cannot be written may still be read: sessions must not be lost for a full disk.
            keeper.read_only = Store::readable(path);
        }
        keeper
    }

    /// Whether something would not survive a restart.
    #[must_use]
    pub(crate) fn is_degraded(&self) -> bool {
        self.store.is_none() || !self.owed.is_empty()
    }

    /// The live sessions that were kept.
    pub(crate) fn live(&mut self, now: Now, log: &Log) -> Vec<Session> {
        let rows = self.attempt(now, log, |store| store.live()).unwrap_or_default();
        // Owed already is what could be read of a store that gave way.
        let owed: Vec<_> = self.owed.values().filter_map(Owed::live).cloned().collect();
        let mut sessions = BTreeMap::new();
        for row in rows.into_iter().chain(mem::take(&mut self.read_only).into_iter().map(Ok)) {
            match row {
                Ok(session) => drop(sessions.insert(session.id, session)),
                Err((id, error)) => {
                    log.write(&Line::error(Event::SessionUnreadable).with("session", &id).with("why", &error));
                    self.attempt(now, log, |store| store.forget(&id));
                }
            }
        }
        for spare in self.spare_copies(now, log) {
            if !sessions.contains_key(&spare.id) {
                log.write(&Line::warning(Event::SessionRebuilt).with("session", spare.id));
            }
            // A copy is made before the store is written to, so it is never the older one.
            if sessions.get(&spare.id) != Some(&spare) {
                self.settle(spare.id, Owed::Live(Box::new(spare.clone())), now, log);
                sessions.insert(spare.id, spare);
            }
        }
        for session in owed {
            sessions.entry(session.id).or_insert(session);
        }
        self.pay(now, log);
        sessions.into_values().collect()
    }

    /// The spare copies that count. One that is left of a session that is over, or of another boot, is removed.
    fn spare_copies(&mut self, now: Now, log: &Log) -> Vec<Session> {
        let Some(spares) = self.spares.clone() else { return Vec::new() };
        let found = told(spares.all(), Event::NoSpareCopies, log).unwrap_or_default();
        let readable = found.into_iter().filter_map(|copy| told(copy, Event::SpareCopyUnreadable, log));
        let (live, over): (Vec<_>, Vec<_>) = readable.partition(|session| {
            let is_over = self.attempt(now, log, |store| store.is_over(session.id)).unwrap_or(false);
            session.boot_id == self.boot_id && !is_over
        });
        for session in over {
            told(spares.remove(session.id), Event::SpareCopyNotRemoved, log);
        }
        live
    }

    /// Keeps a session as it is now.
    pub(crate) fn keep(&mut self, session: &Session, now: Now, log: &Log) {
        if let Some(spares) = &self.spares {
            told(spares.copy(session), Event::NoSpareCopy, log);
        }
        self.settle(session.id, Owed::Live(Box::new(session.clone())), now, log);
    }

    /// Moves a session to the history.
    pub(crate) fn archive(&mut self, ended: &Ended, ttys: &[String], log: &Log) {
        let now = ended.closed;
        self.settle(ended.session.id, Owed::Archive(Box::new(ended.clone()), ttys.to_vec()), now, log);
        // While the store owes it, the copy is all that a new daemon would find.
        if !self.owed.contains_key(&ended.session.id)
            && let Some(spares) = &self.spares
        {
            told(spares.remove(ended.session.id), Event::SpareCopyNotRemoved, log);
        }
        self.expire(now, log);
    }

    /// Notes which configuration is in force, and keeps history for as long as it says. What the store refuses is noted the next time, as
    /// it is then.
    pub(crate) fn note_config(&mut self, config: InForce, now: Now, log: &Log) {
        self.retention = config.keep.or(self.retention);
        self.expire(now, log);
        if self.attempt(now, log, |store| store.note_config(&config, now.wall)) == Some(true) {
            log.write(&Line::info(Event::ConfigInForce).with("from", config.origin).with("digest", &config.digest));
        }
        self.config = Some(config);
        self.pay(now, log);
    }

    /// Takes note that a look through the store that was there when the daemon started found it so.
    pub(crate) fn looked_through(&mut self, why: &StoreError, now: Now, log: &Log) {
        // If that store has given way since, the one that is there now has nothing to do with it.
        if self.gave_way.is_none() && self.gives_way(why, now, log) {
            self.pay(now, log);
        }
    }

    /// Writes this and what else is owed. What the store refuses is owed, in place of what was owed of that session before.
    fn settle(&mut self, id: SessionId, owed: Owed, now: Now, log: &Log) {
        self.owed.insert(id, owed);
        self.pay(now, log);
    }

    /// Writes what is owed, if anything is.
    fn pay(&mut self, now: Now, log: &Log) {
        if self.owed.is_empty() {
            return;
        }
        if self.store.is_none() {
            // The disk may have mended. All that changed since is owed, so the file is right again once that is written.
            self.open_store(now, log);
        }
        while let Some((id, owed)) = self.owed.first_key_value().map(|(id, owed)| (*id, owed.clone())) {
            let written = self.attempt(now, log, |store| match &owed {
                Owed::Live(session) => store.keep(session),
                Owed::Archive(ended, ttys) => store.archive(ended, ttys),
            });
            if written.is_none() {
                return;
            }
            // Not before: a new store is owed what is live, and must not be owed what is over.
            self.owed.remove(&id);
        }
        if mem::take(&mut self.is_told) {
            log.write(&Line::warning(Event::StoreRecovered));
        }
    }

    fn expire(&mut self, now: Now, log: &Log) {
        let Some(retention) = self.retention else { return };
        let expired = self.store.as_ref().map(|store| store.expire_history(now.wall.saturating_sub(retention)));
        let Some(Err(error)) = expired else { return };
        if self.gives_way(&error, now, log) {
            self.pay(now, log);
        } else if !self.is_told {
            log.write(&Line::warning(Event::HistoryNotExpired).with("why", &error));
        }
    }

    /// Does it, in a new store where the one that is there turns out to be broken, and tells of a disk that does not keep up.
    fn attempt<T>(&mut self, now: Now, log: &Log, work: impl Fn(&mut Store) -> Result<T, StoreError>) -> Option<T> {
        self.replace_one_that_is_gone(now, log);
        let done = match work(self.store.as_mut()?) {
            Err(error) if self.gives_way(&error, now, log) => work(self.store.as_mut()?),
            done => done,
        };
        done.inspect_err(|error| self.tell(error, log)).ok()
    }

    /// Opens the store, or a new one in place of one that is broken.
    fn open_store(&mut self, now: Now, log: &Log) {
        match Store::open(&self.path) {
            Ok(store) => self.store = Some(store),
            Err(error) => {
                if !self.gives_way(&error, now, log) {
                    self.tell(&error, log);
                }
            }
        }
    }

    /// Whether a new store is there in place of one that is broken. It is owed all that is known to be live.
    fn gives_way(&mut self, why: &StoreError, now: Now, log: &Log) -> bool {
        let is_too_soon = self.gave_way.is_some_and(|at| now.boot.saturating_since(at) < BETWEEN_NEW_STORES);
        if is_too_soon || !why.is_of_the_file() {
            return false;
        }
        self.gave_way = Some(now.boot);
        log.write(&Line::error(Event::StoreBroken).with("path", self.path.display()).with("why", why));
        // SQLite moves what its journal holds into the file as it closes it.
        self.store = None;
        self.owe_all_that_is_live(Store::readable(&self.path));
        match set_aside(&self.path, now.wall) {
            Ok(aside) => log.write(&Line::error(Event::StoreSetAside).with("path", aside.display())),
            Err(error) => {
                self.tell(format_args!("it cannot be set aside: {error}"), log);
                return false;
            }
        }
        self.open_new_store(now, log);
        self.store.is_some()
    }

    /// Begins anew where somebody has removed, moved or replaced the file of the store that is open: only this daemon knows what it holds.
    fn replace_one_that_is_gone(&mut self, now: Now, log: &Log) {
        let Some(store) = self.store.take_if(|store| store.is_gone_from(&self.path)) else { return };
        log.write(&Line::error(Event::StoreGone).with("path", self.path.display()));
        let kept = store.live();
        store.close_whole();
        let is_all_known = kept.is_ok();
        self.owe_all_that_is_live(kept.unwrap_or_default().into_iter().flatten().collect());
        self.open_new_store(now, log);
        if is_all_known {
            self.forget_what_is_over();
        }
    }

    /// An older copy of the store that was put in its place has sessions of this boot as live that have ended since: all that live are owed.
    fn forget_what_is_over(&self) {
        let Some(store) = &self.store else { return };
        let rows = store.live().unwrap_or_default().into_iter().flatten();
        for over in rows.filter(|row| row.boot_id == self.boot_id && !self.owed.contains_key(&row.id)) {
            let _it_ends_with_the_next_daemon = store.forget(&over.id.to_string());
        }
    }

    fn open_new_store(&mut self, now: Now, log: &Log) {
        let opened = Store::open(&self.path).inspect_err(|error| self.tell(error, log));
        self.store = opened.ok();
        if let (Some(store), Some(config)) = (&self.store, &self.config) {
            let _it_is_noted_the_next_time = store.note_config(config, now.wall);
        }
    }

    /// Owes the store all sessions that live: those that it kept, as far as they could be read, and the copies.
    fn owe_all_that_is_live(&mut self, kept: Vec<Session>) {
        let copies = self.spares.as_ref().and_then(|spares| spares.all().ok()).unwrap_or_default();
        let copies = copies.into_iter().flatten().filter(|copy| copy.boot_id == self.boot_id);
        // A copy is never the older one, and what is owed is the newest.
        for session in copies.chain(kept) {
            self.owed.entry(session.id).or_insert_with(|| Owed::Live(Box::new(session)));
        }
    }

    /// Tells once of a store that takes nothing, until it does.
    fn tell(&mut self, why: impl Display, log: &Log) {
        if !mem::replace(&mut self.is_told, true) {
            log.write(&Line::error(Event::StoreDegraded).with("path", self.path.display()).with("why", why));
        }
    }
}

impl Owed {
    fn live(&self) -> Option<&Session> {
        match self {
            Self::Live(session) => Some(session),
            Self::Archive(..) => None,
        }
    }
}

/// What it gave, or nothing and a line in the log.
fn told<T, E: Display>(done: Result<T, E>, event: Event, log: &Log) -> Option<T> {
    done.inspect_err(|error| log.write(&Line::error(event).with("why", error))).ok()
}

#[cfg(test)]
mod tests;
