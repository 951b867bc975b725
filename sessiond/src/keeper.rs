//! The store behind one promise: the daemon goes on whatever the disk does. What cannot be kept is kept in memory, loudly; and a spare
//! copy of every live session outlives both the daemon and the store.

use std::{
    collections::BTreeMap,
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use authflow_core::{
    session::{Ended, Session, SessionId},
    time::WallTime,
};
use authflow_host::paths::Paths;

use crate::{
    event::Event,
    in_force::InForce,
    log::{Line, Log},
    spare::Spares,
    store::{Row, Store, StoreError},
};

/// The store, and what it has yet to take.
pub(crate) struct Keeper {
    path: PathBuf,
    /// `None` while it cannot be opened.
    store: Option<Store>,
    /// What could be read of a store that could not be opened for writing.
    read_only: Vec<Row>,
    spares: Option<Spares>,
    /// What the store refused, the newest of each session: written as soon as it takes something again.
    owed: BTreeMap<SessionId, Owed>,
    /// How long history is kept. Nothing is removed before that is known.
    retention: Option<Duration>,
}

enum Owed {
    Live(Box<Session>),
    Archive(Box<Ended>, Vec<String>),
}

impl Keeper {
    /// Opens the store and the spare copies. A store that is broken is set aside under another name, so that nobody's evidence is lost.
    #[must_use]
    pub(crate) fn open(paths: &Paths, now: WallTime, log: &Log) -> Self {
        let spares = told(Spares::open(paths), Event::NoSpareCopies, log);
        Self::with(&paths.sessions_db(), spares, now, log)
    }

    fn with(path: &Path, spares: Option<Spares>, now: WallTime, log: &Log) -> Self {
        let store = Store::open(path).or_else(|error| {
            if !error.is_of_the_file() {
                return Err(error);
            }
            log.write(&Line::error(Event::StoreBroken).with("path", path.display()).with("why", &error));
            let aside = aside(path, now);
            std::fs::rename(path, &aside).map_err(|_not_there| error)?;
            log.write(&Line::error(Event::StoreSetAside).with("path", aside.display()));
            Store::open(path)
        });
        match store {
            Ok(store) => Self { store: Some(store), ..Self::without_store(path, spares) },
            Err(error) => {
                log.write(&Line::error(Event::StoreDegraded).with("path", path.display()).with("why", &error));
                // What cannot be written may still be read: sessions must not be lost for a full disk.
                let read_only = Store::live_read_only(path).unwrap_or_default();
                Self { read_only, ..Self::without_store(path, spares) }
            }
        }
    }

    fn without_store(path: &Path, spares: Option<Spares>) -> Self {
        let (path, owed) = (path.to_owned(), BTreeMap::new());
        Self { path, store: None, read_only: Vec::new(), spares, owed, retention: None }
    }

    /// Whether something would not survive a restart.
    #[must_use]
    pub(crate) fn is_degraded(&self) -> bool {
        self.store.is_none() || !self.owed.is_empty()
    }

    /// The live sessions that were kept.
    pub(crate) fn live(&mut self, boot_id: &str, log: &Log) -> Vec<Session> {
        let rows = self.attempt(log, |store| store.live()).unwrap_or_else(|| std::mem::take(&mut self.read_only));
        let mut sessions = BTreeMap::new();
        for row in rows {
            match row {
                Ok(session) => drop(sessions.insert(session.id, session)),
                Err((id, error)) => {
                    log.write(&Line::error(Event::SessionUnreadable).with("session", &id).with("why", &error));
                    self.attempt(log, |store| store.forget(&id));
                }
            }
        }
        for spare in self.spare_copies(boot_id, log) {
            if !sessions.contains_key(&spare.id) {
                log.write(&Line::warning(Event::SessionRebuilt).with("session", spare.id));
            }
            // A copy is made before the store is written to, so it is never the older one.
            if sessions.get(&spare.id) != Some(&spare) {
                self.settle(spare.id, Owed::Live(Box::new(spare.clone())), log);
                sessions.insert(spare.id, spare);
            }
        }
        sessions.into_values().collect()
    }

    /// The spare copies that count. One that is left of a session that is over, or of another boot, is removed.
    fn spare_copies(&mut self, boot_id: &str, log: &Log) -> Vec<Session> {
        let Some(spares) = self.spares.clone() else { return Vec::new() };
        let found = told(spares.all(), Event::NoSpareCopies, log).unwrap_or_default();
        let readable = found.into_iter().filter_map(|copy| told(copy, Event::SpareCopyUnreadable, log));
        let (live, over): (Vec<_>, Vec<_>) = readable.partition(|session| {
            let is_over = self.attempt(log, |store| store.is_over(session.id)).unwrap_or(false);
            session.boot_id == boot_id && !is_over
        });
        for session in over {
            told(spares.remove(session.id), Event::SpareCopyNotRemoved, log);
        }
        live
    }

    /// Keeps a session as it is now.
    pub(crate) fn keep(&mut self, session: &Session, log: &Log) {
        if let Some(spares) = &self.spares {
            told(spares.copy(session), Event::NoSpareCopy, log);
        }
        self.settle(session.id, Owed::Live(Box::new(session.clone())), log);
    }

    /// Moves a session to the history.
    pub(crate) fn archive(&mut self, ended: &Ended, ttys: &[String], log: &Log) {
        self.settle(ended.session.id, Owed::Archive(Box::new(ended.clone()), ttys.to_vec()), log);
        // While the store owes it, the copy is all that a new daemon would find.
        if !self.owed.contains_key(&ended.session.id)
            && let Some(spares) = &self.spares
        {
            told(spares.remove(ended.session.id), Event::SpareCopyNotRemoved, log);
        }
        self.expire(ended.closed.wall, log);
    }

    /// Notes which configuration is in force, and keeps history for as long as it says. What the store refuses is noted the next time, as
    /// it is then.
    pub(crate) fn note_config(&mut self, config: &InForce, now: WallTime, log: &Log) {
        self.retention = config.keep.or(self.retention);
        self.expire(now, log);
        if self.attempt(log, |store| store.note_config(config, now)) == Some(true) {
            log.write(&Line::info(Event::ConfigInForce).with("from", config.origin).with("digest", &config.digest));
        }
    }

    /// Writes this, then what is owed. What the store refuses is owed, in place of what was owed of that session before.
    fn settle(&mut self, id: SessionId, owed: Owed, log: &Log) {
        let was_degraded = self.is_degraded();
        self.owed.insert(id, owed);
        if self.store.is_none() {
            // The disk may have mended. All that changed since is owed, so the file is right again once that is written.
            self.store = told(Store::open(&self.path), Event::StoreDegraded, log);
        }
        while let Some((id, owed)) = self.owed.pop_first() {
            let written = self.attempt(log, |store| match &owed {
                Owed::Live(session) => store.keep(session),
                Owed::Archive(ended, ttys) => store.archive(ended, ttys),
            });
            if written.is_none() {
                self.owed.insert(id, owed);
                return;
            }
        }
        if was_degraded {
            log.write(&Line::warning(Event::StoreRecovered));
        }
    }

    fn expire(&self, now: WallTime, log: &Log) {
        let Some(retention) = self.retention else { return };
        let expired = self.store.as_ref().map(|store| store.expire_history(now.saturating_sub(retention)));
        if let Some(Err(error)) = expired {
            log.write(&Line::warning(Event::HistoryNotExpired).with("why", &error));
        }
    }

    /// Does it, and tells of a disk that does not keep up.
    fn attempt<T>(&mut self, log: &Log, work: impl FnOnce(&mut Store) -> Result<T, StoreError>) -> Option<T> {
        match work(self.store.as_mut()?) {
            Ok(done) => Some(done),
            Err(error) => {
                log.write(&Line::error(Event::StoreDegraded).with("why", &error));
                None
            }
        }
    }
}

/// What it gave, or nothing and a line in the log.
fn told<T, E: Display>(done: Result<T, E>, event: Event, log: &Log) -> Option<T> {
    done.inspect_err(|error| log.write(&Line::error(event).with("why", error))).ok()
}

fn aside(path: &Path, now: WallTime) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".broken-{}", now.as_secs()));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
