//! Root at a real console: the last way into a machine on which our own files have become unusable.

use authflow_core::console::is_own_tty;
use authflow_host::accounts;

use crate::handle::{Facts, Handle};

/// Whether this is root's login at a real console: uid 0, no remote host, and a tty that is the machine's own. A su to root that somebody else
/// calls there is none.
pub fn is_root_there<H: Handle>(facts: &Facts, pam: &mut H) -> bool {
    is_login_there(facts) && pam.user().is_ok_and(|user| is_root(user.as_str()))
}

/// Whether a login is made there by a process that root has called, as login and display managers are. Whoever is logged in at a console could
/// hand its terminal to a su of theirs that they run from elsewhere.
pub fn is_login_there(facts: &Facts) -> bool {
    let is_here = facts.remote_host.is_none() && facts.auth_info.is_none();
    facts.is_called_by_root && is_here && facts.tty.as_deref().is_some_and(is_own_tty)
}

fn is_root(user: &str) -> bool {
    matches!(accounts::by_name(user), Ok(Some(account)) if account.uid == 0)
}
