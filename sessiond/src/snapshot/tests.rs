//! Looks at this machine, where real processes are, and at ones that are made up.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::*;

#[test]
fn this_process_is_there_with_its_ancestors() {
    let this = ProcessId::current().unwrap();
    let snapshot = Snapshot::take();
    assert!(snapshot.runs(this));
    assert!(!snapshot.runs(ProcessId { start_time: this.start_time + 1, ..this }));
    let parent = ProcessId::parent_of_current().unwrap();
    assert_eq!(snapshot.ancestors(this.pid).next(), Some(parent.pid));
}

#[test]
fn what_is_above_is_followed_as_far_as_it_is_told_and_a_circle_once() {
    assert_eq!(upwards([2, 5], |pid| Some(pid - 1)), BTreeSet::from([1, 2, 3, 4, 5]));
    assert_eq!(upwards([1], |pid| Some(3 - pid)), BTreeSet::from([1, 2]));
    assert_eq!(upwards([9, 5], |pid| (pid > 8).then(|| pid - 1)), BTreeSet::from([5, 8, 9]));
}

#[test]
fn what_cannot_be_read_is_told_by_its_place() {
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let mut statuses = Statuses::new();
    let seen = unreadable(child.id(), &mut statuses).unwrap();
    let readable = Stat::read(child.id()).and_then(|stat| readable(child.id(), &stat, &mut statuses)).unwrap();
    let facts = |process: &Process| (process.parent, process.audit_id, process.cgroup.clone(), process.is_zombie);
    assert_eq!(facts(&seen), facts(&readable));
    assert!(seen.is_unreadable() && seen.may_be(readable.id) && !readable.may_be(seen.id));
    let now = || ProcessId::of(readable.id.pid);
    let is_there =
        |process: &Process| [Some(&now()), None].map(|now| process.is_still_there(now, &mut Statuses::new()));
    assert_eq!((is_there(&seen), is_there(&readable)), ([true, true], [true, true]));
    let start_time = readable.id.start_time + 1;
    let later = Process { id: ProcessId { start_time, ..readable.id }, ..readable.clone() };
    assert!(!later.is_still_there(Some(&now()), &mut statuses));
    for another in [
        Process { parent: 1, ..seen.clone() },
        Process { uid: seen.uid + 1, ..seen.clone() },
        Process { cgroup: "/another".to_owned(), ..seen.clone() },
    ] {
        assert_eq!(is_there(&another), [false, false], "{another:?}");
    }
    child.kill().unwrap();
    let over = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(&child)), over).unwrap();
    assert!(Snapshot::chain(child.id()).find(child.id()).unwrap().is_zombie);
    assert!(unreadable(child.id(), &mut statuses).unwrap().is_zombie);
    child.wait().unwrap();
    assert_eq!((is_there(&seen), is_there(&readable)), ([false, false], [false, false]));
}

#[test]
fn a_circle_of_parents_ends() {
    let process = |pid, parent| Process {
        id: ProcessId { pid, start_time: 1 },
        uid: 0,
        parent,
        tty: 0,
        audit_id: None,
        cgroup: String::new(),
        is_zombie: false,
    };
    let snapshot = Snapshot::of([process(2, 3), process(3, 2)]);
    assert!(snapshot.ancestors(2).count() <= 2);
    assert_eq!(snapshot.descendants(2), BTreeSet::from([2, 3]));
}
