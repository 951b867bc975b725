//! Reads of other people's processes that may never return. The kernel lets nobody see a process's `stat` or `io` while it executes a new
//! program, and a file system of its user's own holds that up for as long as that user likes. So these are read on threads beside, and what
//! does not come is done without: a process costs its delay once, and a user who does it again and again is left out for a while.

#[cfg(test)]
mod tests;
mod threads;
mod work;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use authflow_core::time::{BootTime, Clock};
use authflow_host::{clock::SystemClock, paths::Paths, process::ProcessId};

use self::{threads::Threads, work::Work};
use crate::{
    event::Event,
    log::{Line, Log},
    payer,
    snapshot::seeming_owner,
    status::Statuses,
};

/// How patient.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// How often it is asked whether a read is held up.
    step: Duration,
    /// How long one process may hold it up.
    process: Duration,
    /// How long all of them may within one look.
    look: Duration,
    /// How long those of one user may before all of that user's are left out.
    user: Duration,
    /// How long these are left out at least.
    left_out: Duration,
    /// How many threads may be held up before nothing is read any more but root's. With twice as many nothing is, and with an eighth nothing of
    /// which is not told whose it is.
    threads: usize,
}

/// Whose a process is.
#[derive(Clone, Copy, Debug, Default)]
struct Whose {
    /// Who runs it.
    real: Option<u32>,
    /// Whom to blame for it.
    user: Option<u32>,
}

impl Whose {
    /// What tells that never waits. Who logged in is not asked: a process of nobody's login says of itself whose it is.
    fn look(pid: u32, statuses: &mut Statuses) -> Self {
        let real = statuses.number(pid, "Uid");
        // Where that is too dear, by whom it seems to run as, unless that tells nothing.
        let real = real.or_else(|| seeming_owner(pid).filter(|uid| *uid != 0));
        Self { real, user: real.map(|uid| payer::seeming(&Paths::default(), pid, uid)) }
    }
}

/// For the processes of this machine.
static PROCESSES: Reader = Reader::new(
    Bounds {
        step: Duration::from_millis(10),
        process: Duration::from_millis(50),
        look: Duration::from_millis(500),
        user: Duration::from_millis(150),
        left_out: Duration::from_secs(60),
        threads: 64,
    },
    Whose::look,
);

/// For all readers, of which there is one but in tests.
static THREADS: Threads = Threads::new();

/// Tells this log of what cannot be read.
pub(crate) fn tell(log: &Log) {
    let _told_already = PROCESSES.log.set(log.clone());
}

/// Begins a look at processes of this machine.
pub(crate) fn look() -> Look {
    PROCESSES.look()
}

/// Begins a look at somebody who asks, and at what is above.
pub(crate) fn look_at_one() -> Look {
    PROCESSES.look_at_one()
}

