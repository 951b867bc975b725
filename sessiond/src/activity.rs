//! Whether a session was used since the last look: by the stamps of its ttys, or where it has none by what its processes moved.
//!
//! The kernel stamps a tty in steps of eight seconds, in wall clock, and its owner can set the stamp to anything. So a stamp that
//! has not changed is no activity, one that has is activity at the time that it claims, and core clamps that between the last look and now.
//! What the daemon itself writes to a tty stamps it, too, and is nobody's activity.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use authflow_core::{
    policy::{ActivityKind, WithoutTty},
    session::{Basis, Session, SessionId},
    time::{BootTime, Now, WallTime},
};
use authflow_host::process::{self, ProcessId};

use crate::{
    bounded,
    desktop::Hint,
    snapshot::{Process, Snapshot},
    tty::{Tty, Use},
};

/// The wall clock moves against the boot clock by steps that somebody sets; less than this is drift.
const JUMP: Duration = Duration::from_secs(2);

/// For so long after the daemon wrote to a session's ttys, output on them is taken for that: a terminal in a terminal (tmux, script)
/// writes it once more a moment later.
const ECHO: Duration = Duration::from_secs(3);

/// What the last look at each session showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    memories: BTreeMap<SessionId, Memory>,
    /// What logind said of each session it was asked about: nothing if that is no desktop.
    hints: BTreeMap<SessionId, Option<Hint>>,
}

#[derive(Clone, Debug, Default)]
struct Memory {
    ttys: BTreeMap<Tty, Use>,
    /// Whether these are merely all that may be the session's.
    is_guess: bool,
    moved: BTreeMap<ProcessId, u64>,
    at: Option<Now>,
    /// When the daemon wrote to its ttys.
    told: Option<WallTime>,
}

impl Memory {
    /// When the tty was used since the look that this remembers, if it was.
    fn used_at(&self, (tty, used): (&Tty, Use), kind: ActivityKind, looked: BootTime, now: Now) -> Option<BootTime> {
        let before = self.ttys.get(tty);
        let typed = changed((before.map(|before| before.input), used.input), self.at, looked, now);
        let counts = kind == ActivityKind::InputOutput && !self.is_echo(used.output);
        let written = || changed((before.map(|before| before.output), used.output), self.at, looked, now);
        typed.max(counts.then(written).flatten())
    }

    /// Whether such a stamp of output is the daemon's own doing.
    fn is_echo(&self, output: WallTime) -> bool {
        let is_near = |told: WallTime| told.saturating_since(output) <= ECHO && output.saturating_since(told) <= ECHO;
        self.told.is_some_and(is_near)
    }

    /// The daemon is about to write to its ttys, which show this now. Where something else was written or typed since the last look, what the
    /// stamps will be must not be taken for the daemon's; tells whether it will.
    fn will_be_told(&mut self, shown: impl Fn(&Tty) -> Option<Use>, now: WallTime) -> bool {
        let is_own = |used: Use, seen: Use| used == seen || (used.input == seen.input && self.is_echo(used.output));
        let take = |(tty, seen): (&Tty, &Use)| Some((tty.clone(), shown(tty).filter(|used| is_own(*used, *seen))?));
        let Some(ttys) = self.ttys.iter().map(take).collect() else { return false };
        (self.ttys, self.told) = (ttys, Some(now));
        true
    }
}

/// What a look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// What idleness is measured by now.
    pub(crate) basis: Basis,
    /// The last activity since the look before, if any.
    pub(crate) active_at: Option<BootTime>,
    /// The session's ttys.
    pub(crate) ttys: BTreeSet<Tty>,
    /// Where these cannot be seen, all that may be among them.
    pub(crate) guessed: BTreeSet<Tty>,
    /// Whether a stamp lay in the future: its owner forged it, or the clock was set back.
    pub(crate) has_future_stamp: bool,
}

impl Look {
    /// Where the session's user is to be told something.
    #[must_use]
    pub(crate) fn audience(self) -> BTreeSet<Tty> {
        if self.ttys.is_empty() { self.guessed } else { self.ttys }
    }
}

impl Activity {
    /// Looks at the session, and remembers what it showed.
    pub(crate) fn look(&mut self, session: &Session, members: &[ProcessId], snapshot: &Snapshot, now: Now) -> Look {
        let (look, memory) = self.compare(session, members, snapshot, now);
        self.memories.insert(session.id, memory);
        look
    }

