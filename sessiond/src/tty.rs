//! Terminals: which device a process has, when it was used, and how to tell its user something without being held up by him.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use authflow_core::time::WallTime;
use rustix::fs::OFlags;

/// A terminal, by the name that people and PAM use: `pts/1`, `tty1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tty(String);

/// What a look at a terminal showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// Who owns the device.
    pub(crate) owner: u32,
    /// When a program last read what was typed.
    pub(crate) input: WallTime,
    /// When a program last wrote.
    pub(crate) output: WallTime,
}

impl Tty {
    /// The terminal of that device number, as in `/proc/PID/stat`; `None` for 0 and for devices that nobody logs in on.
    #[must_use]
    pub(crate) fn of_device(number: u32) -> Option<Self> {
        let major = (number >> 8) & 0xfff;
        let minor = (number & 0xff) | ((number >> 12) & 0x000f_ff00);
        match (major, minor) {
            // A pty's number is one sequence over eight majors.
            (136..=143, _) => Some(Self(format!("pts/{}", (major - 136) * 256 + minor))),
            (4, 0..=63) => Some(Self(format!("tty{minor}"))),
            (4, 64..) => Some(Self(format!("ttyS{}", minor - 64))),
            (229, _) => Some(Self(format!("hvc{minor}"))),
            _ => None,
        }
    }

    /// The terminal of that name, as PAM tells it: `pts/1`, or `/dev/pts/1`.
    #[must_use]
    pub(crate) fn named(name: &str) -> Self {
        Self(name.trim_start_matches("/dev/").to_owned())
    }

    /// The ptys that one of these owns, and how each was used. Their stat waits for nobody.
    #[must_use]
    pub(crate) fn ptys_of(owners: &[u32]) -> BTreeMap<Self, Use> {
        let names = fs::read_dir("/dev/pts").into_iter().flatten().flatten().map(|entry| entry.file_name());
        let numbers = names.filter_map(|name| name.to_str()?.parse::<u32>().ok());
        let ptys = numbers.map(|number| Self(format!("pts/{number}")));
        ptys.filter_map(|pty| pty.look().filter(|used| owners.contains(&used.owner)).map(|used| (pty, used))).collect()
    }

    /// Its name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    fn path(&self) -> String {
        format!("/dev/{}", self.0)
    }

    /// Whether a file of that path is this terminal, to a process that it controls.
    #[must_use]
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        path == Path::new("/dev/tty") || path == Path::new(&self.path())
    }

    /// Looks at it without touching it.
    #[must_use]
    pub(crate) fn look(&self) -> Option<Use> {
        let meta = fs::symlink_metadata(self.path()).ok().filter(|meta| meta.file_type().is_char_device())?;
        let stamp = |time: std::io::Result<std::time::SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            WallTime::new(since.unwrap_or(Duration::ZERO))
        };
        Some(Use { owner: meta.uid(), input: stamp(meta.accessed()), output: stamp(meta.modified()) })
    }

    /// Tells it `text`, unless it is no terminal.
    pub(crate) fn tell(&self, text: &str) {
        let flags = (OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let flags = i32::try_from(flags).unwrap_or_default();
        let Ok(mut file) = OpenOptions::new().write(true).custom_flags(flags).open(self.path()) else { return };
        if file.metadata().is_ok_and(|meta| meta.file_type().is_char_device()) {
            tell(&mut file, text);
        }
    }
}

/// A line of its own with a bell, as wall(1) writes it: a full-screen program is garbled no more than by that. Written once, and what does not
/// fit at once is dropped: a stopped terminal must not hold the daemon up.
fn tell(out: &mut impl Write, text: &str) {
    let _dropped = out.write(format!("\r\n\x07{text}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, each write by itself, and no more of each than it takes.
    struct Written(Vec<Vec<u8>>, usize);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.1);
            self.0.extend(bytes.get(..taken).map(<[u8]>::to_vec));
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_once_as_wall_writes_it() {
        for (takes, written) in [(80, &b"\r\n\x07text\r\n"[..]), (5, b"\r\n\x07te")] {
            let mut terminal = Written(Vec::new(), takes);
            tell(&mut terminal, "text");
            assert_eq!(terminal.0, [written], "what does not fit is dropped");
        }
    }

    #[test]
    fn a_device_number_names_its_terminal() {
        let name = |major: u32, minor: u32| {
            let number = (major << 8) | (minor & 0xff) | ((minor & 0x000f_ff00) << 12);
            Tty::of_device(number).map(|tty| tty.0)
        };
        assert_eq!(name(136, 3).as_deref(), Some("pts/3"));
        assert_eq!(name(137, 4).as_deref(), Some("pts/260"));
        assert_eq!(name(136, 300).as_deref(), Some("pts/300"), "numbers beyond 255 within one major");
        assert_eq!(name(4, 1).as_deref(), Some("tty1"));
        assert_eq!(name(4, 64).as_deref(), Some("ttyS0"));
        assert_eq!(name(229, 0).as_deref(), Some("hvc0"));
        assert_eq!(name(0, 0), None);
        assert_eq!(name(1, 3), None, "/dev/null is no terminal");
    }

    #[test]
    fn what_is_no_terminal_is_not_looked_at_nor_told() {
        assert_eq!(Tty("../etc/passwd".into()).look(), None);
        Tty("no/such".into()).tell("x");
    }
}
