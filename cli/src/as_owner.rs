//! Reads a file in a user's home, or looks whether it is there, with that user's rights and no others. Root follows no link there, opens no device, and waits for no
//! file system that the user has mounted: a process of its own does, which has given up everything first.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use authflow_core::time::{BootTime, Clock as _};
use authflow_host::{accounts::Account, clock::SystemClock};
use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{Gid, Uid, initgroups, setresgid, setresuid, setsid},
};
use zeroize::Zeroizing;

use crate::error::Error;

/// What pam_google_authenticator reads at most.
const LARGEST: u64 = 64 * 1024;

/// A home on a network that is away is told as that, and the next user's turn comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How the reader tells that there is no file.
const ABSENT: i32 = 3;

/// What is wanted of the file. By these names the command runs itself; they are no commands of anybody's, so nothing tells of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Its bytes.
    Read,
    /// Whether there is a line in it.
    Look,
}

impl Wish {
    const fn called(self) -> &'static str {
        match self {
            Self::Read => "read-as-owner",
            Self::Look => "look-as-owner",
        }
    }
}

/// What the command runs itself as.
#[derive(Debug)]
pub(crate) struct AsOwner {
    wish: Wish,
    user: String,
    uid: u32,
    gid: u32,
    file: PathBuf,
}

/// The file's bytes; `None` where there is no such file.
pub(crate) fn read(owner: &Account, file: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    ask(Wish::Read, owner, file, PATIENCE).map_err(|error| Error::failed(&file.display().to_string(), &error))
}

/// Whether there is a line in the file that is no comment, as far as its owner can tell.
///
/// # Errors
/// It cannot be told; [`io::ErrorKind::TimedOut`] where that took longer than `patience`.
pub(crate) fn has_something(owner: &Account, file: &Path, patience: Duration) -> io::Result<bool> {
    Ok(ask(Wish::Look, owner, file, patience)?.is_some())
}

fn ask(wish: Wish, owner: &Account, file: &Path, patience: Duration) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut reader = Command::new("/proc/self/exe")
        .args([wish.called(), &owner.name, &owner.uid.to_string(), &owner.gid.to_string()])
        .arg(file)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let deadline = SystemClock.now().boot.saturating_add(patience);
    let ((bytes, complaint), status) = match drain(&mut reader, deadline) {
        Ok(told) => (told, reader.wait()?),
        Err(error) => {
            // One that hangs in the kernel cannot be waited for either.
            let _ended = reader.kill().and_then(|()| reader.try_wait());
            let is_late = error.kind() == io::ErrorKind::TimedOut;
            let late = || io::Error::new(error.kind(), format!("no answer within {} s", patience.as_secs()));
            return Err(if is_late { late() } else { error });
        }
    };
    match status.code() {
        Some(0) => Ok(Some(bytes)),
        Some(ABSENT) => Ok(None),
        _ => Err(io::Error::other(complaint.trim().trim_start_matches("authflow: ").to_owned())),
    }
}

/// All that the reader says on either of its outputs, until it has closed both.
fn drain(reader: &mut Child, deadline: BootTime) -> io::Result<(Zeroizing<Vec<u8>>, String)> {
    let (Some(mut output), Some(mut complaints)) = (reader.stdout.take(), reader.stderr.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let room = usize::try_from(LARGEST).unwrap_or(usize::MAX) + 1;
    // As large as it gets, so that no copy of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    while read_some(&mut output, &mut bytes, (room, deadline))? {}
    let mut said = Vec::new();
    while read_some(&mut complaints, &mut said, (4096, deadline))? {}
    Ok((bytes, String::from_utf8_lossy(&said).into_owned()))
}

/// Reads once, when there is something; `false` at the end.
fn read_some<R: io::Read + AsFd>(
    from: &mut R,
    into: &mut Vec<u8>,
    (most, deadline): (usize, BootTime),
) -> io::Result<bool> {
    let left = PollTimeout::try_from(deadline.saturating_since(SystemClock.now().boot)).unwrap_or(PollTimeout::ZERO);
    if poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], left)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut buffer = Zeroizing::new([0_u8; 4096]);
    let length = from.read(&mut *buffer)?;
    if into.len() + length > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    into.extend_from_slice(buffer.get(..length).unwrap_or_default());
    Ok(length > 0)
}

