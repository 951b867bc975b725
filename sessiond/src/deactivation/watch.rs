//! Hears that accounts may have changed: by their files, by the marks of disabled users, by a new session's user, and every now and then
//! for those in a directory. Has the users of live sessions looked up and judged, and does what comes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use authflow_core::{
    deactivation::{Cause, Seen, Verdict, Watch},
    session::{Session, State},
    time::{BootTime, Clock},
};
use authflow_host::{clock::SystemClock, config, file};
use rustix::{
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;
use zbus::Connection;

use super::{
    beside::Beside,
    look::{self, Subject, Unknown},
    starts_again,
    sweep::{self, Reach},
};
use crate::{daemon::Daemon, log::Line, readable::readable};

/// What happens within so long is one event: tools write one file after the other.
const PAUSE: Duration = Duration::from_millis(500);

/// The files that say who there is.
const FILES: [&[u8]; 3] = [b"passwd", b"shadow", b"group"];

/// The ending of a disabled user's mark.
const MARK: &[u8] = b".disabled";

/// Room for what the kernel reports at once.
const BUFFER: usize = 4096;

/// One look at the machine's own accounts at a time, and one at the others: a directory that hangs holds up its own users only.
static LOCAL: Beside = Beside::new(1);
static DIRECTORY: Beside = Beside::new(1);

/// Follows the accounts of live sessions for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    let changes = watch(&daemon);
    if let Err(why) = &changes {
        daemon.log.write(&Line::error("accounts-unwatched").with("why", why));
    }
    let mut watcher =
        Watcher { daemon, connection, watch: Watch::default(), local: BTreeSet::new(), told: BTreeMap::new() };
    let mut again = watcher.look_at_all().await;
    loop {
        let recheck = watcher.recheck().await;
        let pause = again.map_or(recheck, |at| at.saturating_since(SystemClock.now().boot).min(recheck));
        let opened = tokio::select! {
            () = changed(changes.as_ref().ok()) => false,
            () = watcher.daemon.opened.notified() => true,
            () = tokio::time::sleep(pause) => false,
        };
        tokio::time::sleep(PAUSE).await;
        again = if opened { watcher.look_at_new(again).await } else { watcher.look_at_all().await };
    }
}

struct Watcher {
    daemon: Arc<Daemon>,
    connection: Connection,
    watch: Watch,
    /// The users who were once seen in the machine's own files.
    local: BTreeSet<u32>,
    /// What was logged about a user last, so that it is said once.
    told: BTreeMap<u32, String>,
}

impl Watcher {
    async fn look_at_all(&mut self) -> Option<BootTime> {
        let subjects = self.subjects();
        let live = subjects.keys().copied().collect();
        self.watch.keep_only(&live);
        self.note_who_waits();
        self.local.retain(|uid| live.contains(uid));
        self.told.retain(|uid, _| live.contains(uid));
        self.look_at(subjects.into_values().collect()).await
    }

    /// A login of somebody who has sessions already tells nothing new.
    async fn look_at_new(&mut self, again: Option<BootTime>) -> Option<BootTime> {
        let subjects = self.subjects().into_values().filter(|subject| !self.watch.knows(subject.uid)).collect();
        let new = self.look_at(subjects).await;
        [again, new].into_iter().flatten().min()
    }

    /// The users of live sessions.
    fn subjects(&self) -> BTreeMap<u32, Subject> {
        let is_live = |session: &Session| session.opening.uid != 0 && !matches!(session.state, State::Closing(_));
        let mut subjects = BTreeMap::new();
        for session in self.daemon.sessions_where(is_live) {
            let uid = session.opening.uid;
            let was_local = self.local.contains(&uid);
            let new = || Subject { uid, name: session.opening.user, rules: BTreeSet::new(), was_local };
            subjects.entry(uid).or_insert_with(new).rules.insert(session.opening.rule);
        }
        subjects
    }

    async fn look_at(&mut self, subjects: Vec<Subject>) -> Option<BootTime> {
        if subjects.is_empty() {
            return None;
        }
        let paths = self.daemon.paths.clone();
        let split = LOCAL.run(move || look::split(&paths, subjects)).await;
        let (local, others) = match split {
            Ok(Ok(split)) => split,
            Ok(Err(why)) => return self.nothing_seen(&why),
            Err(why) => return self.nothing_seen(&why),
        };
        self.local.extend(local.iter().map(|subject| subject.uid));
        let local = self.look_beside(&LOCAL, local).await;
        let others = self.look_beside(&DIRECTORY, others).await;
        [local, others].into_iter().flatten().min()
    }

