//! Which processes belong to a session: the union of what logind's scope, the kernel's audit session id and descent say, looked up when
//! used. The guards matter more than the union: one wrong process here is sshd's listener killed, or somebody else's work.

#[cfg(test)]
pub(crate) mod tests;

use std::{collections::BTreeSet, fs};

use authflow_core::session::{Class, Registry, Session, SessionId};
use authflow_host::process::ProcessId;

use crate::{
    known::Known,
    leader::{leader_of, process_of},
    lineage::Lineage,
    own_scope,
    snapshot::{Process, Snapshot},
};

/// The processes of the session, the leader included, zombies not.
#[must_use]
pub(crate) fn members(session: &Session, registry: &Registry, known: &Known, snapshot: &Snapshot) -> Vec<ProcessId> {
    let scope = scope(session, snapshot);
    let look = Look { session, registry, known, snapshot, scope };
    let above_the_leader: BTreeSet<u32> = snapshot.ancestors(session.leader.pid).collect();
    let mut led_by_another = look.led_by_another();
    let mut is_member = |process: &Process| {
        let pid = process.id.pid;
        let is_anybodys = !process.is_zombie && pid != 1 && pid != std::process::id();
        let mut is_ours =
            || !above_the_leader.contains(&pid) && !look.has_another_audit_id(process) && !led_by_another.ask(pid);
        is_anybodys && (may_lead(process, session) || is_ours())
    };
    let found = look.candidates().into_iter().filter_map(|pid| snapshot.find(pid));
    found.filter(|process| is_member(process)).map(|process| look.id_of(process)).collect()
}

/// The session that the process leads, if it leads one.
#[must_use]
pub(crate) fn led_by<'a>(process: &Process, registry: &'a Registry) -> Option<&'a Session> {
    if process.is_unreadable() {
        return registry.iter().find(|session| may_lead(process, session));
    }
    registry.led_by(leader_of(process.id))
}

/// Whether the process is the session's leader, as far as can be seen.
fn may_lead(process: &Process, session: &Session) -> bool {
    is_theirs(process, process_of(session.leader), session)
}

/// Whether the process is that one of the session's, as far as can be seen. One that is known by its pid alone could be a stranger's, unless
/// it runs as somebody whom a session has processes of.
fn is_theirs(process: &Process, id: ProcessId, session: &Session) -> bool {
    let users = [0, session.opening.uid, session.opening.target_uid];
    process.may_be(id) && (!process.is_unreadable() || users.contains(&process.uid))
}

/// Whether the process is that one, which was seen in the session before, as far as can be seen.
fn was_theirs(process: &Process, known: (ProcessId, u64), session: &Session) -> bool {
    let (id, by) = known;
    is_theirs(process, id, session) || process.is_now_read(id, by)
}

/// Whether the process, which has those above it, might be among the session's members. Cheap: of a thousand sessions it leaves the few that
/// are worth a look.
#[must_use]
pub(crate) fn may_hold(
    session: &Session,
    (pid, above): (u32, &BTreeSet<u32>),
    known: &Known,
    snapshot: &Snapshot,
) -> bool {
    let Some(process) = snapshot.find(pid) else { return false };
    let leader = session.leader.pid;
    pid == leader
        || above.contains(&leader)
        || known.of(session.id).any(|known| was_theirs(process, known, session))
        || session.audit_id.is_some() && session.audit_id == process.audit_id
        || session.logind_id.is_some() && session.logind_id == logind_id(&process.cgroup)
        || own_scope::session_in(&process.cgroup, snapshot) == Some(session.id)
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
        let is_there = self.snapshot.find(leader.pid).is_some_and(|found| may_lead(found, self.session));
        let mut pids = if is_there { self.snapshot.descendants(leader.pid) } else { BTreeSet::new() };
        pids.extend(is_there.then_some(leader.pid));
        let runs = |known: &(ProcessId, u64)| {
            let found = self.snapshot.find(known.0.pid);
            found.is_some_and(|found| was_theirs(found, *known, self.session) && !found.is_zombie)
        };
        pids.extend(self.known.of(id).filter(runs).map(|(known, _)| known.pid));
        // Nested sessions share scope and audit id with the login around them, so there these say little.
        if self.session.opening.class == Class::Nested {
            pids.extend(self.strays());
        } else {
            pids.extend(self.scope.iter().flat_map(|scope| self.snapshot.in_cgroup(scope)));
            pids.extend(self.own_audit_id().into_iter().flat_map(|audit_id| self.snapshot.with_audit_id(audit_id)));
        }
        pids
    }

    /// Which process that is: of one that cannot be read now, what the session knows of it.
    fn id_of(&self, process: &Process) -> ProcessId {
        if !process.is_unreadable() {
            return process.id;
        }
        let known = self.known.of(self.session.id).map(|(known, _)| known);
        let mut ids = std::iter::once(process_of(self.session.leader)).chain(known);
        ids.find(|id| is_theirs(process, *id, self.session)).unwrap_or(process.id)
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
        let mut is_led = Lineage::new(self.snapshot, |process| leaders.contains(&process.id.pid).then_some(true));
        let mut is_stray = |process: &&Process| {
            // One whose start cannot be read may be older, and of another session.
            let is_since = process.id.start_time >= since && !process.is_unreadable();
            process.uid == target && is_since && !is_led.ask(process.parent)
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
            .filter(|process| is_stray(process))
            .map(|found| found.id.pid)
            .collect()
    }

    /// The login that this session is nested in, however deep.
    fn login_around(&self) -> Option<&Session> {
        let above = |session: &&Session| session.parent.and_then(|parent| self.registry.find(parent));
        let chain = std::iter::successors(above(&self.session), above).take(DEEPEST);
        chain.into_iter().find(|other| other.opening.class != Class::Nested)
    }

    /// Whether the process leads another session than this one, those around it and those nested in it.
    fn leads_another(&self, process: &Process) -> bool {
        led_by(process, self.registry).is_some_and(|other| self.is_foreign(other))
    }

    /// Whether it is another session than this one, those around it and those nested in it.
    fn is_foreign(&self, other: &Session) -> bool {
        other.id != self.session.id && !self.is_nested_here(other) && !self.is_inside(other)
    }

    /// The session's audit id, unless another login has it as well: then it is no evidence.
    fn own_audit_id(&self) -> Option<u32> {
        let audit_id = self.session.audit_id?;
        let mut sharers = self.registry.with_audit_id(audit_id).filter(|other| other.id != self.session.id);
        let is_shared = sharers.any(|other| other.opening.class != Class::Nested && !self.is_nested_here(other));
        (!is_shared).then_some(audit_id)
    }

    /// Whether another session's leader started the process. The nearest leader counts: an administrator's shell may have started the sshd
    /// that this session came through.
    fn led_by_another(&self) -> Lineage<'_, impl FnMut(&Process) -> Option<bool>> {
        // By pid and start time where these can be had: a pid alone could be a stranger's by now.
        let answer = |process: &Process| {
            if may_lead(process, self.session) { Some(false) } else { self.leads_another(process).then_some(true) }
        };
        Lineage::new(self.snapshot, answer)
    }

    /// Whether another live session has that audit id, and this one has its own.
    fn has_audit_id_of_another(&self, process: &Process) -> bool {
        let mut with_it = process.audit_id.into_iter().flat_map(|audit_id| self.registry.with_audit_id(audit_id));
        self.has_another_audit_id(process) && with_it.any(|other| self.is_foreign(other))
    }

    /// Whether the process is of another login than this one, or of an ended one: a tmux server from yesterday that a client attached to.
    fn has_another_audit_id(&self, process: &Process) -> bool {
        self.session.audit_id.is_some() && process.audit_id.is_some() && process.audit_id != self.session.audit_id
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

/// The cgroup of the session's scope, logind's or its own.
#[must_use]
pub(crate) fn scope(session: &Session, snapshot: &Snapshot) -> Option<String> {
    logind_scope(session, snapshot).or_else(|| own_scope::cgroup(session, snapshot))
}

/// The cgroup of logind's scope, if logind names our leader as its leader. Only then is it this session's.
///
/// The whole path: in the part of the tree that systemd leaves to a user anybody makes a folder with the name of another's scope.
#[must_use]
pub(crate) fn logind_scope(session: &Session, snapshot: &Snapshot) -> Option<String> {
    let id = session.logind_id.as_deref().filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()))?;
    let root = snapshot.systemd_root()?;
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

