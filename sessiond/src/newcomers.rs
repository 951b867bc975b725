//! Hears of logins that were let in without the daemon, which was too slow or cut off from them, and has them adopted at once.

use std::{io, sync::Arc};

use authflow_host::file;

use crate::{changes::Changes, daemon::Daemon, event::Event, log::Line};

/// Begins to listen. Without it the next start or reload of the daemon adopts them.
pub(crate) fn listen(daemon: &Daemon) -> Option<Changes> {
    let told = |why: io::Error| daemon.log.write(&Line::error(Event::PendingUnwatched).with("why", why));
    watch(daemon).map_err(told).ok()
}

/// Follows them for as long as the daemon lives.
pub(crate) async fn run(daemon: Arc<Daemon>, written: Option<Changes>) {
    let Some(written) = written else { return };
    loop {
        // Which one it was does not matter: what a writer has not finished is not looked at.
        let _names = written.next().await;
        daemon.adopt_pending();
    }
}

fn watch(daemon: &Daemon) -> io::Result<Changes> {
    let (run, pending) = (daemon.paths.run(), daemon.paths.pending());
    for (folder, mode) in [(&run, 0o755), (&pending, 0o700)] {
        file::ensure_folder(folder, mode).map_err(io::Error::other)?;
    }
    Changes::watch(&[pending])
}