    /// Looks without remembering: for somebody who only wants to know. What was moved since is left to the next real look.
    #[must_use]
    pub(crate) fn peek(&self, session: &Session, members: &[ProcessId], snapshot: &Snapshot, now: Now) -> Look {
        self.compare(session, members, snapshot, now).0
    }

    /// The daemon is about to write to these ttys: what is seen of that in any session is none of its activity. Gives those of which this is
    /// to be kept, for a daemon that is started anew meanwhile.
    pub(crate) fn will_tell(&mut self, ttys: &BTreeSet<Tty>, now: WallTime) -> Vec<SessionId> {
        let is_told = |memory: &Memory| memory.ttys.keys().any(|tty| ttys.contains(tty));
        let told = self.memories.iter_mut().filter(|(_, memory)| is_told(memory));
        told.filter_map(|(id, memory)| memory.will_be_told(Tty::look, now).then_some(*id)).collect()
    }

    /// Forgets a session that is over.
    pub(crate) fn forget(&mut self, id: SessionId) {
        self.memories.remove(&id);
        self.hints.remove(&id);
    }

    /// Takes over what logind says of a session; gives back what it said before.
    pub(crate) fn take_hint(&mut self, id: SessionId, hint: Option<Hint>) -> Option<Hint> {
        self.hints.insert(id, hint).flatten()
    }

    fn compare(&self, session: &Session, members: &[ProcessId], snapshot: &Snapshot, now: Now) -> (Look, Memory) {
        let memory = self.memory(session);
        let is_unreadable = |id: &ProcessId| snapshot.find(id.pid).is_some_and(Process::is_unreadable);
        // What cannot be read may hold the ttys that the session had.
        let is_blind = members.iter().any(is_unreadable);
        let had = (is_blind && !memory.is_guess).then(|| memory.ttys.keys().cloned()).into_iter().flatten();
        let known = ttys(session, members, snapshot, had);
        // Of one that was never seen otherwise any of its user's may be, and nobody is to be ended while typing.
        let is_guess = is_blind && known.is_empty();
        let guessed = if is_guess { Tty::ptys_of(&owners(session)) } else { BTreeMap::new() };
        let limits = &session.opening.limits;
        let mut next = Memory { at: Some(now), told: memory.told, is_guess, ..Memory::default() };
        let mut look = Look {
            basis: Basis::Tty,
            active_at: None,
            ttys: known.keys().cloned().collect(),
            guessed: guessed.keys().cloned().collect(),
            has_future_stamp: false,
        };
        for (tty, used) in known.into_iter().chain(guessed) {
            let stamp = match limits.activity {
                ActivityKind::Input => used.input,
                ActivityKind::InputOutput => used.input.max(used.output),
            };
            look.has_future_stamp |= stamp > now.wall;
            look.active_at = look.active_at.max(memory.used_at((&tty, used), limits.activity, session.looked, now));
            next.ttys.insert(tty, used);
        }
        if let Some(hint) = self.hint(session) {
            look.basis = Basis::Hint;
            // What lies before the last look is not new.
            look.active_at = Some(hint.idle_since.unwrap_or(now.boot)).filter(|at| *at > session.looked);
        } else if look.ttys.is_empty() && !(is_blind && session.basis == Basis::Tty) {
            look.basis = Basis::None;
            if let WithoutTty::Io(least) = limits.without_tty {
                look.basis = Basis::Io;
                next.moved = all_moved(members, is_unreadable, &memory.moved);
                // Nothing to compare with, as after a restart: ignorance must not end what may be hard at work.
                let is_first = memory.at.is_none();
                if is_first || increase(&memory.moved, &next.moved) > least {
                    look.active_at = Some(now.boot);
                } else {
                    // Counted since the last activity and not since the last look, or who looks often would see none.
                    next.moved.clone_from(&memory.moved);
                }
            }
        }
        (look, next)
    }
}

impl Activity {
    /// What the last look showed. A daemon that was just started knows what went with the session, and nothing else.
    fn memory(&self, session: &Session) -> Memory {
        let unknown = || Memory { told: session.told, ..Memory::default() };
        self.memories.get(&session.id).cloned().unwrap_or_else(unknown)
    }

