//! What setups did, on disk before they do it: /var/lib/authflow/setup holds a folder for each, with what stood in every file, and while
//! one waits for its confirmation the file `pending`, by which the roll-back knows that there is something to roll back. Whoever kills
//! setup at any moment finds all of it there.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use authflow_core::time::{BootTime, Clock, Now, WallTime};
use authflow_host::{
    clock::SystemClock,
    file::{FileError, Trust, read_trusted, write_durably},
    process,
};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{plan::Step, service::Service, texts, who::Who};
use crate::error::Error;

const PENDING: &str = "pending";
const MANIFEST: &str = "manifest.json";
const BEFORE: &str = "before";
const CONFIRMED: &str = "confirmed";
const ROLLED_BACK: &str = "rolled-back";

/// Between two tries at the lock.
const PAUSE: Duration = Duration::from_millis(50);

/// The record of all setups.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    folder: PathBuf,
    trust: Trust,
}

/// What one setup is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Setup {
    /// The name of its folder: when it was begun.
    pub name: String,
    /// The services.
    pub services: Vec<Service>,
    /// Whom it protects; `None`: it takes the protection out.
    pub who: Option<Who>,
    /// The changes, in their order.
    pub steps: Vec<Step>,
}

/// A setup that is rolled back unless it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The setup's name.
    pub name: String,
    /// When it is rolled back.
    pub until: WallTime,
    /// Since when all of it is live; `None` while it is being put there.
    pub live: Option<Live>,
    /// Whether it is being taken back, so that there may be but half of it.
    #[serde(default)]
    pub is_going_back: bool,
}

impl Pending {
    /// Whether all of it is there, for somebody to confirm.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some() && !self.is_going_back
    }
}

/// When all of a setup came to be live, by the clock that nobody sets: by one that is set forward meanwhile an older login would look new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Live {
    boot_id: String,
    since: BootTime,
}

impl Live {
    /// Now.
    pub(super) fn now() -> Result<Self, Error> {
        Ok(Self { boot_id: boot_id()?, since: SystemClock.now().boot })
    }

    /// When that was, by the wall clock as it runs now; the daemon tells the times of sessions by the same. What was opened in a later boot
    /// is newer, whatever the clocks say.
    pub(super) fn by_wall_clock(&self) -> Result<WallTime, Error> {
        Ok(self.by_wall_clock_at(&boot_id()?, SystemClock.now()))
    }

    fn by_wall_clock_at(&self, boot_id: &str, now: Now) -> WallTime {
        if self.boot_id == boot_id {
            now.wall.saturating_sub(now.boot.saturating_since(self.since))
        } else {
            WallTime::default()
        }
    }
}

fn boot_id() -> Result<String, Error> {
    process::boot_id().map_err(|error| Error::failed("the id of this boot cannot be read", &error))
}

/// How a setup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody logged in by it.
    Confirmed,
    /// What was there before is there again.
    RolledBack,
}

/// The lock that only one setup, confirmation or roll-back at a time holds.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "held until dropped")] Flock<File>);

impl Ledger {
    /// The one in that folder, of files that `trust` names.
    pub(super) const fn new(folder: PathBuf, trust: Trust) -> Self {
        Self { folder, trust }
    }

    /// Where the files of one setup are as they were, for people.
    pub(super) fn copies_of(&self, name: &str) -> PathBuf {
        self.folder_of(name).join(BEFORE)
    }