/// Whether logind knows of a login of the user's whose leader runs, be it one that we track or not. Jobs of cron are no login, nor is the
/// user manager, which later versions list as well.
#[must_use]
pub(crate) fn logind_has_login(uid: u32, snapshot: &Snapshot) -> bool {
    let sessions = fs::read_dir("/run/systemd/sessions").into_iter().flatten().flatten();
    // Beside the files lie pipes, and whoever reads one waits.
    let files = sessions.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let leaders = files.filter_map(|entry| leader_of_login(&fs::read_to_string(entry.path()).ok()?, uid));
    leaders.filter_map(|pid| snapshot.find(pid)).any(|leader| !leader.is_zombie)
}

/// The leader of what is a login of the user's by that file of logind's.
fn leader_of_login(text: &str, uid: u32) -> Option<u32> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let is_login = field("CLASS").is_none_or(|class| class.starts_with("user"));
    let is_theirs = field("UID")?.parse() == Ok(uid);
    (is_login && is_theirs).then(|| field("LEADER")?.parse().ok())?
}

/// The cgroup of the session's scope, if no other live session has processes there: whoever logs in through an sshd that an administrator
/// started in his login stays in the administrator's scope.
#[must_use]
pub(crate) fn whole_scope(session: &Session, registry: &Registry, snapshot: &Snapshot) -> Option<String> {
    let scope = scope(session, snapshot)?;
    let is_shared = is_shared(&scope, session, registry, snapshot);
    (!is_shared).then_some(scope)
}

fn is_shared(scope: &str, session: &Session, registry: &Registry, snapshot: &Snapshot) -> bool {
    let look = Look { session, registry, known: &Known::default(), snapshot, scope: None };
    let mut led_by_another = look.led_by_another();
    let mut there =
        snapshot.below_cgroup(scope).filter_map(|pid| snapshot.find(pid)).filter(|process| !process.is_zombie);
    there.any(|process| look.has_audit_id_of_another(process) || led_by_another.ask(process.id.pid))
}

/// Whether anything runs in the session's own scope, as the kernel has it. `false` where others run there, too.
#[must_use]
pub(crate) fn scope_is_populated(session: &Session, registry: &Registry, snapshot: &Snapshot) -> bool {
    whole_scope(session, registry, snapshot)
        .and_then(|scope| fs::read_to_string(format!("/sys/fs/cgroup{scope}/cgroup.events")).ok())
        .is_some_and(|events| events.lines().any(|line| line == "populated 1"))
}

/// logind's session id of a process in that cgroup.
#[must_use]
pub(crate) fn logind_id(cgroup: &str) -> Option<String> {
    let (_, unit) = cgroup.rsplit_once('/')?;
    unit.strip_prefix("session-")?.strip_suffix(".scope").map(str::to_owned)
}
