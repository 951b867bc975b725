//! Carries the registry's actions out, in order: words to terminals, signals to processes, announcements to the bus.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::Duration,
};

use authflow_bus::session_path;
use authflow_core::{
    session::{Action, EndReason, Manner, Session, SessionId, State, Step},
    time::{BootTime, Clock, WallTime},
};
use authflow_host::{clock::SystemClock, process::ProcessId};
use rustix::process::Signal;
use tokio::sync::mpsc;
use zbus::Connection;

use crate::{
    bus::{Announcement, announce, serve_session, withdraw_session},
    daemon::{Daemon, Inspected},
    desktop,
    event::Event,
    holders::holders,
    leader::{Held, process_of},
    log::{Line, visible},
    remains::left,
    snapshot::Snapshot,
    tty::Tty,
};

/// How often the last step looks for processes that were born meanwhile, before it waits for the next one.
const MOST_PASSES: usize = 32;

/// How many actions are carried out before what they have in common is.
const AT_ONCE: usize = 256;

/// Carries out what comes through `todo`, for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection, mut todo: mpsc::UnboundedReceiver<Action>) {
    let (mut seen, mut actions) = (Seen::default(), Vec::new());
    while todo.recv_many(&mut actions, AT_ONCE).await > 0 {
        let mut killed = Vec::new();
        for action in actions.drain(..) {
            if let Action::Strike { id, manner, step: Step::Kill } = action {
                killed.push((id, manner));
                continue;
            }
            carry_out(&daemon, &connection, action, &mut seen).await;
            // The loop is everybody's: a login must not wait for a thousand ends.
            tokio::task::yield_now().await;
        }
        kill(&daemon, &killed).await;
        if todo.is_empty() {
            seen = Seen::default();
        }
    }
}

/// A look at all processes that actions share: it is dear, and many sessions may end together. What is signalled by it is made sure of once
/// more; the last step, which must find what was born meanwhile, looks for itself.
#[derive(Default)]
struct Seen(Option<Look>);

struct Look {
    snapshot: Snapshot,
    until: BootTime,
}

impl Seen {
    /// How long a look is shared at least.
    const AT_LEAST: Duration = Duration::from_millis(250);

    /// One that took long is shared longer, or a machine with many processes would do nothing but look.
    const TIMES_ITS_COST: u32 = 3;

    async fn now(&mut self) -> &Snapshot {
        let began = SystemClock.now().boot;
        let fresh = self.0.take().filter(|look| began < look.until);
        let look = match fresh {
            Some(look) => look,
            None => {
                let snapshot = Snapshot::take_aside().await;
                let cost = SystemClock.now().boot.saturating_since(began);
                let shared_for = cost.saturating_mul(Self::TIMES_ITS_COST).max(Self::AT_LEAST);
                Look { snapshot, until: began.saturating_add(shared_for) }
            }
        };
        &self.0.insert(look).snapshot
    }
}

async fn carry_out(daemon: &Arc<Daemon>, connection: &Connection, action: Action, seen: &mut Seen) {
    match action {
        Action::Warn { id, limit, left } => warn(daemon, seen.now().await, (id, limit, left)),
        Action::Lock(id) => desktop::lock(daemon, connection, id),
        Action::Farewell { id, reason, message } => {
            farewell(daemon, seen.now().await, id, (reason, message.as_deref()));
        }
        Action::Strike { id, manner, step } => {
            let struck = strike(daemon, seen.now().await, (id, manner, step), &BTreeMap::new());
            note_struck(daemon, id, step, struck);
        }
        Action::AnnounceOpened(id) => {
            serve_session(connection, daemon, id).await;
            announce(connection, Announcement::Opened, id).await;
        }
        Action::AnnounceEnding(id) => announce(connection, Announcement::Ending, id).await,
        Action::AnnounceClosed(id) => {
            daemon.forget(id);
            withdraw_session(connection, &session_path(&id.to_string())).await;
            announce(connection, Announcement::Closed, id).await;
        }
        // The daemon keeps these itself, before anything else happens.
        Action::Persist(_) | Action::Archive(_) => {}
    }
}

fn warn(daemon: &Daemon, snapshot: &Snapshot, (id, limit, left): (SessionId, EndReason, Duration)) {
    let Some(Inspected { session, ttys, .. }) = daemon.inspect(id, snapshot) else { return };
    let in_words = in_words(left);
    daemon
        .log
        .write(&Line::info(Event::Warned).with("session", id).with("limit", limit.as_str()).with("left", &in_words));
    let end = format!("{in_words} ({})", minute(SystemClock.now().wall.saturating_add(left)));
    tell(daemon, &ttys, &warning(&session, limit, &end));
}

