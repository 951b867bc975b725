//! Which accounts are this machine's own, in its files, and whether it has any others. The files answer at once; a directory may not.

use std::{collections::BTreeSet, fs, io, path::Path};

use crate::paths::Paths;

/// The names in `/etc/passwd`.
///
/// # Errors
/// It cannot be read.
pub fn names(paths: &Paths) -> io::Result<Vec<String>> {
    let text = read(&paths.root().join("etc/passwd"))?;
    Ok(text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect())
}

/// The names that `/etc/passwd` has for that uid.
///
/// # Errors
/// It cannot be read.
pub fn names_of(paths: &Paths, uid: u32) -> io::Result<Vec<String>> {
    let text = read(&paths.root().join("etc/passwd"))?;
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
        Some((name.to_owned(), uid))
    };
    Ok(text.lines().filter_map(entry).filter(|(_, found)| *found == uid).map(|(name, _)| name).collect())
}

/// The names that were in `/etc/passwd` before its last change, and are no more. Without the copy that the account tools keep, none is
/// known.
#[must_use]
pub fn former_names(paths: &Paths) -> BTreeSet<String> {
    let (Ok(now), Ok(before)) = (names(paths), read(&paths.root().join("etc/passwd-"))) else { return BTreeSet::new() };
    let before = before.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned());
    before.filter(|name| !now.contains(name)).collect()
}

/// The uid that `/etc/passwd` has for that name.
///
/// # Errors
/// It cannot be read.
pub fn uid_of(paths: &Paths, user: &str) -> io::Result<Option<u32>> {
    let text = read(&paths.root().join("etc/passwd"))?;
    let entry =
        text.lines().map(|line| line.split(':')).find_map(|mut fields| (fields.next() == Some(user)).then_some(fields));
    Ok(entry.and_then(|mut fields| fields.nth(1)?.parse().ok()))
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
        assert_eq!(names_of(&paths, 1000).unwrap(), ["alice"]);
        assert_eq!((uid_of(&paths, "alice").unwrap(), uid_of(&paths, "ali").unwrap()), (Some(1000), None));
        assert!(former_names(&paths).is_empty());
        fs::write(paths.root().join("etc/passwd-"), "alice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n")
            .unwrap();
        assert_eq!(former_names(&paths), BTreeSet::from(["bob".to_owned()]));
        assert!(names(&Paths::new("/nonexistent")).is_err());
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
