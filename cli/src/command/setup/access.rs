//! What keeps somebody out whatever is proved: no shell, a command of sshd's in its place, sshd's own lists of who may come, or neither a password nor a key. Pure: judges what
//! was read.

use authflow_host::accounts::Account;

use super::sshd::Settings;
use crate::command::check::sshd::whom::fits;

/// Where sshd looks for keys.
const KEYS: &str = "authorizedkeysfile";

/// Somebody who is to log in by sshd.
pub(super) struct Login<'a> {
    /// Whose account.
    pub account: &'a Account,
    /// Their groups, by name.
    pub groups: &'a [String],
    /// Whether there is no password to get in by.
    pub needs_a_key: bool,
}

/// Why a user has no shell to do anything in.
pub(super) fn without_shell(account: &Account) -> Option<String> {
    let (name, shell) = (&account.name, account.shell.display());
    if account.has_no_shell() {
        return Some(format!("the shell of {name} is {shell}, which lets nobody in: usermod -s /bin/bash {name}"));
    }
    // passwd(5): none is /bin/sh.
    let is_missing = !account.shell.as_os_str().is_empty() && !account.shell.is_file();
    is_missing.then(|| format!("the shell of {name} is {shell}, which is not there: usermod -s /bin/bash {name}"))
}

/// Why sshd lets a user in by nothing. `has_file` tells whether the user has something in a file of that name.
pub(super) fn kept_out(settings: &Settings, login: &Login<'_>, has_file: impl Fn(&str) -> bool) -> Option<String> {
    let name = &login.account.name;
    not_listed(settings, login).or_else(|| forced(settings, name)).or_else(|| {
        if !login.needs_a_key {
            return None;
        }
        if settings.value("pubkeyauthentication") == Some("no") {
            return Some(format!(
                "{name} has no password, and sshd takes no keys (PubkeyAuthentication no): passwd {name}"
            ));
        }
        let comes_from_elsewhere = ["authorizedkeyscommand", "trustedusercakeys"]
            .iter()
            .any(|keyword| settings.value(keyword).is_some_and(|value| value != "none"));
        let has_a_key = comes_from_elsewhere || has_a_key(settings, login.account, has_file);
        let files = settings.value(KEYS).unwrap_or_default();
        (!has_a_key)
            .then(|| format!("{name} has neither a password nor a key ({files}): passwd {name}, or put a key there"))
    })
}

/// Whether there is something in one of the files in which sshd looks for a user's keys.
pub(super) fn has_a_key(settings: &Settings, account: &Account, has_file: impl Fn(&str) -> bool) -> bool {
    let files = settings.value(KEYS).unwrap_or_default();
    files.split_whitespace().any(|file| has_file(&expand(file, account)))
}

/// The first of sshd's lists that keeps a user out, in the order in which sshd goes by them. Who may come from some hosts alone counts as
/// one who may come.
pub(super) fn not_listed(settings: &Settings, login: &Login<'_>) -> Option<String> {
    let name = &login.account.name;
    let list = |keyword| settings.values(keyword).collect::<Vec<_>>();
    let user_of =
        |pattern: &str| pattern.rsplit_once('@').map_or_else(|| pattern.to_owned(), |(user, _)| user.to_owned());
    let is_in = |group: &&str| login.groups.iter().any(|name| fits(group, name));
    let (denied, allowed) = (list("denyusers"), list("allowusers"));
    let (denied_groups, allowed_groups) = (list("denygroups"), list("allowgroups"));
    if let Some(pattern) = denied.iter().find(|pattern| !pattern.contains('@') && fits(pattern, name)) {
        return Some(format!("sshd keeps {name} out (DenyUsers {pattern}): take that out of its configuration"));
    }
    if !allowed.is_empty() && !allowed.iter().any(|pattern| fits(&user_of(pattern), name)) {
        let all = allowed.join(" ");
        return Some(format!("sshd lets {name} not in (AllowUsers {all}): write {name} there too"));
    }
    if let Some(group) = denied_groups.iter().find(|group| is_in(group)) {
        return Some(format!("sshd keeps {name} out (DenyGroups {group}): gpasswd -d {name} {group}"));
    }
    if let Some(first) = allowed_groups.first().filter(|_| !allowed_groups.iter().any(is_in)) {
        let all = allowed_groups.join(" ");
        return Some(format!("sshd lets {name} not in (AllowGroups {all}): usermod -aG {first} {name}"));
    }
    None
}

