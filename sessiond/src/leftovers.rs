//! What runs on although its login is over: tmux, nohup, what was handed to the user manager. None of it is in a session, so no limit ends
//! it; its user and the administrator should know.

use std::{collections::BTreeMap, fs::File, io::Read};

use authflow_bus::LeftOver;
use authflow_core::session::{Class, Ended, SessionId};
use authflow_host::process;

use crate::{
    bounded,
    log::visible,
    members::{logind_id, logind_leader},
    own_scope,
    snapshot::{Process, Snapshot},
};

/// How many ended logins are remembered by their audit ids. These count up, so that the oldest is the smallest.
const REMEMBERED: usize = 4096;

/// As much of a command line as is read.
const LONGEST: u64 = 4096;

/// The audit ids of logins that are over.
#[derive(Debug, Default)]
pub(crate) struct EndedLogins(BTreeMap<u32, SessionId>);

impl EndedLogins {
    /// Remembers a session that is over. What is nested in another has that one's audit id.
    pub(crate) fn note(&mut self, ended: &Ended) {
        let session = &ended.session;
        let Some(audit_id) = session.audit_id.filter(|_| session.opening.class != Class::Nested) else { return };
        self.0.insert(audit_id, session.id);
        if self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
    }

    /// What the process is a left-over of, if it is one; its command is yet to be told. That no live session holds it must be known.
    #[must_use]
    pub(crate) fn left_over(&self, process: &Process, snapshot: &Snapshot) -> Option<LeftOver> {
        let pid = process.id.pid;
        if process.is_zombie || pid == 1 || pid == std::process::id() {
            return None;
        }
        let by_audit_id = process.audit_id.and_then(|audit_id| self.0.get(&audit_id)).copied();
        let session = by_audit_id.or_else(|| own_scope::session_in(&process.cgroup, snapshot));
        let unit = unit_of_manager(&process.cgroup);
        if session.is_none() && unit.is_none() && !is_of_a_login_that_is_over(process, snapshot) {
            return None;
        }
        Some(LeftOver {
            pid,
            uid: process::login_uid(pid).or_else(|| process::uids(pid).ok()?.first().copied())?,
            command: String::new(),
            session: session.as_ref().map(SessionId::to_string).unwrap_or_default(),
            unit: unit.unwrap_or_default().to_owned(),
        })
    }
}

/// Tells what these run. One that is gone by now is left out.
#[must_use]
pub(crate) fn with_commands(found: Vec<LeftOver>) -> Vec<LeftOver> {
    let pids: Vec<u32> = found.iter().map(|left_over| left_over.pid).collect();
    // The arguments lie in the process's own memory, which it may keep from whoever wants to read it.
    let commands: BTreeMap<u32, Option<Option<String>>> = bounded::look().read(&pids, command).into_iter().collect();
    let tell = |left_over: LeftOver| {
        let command = commands.get(&left_over.pid)?.clone().unwrap_or_else(|| name(left_over.pid))?;
        Some(LeftOver { command, ..left_over })
    };
    found.into_iter().filter_map(tell).collect()
}

/// The unit of a user manager that the process is in; the manager itself is none.
fn unit_of_manager(cgroup: &str) -> Option<&str> {
    let (_, below) = cgroup.split_once("/user@")?;
    let (_, units) = below.split_once(".service/")?;
    let unit = units.rsplit('/').next()?;
    (unit != "init.scope").then_some(unit)
}

/// Whether the process sits in the scope of a login whose leader is gone: one of before this daemon, or that was not tracked.
fn is_of_a_login_that_is_over(process: &Process, snapshot: &Snapshot) -> bool {
    let Some(id) = logind_id(&process.cgroup) else { return false };
    logind_leader(&id).is_none_or(|leader| snapshot.find(leader).is_none_or(|leader| leader.is_zombie))
}

/// The command line, or the name where there is none.
fn command(pid: u32) -> Option<String> {
    let mut line = Vec::new();
    // A user makes them as long as he likes.
    File::open(format!("/proc/{pid}/cmdline")).ok()?.take(LONGEST).read_to_end(&mut line).ok()?;
    let words: Vec<_> = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).collect();
    let line = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    if line.is_empty() { name(pid) } else { Some(visible(&line)) }
}

fn name(pid: u32) -> Option<String> {
    Some(visible(process::text(pid, "comm").ok()?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_of_the_user_manager_is_told_from_the_manager() {
        let unit = |cgroup| unit_of_manager(cgroup);
        assert_eq!(
            unit("/user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.service"),
            Some("run-u1.service")
        );
        assert_eq!(unit("/user.slice/user-1000.slice/user@1000.service/init.scope"), None);
        assert_eq!(unit("/user.slice/user-1000.slice/session-4.scope"), None);
        assert_eq!(unit("/system.slice/ssh.service"), None);
    }
}