    /// Where one setup's files are.
    pub(super) fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes the lock. `None` if others hold it for all of `patience`.
    pub(super) fn lock(&self, patience: Duration) -> Result<Option<Lock>, Error> {
        texts::private_folder(&self.folder)?;
        let path = self.folder.join("lock");
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC;
        let opened =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
        let mut file = opened.map_err(|error| failed(&path, &error))?;
        let mut left = patience;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Some(Lock(lock))),
                Err((_, nix::errno::Errno::EWOULDBLOCK)) if left.is_zero() => return Ok(None),
                Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
                Err((_, error)) => return Err(failed(&path, &error)),
            }
            thread::sleep(PAUSE.min(left));
            left = left.saturating_sub(PAUSE);
        }
    }

    /// Writes down a setup that is about to begin, with a copy of every file for people.
    pub(super) fn begin(
        &self,
        now: WallTime,
        (services, who): (&[Service], Option<&Who>),
        steps: Vec<Step>,
    ) -> Result<Setup, Error> {
        let name = self.new_folder(now)?;
        let (folder, copies) = (self.folder_of(&name), self.copies_of(&name));
        for step in &steps {
            let before = step.before.as_ref().filter(|_| !copies.join(texts::relative(&step.path)).exists());
            if let Some(before) = before {
                texts::keep(&copies, &step.path, before.as_bytes())?;
            }
        }
        let setup = Setup { name, services: services.to_vec(), who: who.cloned(), steps };
        write(&folder, MANIFEST, &setup)?;
        Ok(setup)
    }

    fn new_folder(&self, now: WallTime) -> Result<String, Error> {
        texts::private_folder(&self.folder)?;
        let time = now.to_string().replace(':', "");
        for attempt in 0..100_u8 {
            let name = if attempt == 0 { time.clone() } else { format!("{time}-{attempt:02}") };
            let folder = self.folder_of(&name);
            if !folder.exists() {
                texts::private_folder(&folder)?;
                return Ok(name);
            }
        }
        Err(Error::Failed(format!("{}: too many setups within a second", self.folder.display())))
    }

    /// The setup of that name.
    pub(super) fn setup(&self, name: &str) -> Result<Setup, Error> {
        let folder = self.folder_of(name);
        read(&folder.join(MANIFEST), self.trust)?.ok_or_else(|| {
            Error::Failed(format!("{} has no {MANIFEST}: what stood in the files is not known", folder.display()))
        })
    }

    /// The setup that is to be taken back where [`Ledger::pending`] cannot be read: of those that protect, and of which nobody has said how
    /// they ended, the newest of which something stands in the files. The names alone do not tell, since clocks are set back. Where of none
    /// anything stands as it was put there, it is the newest of all, if that one is not settled.
    pub(super) fn newest_unsettled(&self) -> Result<Option<Setup>, Error> {
        let names: Vec<String> =
            self.names()?.into_iter().filter(|name| self.folder_of(name).join(MANIFEST).exists()).collect();
        let mut last = None;
        for (age, name) in names.iter().rev().enumerate() {
            if self.is_marked(name, CONFIRMED) || self.is_marked(name, ROLLED_BACK) {
                continue;
            }
            let setup = match self.setup(name) {
                Ok(setup) if setup.who.is_some() => setup,
                Err(error) if age == 0 => return Err(error),
                Ok(_) | Err(_) => continue,
            };
            if setup.steps.iter().any(is_taken) {
                return Ok(Some(setup));
            }
            if age == 0 {
                last = Some(setup);
            }
        }
        Ok(last)
    }

    fn is_marked(&self, name: &str, mark: &str) -> bool {
        self.folder_of(name).join(mark).exists()
    }

    /// The names of all setups, the oldest first; and of what else is in the folder.
    fn names(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.folder, &error)),
        };
        let mut names: Vec<String> =
            entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// The setup that waits for its confirmation.
    pub(super) fn pending(&self) -> Result<Option<Pending>, Error> {
        read(&self.folder.join(PENDING), self.trust)
    }

    /// Says that a setup waits for its confirmation.
    pub(super) fn set_pending(&self, pending: &Pending) -> Result<(), Error> {
        write(&self.folder, PENDING, pending)
    }

    /// Takes the word away that one waits, where it cannot be read and none does.
    pub(super) fn forget_pending(&self) -> Result<(), Error> {
        texts::replace(&self.folder.join(PENDING), None)
    }

    /// Says how a setup ended, and that none waits.
    pub(super) fn settle(&self, name: &str, end: End) -> Result<(), Error> {
        let mark = match end {
            End::Confirmed => CONFIRMED,
            End::RolledBack => ROLLED_BACK,
        };
        let folder = self.folder_of(name);
        write_durably(&folder, mark, b"", 0o600).map_err(|error| failed(&folder, &error))?;
        self.forget_pending()
    }

    /// The newest setup that protects, was confirmed and was not rolled back. A removal ends what was set up before it at those services,
    /// also one that was stopped on its way; to take the removal itself back would be a setup that nothing was tried for.
    pub(super) fn newest_standing(&self) -> Result<Option<Setup>, Error> {
        let mut ended = BTreeSet::new();
        for name in self.names()?.iter().rev().filter(|name| !self.is_marked(name, ROLLED_BACK)) {
            let setup = match (self.setup(name), self.is_marked(name, CONFIRMED)) {
                (Ok(setup), true) => setup,
                (Ok(setup), false) if setup.who.is_none() => setup,
                (Ok(_) | Err(_), false) => continue,
                (Err(error), true) => return Err(error),
            };
            if setup.who.is_some() && !setup.services.iter().any(|service| ended.contains(service)) {
                return Ok(Some(setup));
            }
            ended.extend(setup.services);
        }
        Ok(None)
    }
}

/// Whether the step's file stands as it leaves it, and did not before.
fn is_taken(step: &Step) -> bool {
    let there = texts::read_anything(&step.path).ok().flatten();
    step.before != step.after && there.is_some() && texts::as_text(there.as_deref()) == step.after.as_deref()
}

fn write(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(folder, &error))?;
    write_durably(folder, name, &text, 0o600).map_err(|error| failed(folder, &error))
}

fn read<T: DeserializeOwned>(path: &Path, trust: Trust) -> Result<Option<T>, Error> {
    let text = match read_trusted(path, trust) {
        Err(FileError::Missing(_)) => return Ok(None),
        text => text.map_err(|error| failed(path, &error))?,
    };
    serde_json::from_str(&text).map(Some).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::failed(&format!("the record of setups, {}", path.display()), error)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
