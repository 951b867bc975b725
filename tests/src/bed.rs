//! The namespaces that a machine lives in, made by the scripts in `beds/`. A bed ends with its value, also when a test panics,
//! and with the test process, however that ends: its first process reads from a pipe that only we hold.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::wait::{self, Deadline, PATIENCE};

/// Namespaces with a first process.
#[derive(Debug)]
pub(crate) struct Bed {
    script: Child,
    first: u32,
    /// The cgroup that commands join, as a path of the host.
    cgroup: PathBuf,
}

impl Bed {
    /// An overlay of this machine, without systemd.
    pub(crate) fn overlay() -> Self {
        Self::start(Command::new(script("overlay.sh")))
    }

    /// A booted Debian. Commands run in a unit of their own, since logind takes nobody outside of units seriously.
    pub(crate) fn booted() -> Self {
        let mut command = Command::new(script("booted.sh"));
        command.arg(made_by("rootfs.sh"));
        let mut bed = Self::start(command);
        let unit = ["systemd-run", "--quiet", "--unit=people", "--property=Delegate=yes", "sleep", "infinity"];
        assert!(bed.command(unit).status().expect("nsenter runs").success(), "no unit for the test's commands");
        bed.cgroup = bed.path("/sys/fs/cgroup/system.slice/people.service/cgroup.procs");
        bed
    }

    fn start(mut command: Command) -> Self {
        let mut script =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the bed's script can be run");
        let mut line = String::new();
        let stdout = script.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the bed's first line");
        let first = line
            .strip_prefix("ready ")
            .and_then(|pid| pid.trim().parse().ok())
            .unwrap_or_else(|| panic!("no bed: it said {line:?} (see its messages above)"));
        let cgroup = PathBuf::from(format!("/proc/{first}/root/sys/fs/cgroup/cgroup.procs"));
        Self { script, first, cgroup }
    }

    /// The first process inside, as the host sees it.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// Where the host finds what is `inside` the bed. Absolute links on the way would lead out of it: name what they name.
    pub(crate) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        Path::new("/proc").join(self.first.to_string()).join("root").join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// A command inside, as root, with a plain environment. Its process is `nsenter`; see [`inner`] for the command's own.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("/bin/sh");
        // The shell joins the bed's cgroup and becomes nsenter.
        command.args(["-c", r#"echo 0 > "$1"; shift; exec "$@""#, "sh"]).arg(&self.cgroup);
        command
            .args(["nsenter", "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", "-t"])
            .arg(self.first.to_string());
        command.args(argv);
        command.env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
        ]);
        command
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Its first process sees the end of its stdin; the kernel ends the others; the script tidies up.
        drop(self.script.stdin.take());
        let deadline = Deadline::after(PATIENCE);
        while let Ok(None) = self.script.try_wait() {
            if deadline.left().is_zero() {
                self.script.kill().ok();
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// The process that an `nsenter` started inside, by its number on the host. `None` when it has ended.
pub(crate) fn inner(nsenter: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{nsenter}/task/{nsenter}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Like [`inner`], for one that is about to start.
pub(crate) fn inner_soon(nsenter: u32) -> u32 {
    wait::until("a program to start", || inner(nsenter))
}

/// Where a script of the beds is.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("beds").join(name)
}

/// What a script of the beds has made, now or earlier: it says where.
pub(crate) fn made_by(name: &str) -> String {
    made(&mut Command::new(script(name)))
}

/// The same of a script that is told something besides.
pub(crate) fn made(script: &mut Command) -> String {
    let made = script.stderr(Stdio::inherit()).output().expect("a script of the beds runs");
    assert!(made.status.success(), "{script:?} failed (see its messages above)");
    String::from_utf8(made.stdout).expect("a path").trim().to_owned()
}
