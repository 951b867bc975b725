//! authflow's own files and folders: whose they are, and what others may do with them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Ground, Place,
    catalogue::Defect,
    finding::Finding,
    owner::{self, OPEN, WRITABLE},
};

/// Owners and modes that are not as they should be.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let paths = &ground.context.paths;
    let mut found = Vec::new();
    let shared = [
        paths.config().parent().map(Path::to_owned),
        Some(paths.config_drop_ins()),
        Some(paths.state_home()),
        Some(paths.run()),
    ];
    found.extend(shared.into_iter().flatten().filter_map(|folder| folder_open(ground, &folder, WRITABLE)));
    for folder in [paths.users(), paths.managed_users(), paths.state(), paths.flows(), paths.pending(), paths.live()] {
        found.extend(folder_open(ground, &folder, OPEN));
        found.extend(inside(&folder).iter().filter_map(|file| file_open(ground, file)));
    }
    let store = paths.sessions_db();
    let beside = ["", "-wal", "-shm"].map(|ending| PathBuf::from(format!("{}{ending}", store.display())));
    found.extend(beside.iter().filter_map(|file| file_open(ground, file)));
    found.extend(common_passwords(ground));
    found
}

fn folder_open(ground: &Ground<'_>, folder: &Path, forbidden: u32) -> Option<Finding> {
    let why = owner::why_not(folder, ground.trust, forbidden)?;
    let mode = 0o777 & !forbidden;
    Some(Finding::new(Defect::FolderOpen, Place::file(folder), why, owner::closing(folder, mode)))
}

fn file_open(ground: &Ground<'_>, file: &Path) -> Option<Finding> {
    let why = owner::why_not(file, ground.trust, OPEN)?;
    Some(Finding::new(Defect::FileOpen, Place::file(file), why, owner::closing(file, 0o600)))
}

/// The files in a folder, none where it is not for us to read.
fn inside(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

/// What new passwords are held against.
fn common_passwords(ground: &Ground<'_>) -> Option<Finding> {
    let list = ground.context.paths.common_passwords();
    let error = fs::File::open(&list).err().filter(|_| !ground.config.rules.is_empty())?;
    let fix = "install the package that has it (authflow) again";
    Some(Finding::new(Defect::CommonPasswordsMissing, Place::file(&list), error.to_string(), fix))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    const RECORD: &str = "var/lib/authflow/users/alice.toml";

    #[test]
    fn what_others_can_read_or_write_is_told() {
        let files = [(RECORD, ""), ("var/lib/authflow/sessions.db", ""), ("etc/authflow/authflow.toml", "")];
        let told = |set: &[(&str, u32)]| {
            found("", &files, |ground| {
                let closed =
                    [("var/lib/authflow/users", 0o700), (RECORD, 0o600), ("var/lib/authflow/sessions.db", 0o600)];
                for (path, mode) in closed.iter().chain(set) {
                    fs::set_permissions(ground.root.join(path), fs::Permissions::from_mode(*mode)).unwrap();
                }
                findings(ground)
            })
        };
        assert_eq!(told(&[]), Vec::<String>::new());
        assert_eq!(told(&[("var/lib/authflow/users", 0o755)]), ["folder-open var/lib/authflow/users"]);
        assert_eq!(told(&[(RECORD, 0o640)]), [format!("file-open {RECORD}")]);
        assert_eq!(told(&[("etc/authflow", 0o777)]), ["folder-open etc/authflow"]);
        assert_eq!(told(&[("var/lib/authflow/sessions.db", 0o644)]), ["file-open var/lib/authflow/sessions.db"]);
    }

    #[test]
    fn a_list_that_is_not_there_is_told_where_a_rule_needs_it() {
        assert_eq!(
            found(TWO_FACTORS, &[], findings),
            ["common-passwords-missing usr/share/authflow/common-passwords.txt"]
        );
        assert_eq!(found("", &[], findings), Vec::<String>::new());
    }
}
