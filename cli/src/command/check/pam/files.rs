//! Whether libpam can read the files of a stack, and whose they are. The module itself as well.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::place;
use crate::{
    command::check::{Ground, Place, catalogue::Defect, finding::Finding, owner},
    pam_stack::{
        Broken, Line, OURS, Stack, Why,
        control::{action, fault},
    },
};

/// What is wrong with the files of a stack. Others' lines matter where a rule governs: a package that was removed leaves its file behind.
pub(super) fn findings(ground: &Ground<'_>, stack: &Stack, is_governed: bool) -> Vec<Finding> {
    let open = stack.files.iter().filter_map(|file| {
        let why = owner::why_writable(file, ground.trust)?;
        Some(Finding::new(Defect::PamFileWritable, Place::file(file), why, owner::closing(file, 0o644)))
    });
    let ours = |line: &&Line| is_governed || line.module == OURS || line.is_almost_ours();
    let lines: Vec<&Line> = stack.lines.iter().filter(ours).collect();
    let unclear = lines.iter().filter_map(|line| unclear(line));
    broken(stack).chain(open).chain(unclear).chain(absent(ground, &lines)).collect()
}

/// What libpam cannot read in a stack.
pub(super) fn broken(stack: &Stack) -> impl Iterator<Item = Finding> {
    stack.broken.iter().map(unreadable)
}

fn unclear(line: &Line) -> Option<Finding> {
    let fault = fault(&line.control)?;
    let what = format!("{fault:?} is no control that libpam knows");
    let fix = "correct it: required, requisite, sufficient, optional, or [answer=action ...] as in pam.conf(5)";
    Some(Finding::new(Defect::PamControlUnknown, place(line), what, fix))
}

/// Modules that are not there: by a name that is almost ours, or of somebody else's on a line that cannot do without.
fn absent(ground: &Ground<'_>, lines: &[&Line]) -> Vec<Finding> {
    let folders = folders(ground.root);
    let is_there = |line: &Line| match line.path.strip_prefix('/') {
        // Which folder libpam puts there is not known here.
        _ if line.path.contains("$ISA") => true,
        Some(absolute) => ground.root.join(absolute).exists(),
        // Ours is told once, and where there are no modules at all nothing is known of them.
        None if line.module == OURS || folders.is_empty() => true,
        None => folders.iter().any(|folder| folder.join(&line.path).exists()),
    };
    let finding = |line: &Line| {
        let what = |more: &str| format!("{} is not there{more}", line.path);
        if line.is_almost_ours() || line.module == OURS {
            let what = what(&format!(": {OURS} is meant"));
            return Some(Finding::new(Defect::ModuleMisspelt, place(line), what, format!("write {OURS}")));
        }
        let what = what(&format!(", and {:?} minds", line.control));
        let fix = "install the package that has it, or correct the name, or take the line out";
        let refuses = fault(&line.control).is_none() && action(&line.control, "module_unknown").refuses();
        refuses.then(|| Finding::new(Defect::OtherModuleMissing, place(line), what, fix))
    };
    lines.iter().filter(|line| !is_there(line)).filter_map(|line| finding(line)).collect()
}

fn unreadable(broken: &Broken) -> Finding {
    let place = Place::line(&broken.file, broken.number);
    match &broken.why {
        Why::Include(name, why) => {
            let why =
                if *why == ErrorKind::NotFound { "is not there".into() } else { format!("cannot be read: {why}") };
            let what = format!("includes {name:?}, which {why}");
            Finding::new(Defect::IncludeMissing, place, what, "correct the name, or take the line out")
        }
        Why::Phase(word) => {
            let what = format!("{word:?} is none of auth, account, session, password");
            Finding::new(Defect::PamLineBroken, place, what, "correct the word")
        }
        Why::NoModule => {
            Finding::new(Defect::PamLineBroken, place, "the line names no module", "complete it, or take it out")
        }
        Why::Unfinished => {
            let what = "the file ends in the middle of this line, so libpam takes none of it";
            Finding::new(
                Defect::PamLineBroken,
                place,
                what,
                "take the backslash at its end out, or put the rest behind it",
            )
        }
    }
}

/// Whether others can put files beside those that are there.
pub(super) fn folder(ground: &Ground<'_>) -> Option<Finding> {
    let folder = ground.root.join("etc/pam.d");
    let why = owner::why_writable(&folder, ground.trust)?;
    Some(Finding::new(Defect::PamFileWritable, Place::file(&folder), why, owner::closing(&folder, 0o755)))
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
        Some(Finding::new(Defect::ModuleWritable, Place::file(file), why, owner::closing(file, 0o644)))
    };
    there.iter().filter_map(open).collect()
}

