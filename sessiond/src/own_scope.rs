//! A scope of systemd's for a login that has none of logind's and no audit session id. Its stack names neither pam_systemd nor pam_loginuid,
//! so it sits among everybody else's processes in its service, and what leaves its family there would be lost. The scope is found by its
//! name, which says whose it is, and goes by itself with the last process.
//!
//! Nothing but a login's own leader is moved, out of the machine's own service that it was started by and while it waits for us.

use std::{num::NonZeroUsize, time::Duration};

use authflow_core::session::{Class, Session, SessionId};
use zbus::{
    Connection, MatchRule, MessageStream, OwnedObjectPath, export::ordered_stream::OrderedStreamExt, message::Type,
};

use crate::{
    daemon::Daemon,
    event::Event,
    leader::process_of,
    log::Line,
    snapshot::{Process, Snapshot},
    systemd,
};

/// How long a login waits for its scope. The module waits longer than that for us.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many signals of systemd's are kept while one is waited for.
const QUEUED: usize = 64;

const SLICE: &str = "user.slice";

/// Gives a session that was just opened a scope, if it needs one. What goes wrong is logged, and changes nothing.
pub(crate) async fn hold_together(daemon: &Daemon, connection: &Connection, id: SessionId) {
    let Some(session) = daemon.find(id).filter(|_| systemd::runs_here()) else { return };
    let leader = process_of(session.leader);
    let chain = Snapshot::chains([1, leader.pid]);
    let needs_it =
        chain.find(leader.pid).is_some_and(|process| process.id == leader && is_needed(&session, process, &chain));
    if !needs_it {
        return;
    }
    let begun = tokio::time::timeout(PATIENCE, begin(connection, &session)).await;
    // Where the leader is says more than who has told of it in time.
    let now = Snapshot::chains([1, leader.pid]);
    let is_in = |process: &Process| process.id == leader && session_in(&process.cgroup, &now) == Some(id);
    if now.find(leader.pid).is_some_and(is_in) {
        return;
    }
    let why = match begun {
        Ok(Ok(())) => "the leader is not in it".to_owned(),
        Ok(Err(why)) => why.to_string(),
        Err(_elapsed) => format!("systemd did not do it within {PATIENCE:?}"),
    };
    daemon.log.write(&Line::warning(Event::NotHeldTogether).with("session", id).with("why", why));
}

/// The cgroup of the session's own scope, if it has one.
#[must_use]
pub(crate) fn cgroup(session: &Session, snapshot: &Snapshot) -> Option<String> {
    let is_held_otherwise = session.logind_id.is_some() || session.audit_id.is_some();
    let root = snapshot.systemd_root().filter(|_| !is_held_otherwise && session.opening.class != Class::Nested)?;
    Some(format!("{root}/{SLICE}/{}", unit(session.id)))
}

/// The session whose own scope that cgroup is.
///
/// The whole path: in the part of the tree that systemd leaves to a user anybody makes a folder with such a name.
#[must_use]
pub(crate) fn session_in(cgroup: &str, snapshot: &Snapshot) -> Option<SessionId> {
    let (slice, unit) = cgroup.rsplit_once('/')?;
    let is_systemds = slice.strip_prefix(snapshot.systemd_root()?)?.strip_prefix('/') == Some(SLICE);
    unit.strip_prefix("authflow-")?.strip_suffix(".scope")?.parse().ok().filter(|_| is_systemds)
}

fn unit(id: SessionId) -> String {
    format!("authflow-{id}.scope")
}

/// Whether nothing else tells the session's processes, and its leader is one that may be moved. Only programs that begin a person's stay:
/// a file or mail server's processes are its service's, by which they are limited and stopped.
fn is_needed(session: &Session, leader: &Process, chain: &Snapshot) -> bool {
    let is_unmarked = session.logind_id.is_none() && session.audit_id.is_none() && session.parent.is_none();
    let below_root = chain.systemd_root().and_then(|root| leader.cgroup.strip_prefix(root));
    // What is in a scope is a session's or a container's already, and what is below a service's own cgroup is that service's to arrange.
    let is_in_a_service =
        below_root.is_some_and(|path| path.starts_with("/system.slice/") && path.ends_with(".service"));
    let is_login = session.opening.class == Class::User && begins_a_stay(&session.opening.service, leader);
    is_unmarked && is_in_a_service && is_login && leader.id.pid != 1
}

/// An sshd may go by any name to PAM.
fn begins_a_stay(service: &str, leader: &Process) -> bool {
    let by_name = ["login", "remote", "sshd", "sddm", "lightdm"].contains(&service) || service.starts_with("gdm-");
    let is_sshd = || {
        let name = authflow_host::process::text(leader.id.pid, "comm").unwrap_or_default();
        ["sshd", "sshd-session"].contains(&name.trim())
    };
    by_name || is_sshd()
}

