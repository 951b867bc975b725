//! What of authflow root runs, and what the bus and systemd go by for it: whose it is. Folders are the package manager's.

use std::path::{Path, PathBuf};

use super::{
    Ground, Place,
    catalogue::Defect,
    daemon::{POLICY, POLICY_FOLDERS, UNIT, UNIT_FOLDERS},
    finding::Finding,
    owner,
};

const PROGRAMS: [&str; 2] = ["usr/libexec/authflow-sessiond", "usr/bin/authflow"];

/// What else leads to the daemon, or runs the command as root.
const ACTIVATION: &str = "usr/share/dbus-1/system-services/org.authflow.sessiond1.service";
const ACTIONS: &str = "usr/share/polkit-1/actions/org.authflow.sessiond1.policy";
const ROLLBACK_UNIT: &str = "authflow-setup-rollback.service";

/// Those that somebody else than root can write.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let at = |path: &str, mode: u32| (ground.root.join(path), mode);
    let programs = PROGRAMS.iter().map(|program| at(program, 0o755));
    let units = UNIT_FOLDERS.iter().flat_map(|folder| [UNIT, ROLLBACK_UNIT].map(|unit| format!("{folder}/{unit}")));
    let policies = POLICY_FOLDERS.iter().map(|folder| format!("{folder}/{POLICY}"));
    let texts = units.chain(policies).chain([ACTIVATION.to_owned(), ACTIONS.to_owned()]);
    let files: Vec<(PathBuf, u32)> = programs.chain(texts.map(|text| at(&text, 0o644))).collect();
    files.iter().filter_map(|(file, mode)| writable(ground, file, *mode)).collect()
}

fn writable(ground: &Ground<'_>, file: &Path, mode: u32) -> Option<Finding> {
    // A unit that is masked leads to /dev/null, which everybody writes.
    let why = owner::why_writable(file, ground.trust).filter(|_| file.is_file())?;
    Some(Finding::new(Defect::ProgramWritable, Place::file(file), why, owner::closing(file, mode)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::command::check::fixture::found;

    #[test]
    fn what_others_can_write_of_what_root_runs_is_told_and_a_masked_unit_is_not() {
        let files = [
            PROGRAMS[0],
            PROGRAMS[1],
            ACTIVATION,
            "usr/lib/systemd/system/authflow-sessiond.service",
            "usr/share/dbus-1/system.d/org.authflow.sessiond1.conf",
        ];
        let there = files.map(|file| (file, ""));
        for open in files {
            let told = found("", &there, |ground| {
                for file in files {
                    let mode = if file == open { 0o666 } else { 0o644 };
                    fs::set_permissions(ground.root.join(file), fs::Permissions::from_mode(mode)).unwrap();
                }
                let masked = ground.root.join("etc/systemd/system");
                fs::create_dir_all(&masked).unwrap();
                std::os::unix::fs::symlink("/dev/null", masked.join(UNIT)).unwrap();
                findings(ground)
            });
            assert_eq!(told, [format!("program-writable {open}")]);
        }
    }
}
