//! How sessions begin: opened by a login program, or adopted where one was let in without the daemon.

use std::sync::Arc;

use authflow_core::{
    policy::AtMax,
    session::{Birth, Class, NotOpened, Opening, Registry, Renewal, SessionId},
    time::{Clock, Now, WallTime},
};
use authflow_host::{
    clock::SystemClock,
    file::Trust,
    pending::{self, Pending},
    process::{self, ProcessId},
};

use super::Daemon;
use crate::{
    audit::Record,
    event::Event,
    leader::{Held, leader_of},
    log::Line,
    members, own_scope,
    snapshot::Snapshot,
};

/// A login that becomes a session.
pub(crate) struct Login {
    /// The session's id.
    pub(crate) id: SessionId,
    /// The facts.
    pub(crate) opening: Opening,
    /// The process whose end is a logout.
    pub(crate) leader: ProcessId,
    /// That process, if it could be held.
    pub(crate) held: Option<Held>,
    /// When the user was let in.
    pub(crate) opened: Now,
    /// Whether the user is in already, and cannot be refused.
    pub(crate) is_in: bool,
}

impl Daemon {
    /// Takes over the logins that were let in without the daemon.
    pub(crate) fn adopt_pending(self: &Arc<Self>) {
        let found = pending::list(&self.paths, Trust::root()).unwrap_or_else(|error| {
            self.log.write(&Line::error(Event::PendingUnreadable).with("why", &error));
            Vec::new()
        });
        let mut adopted = Vec::new();
        for pending in found {
            match pending {
                Ok(pending) => adopted.extend(self.adopt(pending)),
                Err(error) => self.log.write(&Line::error(Event::PendingUnreadable).with("why", &error)),
            }
        }
        if adopted.is_empty() {
            return;
        }
        // Their processes are there already, and their limits run from their opening: they may be due.
        let snapshot = Snapshot::take();
        adopted.into_iter().for_each(|id| self.look_at(id, &snapshot));
    }

    /// Gives the session that it became, if it lives.
    fn adopt(self: &Arc<Self>, pending: Pending) -> Option<SessionId> {
        let Pending { id, boot_id, leader, opened_boot, opened_wall, closed, opening } = pending.clone();
        let line =
            |event| Line::info(event).with("session", &id).with("user", &opening.user).with("leader", leader.pid);
        let (adopted, missed) = (line(Event::Adopted), line(Event::Missed));
        let opened = Now { boot: opened_boot, wall: opened_wall };
        let held = closed.is_none().then(|| Held::if_there(leader));
        // One that does not let itself be held is there.
        let is_alive = !matches!(held, None | Some(Ok(None)));
        let is_open = |id| self.find(id).is_some_and(|session| session.leader == leader_of(leader));
        let done = match id.parse::<SessionId>() {
            Ok(_) if boot_id != self.boot_id => Err("it is of another boot".to_owned()),
            // It was opened when asked for, and the module did not wait long enough to hear of it.
            Ok(id) if is_open(id) => {
                if closed.is_some() {
                    self.close(id);
                }
                Ok((adopted, None))
            }
            Ok(id) if is_alive => {
                let held = held.and_then(Result::ok).flatten();
                let login = Login { id, opening, leader, held, opened, is_in: true };
                let begun = self.begin(login, &Snapshot::chain(leader.pid));
                begun.map(|()| (adopted, Some(id))).map_err(|why| why.to_string())
            }
            Ok(id) => {
                let recorded = self.record((id, opening, leader), opened, closed);
                recorded.map(|()| (missed, None)).map_err(|why| why.to_string())
            }
            Err(why) => Err(why.to_string()),
        };
        let (line, adopted) =
            done.unwrap_or_else(|why| (Line::warning(Event::NotAdopted).with("session", &id).with("why", why), None));
        self.log.write(&line);
        if let Err(error) = pending::remove(&self.paths, &pending) {
            self.log.write(&Line::error(Event::PendingNotRemoved).with("why", &error));
        }
        adopted
    }

    /// Records a session that came and went while no daemon was there. Nothing of it is looked up: its leader's pid may be another's now.
    fn record(
        &self,
        (id, opening, leader): (SessionId, Opening, ProcessId),
        opened: Now,
        closed: Option<WallTime>,
    ) -> Result<(), NotOpened> {
        let now = SystemClock.now();
        let boot_id = self.boot_id.clone();
        let leader = leader_of(leader);
        let birth = Birth { id, opening, leader, boot_id, parent: None, logind_id: None, audit_id: None, opened };
        let mut core = self.core();
        let actions = core.registry.record(birth, closed, now)?;
        self.apply(&core, actions);
        Ok(())
    }