    /// What logind says of a desktop, which knows better than its terminal windows. `None` for what is none.
    fn hint(&self, session: &Session) -> Option<Hint> {
        match self.hints.get(&session.id) {
            Some(hint) => *hint,
            // A daemon that was just started has yet to ask: ignorance must not lock out who may be hard at work.
            None => session.has_screen().then_some(Hint { idle_since: None, is_locked: false }),
        }
    }
}

/// The session's ttys: those that its processes hold, if the session's own user owns them or the leader holds them. Somebody else's tty that
/// a program of the session opened says nothing about the session.
fn ttys(
    session: &Session,
    members: &[ProcessId],
    snapshot: &Snapshot,
    had: impl Iterator<Item = Tty>,
) -> BTreeMap<Tty, Use> {
    let owners = owners(session);
    let tty_of = |id: &ProcessId| snapshot.find(id.pid).and_then(|process| Tty::of_device(process.tty));
    let leaders = snapshot.find(session.leader.pid).and_then(|process| Tty::of_device(process.tty));
    let held: BTreeSet<Tty> = members.iter().filter_map(tty_of).chain(had).collect();
    held.into_iter()
        .filter_map(|tty| tty.look().map(|used| (tty, used)))
        .filter(|(tty, used)| owners.contains(&used.owner) || Some(tty) == leaders.as_ref())
        .collect()
}

/// Who may own a tty of the session's.
const fn owners(session: &Session) -> [u32; 2] {
    [session.opening.uid, session.opening.target_uid]
}

/// When the tty was used, if its stamp says that it was.
fn changed(
    (before, stamp): (Option<WallTime>, WallTime),
    at: Option<Now>,
    looked: BootTime,
    now: Now,
) -> Option<BootTime> {
    let claimed = now.boot.saturating_sub(now.wall.saturating_since(stamp));
    match (before, at) {
        (Some(before), _) if before == stamp => None,
        // A clock that was set makes the stamp's age meaningless: the kindest reading, so that no jump ends a session.
        (Some(_), Some(at)) if jumped(at, now) => Some(now.boot),
        (Some(_), _) => Some(claimed),
        // Not seen before: a new tty, or a daemon that was restarted. What lies before the last look is not new.
        (None, _) => Some(claimed).filter(|claimed| *claimed > looked),
    }
}

fn jumped(before: Now, now: Now) -> bool {
    let (wall, boot) = (now.wall.saturating_since(before.wall), now.boot.saturating_since(before.boot));
    now.wall < before.wall || wall.abs_diff(boot) > JUMP
}

/// What these have moved so far. One that cannot be read moved nothing since, as far as anybody knows: were that activity, it would keep a
/// session for ever.
fn all_moved(
    members: &[ProcessId],
    is_unreadable: impl Fn(&ProcessId) -> bool,
    before: &BTreeMap<ProcessId, u64>,
) -> BTreeMap<ProcessId, u64> {
    let ids: BTreeMap<u32, ProcessId> = members.iter().map(|id| (id.pid, *id)).collect();
    let is_member = |id: &ProcessId| ids.get(&id.pid) == Some(id);
    let mut all: BTreeMap<_, _> =
        before.iter().filter(|(id, _)| is_member(id)).map(|(id, moved)| (*id, *moved)).collect();
    let readable: Vec<u32> = ids.values().filter(|id| !is_unreadable(id)).map(|id| id.pid).collect();
    for (pid, read) in bounded::look().read(&readable, moved) {
        let (Some(id), Some(bytes)) = (ids.get(&pid), read) else { continue };
        match bytes {
            Some(bytes) => all.insert(*id, bytes),
            None => all.remove(id),
        };
    }
    all
}

/// Bytes that a process has read and written so far.
fn moved(pid: u32) -> Option<u64> {
    let text = process::text(pid, "io").ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok();
    Some(field("rchar:")?.saturating_add(field("wchar:")?))
}

/// What moved since: of processes that were there before all that is more, of new ones all.
fn increase(before: &BTreeMap<ProcessId, u64>, after: &BTreeMap<ProcessId, u64>) -> u64 {
    after.iter().map(|(id, bytes)| bytes.saturating_sub(before.get(id).copied().unwrap_or(0))).sum()
}
