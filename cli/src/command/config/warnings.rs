//! What is probably not meant: in the configuration itself, and between it and this machine's groups, PAM stacks and sudoers.

use std::collections::BTreeSet;

use authflow_core::config::Config;
use authflow_host::accounts;

use super::{password_stack, sudoers};
use crate::{context::Context, pam_stack};

const OURS: &str = "pam_authflow.so";

/// Every warning about `config`, in the words for an administrator.
pub(super) fn of(context: &Context, config: &Config) -> Vec<String> {
    let own = config.warnings().into_iter().map(|warning| warning.to_string());
    // An image's groups may be made by its first boot.
    let groups = if context.is_image() { Vec::new() } else { groups(config) };
    let folder = context.paths.root().join("etc/pam.d");
    let governed = config.sshd_services.iter().filter(|service| config.governs(service));
    let forgeable = governed.filter_map(|service| forgeable(&pam_stack::lines(&folder, service)));
    let forgeable = forgeable.chain(password_stack::warnings(&folder, config));
    own.chain(groups).chain(forgeable).chain(sudoers::warnings(config, context.paths.root())).collect()
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
    fn the_shipped_stack_is_not_warned_of() {
        assert!(!warned(include_str!("../../../../conf/pam.d/sshd.example")));
    }
}
