//! `authflow revoke`: ends sessions at once, with everything that runs in them. What names no session by its id is asked
//! about first, and the session that the caller sits in is spared unless it is named or `--including-mine` is given.

use std::collections::{BTreeMap, BTreeSet};

use authflow_host::deferred::{self, Deferred};
use serde::Serialize;

use crate::{
    context::Context, daemon::Daemon, error::Error, output::text::clean, session::Session, terminal::Terminal,
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["ids", "user", "others", "all"]))]
pub(crate) struct Revoke {
    /// Sessions, each by as much of its id as is unique
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All sessions of this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All your sessions but the one that this command is run in
    #[arg(long)]
    others: bool,
    /// All sessions of everybody
    #[arg(long)]
    all: bool,
    /// With --user and --all: also the session that this command is run in
    #[arg(long, conflicts_with_all = ["ids", "others"])]
    including_mine: bool,
    /// With --user: also what runs on outside of sessions, as tmux, jobs of cron and the user manager
    #[arg(long, requires = "user")]
    leftovers: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// What the users are told on their terminals
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
}

#[derive(Serialize)]
struct Revoked {
    changed: bool,
    revoked: u32,
    /// What the machine would start for the user by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    deferred: Option<Vec<Deferred>>,
}

impl Revoke {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let daemon = context.daemon()?;
        let revoked = if self.ids.is_empty() { self.by_user(context, &daemon)? } else { self.by_id(&daemon)? };
        let user = self.user.as_deref().filter(|_| self.leftovers);
        let deferred = user.map(|user| {
            // An account that is gone owns no jobs of at.
            let uid = context.account(user).map_or(u32::MAX, |account| account.uid);
            deferred::of(&context.paths, user, uid)
        });
        let result = Revoked { changed: revoked > 0 || self.leftovers, revoked, deferred };
        Ok(context.output.either(&result, || {
            let mut text = match revoked {
                0 => "no session to revoke\n".to_owned(),
                1 => "1 session revoked\n".to_owned(),
                _ => format!("{revoked} sessions revoked\n"),
            };
            if let Some(deferred) = &result.deferred {
                text.push_str("what runs outside of sessions ends\n");
                text.push_str(&left_over(deferred));
            }
            text
        })?)
    }

    /// All ids are looked up before the first session ends: a typing error must not end half of them.
    fn by_id(&self, daemon: &Daemon) -> Result<u32, Error> {
        let mut ids = BTreeSet::new();
        for prefix in &self.ids {
            ids.insert(daemon.session(prefix)?.id);
        }
        let mut revoked = 0;
        for id in ids {
            match daemon.revoke(&id, &self.message) {
                Ok(()) => revoked += 1,
                // It ended by itself since it was looked up.
                Err(Error::NoSession(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(revoked)
    }

    /// The daemon is told users, not sessions, so that a login in between does not slip through.
    fn by_user(&self, context: &Context, daemon: &Daemon) -> Result<u32, Error> {
        let sessions = daemon.sessions()?;
        let own = own_session(daemon)?;
        let users = self.users(context, &sessions, own.as_ref())?;
        let mine = own.filter(|_| !self.including_mine).map(|own| chain(&own, &sessions));
        let spared: Vec<String> = mine.into_iter().flatten().collect();
        let affected =
            sessions.iter().filter(|session| users.contains_key(&session.uid) && !spared.contains(&session.id)).count();
        if affected == 0 && !self.leftovers {
            return Ok(0);
        }
        let names: Vec<&str> = users.values().map(String::as_str).collect();
        let more = if self.leftovers { " and all that runs outside of them" } else { "" };
        self.confirm(context, &format!("End {affected} session(s) of {}{more}?", names.join(", ")))?;
        let mut revoked = 0;
        for &uid in users.keys() {
            revoked += daemon.revoke_user(uid, &spared, &self.message)?;
            if self.leftovers {
                daemon.end_leftovers(uid)?;
            }
        }
        Ok(revoked)
    }

    fn users(
        &self,
        context: &Context,
        sessions: &[Session],
        own: Option<&Session>,
    ) -> Result<BTreeMap<u32, String>, Error> {
        if self.all {
            if !context.is_root() {
                return Err(Error::NeedsRoot("other users' sessions are ended by root only"));
            }
            return Ok(sessions.iter().map(|session| (session.uid, session.user.clone())).collect());
        }
        let Some(name) = &self.user else {
            // Under sudo the caller's uid is root's, and the session still alice's.
            let own = own.ok_or(Error::InNoSession)?;
            return Ok(BTreeMap::from([(own.uid, own.user.clone())]));
        };
        // The account may be gone while its sessions live on.
        let known = sessions.iter().find(|session| &session.user == name).map(|session| session.uid);
        let uid = match known {
            Some(uid) => uid,
            None => context.account(name)?.uid,
        };
        Ok(BTreeMap::from([(uid, name.clone())]))
    }

    fn confirm(&self, context: &Context, question: &str) -> Result<(), Error> {
        if self.yes { Ok(()) } else { context.confirm(question) }
    }
}

/// A line for each thing that the machine would start for a user by itself.
pub(crate) fn left_over(deferred: &[Deferred]) -> String {
    let line =
        |Deferred { kind, path }: &Deferred| format!("left over: {kind} ({})\n", clean(&path.display().to_string()));
    deferred.iter().map(line).collect()
}

/// Ends the user's sessions but the one that this command is run in; tells how many.
pub(crate) fn all_but_mine(daemon: &Daemon, uid: u32, message: &str) -> Result<u32, Error> {
    let own = own_session(daemon)?;
    let sessions = daemon.sessions()?;
    let spared: Vec<String> = own.into_iter().flat_map(|own| chain(&own, &sessions)).collect();
    daemon.revoke_user(uid, &spared, message)
}

/// The session that this command is run in, if it is in any.
fn own_session(daemon: &Daemon) -> Result<Option<Session>, Error> {
    match daemon.own_session() {
        Ok(own) => Ok(Some(own)),
        Err(Error::InNoSession) => Ok(None),
        Err(error) => Err(error),
    }
}

/// After a change of factors: asks whether the user's other sessions shall end. Not asked where there are none, or no daemon.
pub(crate) fn offer_to_end_others(context: &Context, terminal: &Terminal, user: &str) -> Result<(), Error> {
    if context.is_image() {
        return Ok(());
    }
    let uid = context.account(user)?.uid;
    let Ok(daemon) = context.daemon() else { return Ok(()) };
    let sessions = daemon.sessions()?;
    let mine = daemon.own_session().ok().map(|own| chain(&own, &sessions)).unwrap_or_default();
    let others = sessions.iter().filter(|session| session.uid == uid && !mine.contains(&session.id)).count();
    if others > 0 && terminal.confirm(&format!("End {}'s other sessions ({others})?", clean(user)))? {
        let spared: Vec<String> = mine.into_iter().collect();
        daemon.revoke_user(uid, &spared, "your factors were changed")?;
    }
    Ok(())
}

/// A session and those that it is nested in.
fn chain(own: &Session, sessions: &[Session]) -> BTreeSet<String> {
    let mut chain = BTreeSet::from([own.id.clone()]);
    let mut parent = own.parent.clone();
    while let Some(id) = parent {
        parent = sessions.iter().find(|session| session.id == id).and_then(|session| session.parent.clone());
        // A circle would be the daemon's error; it must not hang us.
        if !chain.insert(id) {
            break;
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, parent: Option<&str>) -> Session {
        Session { id: id.into(), parent: parent.map(Into::into), ..Session::default() }
    }

    #[test]
    fn the_login_around_a_sudo_is_spared_with_it() {
        let sessions = [session("login", None), session("sudo", Some("login")), session("other", None)];
        assert_eq!(chain(&sessions[1], &sessions), BTreeSet::from(["login".into(), "sudo".into()]));
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let sessions = [session("a", Some("b")), session("b", Some("a"))];
        assert_eq!(chain(&sessions[0], &sessions).len(), 2);
    }
}
