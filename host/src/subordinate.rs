//! The uids that a user may hand out to containers of their own: what runs as one of them is the user's doing (subuid(5)).

use std::{fs, io, ops::Range};

use crate::{local_accounts, paths::Paths};

/// The ranges that `/etc/subuid` gives to a user: by uid, by this name, or by any that `/etc/passwd` has for the uid. None where there is no
/// such file.
///
/// # Errors
/// It is there and cannot be read.
pub fn uids(paths: &Paths, name: &str, uid: u32) -> io::Result<Vec<Range<u32>>> {
    let text = read(paths)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let names = local_accounts::names_of(paths, uid)?;
    let is_theirs = |owner: &str| owner == name || owner.parse() == Ok(uid) || names.iter().any(|name| name == owner);
    Ok(text.lines().filter_map(parse).filter(|(owner, _)| is_theirs(owner)).map(|(_, range)| range).collect())
}

/// Whether the number is one that can be in such a range.
#[must_use]
pub const fn may_be(uid: u32) -> bool {
    uid >= LOWEST
}

fn read(paths: &Paths) -> io::Result<String> {
    match fs::read(paths.root().join("etc/subuid")) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// A line `OWNER:FIRST:COUNT`. Root's uid and those next to it are nobody's to hand out, whatever the file says.
fn parse(line: &str) -> Option<(&str, Range<u32>)> {
    let mut fields = line.trim().split(':');
    let (owner, first, count) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let range: Range<u32> = first..u32::saturating_add(first, count);
    may_be(range.start).then_some((owner, range))
}

/// Below are the machine's own accounts (login.defs(5): `SUB_UID_MIN` is 100,000).
const LOWEST: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_uid() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path());
        assert_eq!(uids(&paths, "alice", 1000).unwrap(), []);
        fs::create_dir(root.path().join("etc")).unwrap();
        let text =
            "bob:100000:65536\nalice:165536:65536\n1000:300000:10\nalice:0:5\nalice:x:1\nalice\n\nalice:4294967295:9\n";
        fs::write(root.path().join("etc/subuid"), text).unwrap();
        fs::write(root.path().join("etc/passwd"), "alice:x:1000:1000::/:/bin/sh\n").unwrap();
        for name in ["alice", ""] {
            assert_eq!(uids(&paths, name, 1000).unwrap(), [165_536..231_072, 300_000..300_010, u32::MAX..u32::MAX]);
        }
        assert!(!may_be(1000) && may_be(100_000));
    }
}
