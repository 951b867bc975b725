//! Tells the log what the machine would start again for a user who is kept out. What runs is ended; this is an administrator's to take away.

use std::sync::Arc;

use authflow_core::deactivation::User;
use authflow_host::deferred::{self, Deferred};

use super::beside::Beside;
use crate::{daemon::Daemon, event::Event, log::Line};

/// Looks at a time.
static LOOKS: Beside = Beside::new(2);

/// As many are named: a user may have put any number of jobs there.
const MOST_NAMED: usize = 20;

/// Looks beside the loop.
pub(super) fn tell(daemon: &Arc<Daemon>, user: User) {
    let daemon = Arc::clone(daemon);
    tokio::spawn(async move {
        let (paths, User { uid, name }) = (daemon.paths.clone(), user.clone());
        let found = LOOKS.run(move || deferred::of(&paths, &name, uid)).await;
        let line = |event| Line::warning(event).with("user", &user.name).with("uid", user.uid);
        let found = match found {
            Ok(found) => found,
            Err(why) => return daemon.log.write(&line(Event::NotKnownWhatStartsAgain).with("why", why)),
        };
        for Deferred { kind, path } in found.iter().take(MOST_NAMED) {
            daemon.log.write(&line(Event::StartsAgain).with("kind", kind).with("path", path.display()));
        }
        if let Some(more) = found.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            daemon.log.write(&line(Event::StartsAgain).with("more", more));
        }
    });
}
