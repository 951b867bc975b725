//! The programs of the machine that setup runs: never longer than a bounded time, and with an environment of its own.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
    process::{Command, Output, Stdio},
};

use super::sshd;
use crate::error::Error;

/// Longer than any of them takes on a machine that is well, in seconds.
const LONGEST: &str = "45";

/// The unit that rolls a setup back.
pub(super) const ROLL_BACK_UNIT: &str = "authflow-setup-rollback.service";

/// What starts that unit when the time is over.
pub(super) const ROLL_BACK_TIMER: &str = "authflow-setup-rollback.timer";

/// How a running sshd is told to read its configuration anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// By systemd, as the unit of that name.
    Unit(&'static str),
    /// By a signal to this process.
    Signal(i32),
    /// None runs that would have to be told: the next one reads it.
    Unneeded,
}

/// A program that is stopped when it takes too long.
pub(super) fn bounded(argv: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/timeout");
    command.args(["--kill-after=5", LONGEST]).args(argv).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a program and gives what it says; an error with its own words where it fails.
pub(super) fn run(argv: &[&str]) -> Result<String, Error> {
    let name = argv.join(" ");
    let output = bounded(argv).output().map_err(|error| Error::failed(&name, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed(format!("{name}: {}: {}", output.status, last_words(&output))))
}

/// Whether a program says yes.
pub(super) fn agrees(argv: &[&str]) -> bool {
    bounded(argv).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn last_words(output: &Output) -> String {
    let said = [&output.stderr[..], &output.stdout[..]].concat();
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
    if said.is_empty() { "it said nothing".to_owned() } else { said }
}

/// Whether systemd runs this machine.
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// How the sshd that runs is told of a new configuration.
pub(super) fn sshd_reload() -> Reload {
    if has_systemd() {
        let is_active = |unit: &&str| agrees(&["systemctl", "is-active", "--quiet", unit]);
        if let Some(unit) = ["ssh.service", "sshd.service"].into_iter().find(is_active) {
            return Reload::Unit(unit);
        }
    }
    let noted = fs::read_to_string("/run/sshd.pid").ok().and_then(|pid| pid.trim().parse().ok());
    noted.filter(|pid| is_listening_sshd(*pid)).or_else(listening_sshd).map_or(Reload::Unneeded, Reload::Signal)
}

/// An sshd that somebody started in a way of his own, and that is not a container's.
fn listening_sshd() -> Option<i32> {
    let pids = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let here = fs::read_link("/proc/self/ns/mnt").ok()?;
    let is_here = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|there| there == here);
    pids.find(|pid| is_listening_sshd(*pid) && is_here(*pid))
}

/// Whether that process waits for connections, by the title that sshd gives itself. Anybody can take that title, so it has to be root's
/// and run sshd's program.
fn is_listening_sshd(pid: i32) -> bool {
    let is_roots = fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == 0);
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
    // An upgrade leaves the old program running, whose file is gone.
    let is_sshd =
        program.is_some_and(|path| matches!(path.to_str(), Some("/usr/sbin/sshd" | "/usr/sbin/sshd (deleted)")));
    if !is_roots || !is_sshd {
        return false;
    }
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title);
    title.starts_with("sshd: ") && title.contains("[listener]")
}

/// Makes the folder without which sshd tells nothing, as its unit does at its start: where a socket starts sshd, it may not have run since
/// the boot. It stays, since an sshd that has started meanwhile needs it. That it cannot be made is told by sshd itself.
fn ensure_sshds_folder() {
    let _sshd_tells = fs::DirBuilder::new().mode(0o755).create("/run/sshd");
}

/// Whether the sshd that runs, if one does, would take its configuration as it stands.
pub(super) fn sshd_could_reload() -> Result<(), Error> {
    match sshd_reload() {
        Reload::Unneeded => Ok(()),
        Reload::Unit(_) | Reload::Signal(_) => run(&["/usr/sbin/sshd", "-t"])
            .map(drop)
            .map_err(|error| Error::Failed(format!("sshd goes on by its older configuration: {error}"))),
    }
}

/// Has the sshd that runs read its configuration anew. Connections that are open stay. One that finds a slip of somebody's in it would end, and
/// nobody could log in any more: so it is left as it is.
pub(super) fn reload_sshd() -> Result<(), Error> {
    sshd_could_reload()?;
    match sshd_reload() {
        // Not `reload`: that is a job, and would wait for the roll-back, which comes before sshd at a boot, while that waits for it.
        Reload::Unit(unit) => run(&["systemctl", "kill", "--kill-who=main", "--signal=HUP", unit]).map(drop),
        Reload::Signal(pid) => {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGHUP)
                .map_err(|error| Error::failed("cannot tell sshd of its new configuration", &error))
        }
        Reload::Unneeded => Ok(()),
    }
}

/// What sshd would do for a login of `user`, as `sshd -T` tells it, under the configuration `file`.
pub(super) fn sshd_settings(file: &Path, user: &str) -> Result<sshd::Settings, Error> {
    ensure_sshds_folder();
    let file = file.display().to_string();
    let whom = format!("user={user},host=localhost,addr=127.0.0.1");
    Ok(sshd::Settings::parse(&run(&["/usr/sbin/sshd", "-T", "-f", &file, "-C", &whom])?))
}
