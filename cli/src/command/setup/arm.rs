//! The roll-back that comes by itself: armed before the first change, and not in need of setup, of the terminal or of the daemon any more.
//! systemd has a timer for it, and a unit that looks at each boot; elsewhere a process of its own waits.

use std::{path::Path, process::Stdio, thread, time::Duration};

use super::programs::{self, ROLL_BACK_TIMER, ROLL_BACK_UNIT, has_systemd};
use crate::error::Error;

/// Sees to it that `setup` is rolled back after that time, whatever becomes of this process.
pub(super) fn arm(after: Duration, setup: &str) -> Result<(), Error> {
    if has_systemd() { by_systemd(after) } else { by_process(after, setup) }
}

/// What was armed is not needed any more. One that comes nevertheless finds that nothing waits, and does nothing.
pub(super) fn disarm() {
    if has_systemd() {
        let _comes_and_finds_nothing = programs::agrees(&["systemctl", "stop", ROLL_BACK_TIMER]);
    }
}

fn by_systemd(after: Duration) -> Result<(), Error> {
    let loaded = programs::run(&["systemctl", "show", "--property=LoadState", "--value", ROLL_BACK_UNIT])?;
    if loaded.trim() != "loaded" {
        return Err(Error::Failed(format!(
            "{ROLL_BACK_UNIT} is not there, so nothing would roll back: install the package (or `systemctl daemon-reload`)"
        )));
    }
    disarm();
    let _not_failed_before = programs::agrees(&["systemctl", "reset-failed", ROLL_BACK_UNIT]);
    let (after, unit) = (format!("--on-active={}s", after.as_secs()), format!("--unit={ROLL_BACK_UNIT}"));
    let _ = programs::run(&["systemd-run", "--quiet", &after, "--timer-property=AccuracySec=1s", &unit])?;
    if programs::agrees(&["systemctl", "is-active", "--quiet", ROLL_BACK_TIMER]) {
        Ok(())
    } else {
        Err(Error::Failed(format!("{ROLL_BACK_TIMER} was started and does not run")))
    }
}

fn by_process(after: Duration, setup: &str) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::failed("cannot arm the roll-back", &error);
    let own = std::env::current_exe().map_err(failed)?;
    let seconds = format!("{}s", after.as_secs());
    let mut command = std::process::Command::new("/usr/bin/setsid");
    command.arg("--fork").arg(own).args(["setup", "rollback", "--unattended", "--after", &seconds, "--only", setup]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(Path::new("/"));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(Error::Failed(format!("cannot arm the roll-back: setsid: {status}"))) }
}

/// Waits in the process that [`arm`] left behind. The signals that setup held back while it started it are free again here, but for
/// the one of a terminal that is gone.
pub(super) fn wait(after: Duration) {
    use nix::sys::signal::{SigSet, Signal};
    let _ = SigSet::all().thread_unblock();
    let hangup: SigSet = [Signal::SIGHUP].into_iter().collect();
    let _ = hangup.thread_block();
    thread::sleep(after);
}
