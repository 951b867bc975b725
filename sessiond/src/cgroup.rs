//! Where a process sits in the tree of cgroups. No process leaves the part of it that systemd keeps a user in, whatever uid it takes on.

use authflow_host::process;

/// The path of a process in the unified hierarchy, or in systemd's own on a machine with both. A process must not be overlooked because the
/// kernel has no cgroups.
#[must_use]
pub(crate) fn of(pid: u32) -> String {
    path_in(&process::text(pid, "cgroup").unwrap_or_default())
}

/// The cgroup below which systemd orders everything, by that of the first process; in a container it begins below the machine's. `None` where
/// no systemd runs.
#[must_use]
pub(crate) fn systemd_root(first: &str) -> Option<&str> {
    first.strip_suffix("/init.scope")
}

/// The user in whose slice that cgroup is.
///
/// The whole path: a container has a tree of its own below a service, with slices of the same names.
#[must_use]
pub(crate) fn user_of(cgroup: &str, root: &str) -> Option<u32> {
    let (user, _) = cgroup.strip_prefix(root)?.strip_prefix("/user.slice/user-")?.split_once(".slice/")?;
    user.parse().ok()
}

fn path_in(cgroup: &str) -> String {
    // A path may hold what looks like the start of a line.
    let of = |hierarchy: &str| {
        let fields = cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        fields.filter(|(name, _)| *name == hierarchy).map(|(_, path)| path.to_owned()).next()
    };
    of("").filter(|path| path != "/").or_else(|| of("name=systemd")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_is_that_of_the_unified_hierarchy_or_of_systemds_own() {
        let nested = "4:memory:/user.slice/a0::/x:name=systemd:/y";
        let of = |lines: &[&str]| path_in(&lines.join("\n"));
        assert_eq!(of(&["0::/user.slice/session-1.scope"]), "/user.slice/session-1.scope");
        assert_eq!(of(&[nested, "1:name=systemd:/init.scope", "0::/"]), "/init.scope");
        assert_eq!(of(&[nested, "1:name=systemd:/init.scope", "0::/a:b"]), "/a:b");
        assert_eq!(of(&[nested]), "");
    }

    #[test]
    fn a_slice_below_systemds_root_is_its_users_and_one_elsewhere_nobodys() {
        for (cgroup, root, user) in [
            ("/user.slice/user-1000.slice/session-1.scope", "", Some(1000)),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/user-1.slice/a.scope", "", Some(1000)),
            ("/machine.slice/box/user.slice/user-7.slice/session-1.scope", "/machine.slice/box", Some(7)),
            ("/machine.slice/box/user.slice/user-7.slice/session-1.scope", "", None),
            ("/system.slice/a.service/user.slice/user-1000.slice/a.scope", "", None),
            ("/user.slice/user-1000.slice", "", None),
            ("/user.slice/authflow-1.scope", "", None),
            ("/user.slice/user-x.slice/a.scope", "", None),
            ("", "", None),
        ] {
            assert_eq!(user_of(cgroup, root), user, "{cgroup}");
        }
        assert_eq!(systemd_root("/machine.slice/box/init.scope"), Some("/machine.slice/box"));
        assert_eq!(systemd_root("/"), None);
    }
}
