//! Which accounts are this machine's own, in its files, and whether it has any others. The files answer at once; a directory may not.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use authflow_core::time::WallTime;

use crate::paths::Paths;

/// The names in `/etc/passwd`.
///
/// # Errors
/// It cannot be read.
pub fn names(paths: &Paths) -> io::Result<Vec<String>> {
    let text = read(&paths.root().join("etc/passwd"))?;
    Ok(text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect())
}

/// Whether nsswitch.conf names a source of users beside the machine's own. When in doubt it does.
#[must_use]
pub fn has_directory(paths: &Paths) -> bool {
    const OWN: [&str; 4] = ["files", "compat", "systemd", "altfiles"];
    let Ok(text) = read(&paths.root().join("etc/nsswitch.conf")) else { return true };
    let users = text.lines().find_map(|line| line.trim_start().strip_prefix("passwd:"));
    users.is_none_or(|sources| {
        let sources = sources.split('#').next().unwrap_or_default();
        sources.split_whitespace().any(|source| !source.starts_with('[') && !OWN.contains(&source))
    })
}

/// Whether anything was changed about the machine's own accounts since then: told by the files' ctimes, which nobody sets. When in doubt it
/// was.
#[must_use]
pub fn changed_since(paths: &Paths, at: WallTime) -> bool {
    let changed = |file: &str| match fs::metadata(paths.root().join("etc").join(file)) {
        Ok(found) => u64::try_from(found.ctime()).is_ok_and(|changed| changed >= at.as_secs()),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    ["passwd", "shadow"].into_iter().any(changed)
}

/// The file's text; bytes that are no text are nobody's name.
fn read(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(nsswitch: &str) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n").unwrap();
        fs::write(root.path().join("etc/nsswitch.conf"), nsswitch).unwrap();
        let paths = Paths::new(root.path());
        (root, paths)
    }

    #[test]
    fn the_files_tell_the_machines_own_users() {
        let (_root, paths) = machine("passwd: files\n");
        assert_eq!(names(&paths).unwrap(), ["root", "alice"]);
        assert!(names(&Paths::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_change_is_told_from_none() {
        let (root, paths) = machine("passwd: files\n");
        let written = fs::metadata(root.path().join("etc/passwd")).unwrap().ctime().unsigned_abs();
        let seconds = |seconds| WallTime::new(std::time::Duration::from_secs(seconds));
        assert!(changed_since(&paths, seconds(written)));
        assert!(!changed_since(&paths, seconds(written + 1)));
    }

    #[test]
    fn another_source_is_a_directory() {
        for (line, expected) in [
            ("passwd: files systemd\n", false),
            ("group: files ldap\npasswd:   files [NOTFOUND=continue] # sss\n", false),
            ("passwd: files sss\n", true),
            ("passwd: compat ldap\n", true),
            ("hosts: files\n", true),
        ] {
            let (_root, paths) = machine(line);
            assert_eq!(has_directory(&paths), expected, "{line:?}");
        }
        assert!(has_directory(&Paths::new("/nonexistent")));
    }
}
