//! Hears that accounts may have changed: by their files, by the marks of disabled users, by a new session's user, and every now and then
//! for those in a directory. Has the users of live sessions looked up and judged, and does what comes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use authflow_core::{
    deactivation::{Cause, Seen, Start, User, Verdict, Watch},
    session::{Session, State},
    time::{BootTime, Clock},
};
use authflow_host::{clock::SystemClock, config, file};
use zbus::Connection;

use super::{
    beside::Beside,
    look::{self, Split, Subject, Unknown},
    starts_again,
    sweep::{self, Reach},
};
use crate::{
    changes::{Change, Changes},
    daemon::Daemon,
    event::Event,
    log::{Line, visible},
};

/// What happens within so long is one event: tools write one file after the other.
const PAUSE: Duration = Duration::from_millis(500);

/// The files that say who there is.
const FILES: [&str; 3] = ["passwd", "shadow", "group"];

/// The ending of a disabled user's mark.
const MARK: &str = ".disabled";

/// One look at the machine's own accounts at a time, and one at the others: a directory that hangs holds up its own users only.
static LOCAL: Beside = Beside::new(1);
static DIRECTORY: Beside = Beside::new(1);

/// Follows the accounts of live sessions for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    let changes = watch(&daemon);
    if let Err(why) = &changes {
        daemon.log.write(&Line::error(Event::AccountsUnwatched).with("why", why));
    }
    let mut watcher =
        Watcher { daemon, connection, watch: Watch::default(), local: BTreeSet::new(), told: BTreeMap::new() };
    watcher.recall();
    let mut again = watcher.look_at_all().await;
    let mut looked_at = SystemClock.now().boot;
    loop {
        // From the last look at all, however many sessions are opened meanwhile.
        let recheck = looked_at.saturating_add(watcher.recheck().await);
        let next = again.map_or(recheck, |again| again.min(recheck));
        let opened = tokio::select! {
            biased;
            () = tokio::time::sleep(next.saturating_since(SystemClock.now().boot)) => false,
            () = changed(changes.as_ref().ok()) => false,
            () = watcher.daemon.opened.notified() => true,
        };
        tokio::time::sleep(PAUSE).await;
        again = if opened {
            watcher.look_at_new(again).await
        } else {
            looked_at = SystemClock.now().boot;
            watcher.look_at_all().await
        };
    }
}

struct Watcher {
    daemon: Arc<Daemon>,
    connection: Connection,
    watch: Watch,
    /// The users who were once seen in the machine's own files.
    local: BTreeSet<User>,
    /// What was logged about a user last, so that it is said once.
    told: BTreeMap<User, String>,
}

impl Watcher {
    /// Goes on from what the daemon before this one had seen.
    fn recall(&mut self) {
        let is_seen = |session: &Session| session.account_at_start != Start::default();
        for Session { opening, account_at_start, .. } in self.daemon.sessions_where(is_seen) {
            self.watch.recall(User { uid: opening.uid, name: opening.user }, account_at_start);
        }
    }

    async fn look_at_all(&mut self) -> Option<BootTime> {
        let subjects = self.subjects();
        let live = subjects.keys().cloned().collect();
        self.watch.keep_only(&live);
        self.note_who_waits();
        self.local.retain(|user| live.contains(user));
        self.told.retain(|user, _| live.contains(user));
        self.look_at(subjects.into_values().collect()).await
    }

    /// A login of somebody who has sessions by that rule already tells nothing new.
    async fn look_at_new(&mut self, again: Option<BootTime>) -> Option<BootTime> {
        let is_new = |subject: &Subject| !self.watch.knows(&subject.user, &subject.rules);
        let subjects = self.subjects().into_values().filter(is_new).collect();
        let new = self.look_at(subjects).await;
        [again, new].into_iter().flatten().min()
    }

