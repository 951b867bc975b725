//! What was seen of sessions' processes before: what a leader started stays its own when its parent ends and init adopts it.

use std::collections::BTreeMap;

use authflow_core::session::SessionId;
use authflow_host::process::ProcessId;

use crate::snapshot::Snapshot;

/// The processes of each session at the last look, each with a time by which it had started, in ticks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    by_session: BTreeMap<SessionId, BTreeMap<ProcessId, u64>>,
}

impl Known {
    /// Takes over what a look showed.
    pub(crate) fn note(&mut self, id: SessionId, members: &[ProcessId], snapshot: &Snapshot) {
        self.by_session.insert(id, members.iter().map(|member| (*member, snapshot.listed())).collect());
    }

    /// Those of that session.
    pub(crate) fn of(&self, id: SessionId) -> impl Iterator<Item = (ProcessId, u64)> + '_ {
        self.by_session.get(&id).into_iter().flatten().map(|(id, by)| (*id, *by))
    }

    /// Forgets a session that is over.
    pub(crate) fn forget(&mut self, id: SessionId) {
        self.by_session.remove(&id);
    }
}
