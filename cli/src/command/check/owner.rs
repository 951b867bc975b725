//! Whose a file is, and who else may do what with it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use authflow_host::file::{FileError, Trust};

/// Bits of a mode: whoever is not the owner may write.
pub(super) const WRITABLE: u32 = 0o022;

/// Whoever is not the owner may do anything.
pub(super) const OPEN: u32 = 0o077;

/// Why somebody whom `trust` does not name can write the file, if that is so. Links are followed: it is the file that counts.
pub(super) fn why_writable(file: &Path, trust: Trust) -> Option<String> {
    why_not(file, trust, WRITABLE)
}

/// Why the owner or the mode is not as it should be: none of the bits `forbidden`. What is not there is as it should be.
pub(super) fn why_not(path: &Path, trust: Trust, forbidden: u32) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if meta.uid() != trust.owner() {
        return Some(format!("its owner is uid {}, expected uid {}", meta.uid(), trust.owner()));
    }
    let mode = meta.permissions().mode() & 0o7777;
    (mode & forbidden != 0).then(|| format!("its mode is {mode:04o}, expected {:04o} at most", mode & !forbidden))
}

/// The command that makes it root's, with that mode.
pub(super) fn closing(path: &Path, mode: u32) -> String {
    format!("chown root:root {0} && chmod {mode:04o} {0}", path.display())
}

/// The command after which what was not trusted is, with none of the bits `forbidden`, if that is why it was not used.
pub(super) fn trusting(error: &FileError, trust: Trust, forbidden: u32) -> Option<String> {
    let FileError::NotTrusted { path, .. } = error else { return None };
    let meta = fs::symlink_metadata(path).ok().filter(|meta| !meta.is_symlink())?;
    let _ = why_not(path, trust, forbidden)?;
    Some(closing(path, if meta.is_dir() { 0o777 } else { 0o666 } & !forbidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_to_others_and_what_is_anothers_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let set = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let me = Trust::of(nix::unistd::geteuid().as_raw());
        set(0o640);
        assert_eq!(why_writable(&file, me), None);
        assert_eq!(why_not(&file, me, OPEN).unwrap(), "its mode is 0640, expected 0600 at most");
        set(0o666);
        assert_eq!(why_writable(&file, me).unwrap(), "its mode is 0666, expected 0644 at most");
        assert!(why_writable(&file, Trust::of(4242)).unwrap().contains("expected uid 4242"));
        assert_eq!(why_writable(Path::new("/nonexistent"), me), None);
        let told = |path: &Path| {
            let error = FileError::NotTrusted { path: path.to_owned(), why: String::new() };
            trusting(&error, me, OPEN).map(|command| command.replace(&path.display().to_string(), "IT"))
        };
        assert_eq!(told(&file).unwrap(), "chown root:root IT && chmod 0600 IT");
        set(0o600);
        assert_eq!(told(&file), None, "it is for another reason");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(told(folder.path()).unwrap(), "chown root:root IT && chmod 0700 IT");
    }
}
