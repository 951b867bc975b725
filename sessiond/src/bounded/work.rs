//! What a thread is reading, process after process, and how far it is.

use std::{
    fs,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
};

use super::Reader;

/// Tells that a thread reads no more, also where a read panicked.
struct Over<'a, T>(&'a Work<T>);

impl<T> Drop for Over<'_, T> {
    fn drop(&mut self) {
        self.0.progress().is_over = true;
        self.0.over.notify_one();
    }
}

/// What a thread is reading.
pub(super) struct Work<T> {
    progress: Mutex<Progress<T>>,
    pub(super) over: Condvar,
    /// The thread's id, once it runs.
    thread: AtomicI32,
}

/// How far it is.
pub(super) struct Progress<T> {
    pub(super) done: Vec<T>,
    pub(super) is_over: bool,
    /// Nobody waits for it any more.
    pub(super) is_abandoned: bool,
}

impl<T> Work<T> {
    /// That many are to be read.
    pub(super) fn of(many: usize) -> Self {
        let progress = Progress { done: Vec::with_capacity(many), is_over: false, is_abandoned: false };
        Self { progress: Mutex::new(progress), over: Condvar::new(), thread: AtomicI32::new(0) }
    }

    /// Reads one after the other until there is no more, or nobody waits for it.
    pub(super) fn run(&self, reader: &Reader, pids: &[u32], read: fn(u32) -> T) {
        self.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
        let _over = Over(self);
        for pid in pids {
            let read = read(*pid);
            let mut progress = self.progress();
            if progress.is_abandoned {
                drop(progress);
                return reader.note_freed(*pid);
            }
            progress.done.push(read);
        }
    }

    /// Whether the thread sleeps in the kernel.
    pub(super) fn is_held_up(&self) -> bool {
        let thread = self.thread.load(Ordering::Relaxed);
        let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, fields)| !fields.trim_start().starts_with('R'))
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress<T>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
