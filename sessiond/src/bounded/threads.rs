//! Threads that read, and wait for the next read when they are done: a login has several, and a new thread for each would cost it more than
//! the reading.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
};

/// What a thread is to do.
type Job = Box<dyn FnOnce() + Send>;

/// How much stack a thread has.
const STACK: usize = 256 * 1024;

/// How many threads wait for work at most: more than one read at a time is rare.
const WAITING: usize = 2;

/// The threads that wait for work.
pub(super) struct Threads {
    waiting: Mutex<Vec<Sender<Job>>>,
}

impl Threads {
    pub(super) const fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()) }
    }

    /// Has a thread do it: one that waits, or a new one. One that panics ends.
    ///
    /// # Errors
    /// None waits, and the kernel gives no new one.
    pub(super) fn run(&'static self, job: Job) -> io::Result<()> {
        // In a statement of its own: the lock is not held while a thread is given work.
        let waiting = self.waiting().pop();
        let refused = match waiting {
            Some(thread) => thread.send(job).map_err(|mpsc::SendError(job)| job),
            None => Err(job),
        };
        let Err(job) = refused else { return Ok(()) };
        thread::Builder::new().name("reader".to_owned()).stack_size(STACK).spawn(move || self.work(job)).map(drop)
    }

    /// A thread's life.
    fn work(&self, first: Job) {
        let (sender, jobs) = mpsc::channel();
        first();
        while self.wait(&sender)
            && let Ok(job) = jobs.recv()
        {
            job();
        }
    }

    /// Joins those that wait, unless there are enough.
    fn wait(&self, thread: &Sender<Job>) -> bool {
        let mut waiting = self.waiting();
        let is_wanted = waiting.len() < WAITING;
        if is_wanted {
            waiting.push(thread.clone());
        }
        is_wanted
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Sender<Job>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Barrier},
        thread::ThreadId,
    };

    use super::*;

    fn threads() -> &'static Threads {
        Box::leak(Box::new(Threads::new()))
    }

    fn until_one_waits(threads: &Threads) {
        for _ in 0..100_000_000 {
            if !threads.waiting().is_empty() {
                return;
            }
            thread::yield_now();
        }
        panic!("none waits");
    }

    /// On which thread it was done. That one waits then.
    fn run(threads: &'static Threads) -> ThreadId {
        let (sender, done) = mpsc::channel();
        threads.run(Box::new(move || sender.send(thread::current().id()).unwrap())).unwrap();
        until_one_waits(threads);
        done.recv().unwrap()
    }

    #[test]
    fn a_thread_that_is_done_does_the_next() {
        let threads = threads();
        let first = run(threads);
        assert!((0..100).all(|_| run(threads) == first));
    }

    #[test]
    fn of_many_that_were_busy_at_a_time_few_wait() {
        let (threads, all) = (threads(), Arc::new(Barrier::new(5)));
        let (sender, done) = mpsc::channel::<()>();
        for _ in 0..4 {
            let (all, sender) = (Arc::clone(&all), sender.clone());
            threads
                .run(Box::new(move || {
                    all.wait();
                    drop(sender);
                }))
                .unwrap();
        }
        drop(sender);
        all.wait();
        assert!(done.recv().is_err(), "each of them on its own thread, and done");
        for _ in 0..10 {
            run(threads);
        }
        assert!(threads.waiting().len() <= WAITING);
    }

    #[test]
    fn a_read_that_panics_costs_its_thread_alone() {
        let threads = threads();
        threads.run(Box::new(|| panic!("as meant"))).unwrap();
        run(threads);
        run(threads);
    }
}
