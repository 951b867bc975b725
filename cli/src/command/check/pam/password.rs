//! Where the PAM stacks of this machine cannot have a password of ours changed, or would let the need for it hide a refusal.

use super::{Service, place};
use crate::{
    command::check::{Ground, Place, catalogue::Defect, finding::Finding, service::opens_no_session},
    pam_stack::{Line, OURS},
};

/// What a service that rules name makes of a new password.
pub(super) fn findings(service: &Service<'_>) -> Vec<Finding> {
    // Where a directory has the passwords, none of ours can need a change.
    let is_directory = service.stack.ours("auth").any(|line| line.says("proved=password"));
    let Some(line) = service.stack.ours("account").next().filter(|_| service.is_named() && !is_directory) else {
        return Vec::new();
    };
    // Who is in a session already has no password that must be changed first.
    let changing = if opens_no_session(service.name) { None } else { not_changing(service) };
    hiding(line).into_iter().chain(changing).collect()
}

/// "New password required" ends our account line as a failure, and libpam keeps the first failure alone.
fn hiding(line: &Line) -> Option<Finding> {
    let is_hiding = line.control.starts_with('[')
        && !["new_authtok_reqd=ok", "default=ok"].iter().any(|word| line.control.contains(word));
    is_hiding.then(|| {
        let fix = "write [success=ok new_authtok_reqd=ok user_unknown=ignore ignore=ignore default=bad]";
        Finding::new(Defect::NewPasswordHides, place(line), "new_authtok_reqd=ok is missing", fix)
    })
}

/// A login that must change its password cannot.
fn not_changing(service: &Service<'_>) -> Option<Finding> {
    let has_others = service.stack.phase("password").next().is_some();
    // As Debian's su and sudo: libpam goes by /etc/pam.d/other there, which a line of ours alone would put an end to.
    let place = if has_others {
        "before pam_unix's"
    } else {
        "at its end, and what /etc/pam.d/other has for it (\"@include common-password\" on Debian) behind it"
    };
    service.stack.ours("password").next().is_none().then(|| {
        Finding::new(
            Defect::PasswordLineMissing,
            Place::file(&service.stack.file),
            format!("{OURS} has no password line in {}", service.name),
            format!("put \"password [success=done ignore=ignore default=die] {OURS}\" {place}"),
        )
    })
}

/// `passwd` changes a password that no longer counts.
pub(super) fn passwd(ground: &Ground<'_>) -> Option<Finding> {
    let stack = ground.stacks.of("passwd");
    let knows_us = stack.as_ref().is_some_and(|stack| stack.ours("password").next().is_some());
    (ground.config.password.adopt && !knows_us).then(|| {
        let file = stack.map_or_else(|| ground.root.join("etc/pam.d/passwd"), |stack| stack.file);
        let what = format!("{OURS} is not in it, so `passwd` changes the system's password");
        Finding::new(Defect::PasswdUnaware, Place::file(&file), what, "put our line before pam_unix's (passwd.example)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{
        fixture::{TWO_FACTORS, found},
        pam::tests::judged,
    };

    #[test]
    fn a_stack_that_cannot_change_our_password_is_told() {
        const CHANGING: &str = "password required pam_authflow.so\n";
        let told = |stack: &str| judged(TWO_FACTORS, stack, &[], findings);
        let old = "account [success=ok ignore=ignore default=bad] pam_authflow.so\n";
        assert_eq!(told(&format!("{old}{CHANGING}")), ["new-password-hides etc/pam.d/sshd:1"]);
        assert_eq!(told("account required pam_authflow.so\n"), ["password-line-missing etc/pam.d/sshd"]);
        assert_eq!(told(&format!("account required pam_authflow.so\n{CHANGING}")), Vec::<String>::new());
        let directory = format!("{old}auth required pam_authflow.so proved=password\n");
        assert_eq!(told(&directory), Vec::<String>::new());
    }

    #[test]
    fn where_a_password_line_goes_is_said_of_the_lines_that_there_are() {
        let fix = |stack: &str| {
            let said = std::cell::RefCell::new(String::new());
            let _ = judged(TWO_FACTORS, stack, &[], |service| {
                let found = findings(service);
                said.borrow_mut().extend(found.iter().map(|finding| finding.fix.as_str()));
                found
            });
            said.into_inner()
        };
        const ACCOUNT: &str = "account required pam_authflow.so\n";
        assert!(fix(ACCOUNT).contains("common-password"), "as Debian's su and sudo");
        assert!(fix(&format!("{ACCOUNT}password required pam_unix.so\n")).ends_with("before pam_unix's"));
    }

    #[test]
    fn a_passwd_that_changes_what_no_longer_counts_is_told() {
        let told = |table: &str, stack: &str| {
            found(table, &[("etc/pam.d/passwd", stack)], |ground| passwd(ground).into_iter().collect())
        };
        let adopting = "password = { adopt = true }\n";
        assert_eq!(told(adopting, "password required pam_unix.so\n"), ["passwd-unaware etc/pam.d/passwd"]);
        assert_eq!(told(adopting, "password required pam_authflow.so\n"), Vec::<String>::new());
        assert_eq!(told("", "password required pam_unix.so\n"), Vec::<String>::new());
    }
}