    async fn look_beside(&mut self, beside: &'static Beside, subjects: Vec<Subject>) -> Option<BootTime> {
        if subjects.is_empty() {
            return None;
        }
        let paths = self.daemon.paths.clone();
        match beside.run(move || look::look(&paths, &subjects)).await {
            Ok(looked) => {
                let seen: Vec<_> =
                    looked.into_iter().map(|(uid, looked)| (uid, self.known_or_told(uid, looked))).collect();
                let found: Vec<u32> =
                    seen.iter().filter(|(_, seen)| matches!(seen, Seen::There(_))).map(|(uid, _)| *uid).collect();
                let new = found.iter().filter(|uid| !self.watch.knows(**uid)).count();
                let verdict = self.watch.judge(seen, SystemClock.now().boot);
                self.note_who_waits();
                if new > 0 {
                    self.daemon.log.write(&Line::debug("accounts-followed").with("new", new));
                }
                self.tell_what_mended(&found, &verdict);
                self.carry_out(verdict)
            }
            Err(why) => self.nothing_seen(&why),
        }
    }

    fn nothing_seen(&self, why: &dyn std::fmt::Display) -> Option<BootTime> {
        self.daemon.log.write(&Line::warning("accounts-not-looked-up").with("why", why));
        None
    }

    fn known_or_told(&mut self, uid: u32, looked: Result<Seen, Unknown>) -> Seen {
        looked.unwrap_or_else(|why| {
            self.tell_once(uid, "account-unknown", why.to_string());
            Seen::Unknown
        })
    }

    fn carry_out(&mut self, verdict: Verdict) -> Option<BootTime> {
        for (uid, cause) in verdict.end {
            self.end(uid, &cause);
        }
        for (uid, cause) in verdict.wait {
            let why = format!(
                "{cause}; too many at once, so nothing is ended: authflow user waiting lists them, authflow user disable or revoke --user ends them"
            );
            self.tell_once(uid, "deactivation-waits", why);
        }
        verdict.again
    }

    fn end(&self, uid: u32, cause: &Cause) {
        let (daemon, message) = (&self.daemon, cause.to_string());
        let ended = match cause {
            Cause::LeftGroup(rule) => daemon.deactivate(uid, Some(rule), (None, &message)),
            Cause::Removed | Cause::Expired | Cause::NoShell | Cause::PasswordLocked | Cause::Disabled => {
                let ended = daemon.deactivate(uid, None, (None, &message));
                sweep::begin(daemon, &self.connection, uid, Reach::Everything);
                starts_again::tell(daemon, uid, daemon.user_of(uid));
                ended
            }
        };
        let line = Line::warning("deactivated").with("uid", uid).with("cause", cause).with("sessions", ended);
        daemon.log.write(&line);
    }

    fn note_who_waits(&self) {
        let words = |causes: &[Cause]| causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.daemon.note_waiting(self.watch.waiting().map(|(uid, causes)| (uid, words(causes))).collect());
    }

    fn tell_what_mended(&mut self, found: &[u32], verdict: &Verdict) {
        for uid in found.iter().filter(|uid| verdict.wait.iter().all(|(waits, _)| waits != *uid)) {
            if self.told.remove(uid).is_some() {
                self.daemon.log.write(&Line::info("account-found-in-order").with("uid", uid));
            }
        }
    }

    fn tell_once(&mut self, uid: u32, event: &str, why: String) {
        if self.told.get(&uid) != Some(&why) {
            self.daemon.log.write(&Line::error(event).with("uid", uid).with("why", &why));
            self.told.insert(uid, why);
        }
    }

    /// How long accounts are left alone that no file tells about. Read each time, so that a new configuration counts.
    async fn recheck(&self) -> Duration {
        let paths = self.daemon.paths.clone();
        let loaded = LOCAL.run(move || config::load(&paths).map(|loaded| loaded.config.accounts)).await;
        loaded.ok().and_then(Result::ok).unwrap_or_default().recheck
    }
}

fn watch(daemon: &Daemon) -> io::Result<AsyncFd<OwnedFd>> {
    let states = daemon.paths.state();
    file::ensure_folder(&states, 0o700).map_err(io::Error::other)?;
    let changes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let written = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
    for folder in [daemon.paths.root().join("etc"), states] {
        inotify::add_watch(&changes, &folder, written)?;
    }
    readable(changes)
}

/// Waits until one of the files changes. Without a watch nothing does, and accounts are looked up by the clock alone.
async fn changed(changes: Option<&AsyncFd<OwnedFd>>) {
    let Some(changes) = changes else { return std::future::pending().await };
    loop {
        let Ok(mut ready) = changes.readable().await else { return std::future::pending().await };
        let is_about_accounts = drain(changes);
        ready.clear_ready();
        if is_about_accounts {
            return;
        }
    }
}

/// Takes all events; tells whether one is about accounts. Where the kernel could not keep all, one may have been.
fn drain(changes: &AsyncFd<OwnedFd>) -> bool {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(changes.get_ref(), &mut buffer);
    let mut is_about_accounts = false;
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(std::ffi::CStr::to_bytes);
                is_about_accounts |= name.is_none_or(|name| FILES.contains(&name) || name.ends_with(MARK));
            }
            Err(Errno::INTR) => {}
            Err(_nothing_more) => return is_about_accounts,
        }
    }
}