    /// Opens a session whose leader was found in that chain.
    ///
    /// # Errors
    /// The registry refuses.
    pub(crate) fn open(self: &Arc<Self>, login: Login, chain: &Snapshot) -> Result<(), NotOpened> {
        let id = login.id;
        self.begin(login, chain)?;
        if let Some(session) = self.find(id) {
            self.note_newborn(&session);
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, mut login: Login, chain: &Snapshot) -> Result<(), NotOpened> {
        let (id, leader, held, is_in) = (login.id, login.leader, login.held.take(), login.is_in);
        self.look_at_rivals(&login.opening);
        let mut core = self.core();
        let birth = self.birth(&core.registry, chain, login);
        let line = Line::info(Event::Opened)
            .with("session", id)
            .with("user", &birth.opening.user)
            .with("target", &birth.opening.target)
            .with("service", &birth.opening.service)
            .with("host", birth.opening.remote_host.as_deref().unwrap_or("-"))
            .with("factors", &birth.opening.factors)
            .with("aal", birth.opening.aal)
            .with("rule", &birth.opening.rule)
            .with("class", birth.opening.class.as_str())
            .with("leader", leader.pid);
        let record = Record::opened(id, &birth.opening);
        let now = SystemClock.now();
        let mut actions = if is_in { core.registry.adopt(birth, now) } else { core.registry.open(birth, now) }?;
        // What later looks are compared with. As yet the leader is all there is, but where the user is in already.
        if !is_in {
            actions.extend(self.review(&mut core, id, chain));
        }
        let around = core.registry.find(id).and_then(Renewal::around);
        self.apply(&core, actions);
        drop(core);
        self.opened.notify_one();
        self.log.write(&line);
        self.audit.tell(record);
        match held {
            Some(held) => self.watch_held(id, held),
            None => self.watch(id, leader),
        }
        self.desktops_changed.notify_one();
        if let Some((parent, renewal)) = around
            && let Err(why) = self.renew(parent, &renewal)
        {
            self.log.write(&Line::info(Event::NotRenewed).with("session", parent).with("why", why));
        }
        Ok(())
    }

    /// Where the session that idled longest is to make room, it must be known which that is. It costs a look at the whole machine, so only
    /// there.
    fn look_at_rivals(self: &Arc<Self>, opening: &Opening) {
        let Some(most) = opening.limits.max_sessions.filter(|_| opening.limits.at_max == AtMax::Supersede) else {
            return;
        };
        let rivals = self.sessions_where(|session| session.opening.uid == opening.uid);
        if rivals.len() < usize::try_from(most).unwrap_or(usize::MAX) {
            return;
        }
        let snapshot = Snapshot::take();
        rivals.iter().for_each(|rival| self.look_at(rival.id, &snapshot));
    }

    fn birth(&self, registry: &Registry, chain: &Snapshot, login: Login) -> Birth {
        let Login { id, mut opening, leader, opened, .. } = login;
        let pid = leader.pid;
        let leads =
            |pid: u32| chain.find(pid).and_then(|process| members::led_by(process, registry)).map(|session| session.id);
        let audit_id = process::audit_session(pid);
        let same_audit = || {
            let mut sharing = audit_id.into_iter().flat_map(|audit_id| registry.with_audit_id(audit_id));
            sharing.next().map(|session| session.id)
        };
        let is_nested = opening.class == Class::Nested;
        let same_scope = || {
            let around = own_scope::session_in(&chain.find(pid)?.cgroup, chain)?;
            registry.find(around).map(|session| session.id)
        };
        let around = || chain.ancestors(pid).find_map(leads).or_else(same_audit).or_else(same_scope);
        let parent = is_nested.then(around).flatten();
        // Nested in nothing that is tracked. Where somebody authenticated it is a login like others and needs its own idle timer; what a
        // service or root started without proving anything to us is work, and must not end for being quiet.
        if is_nested && parent.is_none() && opening.aal > 0 {
            opening.class = Class::User;
        }
        // The audit id is evidence only where it was set for this login: not where sshd runs with an administrator's.
        let above = process::parent(pid).ok().and_then(process::audit_session);
        let is_own = above != audit_id && process::login_uid(pid) == Some(opening.uid) && same_audit().is_none();
        Birth {
            id,
            opening,
            leader: leader_of(leader),
            boot_id: self.boot_id.clone(),
            parent,
            logind_id: chain.find(pid).and_then(|process| members::logind_id(&process.cgroup)),
            audit_id: audit_id.filter(|_| is_own || parent.is_some()),
            opened,
        }
    }
}