/// Where modules are, on any distribution, each folder once: /lib is /usr/lib on most.
fn folders(root: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for library in ["usr/lib", "usr/lib64", "lib", "lib64"].map(|folder| root.join(folder)) {
        folders.insert(library.join("security"));
        let inner = std::fs::read_dir(&library).into_iter().flatten().flatten();
        folders.extend(inner.map(|entry| entry.path()).map(|path| path.join("security")));
    }
    // A link of an image that is meant for its own root leads out of it here.
    let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let real = folders.into_iter().filter_map(|folder| folder.canonicalize().ok());
    let inside = real.filter_map(|folder| folder.strip_prefix(&real_root).ok().map(|inside| root.join(inside)));
    inside.filter(|folder| folder.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::found;

    #[test]
    fn what_libpam_cannot_read_and_a_module_that_is_not_there_are_told() {
        let of_stack = |ground: &Ground<'_>| findings(ground, &ground.stacks.of("sshd").unwrap(), true);
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

    #[test]
    fn a_module_that_is_not_there_is_told_where_somebody_is_kept_out_or_ours_is_meant() {
        let of_stack = |ground: &Ground<'_>| findings(ground, &ground.stacks.of("sshd").unwrap(), true);
        const FOLDER: &str = "usr/lib/x86_64-linux-gnu/security";
        let told = |stack: &str| {
            let there = format!("{FOLDER}/pam_unix.so");
            found("", &[("etc/pam.d/sshd", stack), (&there, "")], of_stack)
        };
        for lacking in ["required pam_gone.so", "[success=ok default=die] pam_gone.so", "requisite /opt/pam_unix.so"] {
            assert_eq!(told(&format!("auth {lacking}\n")), ["other-module-missing etc/pam.d/sshd:1"], "{lacking}");
        }
        for there in [
            "required pam_unix.so",
            "required pam_authflow.so",
            "optional pam_gone.so",
            "sufficient pam_gone.so",
            "[success=ok module_unknown=ignore default=bad] pam_gone.so",
            "required /usr/lib/x86_64-linux-gnu/security/pam_unix.so",
            "required /lib/security/$ISA/pam_gone.so",
        ] {
            assert_eq!(told(&format!("auth {there}\n")), Vec::<String>::new(), "{there}");
        }
        for misspelt in ["required pam_authflw.so", "optional pam_authflow", "required /lib/security/pam_authflow.so"] {
            assert_eq!(told(&format!("auth {misspelt}\n")), ["module-misspelt etc/pam.d/sshd:1"], "{misspelt}");
        }
        let apart =
            [("etc/pam.d/sshd", "auth required pam_unix.so\n"), ("lib/x86_64-linux-gnu/security/pam_unix.so", "")];
        let ours = (&*format!("{FOLDER}/pam_authflow.so"), "");
        assert_eq!(found("", &[&apart[..], &[ours]].concat(), of_stack), Vec::<String>::new(), "/lib is no link");
        let of_others = |ground: &Ground<'_>| findings(ground, &ground.stacks.of("sshd").unwrap(), false);
        let stack = "auth required pam_gone.so\nauth requried pam_x.so\nauth required pam_authflo.so\n";
        let there = [("etc/pam.d/sshd", stack), ("usr/lib/security/pam_x.so", "")];
        assert_eq!(found("", &there, of_others), ["module-misspelt etc/pam.d/sshd:3"], "no rule governs it");
        let nothing_known = [("etc/pam.d/sshd", "auth required pam_unix.so\n")];
        assert_eq!(found("", &nothing_known, of_stack), Vec::<String>::new());
    }

    #[test]
    fn a_control_that_libpam_does_not_know_is_told() {
        let of_stack = |ground: &Ground<'_>| findings(ground, &ground.stacks.of("sshd").unwrap(), true);
        let stack =
            "auth requried pam_unix.so\nauth [sucess=1 default=ignore] pam_unix.so\nauth REQUIRED pam_unix.so\n";
        assert_eq!(
            found("", &[("etc/pam.d/sshd", stack)], of_stack),
            ["pam-control-unknown etc/pam.d/sshd:1", "pam-control-unknown etc/pam.d/sshd:2"]
        );
    }

    #[test]
    fn a_file_that_ends_in_a_backslash_is_told() {
        let of_stack = |ground: &Ground<'_>| findings(ground, &ground.stacks.of("sshd").unwrap(), true);
        let files = [("etc/pam.d/sshd", "@include more\n"), ("etc/pam.d/more", "auth required pam_unix.so x\\\n")];
        assert_eq!(found("", &files, of_stack), ["pam-line-broken etc/pam.d/more:1"]);
    }
}
