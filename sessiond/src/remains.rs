//! What a session leaves when its login program has closed it: all of it but that program, which goes its own way. Some have work to do
//! behind our line of the stack, as unmounting a home, and some serve the next user.

use authflow_core::session::{Closing, Session};
use authflow_host::process::ProcessId;

use crate::{
    leader::process_of,
    lineage::Lineage,
    snapshot::{Snapshot, ticks},
};

/// Of these members of the session that `closing` ends those that it left.
pub(crate) fn left(
    session: &Session,
    closing: &Closing,
    members: &[ProcessId],
    snapshot: &Snapshot,
) -> impl Iterator<Item = ProcessId> {
    let (leader, closed) = (process_of(session.leader), ticks(closing.began.boot));
    let is_there = snapshot.runs(leader);
    let mut is_its_own = Lineage::new(snapshot, move |process| {
        (process.parent == leader.pid).then_some(process.id.start_time >= closed)
    });
    members.iter().copied().filter(move |member| *member != leader && !(is_there && is_its_own.ask(member.pid)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authflow_core::{
        session::{EndReason, Manner},
        time::{BootTime, Now, WallTime},
    };

    use super::*;
    use crate::{members::tests::session, snapshot::Process};

    #[test]
    fn what_a_leader_starts_after_it_has_closed_is_its_own_and_all_else_is_left() {
        let began = Now { boot: BootTime::new(Duration::from_secs(100)), wall: WallTime::default() };
        let (before, after) = (ticks(began.boot) - 1, ticks(began.boot) + 1);
        let process = |pid, parent, start_time| Process {
            id: ProcessId { pid, start_time },
            uid: 1000,
            parent,
            tty: 0,
            audit_id: None,
            cgroup: String::new(),
            is_zombie: false,
        };
        let session = session(1, 20, None);
        let closing = Closing {
            reason: EndReason::Logout,
            manner: Manner::Remains,
            by: None,
            message: None,
            due: None,
            began,
            step: None,
            next: began.boot,
        };
        let children = [process(21, 20, before), process(22, 21, after), process(23, 20, after), process(25, 1, after)];
        let left = |snapshot: &Snapshot| {
            let members: Vec<_> = children.iter().map(|child| child.id).chain([process_of(session.leader)]).collect();
            super::left(&session, &closing, &members, snapshot).map(|id| id.pid).collect::<Vec<_>>()
        };
        let with_leader = Snapshot::of(children.iter().cloned().chain([process(20, 10, 1)]));
        assert_eq!(left(&with_leader), [21, 22, 25]);
        assert_eq!(left(&Snapshot::of(children.iter().cloned())), [21, 22, 23, 25], "the leader is gone");
    }
}
