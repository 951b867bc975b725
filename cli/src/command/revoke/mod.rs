//! `authflow revoke`: ends sessions at once, with everything that runs in them. What names no session by its id is asked
//! about first, and the session that the caller sits in is spared unless it is named or `--including-mine` is given.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use authflow_host::deferred::{self, Deferred};
use serde::Serialize;

use self::plan::{chain, chosen, named};
use super::sessions::table;
use crate::{
    context::Context, daemon::Daemon, error::Error, filter::Filter, output::text::clean, session::Session,
    terminal::Terminal,
};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whose").args(["ids", "user", "others", "all"]))]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true)
    .args(["ids", "user", "others", "all", "service", "from", "older_than", "idle_for"]))]
pub(crate) struct Revoke {
    /// Sessions, each by as much of its id as is unique
    #[arg(value_name = "ID", conflicts_with_all = ["service", "from", "older_than", "idle_for"])]
    ids: Vec<String>,
    /// All sessions of this user, or of this uid
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All your sessions but the one that this command is run in
    #[arg(long)]
    others: bool,
    /// All sessions of everybody
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Unless sessions are named by their ids: also the one that this command is run in
    #[arg(long, conflicts_with_all = ["ids", "others"])]
    including_mine: bool,
    /// Show which sessions it would end, and end none
    #[arg(long)]
    dry_run: bool,
    /// With --user: also what runs on outside of sessions, as tmux, jobs of cron and the user manager
    #[arg(long, requires = "user", conflicts_with_all = ["dry_run", "service", "from", "older_than", "idle_for"])]
    leftovers: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// What the users are told on their terminals
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
}

#[derive(Serialize)]
struct Revoked<'a, T> {
    changed: bool,
    revoked: u32,
    /// Those that were ended, or would be. One that is nested in one of these ends with it.
    sessions: &'a [T],
    /// What the machine would start for the user by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    deferred: Option<Vec<Deferred>>,
}

/// What is to be ended.
struct Plan {
    sessions: Vec<Session>,
    /// All sessions of these users but the spared ones, whatever the daemon finds by then.
    users: BTreeMap<u32, String>,
    spared: BTreeSet<String>,
}

impl Revoke {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let daemon = context.daemon()?;
        let local = context.local();
        let plan = if self.ids.is_empty() { self.of_filters(context, &daemon)? } else { self.of_ids(&daemon)? };
        let documents: Vec<_> = plan.sessions.iter().map(|session| session.json(&local)).collect();
        if self.dry_run {
            let none = Revoked { changed: false, revoked: 0, sessions: &documents, deferred: None };
            return Ok(context.output.either(&none, || table(&plan.sessions, &local, context.output))?);
        }
        if self.ids.is_empty() && !self.yes && (self.leftovers || !plan.sessions.is_empty()) {
            ask(context, &plan.sessions, self.leftovers)?;
        }
        let revoked = self.end(&daemon, &plan)?;
        let deferred = self.leftovers.then(|| {
            let of = |name: &String| {
                // An account that is gone owns no jobs of at.
                let uid = context.account(name).map_or(u32::MAX, |account| account.uid);
                deferred::of(&context.paths, name, uid)
            };
            plan.users.values().collect::<BTreeSet<_>>().into_iter().flat_map(of).collect()
        });
        let changed = revoked > 0 || self.leftovers;
        let result = Revoked { changed, revoked, sessions: &documents, deferred };
        Ok(context.output.either(&result, || told(revoked, result.deferred.as_deref()))?)
    }

    /// All ids are looked up before the first session ends: a typing error must not end half of them.
    fn of_ids(&self, daemon: &Daemon) -> Result<Plan, Error> {
        let mut sessions = BTreeMap::new();
        for prefix in &self.ids {
            let session = daemon.session(prefix)?;
            sessions.insert(session.id.clone(), session);
        }
        let sessions = sessions.into_values().collect();
        Ok(Plan { sessions, users: BTreeMap::new(), spared: BTreeSet::new() })
    }

    fn of_filters(&self, context: &Context, daemon: &Daemon) -> Result<Plan, Error> {
        let sessions = daemon.sessions()?;
        let own = own_session(daemon)?;
        let users = self.users(context, &sessions, own.as_ref())?;
        let mine = own.filter(|_| !self.including_mine).map(|own| chain(&own, &sessions));
        let spared = mine.unwrap_or_default();
        let now = context.now();
        let is_meant = |session: &Session| users.contains_key(&session.uid) && self.filter.fits(session, now);
        let sessions = chosen(&sessions, &spared, is_meant);
        // Without a filter the daemon is told users, not sessions, so that a login in between does not slip through.
        let users = if self.filter.is_empty() { users } else { BTreeMap::new() };
        Ok(Plan { sessions, users, spared })
    }

    fn users(
        &self,
        context: &Context,
        sessions: &[Session],
        own: Option<&Session>,
    ) -> Result<BTreeMap<u32, String>, Error> {
        if self.all && !context.is_root() {
            return Err(Error::NeedsRoot("everybody's sessions are ended by root only"));
        }
        if self.others {
            // Under sudo the caller's uid is root's, and the session still alice's.
            let own = own.ok_or(Error::InNoSession)?;
            return Ok(BTreeMap::from([(own.uid, own.user.clone())]));
        }
        let Some(name) = &self.user else {
            // A filter alone is about all that the caller is shown.
            return Ok(sessions.iter().map(|session| (session.uid, session.user.clone())).collect());
        };
        let account = context.account(name);
        let users = named(name, sessions, account.as_ref().ok().map(|account| account.uid));
        match account {
            // The data base may be away while the sessions are here.
            Err(error) if users.is_empty() => Err(error),
            Ok(_) | Err(_) => Ok(users),
        }
    }

    fn end(&self, daemon: &Daemon, plan: &Plan) -> Result<u32, Error> {
        let mut revoked = 0;
        if plan.users.is_empty() {
            for session in &plan.sessions {
                match daemon.revoke(&session.id, &self.message) {
                    Ok(()) => revoked += 1,
                    // It ended by itself since it was looked up.
                    Err(Error::NoSession(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(revoked);
        }
        let spared: Vec<String> = plan.spared.iter().cloned().collect();
        for &uid in plan.users.keys() {
            revoked += daemon.revoke_user(uid, &spared, &self.message)?;
            if self.leftovers {
                daemon.end_leftovers(uid)?;
            }
        }
        Ok(revoked)
    }
}

/// Shows which sessions it is about; anything but a yes changes nothing.
fn ask(context: &Context, sessions: &[Session], with_leftovers: bool) -> Result<(), Error> {
    let terminal = Terminal::open().map_err(|_no_tty| Error::NoTerminal("give --yes to go on without a question"))?;
    terminal.say(&table(sessions, &context.local(), context.output))?;
    let question = match sessions.len() {
        1 => "End this session".to_owned(),
        number => format!("End these {number} sessions"),
    };
    let more = if with_leftovers { " and all that runs outside of them" } else { "" };
    if terminal.confirm(&format!("{question}{more}?"))? { Ok(()) } else { Err(Error::Declined) }
}

/// What was done, for people.
fn told(revoked: u32, deferred: Option<&[Deferred]>) -> String {
    let mut text = match revoked {
        0 => "no session to revoke\n".to_owned(),
        1 => "1 session revoked\n".to_owned(),
        _ => format!("{revoked} sessions revoked\n"),
    };
    if let Some(deferred) = deferred {
        text.push_str("what runs outside of sessions ends\n");
        text.push_str(&left_over(deferred));
    }
    text
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