/// What will happen, and what its user can do about it. Only who authenticated can do so again.
fn warning(session: &Session, limit: EndReason, end: &str) -> String {
    if limit == EndReason::Idle {
        format!("authflow: nobody is using this session; it ends in {end}. Press a key to keep it.")
    } else if session.opening.uid == session.opening.target_uid {
        format!(
            "authflow: this session ends in {end}: its login is too old. Run `authflow renew` to keep it, or save your work."
        )
    } else {
        format!("authflow: this session ends in {end}: its login is too old. Save your work.")
    }
}

fn farewell(daemon: &Daemon, snapshot: &Snapshot, id: SessionId, (reason, message): (EndReason, Option<&str>)) {
    let Some(Inspected { ttys, session, .. }) = daemon.inspect(id, snapshot) else { return };
    let is_ordered = matches!(&session.state, State::Closing(closing) if closing.by.is_some());
    daemon.log.write(&Line::info(Event::Ending).with("session", id).with("reason", reason.as_str()));
    // Who left by himself needs no farewell: on a console the next one sits there.
    if session.is_left_by_its_leader() {
        return;
    }
    tell(daemon, &ttys, &format!("authflow: this session ends now: {}.", last_words(reason, is_ordered, message)));
}

/// Why it ends. What the daemon itself saw of the account is the message, and the whole truth: an account whose user left a group goes on.
fn last_words(reason: EndReason, is_ordered: bool, message: Option<&str>) -> String {
    let why = match reason {
        EndReason::Deactivated if !is_ordered => {
            return message.map_or_else(|| "the account may no more be used".to_owned(), visible);
        }
        EndReason::Idle => "nobody used it",
        EndReason::Lifetime => "its login is too old",
        EndReason::Revoked => "it was revoked",
        EndReason::Deactivated => "the account is disabled",
        EndReason::Superseded => "a newer session took its place",
        EndReason::Logout => "it was logged out",
        EndReason::LeaderExited | EndReason::Reboot => "its login is over",
    };
    let words = message.map(|message| format!(" ({})", visible(message))).unwrap_or_default();
    format!("{why}{words}")
}

/// Tells these sessions something on their terminals, all found by one look at the machine.
pub(crate) fn tell_sessions(daemon: &Daemon, ids: &[SessionId], text: &str) {
    tell(daemon, &daemon.ttys_of(ids), &visible(text));
}

fn tell(daemon: &Daemon, ttys: &BTreeSet<Tty>, text: &str) {
    daemon.will_tell(ttys);
    for tty in ttys {
        tty.tell(text);
    }
}

/// Processes that were struck, each still held.
type Struck = BTreeMap<ProcessId, Held>;

/// The last step of sessions' ends. What is told to end may fork before it does: all are looked at again until nothing new is found.
async fn kill(daemon: &Arc<Daemon>, sessions: &[(SessionId, Manner)]) {
    let mut struck: Vec<(SessionId, Manner, Struck)> =
        sessions.iter().map(|(id, manner)| (*id, *manner, Struck::new())).collect();
    let mut found_some = !struck.is_empty();
    for _ in 0..MOST_PASSES {
        if !found_some {
            break;
        }
        found_some = false;
        let snapshot = Snapshot::take_aside().await;
        for (id, manner, before) in &mut struck {
            let new = strike(daemon, &snapshot, (*id, *manner, Step::Kill), before);
            found_some |= !new.is_empty();
            before.extend(new);
            tokio::task::yield_now().await;
        }
    }
    for (id, _, struck) in struck {
        note_struck(daemon, id, Step::Kill, struck);
    }
}

/// Signals what this step is for and was not struck `before`; gives what it signalled.
fn strike(
    daemon: &Daemon,
    snapshot: &Snapshot,
    (id, manner, step): (SessionId, Manner, Step),
    before: &Struck,
) -> Struck {
    let Some(found) = daemon.inspect(id, snapshot) else { return Struck::new() };
    let is_whole = match manner {
        Manner::Terminate => true,
        Manner::Remains => !snapshot.runs(process_of(found.session.leader)),
        Manner::Hangup => false,
    };
    if is_whole && step == Step::Kill {
        kill_scope(daemon, &found.session, snapshot);
    }
    let targets = targets((&found, snapshot), manner, step).into_iter().filter(|target| !before.contains_key(target));
    let seen = targets.filter_map(|target| Some((snapshot.find(target.pid)?, target)));
    let held = Held::all_there(seen).into_iter();
    held.map(|held| {
        signal(&held, step);
        (held.id(), held)
    })
    .collect()
}

