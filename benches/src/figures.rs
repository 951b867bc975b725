//! Medians, what the kernel says of a process, and children that wait to be ended.

use std::{fs, io::Read};

/// The middle of the sorted figures.
pub fn median<T: PartialOrd + Copy>(figures: &mut [T]) -> T {
    figures.sort_unstable_by(|one, other| one.partial_cmp(other).expect("figures that can be compared"));
    figures[figures.len() / 2]
}

/// Prints one figure, and the goal if there is one.
pub fn show(what: &str, figure: String, goal: &str) {
    let goal = if goal.is_empty() { String::new() } else { format!("  (goal: {goal})") };
    println!("  {what:<45} {figure:>14}{goal}");
}

/// What a process holds.
pub struct Process {
    pub threads: u64,
    pub descriptors: usize,
    pub resident_kib: u64,
    /// How often its threads gave the processor up by themselves: once a wake-up.
    pub switches: u64,
}

impl Process {
    pub fn this() -> Self {
        Self::of(std::process::id())
    }

    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
        // One that ends meanwhile does not wake any more.
        let threads = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
        Self {
            threads: field(&status, "Threads:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count(),
            resident_kib: field(&status, "VmRSS:"),
            switches: threads.map(|status| field(&status, "voluntary_ctxt_switches:")).sum(),
        }
    }
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(name)).expect("a field of /proc/PID/status");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// A child that has done its work and waits.
pub struct Child(libc::pid_t);

/// Forks a child that does `work` and then waits to be ended; returns when the work is done.
pub fn child(work: impl FnOnce()) -> Child {
    let (mut done, tell) = std::io::pipe().expect("a pipe");
    // SAFETY: this program has one thread, so the child may go on as a whole.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            drop(done);
            work();
            drop(tell);
            loop {
                // SAFETY: waits for a signal; nothing else happens in this process.
                unsafe { libc::pause() };
            }
        }
        pid => {
            drop(tell);
            done.read_to_end(&mut Vec::new()).expect("the child's end of the pipe");
            Child(pid)
        }
    }
}

impl Child {
    pub fn end(self) {
        // SAFETY: our own child, which nobody else waits for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        // SAFETY: as above; no status is asked for.
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), 0) };
    }
}
