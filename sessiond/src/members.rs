//! Which processes belong to a session: the union of what logind's scope, the kernel's audit session id and descent say, looked up when
//! used. The guards matter more than the union: one wrong process here is sshd's listener killed, or somebody else's work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use authflow_core::session::{Class, Registry, Session, SessionId};
use authflow_host::process::ProcessId;

use crate::{
    leader::{leader_of, process_of},
    snapshot::{Process, Snapshot},
};

/// What was seen of sessions' processes before: what a leader started stays its own when its parent ends and init adopts it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    by_session: BTreeMap<SessionId, BTreeSet<ProcessId>>,
}

impl Known {
    /// Takes over what a look showed.
    pub(crate) fn note(&mut self, id: SessionId, members: &[ProcessId]) {
        self.by_session.insert(id, members.iter().copied().collect());
    }

    /// Forgets a session that is over.
    pub(crate) fn forget(&mut self, id: SessionId) {
        self.by_session.remove(&id);
    }
}

/// The processes of the session, the leader included, zombies not.
#[must_use]
pub(crate) fn members(session: &Session, registry: &Registry, known: &Known, snapshot: &Snapshot) -> Vec<ProcessId> {
    let scope = scope(session, snapshot);
    let look = Look { session, registry, known, snapshot, scope };
    let found = look.candidates().into_iter().filter_map(|pid| snapshot.find(pid));
    found.filter(|process| look.is_member(process)).map(|process| process.id).collect()
}

/// Whether the process might be among the session's members. Cheap: of a thousand sessions it leaves the few that are worth a look.
#[must_use]
pub(crate) fn may_hold(session: &Session, pid: u32, known: &Known, snapshot: &Snapshot) -> bool {
    let Some(process) = snapshot.find(pid) else { return false };
    let leader = session.leader.pid;
    pid == leader
        || snapshot.ancestors(pid).any(|above| above == leader)
        || known.by_session.get(&session.id).is_some_and(|known| known.contains(&process.id))
        || session.audit_id.is_some() && session.audit_id == process.audit_id
        || session.logind_id.is_some() && session.logind_id == logind_id(&process.cgroup)
}

/// How deep sessions nest at most: each level is a su or sudo that runs.
const DEEPEST: usize = 100;

struct Look<'a> {
    session: &'a Session,
    /// This session and all others.
    registry: &'a Registry,
    known: &'a Known,
    snapshot: &'a Snapshot,
    scope: Option<String>,
}

