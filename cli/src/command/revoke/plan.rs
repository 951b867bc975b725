//! Whom a revocation ends and whom it spares. Pure: the sessions are looked up elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::session::Session;

/// Whose sessions a word means: all of that name, live ones and the account's, or else those of the uid that it is. An account may be gone
/// while its sessions live on, or its name another's by now.
pub(super) fn named(word: &str, sessions: &[Session], account: Option<u32>) -> BTreeMap<u32, String> {
    let live = sessions.iter().filter(|session| session.user == word).map(|session| session.uid);
    let users: BTreeMap<u32, String> = live.chain(account).map(|uid| (uid, word.to_owned())).collect();
    match word.parse::<u32>() {
        Ok(uid) if users.is_empty() => {
            let name = sessions.iter().find(|session| session.uid == uid).map(|session| session.user.clone());
            BTreeMap::from([(uid, name.unwrap_or_else(|| word.to_owned()))])
        }
        Ok(_) | Err(_) => users,
    }
}

/// The session of that id and those that it is nested in: ending one of these would end it as well.
pub(super) fn chain(own: &Session, sessions: &[Session]) -> BTreeSet<String> {
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

/// Those of `sessions` that fit and are not spared, without the ones that end with another of them.
pub(super) fn chosen(sessions: &[Session], spared: &BTreeSet<String>, fits: impl Fn(&Session) -> bool) -> Vec<Session> {
    let is_meant = |session: &Session| !spared.contains(&session.id) && fits(session);
    let meant: Vec<&Session> = sessions.iter().filter(|session| is_meant(session)).collect();
    let ids: BTreeSet<&str> = meant.iter().map(|session| session.id.as_str()).collect();
    let ends_with_another =
        |session: &Session| chain(session, sessions).iter().any(|id| *id != session.id && ids.contains(id.as_str()));
    meant.into_iter().filter(|session| !ends_with_another(session)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, parent: Option<&str>) -> Session {
        Session { id: id.into(), parent: parent.map(Into::into), ..Session::default() }
    }

    fn of(user: &str, uid: u32) -> Session {
        Session { user: user.into(), uid, ..Session::default() }
    }

    #[test]
    fn a_name_means_all_who_have_or_had_it_and_a_number_the_uid_of_nobodys_name() {
        let sessions = [of("alice", 1000), of("gone", 1001), of("1002", 1003)];
        let uids = |word: &str, account| named(word, &sessions, account).into_keys().collect::<Vec<_>>();
        assert_eq!(uids("alice", Some(1000)), [1000]);
        assert_eq!(uids("gone", None), [1001]);
        assert_eq!(uids("gone", Some(1009)), [1001, 1009], "the name was given anew");
        assert_eq!(named("1001", &sessions, None), BTreeMap::from([(1001, "gone".to_owned())]));
        assert_eq!(uids("1004", None), [1004], "what runs on of somebody without sessions");
        assert_eq!(uids("1002", None), [1003], "a name is a name first");
        assert_eq!(uids("nobody", None), [0; 0]);
    }

    fn ids(sessions: Vec<Session>) -> Vec<String> {
        sessions.into_iter().map(|session| session.id).collect()
    }

    #[test]
    fn the_login_around_a_sudo_is_spared_with_it() {
        let sessions = [session("login", None), session("sudo", Some("login")), session("other", None)];
        let spared = chain(&sessions[1], &sessions);
        assert_eq!(spared, BTreeSet::from(["login".into(), "sudo".into()]));
        assert_eq!(ids(chosen(&sessions, &spared, |_| true)), ["other"]);
    }

    #[test]
    fn what_ends_with_another_is_not_ended_a_second_time() {
        let sessions = [session("login", None), session("sudo", Some("login")), session("su", Some("sudo"))];
        assert_eq!(ids(chosen(&sessions, &BTreeSet::new(), |_| true)), ["login"]);
        assert_eq!(ids(chosen(&sessions, &BTreeSet::new(), |session| session.id != "login")), ["sudo"]);
        assert_eq!(ids(chosen(&sessions, &BTreeSet::new(), |session| session.id != "sudo")), ["login"]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let sessions = [session("a", Some("b")), session("b", Some("a"))];
        assert_eq!(chain(&sessions[0], &sessions).len(), 2);
    }
}