impl AsOwner {
    /// What these arguments ask for, if they are ours.
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let [called, user, uid, gid, file] = arguments.skip(1).collect::<Vec<_>>().try_into().ok()?;
        let number = |text: OsString| text.to_str()?.parse().ok();
        let wish = [Wish::Read, Wish::Look].into_iter().find(|wish| called == wish.called())?;
        let user = user.into_string().ok()?;
        Some(Self { wish, user, uid: number(uid)?, gid: number(gid)?, file: file.into() })
    }

    /// Gives up root's rights for good, and does what is wanted; a file goes to the standard output.
    pub(crate) fn run(self) -> Result<(), Error> {
        // Whatever goes wrong here is no missing file.
        become_owner(&self).map_err(|error| Error::failed(&format!("cannot become {}", self.user), &error))?;
        let done = match self.wish {
            Wish::Read => self.bytes().and_then(|bytes| io::stdout().write_all(&bytes)),
            Wish::Look => self.look(),
        };
        match done {
            Ok(()) => Ok(()),
            // A home of /dev/null holds no file either.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                std::process::exit(ABSENT)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// That a line of the file is more than a comment, wherever its name leads.
    fn look(&self) -> io::Result<()> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&self.file)?;
        let mut bytes = Vec::new();
        if file.metadata()?.is_file() {
            file.take(LARGEST).read_to_end(&mut bytes)?;
        }
        let says = |line: &[u8]| line.trim_ascii().first().is_some_and(|first| *first != b'#');
        if bytes.split(|byte| *byte == b'\n').any(says) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// The file, under the conditions of pam_google_authenticator: a regular one of its owner's, which nobody else may read.
    fn bytes(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&self.file)?;
        let about = file.metadata()?;
        let mode = about.mode() & 0o7777;
        if !about.is_file() {
            return Err(io::Error::other("no regular file"));
        }
        if about.uid() != self.uid {
            return Err(io::Error::other(format!("its owner is uid {}, not {}", about.uid(), self.user)));
        }
        if mode & 0o7177 != 0 {
            return Err(io::Error::other(format!("its mode is {mode:04o}: others may use it; expected 0600 or 0400")));
        }
        if about.len() == 0 || about.len() > LARGEST {
            return Err(io::Error::other(format!("its size is {} bytes; expected 1 to {LARGEST}", about.len())));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LARGEST).unwrap_or(0)));
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// From here on this process can do what the user can. Out of root's terminal first: who shares it can type into it. A process that
/// was root is not the user's to trace.
fn become_owner(owner: &AsOwner) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    let name =
        std::ffi::CString::new(owner.user.as_str()).map_err(|_nul| io::Error::from(io::ErrorKind::InvalidInput))?;
    setsid()?;
    initgroups(&name, gid)?;
    setresgid(gid, gid, gid)?;
    Ok(setresuid(uid, uid, uid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(shell: &str, deadline: BootTime) -> io::Result<(Zeroizing<Vec<u8>>, String)> {
        let mut command = Command::new("sh");
        command.args(["-c", shell]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut reader = command.spawn().unwrap();
        let told = drain(&mut reader, deadline);
        reader.kill().ok();
        reader.wait().unwrap();
        told
    }

    fn soon() -> BootTime {
        SystemClock.now().boot.saturating_add(PATIENCE)
    }

    #[test]
    fn what_a_reader_says_is_taken_up_to_a_size_and_a_time() {
        let (bytes, complaint) = drained("printf secret; printf oh >&2", soon()).unwrap();
        assert_eq!((bytes.as_slice(), complaint.as_str()), (&b"secret"[..], "oh"));
        let endless = drained("exec cat /dev/zero", soon()).unwrap_err();
        assert_eq!(endless.kind(), io::ErrorKind::FileTooLarge);
        let silent = drained("exec sleep 60", BootTime::default()).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn comments_alone_are_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = AsOwner { wish: Wish::Look, user: "me".into(), uid: 0, gid: 0, file: file.path().to_owned() };
        for (text, expected) in
            [("", false), ("# none\n\n  # yet\n", false), ("# mine\n ssh-ed25519 AAAA\n", true), ("x", true)]
        {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(own.look().is_ok(), expected, "{text:?}");
        }
        assert!(AsOwner { file: std::env::temp_dir(), ..own }.look().is_err(), "a folder");
    }

    #[test]
    fn only_a_readers_own_arguments_make_one() {
        let of = |words: &[&str]| AsOwner::from_arguments(words.iter().map(OsString::from));
        for wish in [Wish::Read, Wish::Look] {
            let owner = of(&["authflow", wish.called(), "alice", "1000", "1000", "/home/alice/x"]).unwrap();
            assert_eq!((owner.wish, owner.user.as_str(), owner.uid, owner.gid), (wish, "alice", 1000, 1000));
        }
        for other in [
            &["authflow", "status"][..],
            &["authflow", "read-as-owner"],
            &["authflow", "look-as-owner", "alice", "-1", "1000", "/x"],
            &["authflow", "config", "alice", "1000", "1000", "/x"],
        ] {
            assert!(of(other).is_none(), "{other:?}");
        }
    }
}