/// Has systemd begin the scope, and waits until it has: what the leader starts from then on is born into it.
async fn begin(connection: &Connection, session: &Session) -> zbus::Result<()> {
    // An administrator who confines a service means its logins, too: none of them is let out of that.
    if let Some(confinement) = systemd::confinement(connection, session.leader.pid).await? {
        return Err(zbus::Error::Failure(format!("{confinement}, which it would leave")));
    }
    let unit = unit(session.id);
    let jobs = jobs(connection).await?;
    let description = format!("Login session {} of {}", session.id, session.opening.user);
    let asked = systemd::begin_scope(connection, &unit, &description, session.leader.pid);
    // What is heard is taken at once, also before the answer is there: where it waited, the connection would wait with it.
    tokio::try_join!(asked, is_begun(jobs, &unit)).map(drop)
}

/// Systemd's jobs as they end. Anybody can send what looks like them, and only by the connection's own name is its owner told from others.
async fn jobs(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(systemd::connection_name(connection).await?)
        .path(systemd::PATH)
        .interface(systemd::MANAGER)
        .member("JobRemoved")
        .build()?;
    MessageStream::for_match_rule(rule, connection, NonZeroUsize::new(QUEUED)).await
}

/// Waits until the job of that unit is done. It has no other: its name is new.
async fn is_begun(mut jobs: MessageStream, unit: &str) -> zbus::Result<()> {
    while let Some(removed) = jobs.next().await {
        let removed = removed?;
        let body = removed.body();
        let Ok((_, _, of, result)) = body.deserialize::<(u32, OwnedObjectPath, &str, &str)>() else { continue };
        if of == unit {
            return if result == "done" { Ok(()) } else { Err(zbus::Error::Failure(format!("systemd says {result}"))) };
        }
    }
    Err(zbus::Error::Failure("the bus is gone".to_owned()))
}

#[cfg(test)]
mod tests {
    use authflow_host::process::ProcessId;

    use super::*;
    use crate::members::tests::session;

    fn at(cgroup: &str) -> Process {
        let id = ProcessId { pid: 20, start_time: 1 };
        Process { id, uid: 0, parent: 1, tty: 0, audit_id: None, cgroup: cgroup.to_owned(), is_zombie: false }
    }

    fn machine(root: &str) -> Snapshot {
        let id = ProcessId { pid: 1, start_time: 0 };
        Snapshot::of([Process { id, parent: 0, ..at(&format!("{root}/init.scope")) }])
    }

    #[test]
    fn a_login_in_a_service_of_the_machines_needs_a_scope_unless_something_marks_it() {
        let login = session(1, 20, None);
        for (root, service) in [
            ("", "/system.slice/ssh.service"),
            ("", "/system.slice/system-getty.slice/getty@tty1.service"),
            ("/machine.slice/box", "/machine.slice/box/system.slice/ssh.service"),
        ] {
            assert!(is_needed(&login, &at(service), &machine(root)), "{service}");
        }
        let ssh = at("/system.slice/ssh.service");
        let marked = Session { logind_id: Some("7".into()), ..login.clone() };
        assert!(!is_needed(&marked, &ssh, &machine("")));
        assert!(!is_needed(&session(1, 20, Some(5)), &ssh, &machine("")));
        let inside = Session { parent: Some(SessionId::new([2; 16])), ..login.clone() };
        assert!(!is_needed(&inside, &ssh, &machine("")));
        assert!(!is_needed(&login, &ssh, &Snapshot::default()), "no systemd");
    }

    #[test]
    fn nothing_is_moved_that_is_somebody_elses_or_no_persons_stay() {
        let login = session(1, 20, None);
        for cgroup in [
            "/init.scope",
            "/user.slice/user-1000.slice/session-7.scope",
            "/user.slice/user-1000.slice/user@1000.service",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/tmux.service",
            "/system.slice/docker-1.scope",
            "/system.slice/docker.service/payload",
            "/machine.slice/box/system.slice/ssh.service",
            "",
        ] {
            assert!(!is_needed(&login, &at(cgroup), &machine("")), "{cgroup}");
        }
        let ssh = at("/system.slice/ssh.service");
        for (class, service) in [(Class::Nested, "sshd"), (Class::Background, "sshd"), (Class::User, "vsftpd")] {
            let mut other = login.clone();
            other.opening.class = class;
            other.opening.service = service.into();
            assert!(!is_needed(&other, &ssh, &machine("")), "{class:?} {service}");
        }
    }

    #[test]
    fn a_scope_is_its_sessions_where_systemd_made_it_and_nowhere_else() {
        let login = session(7, 20, None);
        for root in ["", "/machine.slice/box"] {
            let path = cgroup(&login, &machine(root)).unwrap();
            assert!(path.starts_with(root));
            assert_eq!(session_in(&path, &machine(root)), Some(login.id));
            let forged = path.replace("/user.slice", "/user.slice/user-1000.slice/user@1000.service/user.slice");
            assert_eq!(session_in(&forged, &machine(root)), None);
        }
        assert_eq!(session_in("/user.slice/authflow-x.scope", &machine("")), None);
        assert_eq!(cgroup(&session(7, 20, Some(5)), &machine("")), None);
    }
}