    /// The users of live sessions.
    fn subjects(&self) -> BTreeMap<User, Subject> {
        let is_live = |session: &Session| session.opening.uid != 0 && !matches!(session.state, State::Closing(_));
        let mut subjects = BTreeMap::new();
        for session in self.daemon.sessions_where(is_live) {
            let user = User { uid: session.opening.uid, name: session.opening.user };
            let was_local = self.local.contains(&user);
            let new = Subject { user: user.clone(), rules: BTreeSet::new(), was_local };
            subjects.entry(user).or_insert(new).rules.insert(session.opening.rule);
        }
        subjects
    }

    async fn look_at(&mut self, subjects: Vec<Subject>) -> Option<BootTime> {
        if subjects.is_empty() {
            return None;
        }
        let paths = self.daemon.paths.clone();
        let split = LOCAL.run(move || look::split(&paths, subjects)).await;
        let Split { at_once, elsewhere } = match split {
            Ok(Ok(split)) => split,
            Ok(Err(why)) => return self.nothing_seen(&why),
            Err(why) => return self.nothing_seen(&why),
        };
        self.local.extend(at_once.iter().filter(|subject| subject.was_local).map(|subject| subject.user.clone()));
        let at_once = self.look_beside(&LOCAL, at_once).await;
        let elsewhere = self.look_beside(&DIRECTORY, elsewhere).await;
        [at_once, elsewhere].into_iter().flatten().min()
    }

    async fn look_beside(&mut self, beside: &'static Beside, subjects: Vec<Subject>) -> Option<BootTime> {
        if subjects.is_empty() {
            return None;
        }
        let paths = self.daemon.paths.clone();
        match beside.run(move || look::look(&paths, &subjects)).await {
            Ok(looked) => {
                let seen: Vec<_> =
                    looked.into_iter().map(|(user, looked)| (user.clone(), self.known_or_told(user, looked))).collect();
                let is_there = |(_, seen): &&(User, Seen)| matches!(seen, Seen::There(_));
                let found: Vec<User> = seen.iter().filter(is_there).map(|(user, _)| user.clone()).collect();
                let new = found.iter().filter(|user| !self.watch.knows(user, &BTreeSet::new())).count();
                let looked_at: Vec<User> = seen.iter().map(|(user, _)| user.clone()).collect();
                let verdict = self.watch.judge(seen, SystemClock.now().boot);
                self.note_who_waits();
                self.note_accounts(&looked_at);
                if new > 0 {
                    self.daemon.log.write(&Line::debug(Event::AccountsFollowed).with("new", new));
                }
                self.tell_what_mended(&found);
                self.carry_out(verdict)
            }
            Err(why) => self.nothing_seen(&why),
        }
    }

    fn nothing_seen(&self, why: &dyn std::fmt::Display) -> Option<BootTime> {
        self.daemon.log.write(&Line::warning(Event::AccountsNotLookedUp).with("why", why));
        None
    }

    fn known_or_told(&mut self, user: User, looked: Result<Seen, Unknown>) -> Seen {
        looked.unwrap_or_else(|why| {
            self.tell_once(user, Event::AccountUnknown, why.to_string());
            Seen::Unknown
        })
    }

    fn carry_out(&mut self, verdict: Verdict) -> Option<BootTime> {
        for (user, cause) in verdict.end {
            self.end(&user, &cause);
        }
        for (user, causes) in verdict.wait {
            let causes = Cause::told(&causes);
            let why = format!(
                "{causes}; too many at once, so nothing is ended: authflow user waiting lists them, authflow user disable or revoke --user ends them"
            );
            self.tell_once(user, Event::DeactivationWaits, why);
        }
        verdict.again
    }