/// The process that has that pid now.
///
/// # Errors
/// There is none, or it cannot be read now ([`io::ErrorKind::TimedOut`]).
pub(crate) fn identify(pid: u32) -> io::Result<ProcessId> {
    let found = look_at_one().read(&[pid], ProcessId::of).pop().and_then(|(_, found)| found);
    found.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads, and what held them up.
struct Reader {
    bounds: Bounds,
    whose: fn(u32, &mut Statuses) -> Whose,
    state: Mutex<State>,
    log: OnceLock<Log>,
}

#[derive(Default)]
struct State {
    /// The processes that hold a thread up now, and whose they are.
    stuck: Vec<(u32, Option<u32>)>,
    /// What users' processes have held up lately.
    delays: BTreeMap<u32, Delay>,
}

#[derive(Clone, Copy)]
struct Delay {
    sum: Duration,
    last: BootTime,
}

impl State {
    const fn new() -> Self {
        Self { stuck: Vec::new(), delays: BTreeMap::new() }
    }
}

/// One look at processes.
pub(crate) struct Look {
    reader: &'static Reader,
    /// How long it was held up so far.
    held_up: Duration,
    /// How long one user's processes may have held reads up.
    user: Duration,
    statuses: Statuses,
    /// Whose those are that it asked about.
    known: BTreeMap<u32, Whose>,
}

/// What is left out without trying.
#[derive(Default)]
struct LeftOut {
    all: bool,
    all_but_roots: bool,
    untold: bool,
    pids: Vec<u32>,
    users: Vec<u32>,
}

impl Reader {
    const fn new(bounds: Bounds, whose: fn(u32, &mut Statuses) -> Whose) -> Self {
        Self { bounds, whose, state: Mutex::new(State::new()), log: OnceLock::new() }
    }

    const fn look(&'static self) -> Look {
        let user = self.bounds.user;
        Look { reader: self, held_up: Duration::ZERO, user, statuses: Statuses::new(), known: BTreeMap::new() }
    }

    /// Somebody asks for that process: a user with a file system that hangs is left out of looks at all, and can unlock the screen all the same.
    fn look_at_one(&'static self) -> Look {
        Look { user: self.bounds.user.saturating_mul(2), ..self.look() }
    }

    /// What is left out, with that much time for one user's processes.
    fn left_out(&self, user: Duration) -> LeftOut {
        let now = SystemClock.now().boot;
        let mut state = self.state();
        let State { stuck, delays } = &mut *state;
        let holds_up = |user| stuck.iter().any(|(_, whose)| *whose == Some(user));
        delays.retain(|user, delay| holds_up(*user) || now.saturating_since(delay.last) < self.bounds.left_out);
        let users = delays.iter().filter(|(_, delay)| delay.sum >= user).map(|(user, _)| *user).collect();
        let pids: Vec<u32> = stuck.iter().map(|(pid, _)| *pid).collect();
        let threads = self.bounds.threads;
        let [all, all_but_roots, untold] = [2 * threads, threads, threads / 8].map(|many| pids.len() >= many);
        LeftOut { all, all_but_roots, untold, pids, users }
    }

    /// A process of that user's held a read up for one more step.
    fn note_delay(&self, user: Option<u32>) {
        // Root's are the machine's own.
        let Some(user) = user.filter(|user| *user != 0) else { return };
        let now = SystemClock.now().boot;
        let mut state = self.state();
        let delay = state.delays.entry(user).or_insert(Delay { sum: Duration::ZERO, last: now });
        *delay = Delay { sum: delay.sum.saturating_add(self.bounds.step), last: now };
    }

    fn note_stuck(&self, pid: u32, user: Option<u32>) {
        self.state().stuck.push((pid, user));
        if let Some(log) = self.log.get() {
            let uid = user.map_or_else(|| "-".to_owned(), |user| user.to_string());
            log.write(&Line::warning(Event::ProcessUnreadable).with("uid", uid).with("pid", pid));
        }
    }

    fn note_freed(&self, pid: u32) {
        let mut state = self.state();
        // Two looks may have been held up by one process.
        if let Some(at) = state.stuck.iter().position(|(stuck, _)| *stuck == pid) {
            state.stuck.swap_remove(at);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    /// Reads each of these. `None` for what cannot be read now.
    pub(crate) fn read<T: Send + 'static>(&mut self, pids: &[u32], read: fn(u32) -> T) -> Vec<(u32, Option<T>)> {
        let (mut found, mut todo) = (Vec::with_capacity(pids.len()), pids.to_vec());
        while !todo.is_empty() {
            let left_out = self.reader.left_out(self.user);
            let is_given_up = self.held_up >= self.reader.bounds.look;
            let (without, readable): (Vec<u32>, Vec<u32>) =
                todo.into_iter().partition(|pid| is_given_up || self.is_left_out(*pid, &left_out));
            found.extend(without.into_iter().map(|pid| (pid, None)));
            let done = self.read_until_stuck(&readable, read);
            let (reached, rest) = readable.split_at(done.len());
            found.extend(reached.iter().copied().zip(done.into_iter().map(Some)));
            let (stuck, rest) = rest.split_at(rest.len().min(1));
            found.extend(stuck.iter().map(|pid| (*pid, None)));
            todo = rest.to_vec();
        }
        found
    }

    /// The statuses that this look reads.
    pub(crate) const fn statuses(&mut self) -> &mut Statuses {
        &mut self.statuses
    }

    /// Whether the process is left out: by its pid, or for whose it is. That costs two reads more, so only while somebody is. Where it would cost
    /// too much to tell, it is tried as long as few hold reads up.
    fn is_left_out(&mut self, pid: u32, left_out: &LeftOut) -> bool {
        let mut is_one_of_many = || {
            let whose = self.known.get(&pid).copied().unwrap_or_else(|| (self.reader.whose)(pid, &mut self.statuses));
            let Some(real) = whose.real else { return left_out.untold || left_out.all_but_roots };
            self.known.insert(pid, whose);
            // What root runs is the machine's, also in a user's login; no user holds that up.
            let is_blamed = || whose.user.is_some_and(|user| left_out.users.contains(&user));
            real != 0 && (left_out.all_but_roots || is_blamed())
        };
        let are_many = left_out.all_but_roots || !left_out.users.is_empty();
        left_out.all || left_out.pids.contains(&pid) || are_many && is_one_of_many()
    }

    /// Who is blamed for what that process holds up. These are few, and no status is too dear for that.
    fn blamed_for(&mut self, pid: u32) -> Option<u32> {
        let ask = || (self.reader.whose)(pid, &mut Statuses::new());
        self.known.entry(pid).or_insert_with(ask).user
    }

    /// Reads until one of them holds it up for too long; gives what was read before that one.
    fn read_until_stuck<T: Send + 'static>(&mut self, pids: &[u32], read: fn(u32) -> T) -> Vec<T> {
        if pids.is_empty() {
            return Vec::new();
        }
        let work = Arc::new(Work::of(pids.len()));
        let reading = {
            let (work, pids, reader) = (Arc::clone(&work), pids.to_vec(), self.reader);
            THREADS.run(Box::new(move || work.run(reader, &pids, read)))
        };
        // Without a thread nothing can be read, one process after the other.
        if reading.is_err() {
            return Vec::new();
        }
        let Bounds { step, process, look, .. } = self.reader.bounds;
        let (mut here, mut held_up_here) = (0, Duration::ZERO);
        loop {
            let waited = work.over.wait_timeout_while(work.progress(), step, |progress| !progress.is_over);
            let (mut progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if progress.is_over {
                return std::mem::take(&mut progress.done);
            }
            let at = progress.done.len();
            drop(progress);
            // One that only waits for its turn on a busy machine goes on.
            let is_held_up = work.is_held_up() && !work.progress().is_over;
            let Some(pid) = pids.get(at).filter(|_| is_held_up) else { continue };
            self.held_up = self.held_up.saturating_add(step);
            let user = self.blamed_for(*pid);
            self.reader.note_delay(user);
            held_up_here = if at == here { held_up_here.saturating_add(step) } else { step };
            here = at;
            if held_up_here < process && self.held_up < look {
                continue;
            }
            let mut progress = work.progress();
            if progress.done.len() == at && !progress.is_over {
                self.reader.note_stuck(*pid, user);
                progress.is_abandoned = true;
                return std::mem::take(&mut progress.done);
            }
        }
    }
}
