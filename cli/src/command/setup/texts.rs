//! Reads the files that a setup may touch, and replaces them: each as a whole, so that whoever logs in meanwhile finds the old text or the
//! new one, with the owner, the mode and the attributes that it had. What is a link, or somebody else's, is not touched.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use authflow_host::file::{self, Trust, read_trusted, sync_folder};
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};

use super::plan::Texts;
use crate::error::Error;

/// The mode of a file that was not there before.
const NEW: u32 = 0o644;

/// What stands in these files.
pub(super) fn read(paths: impl Iterator<Item = PathBuf>, trust: Trust) -> Result<Texts, Error> {
    let text = |path: PathBuf| match read_trusted(&path, trust) {
        Ok(text) => Ok((path, Some(text))),
        Err(error) if error.is_missing() => Ok((path, None)),
        Err(error) => Err(Error::Failed(format!(
            "setup changes only what is root's own plain file: {error}. Make it one first, or put the lines in by hand"
        ))),
    };
    paths.map(text).collect()
}

/// What stands in the file, trusted or not, a link followed or not: for what is only to be compared or kept. `None`: there is none.
pub(super) fn read_anything(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::failed(&path.display().to_string(), &error)),
    }
}

/// Puts `text` there, or nothing, durably.
pub(super) fn replace(path: &Path, text: Option<&str>) -> Result<(), Error> {
    let failed = |error: io::Error| Error::failed(&path.display().to_string(), &error);
    match text {
        Some(text) => write(path, text.as_bytes()).map_err(failed)?,
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        },
    }
    path.parent().map_or(Ok(()), sync_folder).map_err(|error| Error::failed("setup", &error))
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let there = match File::options().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // A link that somebody put there meanwhile is replaced by the file, not followed.
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => None,
        Err(error) => return Err(error),
    };
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let temporary = path.with_file_name(name);
    let written = write_new(&temporary, text, there.as_ref()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _gone_or_not = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, text: &[u8], like: Option<&File>) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    let mut mode = NEW;
    if let Some(like) = like {
        let meta = like.metadata()?;
        fchown(&file, Some(meta.uid()), Some(meta.gid()))?;
        mode = meta.mode() & 0o7777;
        copy_attributes(like, &file)?;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Access lists, labels and the like. Where the file system has none there are none to copy.
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0_u8; 64 * 1024];
    let length = match flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 64 * 1024];
        let length = fgetxattr(from, name, &mut value[..])?;
        match fsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty()) {
            Ok(()) => {}
            // A label that the policy gives by itself, for one.
            Err(_) if name.starts_with(b"security.") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Makes a folder of setup's own, and keeps its name short of what others could read into it.
pub(super) fn private_folder(path: &Path) -> Result<(), Error> {
    file::ensure_folder(path, 0o700).map_err(|error| Error::failed("setup", &error))
}

/// The path without its root, so that it can be put under a folder.
pub(super) fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
}

/// Keeps a copy of `bytes` under `folder`, at the path that they came from.
pub(super) fn keep(folder: &Path, path: &Path, bytes: &[u8]) -> Result<PathBuf, Error> {
    let failed = |error: io::Error| Error::failed("cannot keep a copy", &error);
    let place = folder.join(relative(path));
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(&place, bytes).map_err(failed)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    File::open(&place).and_then(|file| file.sync_all()).map_err(failed)?;
    Ok(place)
}

/// The text of those bytes, if they are one.
pub(super) fn as_text(bytes: Option<&[u8]>) -> Option<&str> {
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mine() -> Trust {
        Trust::of(nix::unistd::geteuid().as_raw())
    }

    #[test]
    fn a_file_is_replaced_as_it_was_but_for_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sshd");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let file = File::open(&path).unwrap();
        let has_attributes = fsetxattr(&file, c"user.note", b"kept", XattrFlags::empty()).is_ok();
        replace(&path, Some("new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        if has_attributes {
            let mut value = [0; 8];
            let length = fgetxattr(File::open(&path).unwrap(), c"user.note", &mut value[..]).unwrap();
            assert_eq!(&value[..length], b"kept");
        }
        replace(&path, None).unwrap();
        replace(&path, None).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_not_set_up_and_absence_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "x").unwrap();
        symlink(&file, &link).unwrap();
        let error = read([link].into_iter(), mine()).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        let there = read([file.clone(), folder.path().join("none")].into_iter(), mine()).unwrap();
        assert_eq!(there.get(&file).unwrap().as_deref(), Some("x"));
        assert_eq!(there.values().filter(|text| text.is_none()).count(), 1);
    }

    #[test]
    fn a_copy_stays_under_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let kept = keep(folder.path(), Path::new("/etc/../etc/pam.d/sshd"), b"x").unwrap();
        assert!(kept.starts_with(folder.path()) && kept.ends_with("etc/pam.d/sshd"), "{}", kept.display());
    }
}
