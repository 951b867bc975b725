//! Root at a real console: the last way into a machine on which our own files have become unusable.

use authflow_host::accounts;

use crate::handle::{Facts, Handle};

/// Whether this is root at a real console: uid 0, no remote host, and a tty that is the machine's own.
pub fn is_root_there<H: Handle>(pam: &mut H) -> bool {
    is_here(&pam.facts()) && pam.user().is_ok_and(|user| is_root(user.as_str()))
}

/// Whether a login is made there by a process that root has called, as login and display managers are. Whoever is logged in at a console could
/// hand its terminal to a su of theirs that they run from elsewhere.
pub fn is_login_there(facts: &Facts) -> bool {
    facts.is_called_by_root && is_here(facts)
}

fn is_here(facts: &Facts) -> bool {
    facts.remote_host.is_none() && facts.auth_info.is_none() && facts.tty.as_deref().is_some_and(is_real)
}

fn is_root(user: &str) -> bool {
    matches!(accounts::by_name(user), Ok(Some(account)) if account.uid == 0)
}

/// Whether that tty is a real console: a virtual terminal, a serial line, a hypervisor's. A pseudo terminal can be anybody's.
fn is_real(tty: &str) -> bool {
    let name = tty.strip_prefix("/dev/").unwrap_or(tty);
    let numbered = |prefix: &str, range: std::ops::RangeInclusive<u16>| {
        name.strip_prefix(prefix)
            .filter(|digits| digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .is_some_and(|number| range.contains(&number))
    };
    // tty0 is whichever terminal is in front, not one of its own.
    name == "console" || numbered("tty", 1..=63) || numbered("ttyS", 0..=255) || numbered("hvc", 0..=255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machines_own_ttys_are_a_console() {
        for real in ["/dev/tty1", "tty63", "/dev/ttyS0", "hvc0", "/dev/console"] {
            assert!(is_real(real), "{real}");
        }
        for other in [
            "",
            "ssh",
            "/dev/pts/1",
            "pts/1",
            "tty",
            "tty0",
            "tty64",
            "/dev/tty1/../pts/0",
            "ttyS",
            "tty+1",
            "tty0001",
            ":0",
        ] {
            assert!(!is_real(other), "{other}");
        }
    }
}
