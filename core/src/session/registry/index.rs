//! Sessions by what is asked for besides their ids. With ten thousand of them nobody can look through all for each.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Leader, Session, SessionId};

/// Where each session is found. What it goes by never changes while the session lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    by_leader: BTreeMap<Leader, SessionId>,
    by_audit_id: BTreeMap<u32, BTreeSet<SessionId>>,
    by_parent: BTreeMap<SessionId, BTreeSet<SessionId>>,
}

impl Index {
    /// The session that this process leads.
    pub(super) fn led_by(&self, leader: Leader) -> Option<SessionId> {
        self.by_leader.get(&leader).copied()
    }

    /// The sessions with that audit id.
    pub(super) fn with_audit_id(&self, audit_id: u32) -> impl Iterator<Item = SessionId> {
        self.by_audit_id.get(&audit_id).into_iter().flatten().copied()
    }

    /// The sessions right below that one.
    pub(super) fn nested_in(&self, parent: SessionId) -> impl Iterator<Item = SessionId> {
        self.by_parent.get(&parent).into_iter().flatten().copied()
    }

    pub(super) fn add(&mut self, session: &Session) {
        self.by_leader.insert(session.leader, session.id);
        if let Some(audit_id) = session.audit_id {
            self.by_audit_id.entry(audit_id).or_default().insert(session.id);
        }
        if let Some(parent) = session.parent {
            self.by_parent.entry(parent).or_default().insert(session.id);
        }
    }

    pub(super) fn remove(&mut self, session: &Session) {
        // After a restart two may have been kept with one leader; the other's entry stays.
        if self.led_by(session.leader) == Some(session.id) {
            self.by_leader.remove(&session.leader);
        }
        if let Some(audit_id) = session.audit_id {
            take(&mut self.by_audit_id, &audit_id, session.id);
        }
        if let Some(parent) = session.parent {
            take(&mut self.by_parent, &parent, session.id);
        }
    }
}

fn take<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<SessionId>>, key: &K, id: SessionId) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(&id);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
