//! Trusted reads and durable writes. What is read decides who gets in, so a file counts only if nobody but its owner can have
//! written it; what is written must survive the next moment, so it is synced before anybody builds on it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::libc;
use zeroize::{Zeroize, Zeroizing};

/// Largest file that is read: a configuration or record beyond it is none.
pub const LARGEST: u64 = 1024 * 1024;

const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Whose files are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    owner: u32,
}

impl Trust {
    /// Root's files: what products use.
    #[must_use]
    pub const fn root() -> Self {
        Self { owner: 0 }
    }

    /// Whether this process is run by whom these files belong to, and so can read and write them.
    #[must_use]
    pub fn is_own(self) -> bool {
        nix::unistd::geteuid().as_raw() == self.owner
    }

    /// The uid that they must belong to.
    #[must_use]
    pub const fn owner(self) -> u32 {
        self.owner
    }

    /// Files of that uid: for image builds and tests without root.
    #[must_use]
    pub const fn of(owner: u32) -> Self {
        Self { owner }
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is none.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// Somebody else could have written it.
    #[error("{} is not trusted: {why}", path.display())]
    NotTrusted {
        /// The file or its folder.
        path: PathBuf,
        /// What is wrong with it and what is expected.
        why: String,
    },
    /// Beyond [`LARGEST`].
    #[error("{} is larger than {LARGEST} bytes", .0.display())]
    TooLarge(PathBuf),
    /// Not UTF-8.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// The kernel refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

impl FileError {
    /// Whether the file just is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// Whether it is not for the caller to look at.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied)
    }

    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        // A folder of the path that is none means as well that there is no such file.
        if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            Self::Missing(path.to_owned())
        } else {
            Self::Io { action, path: path.to_owned(), source }
        }
    }
}

/// Which content a file has: another one after every change, be it made in place or by another file in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds. It cannot be set back as the time of the last write can.
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino(), changed: (meta.ctime(), meta.ctime_nsec()) }
    }

    /// That of the file which is there now, if there is one.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>, FileError> {
        match fs::symlink_metadata(path).map_err(|error| FileError::io("look at", path, error)) {
            Ok(meta) => Ok(Some(Self::of(&meta))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads a text file: regular, no link, of the trusted owner, writable by nobody else, in a folder of which the same holds.
///
/// # Errors
/// Missing, not trusted, too large, not text, or what the kernel says.
pub fn read_trusted(path: &Path, trust: Trust) -> Result<String, FileError> {
    read_stamped(path, trust).map(|(text, _stamp)| text)
}

/// The same, and its stamp from before it was read.
pub(crate) fn read_stamped(path: &Path, trust: Trust) -> Result<(String, Stamp), FileError> {
    let (bytes, stamp, _file) = read_opened(path, trust, OpenOptions::new().read(true))?;
    let text = String::from_utf8(bytes).map_err(|invalid| {
        invalid.into_bytes().zeroize();
        FileError::NotText(path.to_owned())
    })?;
    Ok((text, stamp))
}

/// The same of any bytes, and the file that they were read from, opened so, for who goes on to write it.
pub(crate) fn read_opened(
    path: &Path,
    trust: Trust,
    options: &mut OpenOptions,
) -> Result<(Vec<u8>, Stamp, File), FileError> {
    if let Some(folder) = path.parent() {
        let meta = fs::symlink_metadata(folder).map_err(|error| FileError::io("look at", folder, error))?;
        check(folder, &meta, trust, meta.is_dir(), "a folder")?;
    }
    // Without O_NONBLOCK the open of a fifo would hang the login.
    let mut file = open(options, libc::O_NONBLOCK, path)?;
    let meta = file.metadata().map_err(|error| FileError::io("look at", path, error))?;
    check(path, &meta, trust, meta.is_file(), "a regular file")?;
    if meta.len() > LARGEST {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    let bytes = read_as_long_as(&mut file, meta.len()).map_err(|error| FileError::io("read", path, error))?;
    Ok((bytes, Stamp::of(&meta), file))
}

/// Reads into one buffer that never grows, since growing would leave pieces of a secret behind in the heap.
fn read_as_long_as(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(|_beyond_memory| io::Error::from(ErrorKind::FileTooLarge))?;
    // One byte more than there should be, to see that the end is the end.
    let mut bytes = Zeroizing::new(vec![0; length + 1]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            // A regular file gives less than it is asked for only at its end, so the whole of it in one go needs no second look.
            Ok(count) if count == 0 || filled + count == length => {
                bytes.truncate(filled + count);
                return Ok(std::mem::take(&mut *bytes));
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("it grew while it was read"))
}

/// Writes a file as a whole: after a crash at any moment the old text is there, or the new one. Synced with its folder.
///
/// The temporary file has a fixed name, so that SELinux can label it; callers hold a lock.
///
/// # Errors
/// What the kernel says: a full or read-only disk, for one. Then the old text is still there.
pub fn write_durably(folder: &Path, name: &str, text: &[u8], mode: u32) -> Result<(), FileError> {
    let (path, temporary) = (folder.join(name), folder.join(format!(".{name}.new")));
    let written = write_new(&temporary, text, mode)
        .and_then(|()| fs::rename(&temporary, &path).map_err(|error| FileError::io("replace", &path, error)));
    if written.is_err() {
        // The disk may be full because of it.
        let _gone_or_not = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(folder)
}

fn write_new(path: &Path, text: &[u8], mode: u32) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::io("remove the left-over", path, error)),
    }
    let mut file = open(OpenOptions::new().write(true).create_new(true).mode(mode), 0, path)?;
    file.write_all(text).map_err(|error| FileError::io("write", path, error))?;
    // The umask of the host process must not decide.
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(|error| FileError::io("set the mode of", path, error))?;
    file.sync_all().map_err(|error| FileError::io("sync", path, error))
}

/// Makes a change of names in that folder durable.
///
/// # Errors
/// What the kernel says.
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    let file = open(OpenOptions::new().read(true), libc::O_DIRECTORY, folder)?;
    file.sync_all().map_err(|error| FileError::io("sync", folder, error))
}

/// Makes the folder if it is not there; its parents must be. A new one is made durable, for what is to be written into it.
///
/// # Errors
/// What the kernel says.
pub fn ensure_folder(folder: &Path, mode: u32) -> Result<(), FileError> {
    match DirBuilder::new().mode(mode).create(folder) {
        // Where the parent is a link, that is the machine's own doing, as with a `/var/lib` on another disk.
        Ok(()) => folder.parent().map_or(Ok(()), |parent| {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(|error| FileError::io("sync", parent, error))
        }),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(FileError::Io { action: "make the folder", path: folder.to_owned(), source: error }),
    }
}

/// Opens without following a link and without passing the descriptor on to other programs.
pub(crate) fn open(options: &mut OpenOptions, flags: libc::c_int, path: &Path) -> Result<File, FileError> {
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | flags).open(path).map_err(|error| {
        if error.raw_os_error() == Some(libc::ELOOP) {
            let why = "it is a symbolic link: expected the file itself".to_owned();
            FileError::NotTrusted { path: path.to_owned(), why }
        } else {
            FileError::io("open", path, error)
        }
    })
}

