//! Tells the live sessions of a user what happens to the account while they are open: a code tried a second time, an authenticator added
//! (NIST SP 800-63B-4 §3.1.4). Learnt from the user's state as it changes on disk. A call from the login would take longer for some
//! wrong answers than for others, and a stranger could tell which.

use std::{collections::HashMap, io, sync::Arc};

use authflow_core::{
    news::Item,
    time::{Clock, WallTime},
};
use authflow_host::{clock::SystemClock, file, records::Records};

use crate::{changes::Changes, daemon::Daemon, event::Event, execute::tell_sessions, log::Line};

/// What was told last, by the state's file name.
struct Told {
    since: WallTime,
    until: HashMap<String, WallTime>,
}

/// Watches the states for as long as the daemon lives. Without a watch sessions are not told, and the next login is.
pub(crate) async fn run(daemon: Arc<Daemon>) {
    match watch(&daemon) {
        Ok(changes) => follow(&daemon, &changes).await,
        Err(why) => daemon.log.write(&Line::error(Event::NewsUnwatched).with("why", why)),
    }
}

fn watch(daemon: &Daemon) -> io::Result<Changes> {
    let folder = daemon.paths.state();
    file::ensure_folder(&folder, 0o700).map_err(io::Error::other)?;
    Changes::watch(&[folder])
}

async fn follow(daemon: &Arc<Daemon>, changes: &Changes) {
    let mut told = Told { since: SystemClock.now().wall, until: HashMap::new() };
    loop {
        // What the kernel could not keep is lost: those users are told at the next login.
        for name in changes.next().await.into_iter().flatten() {
            tell(daemon, &mut told, &name);
        }
    }
}

fn tell(daemon: &Daemon, told: &mut Told, name: &str) {
    let sessions = daemon.logins_by_record(name);
    let Some((_, user)) = sessions.first() else { return };
    let Ok(state) = Records::new(daemon.paths.clone()).state(user) else { return };
    let until = told.until.entry(name.to_owned()).or_insert(told.since);
    let fresh: Vec<&Item> = state.news.items().iter().filter(|item| item.at > *until).collect();
    let Some(latest) = fresh.iter().map(|item| item.at).max() else { return };
    *until = latest;
    let texts: Vec<String> = fresh.iter().map(|item| item.text()).collect();
    daemon.log.write(&Line::info(Event::Told).with("user", user).with("news", texts.join("; ")));
    let ids: Vec<_> = sessions.iter().map(|(id, _)| *id).collect();
    tell_sessions(daemon, &ids, &format!("authflow: {}.", texts.join("; ")));
}
