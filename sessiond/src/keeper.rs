//! The store behind one promise: the daemon goes on whatever the disk does. What cannot be kept is kept in memory, loudly.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use authflow_core::{
    session::{Ended, Session, SessionId},
    time::WallTime,
};

use crate::{
    log::{Line, Log},
    store::{Store, StoreError},
};

/// How long history is kept.
const RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);

/// The store, or the memory that stands in for it.
pub(crate) struct Keeper {
    store: Option<Store>,
    /// Whether the store is memory that stands in for a file.
    is_memory: bool,
    /// What the store refused, the newest of each session: written as soon as it takes something again.
    owed: BTreeMap<SessionId, Owed>,
}

enum Owed {
    Live(Box<Session>),
    Archive(Box<Ended>, Vec<String>),
}

impl Keeper {
    /// Opens the store. One that is broken is set aside under another name, so that nobody's evidence is lost.
    #[must_use]
    pub(crate) fn open(path: &Path, now: WallTime, log: &Log) -> Self {
        let store = Store::open(path).or_else(|error| {
            if !error.is_of_the_file() {
                return Err(error);
            }
            log.write(&Line::error("store-broken").with("path", path.display()).with("why", &error));
            let aside = aside(path, now);
            std::fs::rename(path, &aside).map_err(|_not_there| error)?;
            log.write(&Line::error("store-set-aside").with("path", aside.display()));
            Store::open(path)
        });
        match store {
            Ok(store) => {
                let keeper = Self { store: Some(store), is_memory: false, owed: BTreeMap::new() };
                keeper.expire(now, log);
                keeper
            }
            Err(error) => {
                log.write(&Line::error("store-degraded").with("path", path.display()).with("why", &error));
                let mut keeper = Self { store: Store::in_memory().ok(), is_memory: true, owed: BTreeMap::new() };
                // What cannot be written may still be read: sessions must not be lost for a full disk.
                let rows = Store::live_read_only(path).unwrap_or_default();
                rows.into_iter().flatten().for_each(|session| keeper.keep(&session, log));
                keeper
            }
        }
    }

    /// Whether something would not survive a restart.
    #[must_use]
    pub(crate) fn is_degraded(&self) -> bool {
        self.is_memory || !self.owed.is_empty()
    }

    /// The live sessions that were kept.
    pub(crate) fn live(&mut self, log: &Log) -> Vec<Session> {
        let rows = self.attempt(log, |store| store.live()).unwrap_or_default();
        let mut sessions = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Ok(session) => sessions.push(session),
                Err((id, error)) => {
                    log.write(&Line::error("session-unreadable").with("session", &id).with("why", &error));
                    self.attempt(log, |store| store.forget(&id));
                }
            }
        }
        sessions
    }

    /// Keeps a session as it is now.
    pub(crate) fn keep(&mut self, session: &Session, log: &Log) {
        self.settle(session.id, Owed::Live(Box::new(session.clone())), log);
    }

    /// Moves a session to the history.
    pub(crate) fn archive(&mut self, ended: &Ended, ttys: &[String], log: &Log) {
        self.settle(ended.session.id, Owed::Archive(Box::new(ended.clone()), ttys.to_vec()), log);
        self.expire(ended.closed.wall, log);
    }

    /// Writes this, then what is owed. What the store refuses is owed, in place of what was owed of that session before.
    fn settle(&mut self, id: SessionId, owed: Owed, log: &Log) {
        let was_degraded = self.is_degraded();
        self.owed.insert(id, owed);
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
        if was_degraded && !self.is_memory {
            log.write(&Line::warning("store-recovered"));
        }
    }

    fn expire(&self, now: WallTime, log: &Log) {
        let expired = self.store.as_ref().map(|store| store.expire_history(now.saturating_sub(RETENTION)));
        if let Some(Err(error)) = expired {
            log.write(&Line::warning("history-not-expired").with("why", &error));
        }
    }

    /// Does it, and tells of a disk that does not keep up.
    fn attempt<T>(&mut self, log: &Log, work: impl FnOnce(&mut Store) -> Result<T, StoreError>) -> Option<T> {
        match work(self.store.as_mut()?) {
            Ok(done) => Some(done),
            Err(error) => {
                log.write(&Line::error("store-degraded").with("why", &error));
                None
            }
        }
    }
}

fn aside(path: &Path, now: WallTime) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".broken-{}", now.as_secs()));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{ended, session};

    #[test]
    fn a_broken_store_is_set_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        let keeper = Keeper::open(&path, WallTime::from_micros(7_000_000), &Log::new(false));
        assert!(!keeper.is_degraded());
        assert!(folder.path().join("sessions.db.broken-7").exists());
    }

    #[test]
    fn what_a_full_disk_refused_is_written_when_there_is_room_again() {
        let (folder, log) = (tempfile::tempdir().unwrap(), Log::new(false));
        let path = folder.path().join("sessions.db");
        let mut keeper = Keeper::open(&path, WallTime::default(), &log);
        keeper.keep(&session(1), &log);
        keeper.store.as_ref().unwrap().be_full(true);
        keeper.keep(&session(2), &log);
        keeper.archive(&ended(1, 50), &[], &log);
        assert!(keeper.is_degraded());
        keeper.store.as_ref().unwrap().be_full(false);
        keeper.keep(&session(3), &log);
        assert!(!keeper.is_degraded());
        drop(keeper);
        let live: Vec<_> = Keeper::open(&path, WallTime::default(), &log).live(&log);
        assert_eq!(live, [session(2), session(3)]);
    }

    #[test]
    fn without_a_place_for_it_the_store_is_memory_and_says_so() {
        let log = Log::new(false);
        let mut keeper = Keeper::open(Path::new("/nonexistent/sessions.db"), WallTime::default(), &log);
        assert!(keeper.is_degraded());
        assert!(keeper.live(&log).is_empty());
    }
}
