//! What the machine would start for a user by itself: lingering, cron and at. Whoever ends all that a user runs wants to know of it.

use std::{fmt, fs, os::unix::fs::MetadataExt, path::PathBuf};

use crate::paths::Paths;

/// Why something would be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The user manager starts with the machine.
    Linger,
    /// A table of cron.
    Cron,
    /// A job of at or batch.
    At,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linger => "linger",
            Self::Cron => "cron",
            Self::At => "at",
        })
    }
}

/// Something that would be started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Deferred {
    /// Why.
    pub kind: Kind,
    /// The file that says so.
    pub path: PathBuf,
}

/// Where a file of the user's name says it: systemd, then cron as Debian, Red Hat and SUSE have it.
const BY_NAME: [(Kind, &str); 4] = [
    (Kind::Linger, "var/lib/systemd/linger"),
    (Kind::Cron, "var/spool/cron/crontabs"),
    (Kind::Cron, "var/spool/cron"),
    (Kind::Cron, "var/spool/cron/tabs"),
];

/// Where jobs of at are, which are the user's by their owner.
const BY_OWNER: [&str; 3] = ["var/spool/cron/atjobs", "var/spool/at", "var/spool/atjobs"];

/// What the machine would start for the user. A folder that is not there or cannot be read holds nothing.
#[must_use]
pub fn of(paths: &Paths, user: &str, uid: u32) -> Vec<Deferred> {
    let is_a_name = !user.is_empty() && !user.contains('/') && user != "." && user != "..";
    let by_name =
        BY_NAME.iter().filter(|_| is_a_name).map(|(kind, folder)| (*kind, paths.root().join(folder).join(user)));
    let by_name = by_name.filter(|(_, path)| path.symlink_metadata().is_ok_and(|meta| meta.is_file()));
    let jobs =
        BY_OWNER.iter().flat_map(|folder| fs::read_dir(paths.root().join(folder)).into_iter().flatten().flatten());
    let theirs = jobs.filter(|job| job.metadata().is_ok_and(|meta| meta.is_file() && meta.uid() == uid));
    let at = theirs.map(|job| (Kind::At, job.path()));
    let mut found: Vec<_> = by_name.chain(at).map(|(kind, path)| Deferred { kind, path }).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_name_and_jobs_of_the_uid_are_found_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path());
        for file in ["var/lib/systemd/linger/alice", "var/spool/cron/crontabs/alice", "var/spool/cron/crontabs/bob"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let uid = nix::unistd::geteuid().as_raw();
        fs::create_dir_all(root.path().join("var/spool/cron/atjobs")).unwrap();
        fs::write(root.path().join("var/spool/cron/atjobs/a0001"), "").unwrap();
        let kinds = |user: &str, uid: u32| of(&paths, user, uid).iter().map(|found| found.kind).collect::<Vec<_>>();
        assert_eq!(kinds("alice", uid), [Kind::Linger, Kind::At, Kind::Cron]);
        assert_eq!(kinds("bob", uid + 1), [Kind::Cron]);
        for odd in ["", ".", "..", "crontabs", "../cron/crontabs/bob"] {
            assert_eq!(kinds(odd, uid + 1), [], "{odd:?}");
        }
    }
}
