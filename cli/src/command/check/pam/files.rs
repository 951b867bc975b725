//! Whether libpam can read the files of a stack, and whose they are. The module itself as well.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use authflow_host::file::Trust;

use crate::{
    command::check::{Ground, Place, catalogue::Defect, finding::Finding, owner},
    pam_stack::{Broken, OURS, Stack, Why},
};

/// What is wrong with the files of a stack.
pub(super) fn findings(stack: &Stack, trust: Trust) -> Vec<Finding> {
    let broken = stack.broken.iter().map(unreadable);
    let open = stack.files.iter().filter_map(|file| {
        let why = owner::why_writable(file, trust)?;
        Some(Finding::new(Defect::PamFileWritable, Place::file(file), why, fix(file)))
    });
    broken.chain(open).collect()
}

fn fix(file: &Path) -> String {
    format!("chown root:root {0} && chmod 0644 {0}", file.display())
}

fn unreadable(broken: &Broken) -> Finding {
    let place = Place::line(&broken.file, broken.number);
    match &broken.why {
        Why::Include(name, why) => {
            let what = format!("includes {name:?}, which cannot be read: {why}");
            Finding::new(Defect::IncludeMissing, place, what, "correct the name, or take the line out")
        }
        Why::Phase(word) => {
            let what = format!("{word:?} is none of auth, account, session, password");
            Finding::new(Defect::PamLineBroken, place, what, "correct the word")
        }
        Why::NoModule => {
            Finding::new(Defect::PamLineBroken, place, "the line names no module", "complete it, or take it out")
        }
    }
}

/// Whether others can put files beside those that are there.
pub(super) fn folder(ground: &Ground<'_>) -> Option<Finding> {
    let folder = ground.root.join("etc/pam.d");
    let why = owner::why_writable(&folder, ground.trust)?;
    let fix = format!("chown root:root {0} && chmod 0755 {0}", folder.display());
    Some(Finding::new(Defect::PamFileWritable, Place::file(&folder), why, fix))
}

/// Whether the module is where libpam looks for it, and root's alone.
pub(super) fn module(ground: &Ground<'_>) -> Vec<Finding> {
    let there: BTreeSet<PathBuf> =
        folders(ground.root).iter().map(|folder| folder.join(OURS)).filter(|file| file.exists()).collect();
    if there.is_empty() {
        let what = format!("{OURS} is in none of libpam's folders");
        return vec![Finding::new(
            Defect::ModuleMissing,
            Place::none(),
            what,
            "install the package that has it (libpam-authflow)",
        )];
    }
    let open = |file: &PathBuf| {
        let why = owner::why_writable(file, ground.trust)?;
        Some(Finding::new(Defect::ModuleWritable, Place::file(file), why, fix(file)))
    };
    there.iter().filter_map(open).collect()
}

/// Where modules are, on any distribution, each folder once.
fn folders(root: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for library in ["usr/lib", "usr/lib64"].map(|folder| root.join(folder)) {
        folders.insert(library.join("security"));
        let inner = std::fs::read_dir(&library).into_iter().flatten().flatten();
        folders.extend(inner.map(|entry| entry.path()).filter(|path| path.is_dir()).map(|path| path.join("security")));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::found;

    #[test]
    fn what_libpam_cannot_read_and_a_module_that_is_not_there_are_told() {
        let of_stack = |ground: &Ground<'_>| findings(&ground.stacks.of("sshd").unwrap(), ground.trust);
        let broken = [("etc/pam.d/sshd", "@include gone\nauht required pam_unix.so\nauth required\n")];
        assert_eq!(
            found("", &broken, of_stack),
            [
                "include-missing etc/pam.d/sshd:1",
                "pam-line-broken etc/pam.d/sshd:2",
                "pam-line-broken etc/pam.d/sshd:3"
            ]
        );
        assert_eq!(found("", &[], module), ["module-missing this machine"]);
        assert_eq!(
            found("", &[("usr/lib/x86_64-linux-gnu/security/pam_authflow.so", "")], module),
            Vec::<String>::new()
        );
    }
}
