//! Whom a setup protects, and how a file that setup wrote tells so in its first line: the command that would write it again. By it a
//! file that somebody else changed is told from one that is setup's to replace.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::service::Service;

/// Whom a setup protects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Who {
    /// These users; everybody else as before.
    Users(BTreeSet<String>),
    /// Everybody.
    Everybody,
    /// Everybody but root, whom sshd lets in by key alone (PermitRootLogin prohibit-password), so that no code could be asked. At the other
    /// services of the same setup everybody; older setups left root as before there, too.
    EverybodyButRoot,
}

impl Who {
    /// Whom that means at one service: that sshd cannot ask root is no reason for another one not to.
    pub(super) fn at(&self, service: Service) -> &Self {
        match self {
            Self::EverybodyButRoot if service != Service::Sshd => &Self::Everybody,
            Self::Users(_) | Self::Everybody | Self::EverybodyButRoot => self,
        }
    }

    /// Whether that user is protected.
    pub(super) fn includes(&self, user: &str) -> bool {
        match self {
            Self::Users(users) => users.contains(user),
            Self::Everybody => true,
            Self::EverybodyButRoot => user != "root",
        }
    }

    /// Who was protected before and is not any more, in words.
    pub(super) fn left_out_by(&self, after: &Self) -> Option<String> {
        match (self, after) {
            (Self::Users(before), after) => {
                let left: Vec<&str> = before.iter().map(String::as_str).filter(|user| !after.includes(user)).collect();
                (!left.is_empty()).then(|| left.join(", "))
            }
            (_, Self::Users(_)) => Some("everybody else".to_owned()),
            (Self::Everybody, Self::EverybodyButRoot) => Some("root".to_owned()),
            (Self::Everybody | Self::EverybodyButRoot, _) => None,
        }
    }
}

/// The words of the command line.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Users(users) => {
                let words: Vec<String> = users.iter().map(|user| format!("--user {user}")).collect();
                f.write_str(&words.join(" "))
            }
            Self::Everybody => f.write_str("--everybody"),
            Self::EverybodyButRoot => f.write_str("--everybody (but root)"),
        }
    }
}

/// Whether setup can name that user: in sshd's patterns and in a comment, letter by letter.
pub(super) fn is_plain(user: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !user.is_empty() && !user.starts_with('-') && user.chars().all(plain)
}

/// The first line of a file that setup wrote.
pub(super) fn header(service: Service, who: &Who) -> String {
    format!("# authflow setup {service} {who}\n")
}

/// Whom a file of that service protects, by its first line.
pub(super) fn of_header(service: Service, text: &str) -> Option<Who> {
    let words = text.lines().next()?.strip_prefix(&format!("# authflow setup {service} "))?;
    match words {
        "--everybody" => return Some(Who::Everybody),
        "--everybody (but root)" => return Some(Who::EverybodyButRoot),
        _ => {}
    }
    let mut users = BTreeSet::new();
    let mut words = words.split(' ');
    while let Some(word) = words.next() {
        let user = words.next().filter(|user| word == "--user" && is_plain(user))?;
        users.insert(user.to_owned());
    }
    Some(Who::Users(users))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in super::super) fn users(names: &[&str]) -> Who {
        Who::Users(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_file_tells_whom_it_protects() {
        for who in [users(&["alice"]), users(&["alice", "bob.b-b_"]), Who::Everybody, Who::EverybodyButRoot] {
            let text = format!("{}rest", header(Service::Sshd, &who));
            assert_eq!(of_header(Service::Sshd, &text), Some(who));
            assert_eq!(of_header(Service::Sudo, &text), None);
        }
        for other in ["", "# mine\n", "# authflow setup sshd --user\n", "# authflow setup sshd --user a*\n"] {
            assert_eq!(of_header(Service::Sshd, other), None, "{other}");
        }
    }

    #[test]
    fn who_is_left_out_by_another_setup_is_known() {
        let both = users(&["alice", "bob"]);
        assert_eq!(both.left_out_by(&users(&["bob", "carol"])).as_deref(), Some("alice"));
        assert_eq!(Who::Everybody.left_out_by(&both).as_deref(), Some("everybody else"));
        assert_eq!(users(&["root"]).left_out_by(&Who::EverybodyButRoot).as_deref(), Some("root"));
        assert_eq!(Who::Everybody.left_out_by(&Who::EverybodyButRoot).as_deref(), Some("root"));
        for (before, after) in [(&both, &both), (&both, &Who::Everybody), (&Who::EverybodyButRoot, &Who::Everybody)] {
            assert_eq!(before.left_out_by(after), None, "{before} {after}");
        }
    }

    #[test]
    fn root_is_left_out_where_sshd_cannot_ask_and_nowhere_else() {
        for service in Service::ALL {
            assert_eq!(Who::EverybodyButRoot.at(service).includes("root"), service != Service::Sshd, "{service}");
            assert_eq!(users(&["root"]).at(service), &users(&["root"]));
            assert_eq!(Who::Everybody.at(service), &Who::Everybody);
        }
    }

    #[test]
    fn a_name_that_would_be_a_pattern_or_two_words_is_not_plain() {
        assert!(is_plain("alice") && is_plain("a.b-c_9"));
        for odd in ["", "-x", "a b", "a*", "a,b", "DOMAIN\\a", "a\n", "!a", "é"] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