fn note_struck(daemon: &Arc<Daemon>, id: SessionId, step: Step, struck: Struck) {
    daemon.log.write(
        &Line::info(Event::Struck).with("session", id).with("step", step_word(step)).with("processes", struck.len()),
    );
    daemon.look_when_gone(id, struck.into_values().collect());
}

/// The processes that this step of an end is for.
fn targets((found, snapshot): (&Inspected, &Snapshot), manner: Manner, step: Step) -> Vec<ProcessId> {
    let Inspected { session, members, ttys } = found;
    let leader = process_of(session.leader);
    // A tmux server has terminals of its own for what runs in it, and left the leader's family: it lives on with all of them.
    let family = snapshot.descendants(leader.pid);
    let hangs_on_a_tty = |member: &ProcessId| {
        let tty = snapshot.find(member.pid).and_then(|process| Tty::of_device(process.tty));
        let is_of_the_family = || family.contains(&member.pid) || !snapshot.runs(leader);
        tty.is_some_and(|tty| ttys.contains(&tty)) && is_of_the_family()
    };
    let left: BTreeSet<ProcessId> = match &session.state {
        State::Closing(closing) if manner == Manner::Remains => left(session, closing, members, snapshot).collect(),
        State::Closing(_) | State::Active | State::Orphaned => BTreeSet::new(),
    };
    let holders = match (manner, step) {
        (Manner::Hangup, Step::Term | Step::Kill) => holders(session, members, snapshot),
        (Manner::Hangup, Step::Hangup) | (Manner::Terminate | Manner::Remains, _) => BTreeSet::new(),
    };
    let is_target = |member: &&ProcessId| match (manner, step) {
        (Manner::Terminate, _) => true,
        (Manner::Remains, _) => left.contains(*member),
        // What detached itself from the terminal lives on; what ignores the hang-up and keeps the terminal does not.
        (Manner::Hangup, Step::Hangup) => **member == leader || hangs_on_a_tty(member),
        (Manner::Hangup, Step::Term | Step::Kill) => **member == leader || holders.contains(*member),
    };
    members.iter().filter(is_target).copied().collect()
}

fn signal(held: &Held, step: Step) {
    held.signal(match step {
        Step::Hangup => Signal::HUP,
        Step::Term => Signal::TERM,
        Step::Kill => Signal::KILL,
    });
    // A stopped process hears nothing else.
    held.signal(Signal::CONT);
}

/// Ends a scope as a whole, which no fork escapes. It is the session's own: logind names our leader as its leader, and nobody else logged in
/// from there.
fn kill_scope(daemon: &Daemon, session: &Session, snapshot: &Snapshot) {
    if let Some(scope) = daemon.whole_scope(session, snapshot) {
        let _no_such_cgroup = fs::write(format!("/sys/fs/cgroup{scope}/cgroup.kill"), "1");
    }
}

const fn step_word(step: Step) -> &'static str {
    match step {
        Step::Hangup => "hangup",
        Step::Term => "term",
        Step::Kill => "kill",
    }
}

fn in_words(left: Duration) -> String {
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

/// The time of day, as the notice at the login writes it: the daemon knows no user's time zone.
fn minute(at: WallTime) -> String {
    let text = at.to_string();
    text.get(11..16).map_or_else(|| text.clone(), |time| format!("{time} UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_told_in_seconds_then_minutes() {
        assert_eq!(in_words(Duration::from_millis(4200)), "5 s");
        assert_eq!(in_words(Duration::from_secs(120)), "2 min");
    }

    #[test]
    fn an_account_that_goes_on_is_not_called_disabled() {
        let left = "the user is in no group of the rule ssh any more";
        assert_eq!(last_words(EndReason::Deactivated, false, Some(left)), left);
        assert_eq!(last_words(EndReason::Deactivated, true, Some("call 4711")), "the account is disabled (call 4711)");
        assert_eq!(last_words(EndReason::Deactivated, true, None), "the account is disabled");
    }

    #[test]
    fn a_time_of_day_says_which_clock_it_is() {
        assert_eq!(minute(WallTime::new(Duration::from_secs(9 * 3600 + 13 * 60 + 59))), "09:13 UTC");
    }
}