/// A command that sshd runs whatever is asked for, so that nothing could be confirmed.
fn forced(settings: &Settings, name: &str) -> Option<String> {
    let command = settings.value("forcecommand").filter(|command| *command != "none")?;
    Some(format!(
        "sshd runs `{command}` for {name} and nothing else (ForceCommand): take that out until it is confirmed"
    ))
}

/// sshd's tokens in a file's name; without a `/` in front it is in the home.
pub(super) fn expand(file: &str, account: &Account) -> String {
    let home = account.home.display().to_string();
    let mut expanded = String::new();
    let mut letters = file.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '%') {
            (_, true) => match letters.next() {
                Some('h') => expanded.push_str(&home),
                Some('u') => expanded.push_str(&account.name),
                Some('U') => expanded.push_str(&account.uid.to_string()),
                Some(other) => expanded.push(other),
                None => {}
            },
            (letter, false) => expanded.push(letter),
        }
    }
    if expanded.starts_with('/') { expanded } else { format!("{home}/{expanded}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(shell: &str) -> Account {
        Account {
            name: "alice".into(),
            uid: 1000,
            gid: 1000,
            gecos: String::new(),
            home: "/home/alice".into(),
            shell: shell.into(),
        }
    }

    fn judge(said: &str, needs_a_key: bool, there: &str) -> Option<String> {
        let groups = ["alice".to_owned(), "ssh users".to_owned(), "staff".to_owned()];
        let login = Login { account: &alice("/bin/sh"), groups: &groups, needs_a_key };
        kept_out(&Settings::parse(said), &login, |file| file == there)
    }

    #[test]
    fn sshds_own_lists_keep_people_out_and_say_what_to_do() {
        for (said, expected) in [
            ("allowusers bob\nallowusers carol@*\n", "AllowUsers bob carol@*): write alice there too"),
            ("denyusers al*\n", "DenyUsers al*"),
            ("allowgroups ops\nallowgroups wheel\n", "AllowGroups ops wheel): usermod -aG ops alice"),
            ("denygroups sta?f\nallowgroups staff\n", "DenyGroups sta?f"),
            (
                "forcecommand internal-sftp -d /srv\n",
                "`internal-sftp -d /srv` for alice and nothing else (ForceCommand)",
            ),
        ] {
            let why = judge(said, false, "").unwrap_or_default();
            assert!(why.contains(expected), "{said}: {why}");
        }
        for fine in [
            "",
            "allowusers bob\nallowusers alice@10.0.0.0/8\n",
            "denyusers bob\ndenyusers alice@192.0.2.*\n",
            "allowgroups ssh users\n",
            "forcecommand none\n",
            "allowgroups *\ndenygroups ops\n",
        ] {
            assert_eq!(judge(fine, false, ""), None, "{fine}");
        }
    }

    #[test]
    fn without_a_password_a_key_has_to_be_there() {
        let files = "pubkeyauthentication yes\nauthorizedkeysfile .ssh/authorized_keys /etc/keys/%u-%U\n";
        assert!(judge(files, true, "").unwrap().contains("neither a password nor a key"));
        assert_eq!(judge(files, false, ""), None);
        assert_eq!(judge(files, true, "/home/alice/.ssh/authorized_keys"), None);
        assert_eq!(judge(files, true, "/etc/keys/alice-1000"), None);
        assert_eq!(judge(&format!("{files}trustedusercakeys /etc/ca\nauthorizedkeyscommand none\n"), true, ""), None);
        assert!(judge("pubkeyauthentication no\n", true, "").unwrap().contains("PubkeyAuthentication no"));
        assert_eq!(expand("%h/100%%/%k%", &alice("/bin/sh")), "/home/alice/100%/k");
    }

    #[test]
    fn a_shell_that_lets_nobody_in_is_none() {
        assert_eq!(without_shell(&alice("/bin/sh")), None);
        assert_eq!(without_shell(&alice("")), None);
        assert!(without_shell(&alice("/usr/sbin/nologin")).unwrap().contains("lets nobody in: usermod"));
        assert!(without_shell(&alice("/opt/none/zsh")).unwrap().contains("not there"));
    }
}
