//! A session, live or closed, as people and programs are shown it. The keys for programs are the D-Bus properties in snake
//! case; what a live session cannot have (an end) and what a closed one no longer has (a deadline) is `null`.

use std::{collections::HashMap, time::Duration};

use authflow_core::time::WallTime;
use serde::Serialize;

use crate::output::time::Local;

/// What is known of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Who authenticated.
    pub user: String,
    /// That user's uid.
    pub uid: u32,
    /// Whom it runs as.
    pub target: String,
    /// The target's uid.
    pub target_uid: u32,
    /// The PAM service.
    pub service: String,
    /// The terminals it holds.
    pub ttys: Vec<String>,
    /// Where from; `None` for this machine.
    pub remote_host: Option<String>,
    /// The pid of its leader, as long as there is one.
    pub leader: Option<u32>,
    /// `user`, `nested` or `background`.
    pub class: String,
    /// What was proved.
    pub factors: Vec<String>,
    /// The level that the factors reach.
    pub aal: u32,
    /// The rule that granted it.
    pub rule: String,
    /// Its state.
    pub state: String,
    /// What tells its activity: `tty`, `hint`, `io` or `none`.
    pub activity_basis: String,
    /// Whether its idle limit does not reach it: it has no tty, and its rule ignores such ones.
    pub is_beyond_idle: bool,
    /// When it was opened.
    pub opened_at: WallTime,
    /// When its user last authenticated.
    pub authenticated_at: WallTime,
    /// When it was last seen active.
    pub last_active_at: Option<WallTime>,
    /// When it ends without activity.
    pub idle_deadline: Option<WallTime>,
    /// When it ends whatever the activity.
    pub lifetime_deadline: Option<WallTime>,
    /// Longest inactivity.
    pub idle_limit: Option<Duration>,
    /// Longest life.
    pub lifetime_limit: Option<Duration>,
    /// What for commands keep it from idling, or did in the life of a closed one.
    pub inhibited_by: Vec<String>,
    /// logind's id for it.
    pub logind_id: Option<String>,
    /// The session it is nested in.
    pub parent: Option<String>,
    /// How it ended, if it has.
    pub end: Option<End>,
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// When.
    pub closed_at: WallTime,
    /// When its limit was, if a limit ended it.
    pub due_at: Option<WallTime>,
    /// Why: `logout`, `idle`, `revoked` and so on.
    pub reason: String,
    /// Who ended it, if a person did.
    pub by: Option<String>,
    /// What its user was told.
    pub message: Option<String>,
}

/// The service, and the rule, by which setup tries the session phase. Neither is any machine's own: only root's file in /etc/pam.d and
/// root's configuration make them.
pub(crate) const SETUP_TRIAL: &str = "authflow-setup-trial";

/// How many digits of an id people are shown, unless sessions would look the same.
const SHORT_ID: usize = 8;

impl Session {
    /// The earlier of its two deadlines.
    pub(crate) fn ends_at(&self) -> Option<WallTime> {
        self.idle_deadline.into_iter().chain(self.lifetime_deadline).min()
    }

    /// Who it is: `alice`, or `alice as root` where it runs as somebody else.
    pub(crate) fn who(&self) -> String {
        if self.target.is_empty() || self.target == self.user {
            self.user.clone()
        } else {
            format!("{} as {}", self.user, self.target)
        }
    }

    /// Where its user sits.
    pub(crate) fn from(&self) -> String {
        self.remote_host.clone().unwrap_or_else(|| "local".to_owned())
    }

    /// What was proved, in one word.
    pub(crate) fn proved(&self) -> String {
        if self.factors.is_empty() { "nothing".to_owned() } else { self.factors.join("+") }
    }

    /// Who ended it. The daemon looks up no names, so the session's own user stands in its history as a uid.
    pub(crate) fn ended_by(&self) -> Option<&str> {
        let by = self.end.as_ref()?.by.as_deref()?;
        Some(if by == format!("uid {}", self.uid) { &self.user } else { by })
    }

    /// Whether it was no login, but a trial of setup's, which systemd opens and which runs nothing. What proved something, came from
    /// somewhere, had a terminal, or did not end by itself is a login whatever its service is called, so that none hides behind the name.
    pub(crate) fn is_setup_trial(&self) -> bool {
        let ended_by_itself =
            |end: &End| end.by.is_none() && ["leader-exited", "logout"].contains(&end.reason.as_str());
        self.service == SETUP_TRIAL
            && self.rule == SETUP_TRIAL
            && self.factors.is_empty()
            && self.remote_host.is_none()
            && self.ttys.is_empty()
            && self.end.as_ref().is_some_and(ended_by_itself)
    }

