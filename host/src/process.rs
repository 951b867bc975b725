//! Who a process is: a pid alone may be another's tomorrow, so it goes with the time at which the process started.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// A process, for as long as this boot lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has that pid now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        let start_time = stat_field(pid, 22)?;
        Ok(Self { pid, start_time })
    }

    /// This process.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The parent of this process.
    ///
    /// # Errors
    /// `/proc` is not there, or the parent ends meanwhile.
    pub fn parent_of_current() -> io::Result<Self> {
        let pid = || nix::unistd::getppid().as_raw().unsigned_abs();
        let parent = Self::of(pid())?;
        // Were it gone, its pid might have been another's by the time we looked.
        if pid() == parent.pid { Ok(parent) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == self)
    }
}

/// `PID-STARTTIME`, as in file names.
impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.start_time)
    }
}

/// A text that names no process.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected PID-STARTTIME")]
pub struct BadProcessId;

impl FromStr for ProcessId {
    type Err = BadProcessId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pid, start_time) = text.split_once('-').ok_or(BadProcessId)?;
        let (pid, start_time) = (pid.parse().ok(), start_time.parse().ok());
        pid.zip(start_time).map(|(pid, start_time)| Self { pid, start_time }).ok_or(BadProcessId)
    }
}

/// Longer than what is read of a process ever is, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// A file of `/proc/PID` as text. A process gives itself any name, so bytes that are no text are replaced: an odd name must not make
/// a process one that cannot be seen, and thus not be ended.
///
/// # Errors
/// The process is gone.
pub fn text(pid: u32, name: &str) -> io::Result<String> {
    // The kernel says of these files that they are empty. With room for a whole one it is read at once, and not in pieces.
    let mut bytes = Vec::with_capacity(4096);
    File::open(format!("/proc/{pid}/{name}"))?.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned()))
}

/// The parent of a process.
///
/// # Errors
/// The process is gone.
pub fn parent(pid: u32) -> io::Result<u32> {
    let parent = status_field(&text(pid, "status")?, "PPid").and_then(|parent| parent.parse().ok());
    parent.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/status has another shape"))
}

/// A field of `/proc/PID/status`. Unlike `stat`, that file never waits for the process, whatever it does: while a process executes a new program
/// nobody may read its `stat`, and its user can make that last. The program's name cannot forge a field; the kernel escapes line ends in it.
#[must_use]
pub fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The real uid of this process: who started it, also where it is setuid.
#[must_use]
pub fn real_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// The uids that a process runs with: real, effective, saved, and for files.
///
/// # Errors
/// The process is gone.
pub fn uids(pid: u32) -> io::Result<Vec<u32>> {
    let status = text(pid, "status")?;
    let line = status_field(&status, "Uid").unwrap_or_default();
    Ok(line.split_whitespace().filter_map(|uid| uid.parse().ok()).collect())
}

/// The pid of whoever began the session that the kernel has the process in. It is nobody else's pid while any process of it is left. Unlike
/// `status`, where it stands as well, this costs the same whatever groups the process has.
#[must_use]
pub fn kernel_session(pid: u32) -> Option<u32> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    let began = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).ok()?;
    u32::try_from(began.as_raw()).ok()
}

/// The id of this boot; another one after each.
///
/// # Errors
/// `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    // A UUID and the end of its line. `fs::read_to_string` would take twice the calls to find the end.
    let mut line = [0; 64];
    let length = File::open("/proc/sys/kernel/random/boot_id")?.read(&mut line)?;
    let id = line.get(..length).and_then(|line| str::from_utf8(line).ok()).map(str::trim);
    id.filter(|id| !id.is_empty()).map(str::to_owned).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The kernel's audit session id of a process, if it is set.
#[must_use]
pub fn audit_session(pid: u32) -> Option<u32> {
    set_number(pid, "sessionid")
}

/// The kernel's login uid of a process, if it is set.
#[must_use]
pub fn login_uid(pid: u32) -> Option<u32> {
    set_number(pid, "loginuid")
}

fn set_number(pid: u32, name: &str) -> Option<u32> {
    text(pid, name).ok()?.trim().parse().ok().filter(|number| *number != u32::MAX)
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5).
fn stat_field<T: FromStr>(pid: u32, number: usize) -> io::Result<T> {
    field(&text(pid, "stat")?, number)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat has another shape"))
}

fn field<T: FromStr>(stat: &str, number: usize) -> Option<T> {
    // The second field is the program's name, which may hold blanks and parentheses: count from the last one.
    let (_name, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Command};

    use super::*;

    #[test]
    fn a_process_is_its_pid_and_its_start() {
        let this = ProcessId::current().unwrap();
        assert!(this.is_alive());
        assert!(uids(this.pid).unwrap().contains(&real_uid()));
        assert!(!ProcessId { start_time: this.start_time + 1, ..this }.is_alive(), "the pid of an earlier process");
        assert_eq!(this.to_string().parse(), Ok(this));
        assert_eq!(parent(this.pid).unwrap(), ProcessId::parent_of_current().unwrap().pid);
    }

    #[test]
    fn a_name_cannot_shift_the_fields() {
        let stat = "7 (a) R 1 (b) S 42 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 99 23";
        assert_eq!(field::<u32>(stat, 4), Some(42));
        assert_eq!(field::<u64>("7 (x) S", 22), None);
    }

    #[test]
    fn a_field_of_the_status_is_the_line_that_begins_with_its_name() {
        let status = "Name:\tPPid:\\nPPid: 7\nPid:\t12\nPPid:\t42\nUid:\t1\t2\t3\t4\n";
        assert_eq!(status_field(status, "PPid"), Some("42"));
        assert_eq!(status_field(status, "Uid"), Some("1\t2\t3\t4"));
        assert_eq!(status_field(status, "Threads"), None);
    }

    #[test]
    fn a_process_with_a_name_that_is_no_text_is_still_seen() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join(OsStr::from_bytes(b"odd\xff) S 1"));
        fs::copy("/bin/sleep", &odd).unwrap();
        let mut child = Command::new(&odd).arg("60").spawn().unwrap();
        let (seen, above) = (ProcessId::of(child.id()), parent(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(seen.unwrap().pid, child.id());
        assert_eq!(above.unwrap(), std::process::id());
    }

    #[test]
    fn what_is_no_process_id_is_refused() {
        for bad in ["", "7", "7-", "-7", "7-8-9", "a-b", "../7-8"] {
            assert_eq!(bad.parse::<ProcessId>(), Err(BadProcessId), "{bad}");
        }
    }
}
