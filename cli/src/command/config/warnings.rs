//! What is probably not meant: in the configuration itself, and between it and this machine's groups, PAM stacks and sudoers.

use std::collections::BTreeSet;

use authflow_core::config::Config;
use authflow_host::accounts;

use super::{directory_stack, password_stack, sudoers};
use crate::{
    context::Context,
    pam_stack::{self, OURS},
};

/// Every warning about `config`, in the words for an administrator.
pub(super) fn of(context: &Context, config: &Config) -> Vec<String> {
    let own = config.warnings().into_iter().map(|warning| warning.to_string());
    // An image's groups may be made by its first boot.
    let groups = if context.is_image() { Vec::new() } else { groups(config) };
    own.chain(groups).chain(stacks(context, config)).collect()
}

/// What is wrong with the PAM stacks of the services that rules name.
fn stacks(context: &Context, config: &Config) -> Vec<String> {
    let folder = context.paths.root().join("etc/pam.d");
    let named = config.rules.iter().flat_map(|rule| &rule.services).chain(&config.sshd_services);
    let governed: BTreeSet<_> = named.filter(|service| *service != "*" && config.governs(service)).collect();
    let of_service = |service: &&String| {
        let lines = pam_stack::lines(&folder, service);
        let forgeable = if config.is_sshd(service) { forgeable(&lines) } else { None };
        forgeable.into_iter().chain(unverified(&lines)).chain(directory_stack::warnings(&lines))
    };
    let of_pam = governed.iter().flat_map(of_service);
    let of_pam = of_pam.chain(password_stack::warnings(&folder, config));
    of_pam.chain(sudoers::warnings(config, context.paths.root())).collect()
}

/// Groups of rules that have no members here, since they do not exist.
fn groups(config: &Config) -> Vec<String> {
    let named: BTreeSet<_> = config.rules.iter().flat_map(|rule| &rule.groups).collect();
    let wrong = |group: &&String| match accounts::gid_of(group) {
        Ok(Some(_)) => None,
        Ok(None) => {
            Some(format!("there is no group {group:?} on this machine, so no rule that names it alone matches"))
        }
        Err(error) => Some(format!("the group {group:?}: {error}")),
    };
    named.iter().filter_map(wrong).collect()
}

/// Whether a user could forge what sshd tells about a key: pam_env, told to read the user's own file, writes into the environment that
/// sshd's words stand in. Only what runs between sshd's words and our session line matters.
fn forgeable(lines: &[pam_stack::Line]) -> Option<String> {
    let mut session = lines.iter().filter(|line| line.phase == "session");
    let is_ours_or_forging =
        |line: &&pam_stack::Line| line.module == OURS || (line.module == "pam_env.so" && line.says("user_readenv=1"));
    let first = session.find(is_ours_or_forging).filter(|line| line.module != OURS)?;
    session.any(|line| line.module == OURS).then(|| {
        format!(
            "{}:{}: pam_env.so reads the user's own file before {OURS} opens the session, so a user can forge what sshd tells \
             about keys; put the line behind {OURS}'s session line, or leave out user_readenv=1",
            first.file.display(),
            first.number
        )
    })
}

/// A line of ours that takes the password for proved, although no other module can have verified it since a line of ours asked for it.
fn unverified(lines: &[pam_stack::Line]) -> Option<String> {
    let mut others = 0;
    for line in lines.iter().filter(|line| line.phase == "auth") {
        if line.module != OURS {
            others += 1;
        } else if line.says("ask") {
            others = 0;
        } else if line.says("proved=password") && others == 0 {
            return Some(format!(
                "{}:{}: proved=password, and no module before it verifies a password: put the line behind the one that does",
                line.file.display(),
                line.number
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(stack: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sshd"), stack).unwrap();
        forgeable(&pam_stack::lines(folder.path(), "sshd")).is_some()
    }

    #[test]
    fn a_pam_env_that_reads_the_users_file_before_our_session_line_is_warned_of() {
        const OURS: &str = "session required pam_authflow.so\n";
        const FORGED: &str = "session required pam_env.so user_readenv=1 envfile=/etc/default/locale\n";
        assert!(warned(&format!("{FORGED}{OURS}")));
        assert!(!warned(&format!("{OURS}{FORGED}")), "Debian's order with our line in its place");
        assert!(!warned(&format!("auth required pam_env.so user_readenv=1\n{OURS}")));
        assert!(!warned(&format!("session required pam_env.so user_readenv=0\nsession required pam_env.so\n{OURS}")));
        assert!(!warned(FORGED), "without us there is nothing to forge");
    }

    #[test]
    fn a_password_that_nobody_verifies_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let warned = |stack: &str| {
            std::fs::write(folder.path().join("sshd"), stack).unwrap();
            unverified(&pam_stack::lines(folder.path(), "sshd")).is_some()
        };
        const PROVED: &str = "auth required pam_authflow.so proved=password\n";
        const ASK: &str = "auth required pam_authflow.so ask\n";
        const OTHER: &str = "auth required pam_sss.so\n";
        assert!(warned(PROVED) && warned(&format!("{ASK}{PROVED}")) && warned(&format!("{OTHER}{ASK}{PROVED}")));
        assert!(warned(&format!("account required pam_unix.so\n{PROVED}{OTHER}")));
        assert!(!warned(&format!("{OTHER}{PROVED}")) && !warned(&format!("{ASK}{OTHER}{PROVED}")) && !warned(ASK));
    }

    #[test]
    fn the_shipped_stacks_are_not_warned_of() {
        let shipped = ["sshd", "sshd-directory", "sshd-directory-ask"];
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/pam.d");
        for name in shipped {
            // common-auth is not there, so what it verifies is not seen; the order of the session lines is.
            assert_eq!(forgeable(&pam_stack::lines(&folder, &format!("{name}.example"))), None, "{name}");
        }
    }
}