impl Look<'_> {
    /// The union of all evidence, by pid.
    fn candidates(&self) -> BTreeSet<u32> {
        let (id, leader) = (self.session.id, process_of(self.session.leader));
        // A pid alone could be a stranger's by now.
        let is_there = self.snapshot.find(leader.pid).is_some_and(|found| found.id == leader);
        let mut pids = if is_there { self.snapshot.descendants(leader.pid) } else { BTreeSet::new() };
        pids.extend(is_there.then_some(leader.pid));
        let known = self.known.by_session.get(&id).into_iter().flatten();
        pids.extend(known.filter(|known| self.snapshot.runs(**known)).map(|known| known.pid));
        // Nested sessions share scope and audit id with the login around them, so there these say little.
        if self.session.opening.class == Class::Nested {
            pids.extend(self.strays());
        } else {
            pids.extend(self.scope.iter().flat_map(|scope| self.snapshot.in_cgroup(scope)));
            pids.extend(self.own_audit_id().into_iter().flat_map(|audit_id| self.snapshot.with_audit_id(audit_id)));
        }
        pids
    }

    /// What a nested session must have started, though nobody saw it below the leader: a process of the login around it that init adopted, as
    /// the other user and since the session began. Killing su, or forking twice, is no way out. With a second session of the kind in the login
    /// nobody can tell whose it is.
    fn strays(&self) -> Vec<u32> {
        let (target, since) = (self.session.opening.target_uid, self.session.leader.start_time);
        let Some(login) = self.login_around() else { return Vec::new() };
        let inside = self.registry.below(login.id);
        let is_rival = |other: &&Session| other.id != self.session.id && other.opening.target_uid == target;
        if login.opening.target_uid == target || inside.iter().any(is_rival) {
            return Vec::new();
        }
        let others = inside.iter().filter(|other| other.id != self.session.id).copied().chain([login]);
        let leaders: BTreeSet<u32> = others.map(|other| other.leader.pid).collect();
        let is_stray = |process: &&Process| {
            let mut above = self.snapshot.ancestors(process.id.pid);
            process.uid == target && process.id.start_time >= since && !above.any(|pid| leaders.contains(&pid))
        };
        let scope = scope(login, self.snapshot);
        let in_scope = scope.iter().flat_map(|scope| self.snapshot.in_cgroup(scope));
        // As for the login itself: an id that another login has as well is no evidence.
        let is_shared = |audit_id: &u32| {
            let mut sharing = self.registry.with_audit_id(*audit_id);
            sharing.any(|other| other.id != login.id && other.opening.class != Class::Nested)
        };
        let audit_id = login.audit_id.filter(|audit_id| !is_shared(audit_id));
        let audited = audit_id.into_iter().flat_map(|audit_id| self.snapshot.with_audit_id(audit_id));
        in_scope
            .chain(audited)
            .filter_map(|pid| self.snapshot.find(pid))
            .filter(is_stray)
            .map(|found| found.id.pid)
            .collect()
    }

    /// The login that this session is nested in, however deep.
    fn login_around(&self) -> Option<&Session> {
        let above = |session: &&Session| session.parent.and_then(|parent| self.registry.find(parent));
        let chain = std::iter::successors(above(&self.session), above).take(DEEPEST);
        chain.into_iter().find(|other| other.opening.class != Class::Nested)
    }

    /// Whether nothing speaks against it.
    fn is_member(&self, process: &Process) -> bool {
        if process.is_zombie || process.id.pid == 1 || process.id.pid == std::process::id() {
            return false;
        }
        process.id == process_of(self.session.leader)
            || !self.is_above_the_leader(process) && !self.belongs_to_another(process)
    }

    /// Whether the process leads another session than this one, those around it and those nested in it.
    fn leads_another(&self, process: ProcessId) -> bool {
        self.registry
            .led_by(leader_of(process))
            .is_some_and(|other| other.id != self.session.id && !self.is_nested_here(other) && !self.is_inside(other))
    }

    /// The session's audit id, unless another login has it as well: then it is no evidence.
    fn own_audit_id(&self) -> Option<u32> {
        let audit_id = self.session.audit_id?;
        let mut sharers = self.registry.with_audit_id(audit_id).filter(|other| other.id != self.session.id);
        let is_shared = sharers.any(|other| other.opening.class != Class::Nested && !self.is_nested_here(other));
        (!is_shared).then_some(audit_id)
    }

    fn is_above_the_leader(&self, process: &Process) -> bool {
        self.snapshot.ancestors(self.session.leader.pid).any(|pid| pid == process.id.pid)
    }

    /// Whether the process is another session's, or an ended one's: a tmux server from yesterday that a client attached to.
    fn belongs_to_another(&self, process: &Process) -> bool {
        // By pid and start time: a pid alone could be a stranger's by now. The nearest leader counts: an administrator's shell may have
        // started the sshd that this session came through.
        let above = self.snapshot.ancestors(process.id.pid).filter_map(|pid| self.snapshot.find(pid));
        let mut below_our_leader =
            std::iter::once(process).chain(above).take_while(|above| above.id != process_of(self.session.leader));
        let is_another_sessions = below_our_leader.any(|above| self.leads_another(above.id));
        let has_another_audit_id =
            self.session.audit_id.is_some() && process.audit_id.is_some() && process.audit_id != self.session.audit_id;
        is_another_sessions || has_another_audit_id
    }

    /// Whether the other session is nested in this one, however deep.
    fn is_nested_here(&self, other: &Session) -> bool {
        self.is_below(other, self.session.id)
    }

    /// Whether this session is nested in the other, however deep: all of ours are the other's too.
    fn is_inside(&self, other: &Session) -> bool {
        self.is_below(self.session, other.id)
    }

    fn is_below(&self, session: &Session, above: SessionId) -> bool {
        let parent_of = |id: &SessionId| self.registry.find(*id).and_then(|session| session.parent);
        // No store that somebody edited leads in circles.
        let chain = std::iter::successors(session.parent, parent_of).take(DEEPEST);
        chain.into_iter().any(|id| id == above)
    }
}

/// The cgroup of the session's scope, if logind names our leader as its leader. Only then is it this session's.
///
/// The whole path: in the part of the tree that systemd leaves to a user anybody makes a folder with the name of another's scope.
#[must_use]
pub(crate) fn scope(session: &Session, snapshot: &Snapshot) -> Option<String> {
    let id = session.logind_id.as_deref().filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    // In a container systemd's own tree begins below the machine's.
    let root = snapshot.find(1)?.cgroup.strip_suffix("/init.scope")?;
    let uid = logind_says(id, "UID=")?;
    let is_led = logind_leader(id) == Some(session.leader.pid);
    is_led.then(|| format!("{root}/user.slice/user-{uid}.slice/session-{id}.scope"))
}