    /// What programs are given.
    pub(crate) fn json(&self, local: &Local) -> impl Serialize {
        Json::new(self, local)
    }

    /// What they are given by a command that changes sessions.
    pub(crate) fn json_after(&self, changed: bool, local: &Local) -> impl Serialize {
        After { changed, session: Json::new(self, local) }
    }
}

/// The login that a nested session is in, as far as `sessions` show it; itself where it is one. Only logins idle.
pub(crate) fn login_around(mut session: Session, sessions: &[Session]) -> Session {
    // No chain is longer than there are sessions.
    for _ in sessions {
        let parent = session.parent.as_ref().filter(|_| session.class == "nested");
        match sessions.iter().find(|around| Some(&around.id) == parent) {
            Some(around) => session = around.clone(),
            None => break,
        }
    }
    session
}

/// The shortest length at which the ids of these sessions differ.
pub(crate) fn short_id_length(sessions: &[Session]) -> usize {
    let mut length = SHORT_ID;
    loop {
        let mut seen = HashMap::new();
        let differ = sessions.iter().all(|session| {
            let short = shortened(&session.id, length);
            seen.insert(short, &session.id).is_none_or(|other| other == &session.id)
        });
        if differ || sessions.iter().all(|session| session.id.len() <= length) {
            return length;
        }
        length += 4;
    }
}

/// The first characters of an id.
pub(crate) fn shortened(id: &str, length: usize) -> String {
    id.chars().take(length).collect()
}

#[derive(Serialize)]
struct After<'a> {
    changed: bool,
    #[serde(flatten)]
    session: Json<'a>,
}

#[derive(Serialize)]
struct Json<'a> {
    id: &'a str,
    user: &'a str,
    uid: u32,
    target: &'a str,
    target_uid: u32,
    service: &'a str,
    ttys: &'a [String],
    remote_host: Option<&'a str>,
    leader: Option<u32>,
    class: &'a str,
    factors: &'a [String],
    aal: u32,
    rule: &'a str,
    state: &'a str,
    activity_basis: &'a str,
    opened_at: String,
    authenticated_at: String,
    last_active_at: Option<String>,
    idle_deadline: Option<String>,
    lifetime_deadline: Option<String>,
    idle_limit: Option<u64>,
    lifetime_limit: Option<u64>,
    inhibited_by: &'a [String],
    logind_id: Option<&'a str>,
    parent: Option<&'a str>,
    #[serde(flatten)]
    end: Option<JsonEnd<'a>>,
}

#[derive(Serialize)]
struct JsonEnd<'a> {
    closed_at: String,
    due_at: Option<String>,
    end_reason: &'a str,
    ended_by: Option<&'a str>,
    message: Option<&'a str>,
    setup_trial: bool,
}

