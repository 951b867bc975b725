//! A question about many processes whose answer lies with them or with some process above them.

use std::collections::HashMap;

use crate::snapshot::{Process, Snapshot};

/// Asks each process once: a chain of ten thousand forks takes as many steps, and not the square of it, which would hold the loop for minutes.
pub(crate) struct Lineage<'a, F> {
    snapshot: &'a Snapshot,
    question: F,
    answers: HashMap<u32, bool>,
}

impl<'a, F: FnMut(&Process) -> Option<bool>> Lineage<'a, F> {
    /// `question` gives a process's own answer, or none where its parent's holds.
    pub(crate) fn new(snapshot: &'a Snapshot, question: F) -> Self {
        Self { snapshot, question, answers: HashMap::new() }
    }

    /// The answer for that process; `false` where neither it nor any above it has one.
    pub(crate) fn ask(&mut self, pid: u32) -> bool {
        let (mut path, mut next) = (Vec::new(), pid);
        let answer = loop {
            if let Some(answer) = self.answers.get(&next) {
                break *answer;
            }
            let Some(process) = self.snapshot.find(next) else { break false };
            // A snapshot is not taken in one instant, so a reused pid could close a circle.
            self.answers.insert(next, false);
            path.push(next);
            if let Some(answer) = (self.question)(process) {
                break answer;
            }
            next = process.parent;
        };
        self.answers.extend(path.into_iter().map(|pid| (pid, answer)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use authflow_host::process::ProcessId;

    use super::*;

    fn process(pid: u32, parent: u32) -> Process {
        Process {
            id: ProcessId { pid, start_time: 1 },
            uid: 1000,
            parent,
            tty: 0,
            audit_id: None,
            cgroup: String::new(),
            is_zombie: false,
        }
    }

    #[test]
    fn of_a_long_chain_each_is_asked_once() {
        const LENGTH: u32 = 20_000;
        let snapshot = Snapshot::of((1..=LENGTH).map(|pid| process(pid, pid - 1)));
        let mut asked = 0;
        let mut lineage = Lineage::new(&snapshot, |process| {
            asked += 1;
            (process.id.pid == 10).then_some(true)
        });
        let found = (1..=LENGTH).rev().filter(|pid| lineage.ask(*pid)).count();
        assert_eq!((found, asked), (19_991, LENGTH));
    }

    #[test]
    fn the_nearest_answer_counts_and_a_circle_has_none() {
        let snapshot =
            Snapshot::of([process(1, 0), process(2, 1), process(3, 2), process(4, 3), process(8, 9), process(9, 8)]);
        let mut lineage = Lineage::new(&snapshot, |process| match process.id.pid {
            1 => Some(true),
            3 => Some(false),
            _ => None,
        });
        assert_eq!([1, 2, 3, 4, 8, 9, 77].map(|pid| lineage.ask(pid)), [true, true, false, false, false, false, false]);
    }
}
