//! The programs of the machine that setup runs: never longer than a bounded time, and with an environment of its own.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use authflow_host::process;

use super::{sshd, whence::Origin};
use crate::error::Error;

/// Longer than any of them takes on a machine that is well, in seconds.
const LONGEST: &str = "45";

/// The unit that rolls a setup back.
pub(super) const ROLL_BACK_UNIT: &str = "authflow-setup-rollback.service";

/// What starts that unit when the time is over.
pub(super) const ROLL_BACK_TIMER: &str = "authflow-setup-rollback.timer";

/// An sshd that runs, by how it is told to read its configuration anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    /// By systemd, as the unit of that name.
    Unit(&'static str),
    /// By a signal to this process.
    Process(i32),
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

/// Runs a program and gives how it ended, and what it said last.
pub(super) fn ending(argv: &[&str]) -> Result<(Option<i32>, String), Error> {
    let output = bounded(argv).output().map_err(|error| Error::failed(&argv.join(" "), &error))?;
    Ok((output.status.code(), last_words(&output)))
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

/// Every sshd that runs and goes by the machine's own configuration, each in the way in which it is told of a new one.
fn sshds() -> Vec<Running> {
    let is_active = |unit: &&str| agrees(&["systemctl", "is-active", "--quiet", unit]);
    let unit = has_systemd().then(|| ["ssh.service", "sshd.service"].into_iter().find(is_active)).flatten();
    let main = unit.and_then(|unit| {
        let said = run(&["systemctl", "show", "--property=MainPID", "--value", unit]).ok()?;
        said.trim().parse::<i32>().ok()
    });
    let others = listeners().filter(|(pid, title)| Some(*pid) != main && sshd::other_file(title).is_none());
    unit.map(Running::Unit).into_iter().chain(others.map(|(pid, _)| Running::Process(pid))).collect()
}

/// What every sshd that waits for connections here was started with, in the words of its title.
pub(super) fn titles_of_sshds() -> Vec<String> {
    listeners().map(|(_, title)| title).collect()
}

fn listeners() -> impl Iterator<Item = (i32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| is_roots(*pid) && is_here(*pid)).filter_map(|pid| Some((pid, listeners_title(pid)?)))
}

/// Whether the process sees this machine's files, and is no container's. A unit may have mounts of its own, and sees them all the same.
fn is_here(pid: i32) -> bool {
    let mounts = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt")).ok();
    let configuration = |of: &str| {
        let about = fs::metadata(format!("/proc/{of}/root/etc/ssh/sshd_config")).ok()?;
        Some((about.dev(), about.ino()))
    };
    let (pid, own) = (pid.to_string(), "self");
    let is_same = mounts(own).is_some() && mounts(&pid) == mounts(own);
    is_same || configuration(own).is_some() && configuration(&pid) == configuration(own)
}

/// Whether root started the process. To be asked before anything else of it: a user's process can keep whoever asks for its program waiting.
fn is_roots(pid: i32) -> bool {
    let uids = u32::try_from(pid).ok().and_then(|pid| process::uids(pid).ok());
    uids.is_some_and(|uids| uids.first() == Some(&0))
}

/// The title that sshd gives itself while it waits for connections. Anybody can take that title, so the process has to be root's and run
/// sshd's program.
fn listeners_title(pid: i32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
    // An upgrade leaves the old program running, whose file is gone.
    let is_sshd =
        program.is_some_and(|path| matches!(path.to_str(), Some("/usr/sbin/sshd" | "/usr/sbin/sshd (deleted)")));
    if !is_sshd {
        return None;
    }
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title).replace('\0', " ");
    (title.starts_with("sshd: ") && title.contains("[listener]")).then_some(title)
}

/// Whether the sshds that run, if any do, would take their configuration as it stands.
pub(super) fn sshd_could_reload() -> Result<(), Error> {
    would_be_taken(&sshds())
}

fn would_be_taken(sshds: &[Running]) -> Result<(), Error> {
    if sshds.is_empty() {
        return Ok(());
    }
    ask_sshd(&["-t"])
        .map(drop)
        .map_err(|error| Error::Failed(format!("sshd goes on by its older configuration: {error}")))
}

/// Has every sshd that runs read its configuration anew. Connections that are open stay. One that finds a slip of somebody's in it would end, and
/// nobody could log in any more: so it is left as it is.
pub(super) fn reload_sshd() -> Result<(), Error> {
    let sshds = sshds();
    would_be_taken(&sshds)?;
    // One that cannot be told does not keep the others from hearing of it.
    let told: Vec<_> = sshds.into_iter().map(tell).collect();
    told.into_iter().collect()
}

fn tell(sshd: Running) -> Result<(), Error> {
    match sshd {
        // Not `reload`: that is a job, and would wait for the roll-back, which comes before sshd at a boot, while that waits for it.
        Running::Unit(unit) => run(&["systemctl", "kill", "--kill-who=main", "--signal=HUP", unit]).map(drop),
        Running::Process(pid) => match kill(Pid::from_raw(pid), Signal::SIGHUP) {
            // It has ended since.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(Error::failed("cannot tell sshd of its new configuration", &error)),
        },
    }
}

/// What sshd would do for a login of `user` from there, as `sshd -T` tells it, under the configuration `file`.
pub(super) fn sshd_settings(file: &Path, user: &str, from: &Origin) -> Result<sshd::Settings, Error> {
    let file = file.display().to_string();
    Ok(sshd::Settings::parse(&ask_sshd(&["-T", "-f", &file, "-C", &from.spec(user)])?))
}

/// The names of a user's groups.
pub(super) fn groups_of(user: &str) -> Result<Vec<String>, Error> {
    let said = run(&["id", "-Gnz", "--", user])?;
    Ok(said.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Runs sshd for its word. One that systemd starts for each connection has no folder of its own in between, and would say nothing but that.
fn ask_sshd(arguments: &[&str]) -> Result<String, Error> {
    let argv = [&["/usr/sbin/sshd"], arguments].concat();
    let said = run(&argv);
    match said.as_ref().err().map(ToString::to_string).as_deref().and_then(missing_folder) {
        Some(folder) => {
            let failed = |error: std::io::Error| Error::failed(folder, &error);
            fs::DirBuilder::new().mode(0o755).create(folder).map_err(failed)?;
            run(&argv)
        }
        None => said,
    }
}

/// The folder that sshd misses, where it is one that a reboot forgets.
fn missing_folder(said: &str) -> Option<&str> {
    let (_, folder) = said.split_once("Missing privilege separation directory: ")?;
    let folder = folder.split([';', ' ', '\n']).next()?;
    let name = folder.strip_prefix("/run/").or_else(|| folder.strip_prefix("/var/run/"))?;
    (!name.is_empty() && !name.contains(['/', '.'])).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_a_reboot_forgets_is_made_for_sshd() {
        let folder = |path: &str| {
            let said = format!("/usr/sbin/sshd -t: exit status: 255: Missing privilege separation directory: {path}");
            missing_folder(&said).map(str::to_owned)
        };
        assert_eq!(folder("/run/sshd").as_deref(), Some("/run/sshd"));
        assert_eq!(folder("/run/sshd; more").as_deref(), Some("/run/sshd"));
        for other in ["/var/empty", "/run/", "/run/../etc/x", "/run/a/b"] {
            assert_eq!(folder(other), None, "{other}");
        }
        assert_eq!(missing_folder("line 3: Bad configuration option"), None);
    }
}