/// The leader of the session that logind knows by that id.
#[must_use]
pub(crate) fn logind_leader(id: &str) -> Option<u32> {
    logind_says(id, "LEADER=")
}

/// A number from what libsystemd reads as well for sd_session_get_leader(3).
fn logind_says(id: &str, field: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/run/systemd/sessions/{id}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok())
}

/// logind's session id of a process in that cgroup.
#[must_use]
pub(crate) fn logind_id(cgroup: &str) -> Option<String> {
    let (_, unit) = cgroup.rsplit_once('/')?;
    unit.strip_prefix("session-")?.strip_suffix(".scope").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use authflow_core::{
        factor::Factors,
        policy::Limits,
        session::{Basis, Leader, Opening, State},
        time::{BootTime, Now},
    };

    use super::*;

    fn process(pid: u32, parent: u32, audit_id: Option<u32>) -> Process {
        Process {
            id: ProcessId { pid, start_time: 1 },
            uid: 1000,
            parent,
            tty: 0,
            audit_id,
            cgroup: "/system.slice/ssh.service".into(),
            is_zombie: false,
        }
    }

    fn session(n: u8, leader: u32, audit_id: Option<u32>) -> Session {
        Session {
            id: SessionId::new([n; 16]),
            opening: Opening {
                user: "alice".into(),
                uid: 1000,
                target: "alice".into(),
                target_uid: 1000,
                service: "sshd".into(),
                tty: None,
                remote_host: None,
                class: Class::User,
                factors: Factors::none(),
                aal: 0,
                rule: String::new(),
                limits: Limits::default(),
                authenticated_at: None,
                flow: None,
                vouched_by: None,
            },
            leader: Leader { pid: leader, start_time: 1 },
            boot_id: String::new(),
            opened: Now::default(),
            authenticated: Now::default(),
            proved: <_>::default(),
            last_active: Now::default(),
            looked: BootTime::default(),
            basis: Basis::Tty,
            parent: None,
            logind_id: None,
            audit_id,
            warned_of: None,
            warned_again_of: None,
            locked_of: None,
            inhibition: <_>::default(),
            extended: 0,
            state: State::Active,
        }
    }

    fn nested(n: u8, leader: u32, parent: u8) -> Session {
        let mut session = session(n, leader, Some(5));
        session.opening.class = Class::Nested;
        session.parent = Some(SessionId::new([parent; 16]));
        session
    }

    fn registry(sessions: &[Session]) -> Registry {
        let mut registry = Registry::default();
        for session in sessions {
            assert!(registry.load(session.clone(), "", Now::default()).is_empty());
        }
        registry
    }

    fn pids(session: &Session, others: &[Session], snapshot: &Snapshot) -> Vec<u32> {
        members(session, &registry(others), &Known::default(), snapshot).into_iter().map(|id| id.pid).collect()
    }

    /// 10 is sshd's listener; 20 and 30 lead sessions; 25 was adopted by init; 99 is a neighbour.
    fn machine() -> Vec<Process> {
        vec![
            process(1, 0, None),
            process(10, 1, None),
            process(20, 10, Some(5)),
            process(21, 20, Some(5)),
            process(22, 21, Some(5)),
            process(25, 1, Some(5)),
            process(30, 10, Some(6)),
            process(31, 30, Some(6)),
            process(99, 1, None),
        ]
    }

    #[test]
    fn members_are_the_leader_its_descendants_and_what_the_audit_id_names() {
        let snapshot = Snapshot::of(machine());
        let (one, two) = (session(1, 20, Some(5)), session(2, 30, Some(6)));
        assert_eq!(pids(&one, std::slice::from_ref(&two), &snapshot), [20, 21, 22, 25]);
        assert_eq!(pids(&two, std::slice::from_ref(&one), &snapshot), [30, 31]);
    }

    #[test]
    fn without_an_audit_id_init_and_the_listener_are_still_nobodys() {
        let snapshot = Snapshot::of(machine());
        assert_eq!(pids(&session(1, 20, None), &[], &snapshot), [20, 21, 22]);
    }

    #[test]
    fn an_audit_id_that_the_listener_has_never_reaches_above_the_leader() {
        let mut machine = machine();
        machine[1].audit_id = Some(5);
        let snapshot = Snapshot::of(machine);
        let found = pids(&session(1, 20, Some(5)), &[session(2, 30, Some(6))], &snapshot);
        assert!(!found.contains(&10) && !found.contains(&1), "{found:?}");
    }

    #[test]
    fn an_audit_id_that_two_sessions_have_is_no_evidence() {
        let mut machine = machine();
        machine[6].audit_id = Some(5);
        machine[7].audit_id = Some(5);
        let snapshot = Snapshot::of(machine);
        let (one, two) = (session(1, 20, Some(5)), session(2, 30, Some(5)));
        assert_eq!(pids(&one, std::slice::from_ref(&two), &snapshot), [20, 21, 22]);
    }

    #[test]
    fn what_init_adopted_of_another_user_is_the_nested_sessions_and_of_two_nobodys() {
        let mut machine = machine();
        // The login's own; bob's from before; bob's; and one of bob's in another login.
        for (pid, uid, start_time, audit_id) in [(40, 1000, 9, 5), (41, 1001, 2, 5), (42, 1001, 9, 5), (43, 1001, 9, 6)]
        {
            machine.push(Process { uid, id: ProcessId { pid, start_time }, ..process(pid, 1, Some(audit_id)) });
        }
        let snapshot = Snapshot::of(machine);
        let su = |n: u8, leader: u32| {
            let mut session = nested(n, leader, 1);
            session.opening.target_uid = 1001;
            session.leader.start_time = 5;
            session
        };
        let logins = [session(1, 20, Some(5)), session(2, 30, Some(6))];
        // Its leader was killed: only what it left is there.
        assert_eq!(pids(&su(3, 77), &logins, &snapshot), [42]);
        let others = [logins.to_vec(), vec![su(4, 78)]].concat();
        assert_eq!(pids(&su(3, 77), &others, &snapshot), Vec::<u32>::new());
        assert_eq!(
            pids(&logins[0], &[su(3, 77)], &snapshot),
            [20, 21, 22, 25, 40, 41, 42],
            "and the login has them all"
        );
    }

    #[test]
    fn a_nested_session_is_its_leaders_descendants_and_the_parent_has_them_too() {
        let snapshot = Snapshot::of(machine());
        let (outer, inner) = (session(1, 20, Some(5)), nested(3, 22, 1));
        assert_eq!(pids(&inner, std::slice::from_ref(&outer), &snapshot), [22]);
        assert_eq!(pids(&outer, std::slice::from_ref(&inner), &snapshot), [20, 21, 22, 25]);
    }

    #[test]
    fn what_carries_an_ended_sessions_audit_id_is_in_no_session() {
        let mut machine = machine();
        machine.push(process(40, 21, Some(4)));
        assert!(!pids(&session(1, 20, Some(5)), &[], &Snapshot::of(machine)).contains(&40));
    }

    #[test]
    fn what_was_seen_below_the_leader_stays_a_member_when_init_adopts_it() {
        let mut known = Known::default();
        let session = session(1, 20, None);
        let before = Snapshot::of(machine());
        known.note(session.id, &members(&session, &registry(&[]), &known, &before));
        let after = Snapshot::of([process(1, 0, None), process(22, 1, None), process(99, 1, None)]);
        let left = members(&session, &registry(&[]), &known, &after);
        assert_eq!(left.iter().map(|id| id.pid).collect::<Vec<_>>(), [22]);
    }

    #[test]
    fn a_process_that_took_a_dead_leaders_pid_is_no_leader() {
        let mut machine = machine();
        machine[2].id.start_time = 77;
        assert_eq!(pids(&session(1, 20, None), &[], &Snapshot::of(machine)), Vec::<u32>::new());
    }

    #[test]
    fn a_login_through_an_sshd_that_another_session_started_has_its_own_processes() {
        let mut machine = machine();
        machine[6].parent = 22;
        let snapshot = Snapshot::of(machine);
        let (administrator, login) = (session(1, 20, Some(5)), session(2, 30, Some(6)));
        assert_eq!(pids(&login, std::slice::from_ref(&administrator), &snapshot), [30, 31]);
        assert_eq!(pids(&administrator, std::slice::from_ref(&login), &snapshot), [20, 21, 22, 25]);
    }

    #[test]
    fn what_a_session_holds_it_might_hold() {
        let snapshot = Snapshot::of(machine());
        let sessions = [session(1, 20, Some(5)), session(2, 30, Some(6)), nested(3, 22, 1)];
        for session in &sessions {
            let held = pids(session, &sessions, &snapshot);
            assert!(held.iter().all(|pid| may_hold(session, *pid, &Known::default(), &snapshot)), "{held:?}");
        }
        assert!(!may_hold(&sessions[0], 31, &Known::default(), &snapshot));
        assert!(!may_hold(&sessions[0], 99, &Known::default(), &snapshot));
    }

    #[test]
    fn a_scope_names_its_session() {
        assert_eq!(logind_id("/user.slice/user-1000.slice/session-7.scope").as_deref(), Some("7"));
        assert_eq!(logind_id("/system.slice/ssh.service"), None);
    }
}
