//! Where the PAM stacks of this machine cannot have a password of ours changed, or would let the need for it hide a refusal.

use std::{collections::BTreeSet, path::Path};

use authflow_core::config::Config;

use crate::pam_stack::{self, Line, OURS};

/// Every warning about the stacks in `folder` of the services that rules name.
pub(super) fn warnings(folder: &Path, config: &Config) -> Vec<String> {
    let services: BTreeSet<_> =
        config.rules.iter().flat_map(|rule| &rule.services).filter(|name| *name != "*").collect();
    let mut found = Vec::new();
    for service in services {
        let lines = pam_stack::lines(folder, service);
        // Where a directory has the passwords, none of ours can need a change.
        if lines.iter().any(|line| line.phase == "auth" && line.module == OURS && line.says("proved=password")) {
            continue;
        }
        found.extend(hiding(&lines));
        found.extend(not_changing(&lines));
    }
    if config.password.adopt && !has_ours(&pam_stack::lines(folder, "passwd"), "password") {
        found.push(format!(
            "{}: {OURS} is not in it, so `passwd` changes the system's password, which no longer counts once adopt = true has taken \
             it over; put our line before pam_unix's",
            folder.join("passwd").display()
        ));
    }
    found
}

/// "New password required" ends our account line as a failure, and libpam keeps the first failure alone.
fn hiding(lines: &[Line]) -> Option<String> {
    let line = lines.iter().find(|line| line.phase == "account" && line.module == OURS)?;
    let is_hiding = line.control.starts_with('[')
        && !["new_authtok_reqd=ok", "default=ok"].iter().any(|word| line.control.contains(word));
    is_hiding.then(|| {
        format!(
            "{}:{}: new_authtok_reqd=ok is missing, so a password that must be changed hides what later lines refuse",
            line.file.display(),
            line.number
        )
    })
}

/// A login that must change its password cannot.
fn not_changing(lines: &[Line]) -> Option<String> {
    let line = lines.iter().find(|line| line.phase == "account" && line.module == OURS)?;
    (!has_ours(lines, "password")).then(|| {
        format!(
            "{}: {OURS} has no password line, so nobody gets in there by an initial password; put one before pam_unix's",
            line.file.display()
        )
    })
}

fn has_ours(lines: &[Line], phase: &str) -> bool {
    lines.iter().any(|line| line.phase == phase && line.module == OURS)
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    fn warned(stack: &str, table: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("login"), stack).unwrap();
        let text = format!("{table}[[rule]]\nname='a'\nservice=['login', '*']\nmethods=[['password']]\n");
        warnings(folder.path(), &Config::parse(Text { name: "test", text: &text }, &[]).unwrap())
    }

    #[test]
    fn the_shipped_stacks_are_not_warned_of() {
        for stack in [
            include_str!("../../../../conf/pam.d/login.example"),
            include_str!("../../../../conf/pam.d/sshd.example"),
            include_str!("../../../../conf/pam.d/sshd-directory.example"),
            include_str!("../../../../conf/pam.d/sshd-directory-ask.example"),
            include_str!("../../../../conf/pam.d/su.example"),
            include_str!("../../../../conf/pam.d/sudo.example"),
        ] {
            assert_eq!(warned(stack, ""), Vec::<String>::new());
        }
        assert_eq!(warned("auth required pam_unix.so\n", ""), Vec::<String>::new(), "we are not in it");
    }

    #[test]
    fn a_stack_that_cannot_change_our_password_is_warned_of() {
        const CHANGING: &str = "password required pam_authflow.so\n";
        let old = "account [success=ok ignore=ignore default=bad] pam_authflow.so\n";
        let found = warned(&format!("{old}{CHANGING}"), "");
        assert!(found.len() == 1 && found[0].contains("login:1: new_authtok_reqd=ok"), "{found:?}");
        let found = warned("account required pam_authflow.so\n", "");
        assert!(found.len() == 1 && found[0].contains("no password line"), "{found:?}");
        let found = warned(&format!("account required pam_authflow.so\n{CHANGING}"), "password = { adopt = true }\n");
        assert!(found.len() == 1 && found[0].contains("`passwd` changes the system's"), "{found:?}");
    }
}
