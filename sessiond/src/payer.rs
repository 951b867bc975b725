//! Who answers for what a process does. Its real uid, which nobody can forge as the kernel's login uid can be where none is set; or who may
//! hand that uid out to containers of their own, or one person would be as many as the range has uids.

use authflow_host::{paths::Paths, process, subordinate};

use crate::cgroup;

/// Who answers for that process, which has that uid. `None` if it is gone.
#[must_use]
pub(crate) fn of(paths: &Paths, pid: u32, uid: u32) -> Option<u32> {
    let payer = seeming(paths, pid, uid);
    // Read after its place: what has the pid by then and is somebody else's says nothing about who asked.
    let is_still_theirs = || process::uids(pid).is_ok_and(|uids| uids.contains(&uid));
    (!subordinate::may_be(uid) || is_still_theirs()).then_some(payer)
}

/// The same by its place now, where nothing hangs on it if the pid is another's by then.
#[must_use]
pub(crate) fn seeming(paths: &Paths, pid: u32, uid: u32) -> u32 {
    if !subordinate::may_be(uid) {
        return uid;
    }
    owner(paths, uid, (&cgroup::of(pid), &cgroup::of(1))).unwrap_or(uid)
}

/// Whose container it is: the range is theirs, and it sits in their own part of the tree, which is not to be left. Elsewhere another's account
/// may have a number in that range, as a directory's do.
fn owner(paths: &Paths, uid: u32, (cgroup, first): (&str, &str)) -> Option<u32> {
    let owner = cgroup::user_of(cgroup, cgroup::systemd_root(first)?).filter(|owner| *owner != uid)?;
    // Where the file cannot be read each uid answers for itself.
    let ranges = subordinate::uids(paths, "", owner).ok()?;
    ranges.iter().any(|range| range.contains(&uid)).then_some(owner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_subordinate_uid_is_its_owners_in_the_owners_part_of_the_tree_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "alice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n")
            .unwrap();
        fs::write(root.path().join("etc/subuid"), "alice:165536:65536\n1001:300000:10\n").unwrap();
        let paths = Paths::new(root.path());
        let owner = |uid, cgroup| super::owner(&paths, uid, (cgroup, "/init.scope"));
        let alices = "/user.slice/user-1000.slice/user@1000.service/user.slice/podman.scope";
        let bobs = "/user.slice/user-1001.slice/session-2.scope";
        assert_eq!(
            (owner(165_536, alices), owner(231_071, alices), owner(231_072, alices)),
            (Some(1000), Some(1000), None)
        );
        assert_eq!((owner(300_009, bobs), owner(300_009, alices), owner(165_536, bobs)), (Some(1001), None, None));
        for elsewhere in ["/user.slice/user-210001.slice/session-3.scope", "/system.slice/ssh.service", ""] {
            assert_eq!(owner(210_001, elsewhere), None, "a directory's account: {elsewhere}");
        }
        assert_eq!(super::owner(&paths, 165_536, (alices, "/")), None, "without systemd the tree says nothing");
        assert_eq!(super::owner(&Paths::new("/nonexistent"), 165_536, (alices, "/init.scope")), None);
    }

    #[test]
    fn a_low_uid_answers_for_itself_and_what_is_gone_for_nothing() {
        let paths = Paths::new("/nonexistent");
        assert_eq!(of(&paths, std::process::id(), 1000), Some(1000));
        assert_eq!(of(&paths, u32::MAX, 165_536), None);
        assert_eq!(of(&paths, std::process::id(), 4_000_000_000), None, "another's by now");
    }
}