/// Whether `meta` is what it should be, of the trusted owner, and closed to others' writes.
pub(crate) fn check(
    path: &Path,
    meta: &fs::Metadata,
    trust: Trust,
    is_kind: bool,
    kind: &str,
) -> Result<(), FileError> {
    let distrust = |why: String| Err(FileError::NotTrusted { path: path.to_owned(), why });
    if !is_kind {
        return distrust(format!("expected {kind}"));
    }
    if meta.uid() != trust.owner {
        return distrust(format!("its owner is uid {}, expected uid {}", meta.uid(), trust.owner));
    }
    if meta.mode() & WRITABLE_BY_OTHERS != 0 {
        return distrust(format!(
            "its mode is {:04o}, expected not writable by group and others",
            meta.mode() & 0o7777
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn mine() -> Trust {
        Trust::of(nix::unistd::geteuid().as_raw())
    }

    fn distrusted(path: &Path) -> String {
        let error = read_trusted(path, mine()).unwrap_err();
        let FileError::NotTrusted { why, .. } = error else { panic!("{error}") };
        why
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is_left() {
        let folder = folder();
        write_durably(folder.path(), "a", b"one", 0o600).unwrap();
        write_durably(folder.path(), "a", b"two", 0o600).unwrap();
        assert_eq!(read_trusted(&folder.path().join("a"), mine()).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_left_over_temporary_file_is_no_obstacle() {
        let folder = folder();
        symlink("/nonexistent/target", folder.path().join(".a.new")).unwrap();
        write_durably(folder.path(), "a", b"one", 0o600).unwrap();
        assert_eq!(read_trusted(&folder.path().join("a"), mine()).unwrap(), "one");
    }

    #[test]
    fn a_file_that_others_can_change_is_not_read() {
        let folder = folder();
        let path = folder.path().join("a");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(distrusted(&path).contains("mode is 0666"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&path, folder.path().join("link")).unwrap();
        assert!(distrusted(&folder.path().join("link")).contains("symbolic link"));
        let stranger = Trust::of(nix::unistd::geteuid().as_raw() + 1);
        assert!(matches!(read_trusted(&path, stranger), Err(FileError::NotTrusted { .. })));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(distrusted(&path).contains("mode is 0777"), "its folder lets others replace it");
    }

    #[test]
    fn a_fifo_or_a_folder_is_refused_and_does_not_hang() {
        let folder = folder();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(distrusted(&fifo).contains("regular file"));
        fs::create_dir(folder.path().join("dir")).unwrap();
        assert!(distrusted(&folder.path().join("dir")).contains("regular file"));
    }

    #[test]
    fn size_text_and_absence_are_told_apart() {
        let folder = folder();
        let path = folder.path().join("a");
        assert!(read_trusted(&path, mine()).unwrap_err().is_missing());
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read_trusted(&path, mine()), Err(FileError::NotText(_))));
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(matches!(read_trusted(&path, mine()), Err(FileError::TooLarge(_))));
    }

    #[test]
    fn a_write_that_fails_says_why_and_keeps_the_old_text() {
        let folder = folder();
        let error = write_durably(&folder.path().join("absent"), "a", b"x", 0o600).unwrap_err();
        assert!(error.is_missing(), "{error}");
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/inside"), "kept").unwrap();
        assert!(write_durably(folder.path(), "a", b"x", 0o600).is_err(), "a folder is in the way");
        assert!(!folder.path().join(".a.new").exists());
    }
}