    fn end(&self, user: &User, cause: &Cause) {
        let (daemon, (by, message)) = (&self.daemon, words(cause));
        let ended = match cause {
            Cause::LeftGroup(rule) => daemon.deactivate(user, Some(rule), (None, &message)),
            Cause::Removed | Cause::Expired | Cause::NoShell | Cause::PasswordLocked | Cause::Disabled(_) => {
                let ended = daemon.deactivate(user, None, (by.as_deref(), &message));
                sweep::begin(daemon, &self.connection, (user.clone(), Reach::Everything), drop);
                starts_again::tell(daemon, user.clone());
                ended
            }
        };
        let line = Line::warning(Event::Deactivated).with("user", &user.name).with("uid", user.uid);
        let line = line.with("cause", cause).with("sessions", ended);
        daemon.log.write(&match by {
            Some(by) => line.with("by", by).with("message", message),
            None => line,
        });
    }

    fn note_accounts(&self, looked_at: &[User]) {
        for user in looked_at {
            if let Some(start) = self.watch.start_of(user) {
                self.daemon.note_account(user, start);
            }
        }
    }

    fn note_who_waits(&self) {
        let waiting = self.watch.waiting().map(|(user, causes)| (user.clone(), Cause::told(causes)));
        self.daemon.note_waiting(waiting.collect());
    }

    fn tell_what_mended(&mut self, found: &[User]) {
        let waits: BTreeSet<&User> = self.watch.waiting().map(|(user, _)| user).collect();
        for user in found.iter().filter(|user| !waits.contains(user)) {
            if self.told.remove(user).is_some() {
                let line = Line::info(Event::AccountFoundInOrder).with("user", &user.name).with("uid", user.uid);
                self.daemon.log.write(&line);
            }
        }
    }

    fn tell_once(&mut self, user: User, event: Event, why: String) {
        if self.told.get(&user) != Some(&why) {
            let line = Line::error(event).with("user", &user.name).with("uid", user.uid).with("why", &why);
            self.daemon.log.write(&line);
            self.told.insert(user, why);
        }
    }

    /// How long accounts are left alone that no file tells about. Read each time, so that a new configuration counts.
    async fn recheck(&self) -> Duration {
        let paths = self.daemon.paths.clone();
        let loaded = LOCAL.run(move || config::load(&paths).map(|loaded| loaded.config.accounts)).await;
        loaded.ok().and_then(Result::ok).unwrap_or_default().recheck
    }
}

/// By whom sessions end, if anybody said so, and what their user is told: of a mark that was set while no daemon ran, its own words.
fn words(cause: &Cause) -> (Option<String>, String) {
    if let Cause::Disabled(mark) = cause
        && !mark.by.is_empty()
    {
        return (Some(visible(&mark.by)), visible(&mark.message));
    }
    (None, cause.to_string())
}

fn watch(daemon: &Daemon) -> io::Result<Changes> {
    let states = daemon.paths.state();
    file::ensure_folder(&states, 0o700).map_err(io::Error::other)?;
    Changes::watch(&[daemon.paths.root().join("etc"), states])
}

/// Waits until one of the files changes. Without a watch nothing does, and accounts are looked up by the clock alone.
async fn changed(changes: Option<&Changes>) {
    let Some(changes) = changes else { return std::future::pending().await };
    while !changes.next().await.iter().any(is_about_accounts) {}
}

/// Where the kernel could not keep all, one may have been.
fn is_about_accounts(change: &Change) -> bool {
    change.as_deref().is_none_or(|name| FILES.contains(&name) || name.ends_with(MARK))
}

#[cfg(test)]
mod tests {
    use authflow_core::deactivation::Mark;

    use super::*;

    #[test]
    fn who_was_disabled_while_no_daemon_ran_is_told_what_the_mark_says() {
        let disabled =
            |by: &str| Cause::Disabled(Mark { by: by.to_owned(), message: "call\x1b 4711".to_owned(), uid: None });
        assert_eq!(words(&disabled("root")), (Some("root".to_owned()), "call? 4711".to_owned()));
        assert_eq!(words(&disabled("")), (None, "the account was disabled".to_owned()));
    }
}