impl<'a> Json<'a> {
    fn new(session: &'a Session, local: &Local) -> Self {
        let time = |at: Option<WallTime>| at.map(|at| local.rfc3339(at));
        Self {
            id: &session.id,
            user: &session.user,
            uid: session.uid,
            target: &session.target,
            target_uid: session.target_uid,
            service: &session.service,
            ttys: &session.ttys,
            remote_host: session.remote_host.as_deref(),
            leader: session.leader,
            class: &session.class,
            factors: &session.factors,
            aal: session.aal,
            rule: &session.rule,
            state: &session.state,
            activity_basis: &session.activity_basis,
            opened_at: local.rfc3339(session.opened_at),
            authenticated_at: local.rfc3339(session.authenticated_at),
            last_active_at: time(session.last_active_at),
            idle_deadline: time(session.idle_deadline),
            lifetime_deadline: time(session.lifetime_deadline),
            idle_limit: session.idle_limit.map(|limit| limit.as_secs()),
            lifetime_limit: session.lifetime_limit.map(|limit| limit.as_secs()),
            inhibited_by: &session.inhibited_by,
            logind_id: session.logind_id.as_deref(),
            parent: session.parent.as_deref(),
            end: session.end.as_ref().map(|end| JsonEnd {
                closed_at: local.rfc3339(end.closed_at),
                due_at: time(end.due_at),
                end_reason: &end.reason,
                ended_by: end.by.as_deref(),
                message: end.message.as_deref(),
                setup_trial: session.is_setup_trial(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_id(id: &str) -> Session {
        Session { id: id.into(), ..Session::default() }
    }

    #[test]
    fn ids_are_shown_as_short_as_they_still_differ() {
        let one = with_id("aaaaaaaa1111111100000000000000000");
        let other = with_id("aaaaaaaa2222222200000000000000000");
        assert_eq!(short_id_length(std::slice::from_ref(&one)), 8);
        assert_eq!(short_id_length(&[one.clone(), other]), 12);
        assert_eq!(short_id_length(&[one.clone(), one]), 8, "one session twice is one session");
    }

    #[test]
    fn around_a_nested_session_is_the_login_that_it_is_in_however_deep() {
        let nested =
            |id: &str, parent: &str| Session { class: "nested".into(), parent: Some(parent.into()), ..with_id(id) };
        let sessions = [with_id("login"), nested("su", "login"), nested("sudo", "su")];
        let around = |session: &Session| login_around(session.clone(), &sessions).id;
        assert_eq!(sessions.each_ref().map(around), ["login", "login", "login"]);
        assert_eq!(around(&nested("alone", "not shown")), "alone");
        let circle = [nested("a", "b"), nested("b", "a")];
        let _some_end = login_around(circle[0].clone(), &circle);
    }

    #[test]
    fn the_earlier_deadline_is_the_end() {
        let (early, late) = (WallTime::from_micros(1), WallTime::from_micros(2));
        let session = Session { idle_deadline: Some(late), lifetime_deadline: Some(early), ..Session::default() };
        assert_eq!(session.ends_at(), Some(early));
        assert_eq!(Session::default().ends_at(), None);
    }

    #[test]
    fn only_a_closed_session_has_the_keys_of_an_end() {
        let local = Local::new(WallTime::default());
        let live = serde_json::to_value(with_id("a").json(&local)).unwrap();
        assert!(live.get("end_reason").is_none());
        assert!(live["idle_deadline"].is_null());
        let end = End { reason: "idle".into(), ..End::default() };
        let closed = serde_json::to_value(Session { end: Some(end), ..with_id("a") }.json(&local)).unwrap();
        assert_eq!(closed["end_reason"], "idle");
        assert!(closed["message"].is_null());
    }

    #[test]
    fn only_what_setup_itself_tried_is_called_a_trial_and_no_login_passes_for_one() {
        let end = |reason: &str| Some(End { reason: reason.into(), ..End::default() });
        let name = SETUP_TRIAL.to_owned();
        let trial = Session { service: name.clone(), rule: name, end: end("leader-exited"), ..with_id("a") };
        assert!(trial.is_setup_trial());
        let closed = serde_json::to_value(trial.json(&Local::new(WallTime::default()))).unwrap();
        assert_eq!((&closed["setup_trial"], &closed["end_reason"]), (&true.into(), &"leader-exited".into()));
        let by_root = Some(End { by: Some("root".into()), ..trial.end.clone().unwrap() });
        for login in [
            Session { service: "sshd".into(), ..trial.clone() },
            Session { rule: "ssh".into(), ..trial.clone() },
            Session { factors: vec!["password".into()], ..trial.clone() },
            Session { remote_host: Some("192.0.2.7".into()), ..trial.clone() },
            Session { ttys: vec!["pts/1".into()], ..trial.clone() },
            Session { end: end("lifetime"), ..trial.clone() },
            Session { end: by_root, ..trial.clone() },
            Session { end: None, ..trial },
        ] {
            assert!(!login.is_setup_trial(), "{login:?}");
        }
    }

    #[test]
    fn what_a_command_did_stands_beside_the_keys_of_the_session() {
        let local = Local::new(WallTime::default());
        let told = |changed| serde_json::to_value(with_id("a").json_after(changed, &local)).unwrap();
        assert_eq!((&told(true)["changed"], &told(true)["id"]), (&true.into(), &"a".into()));
        assert_eq!(told(false)["changed"], false);
        let mut without = told(true);
        without.as_object_mut().unwrap().remove("changed");
        assert_eq!(without, serde_json::to_value(with_id("a").json(&local)).unwrap());
    }
}
