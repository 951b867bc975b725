//! Root at a real console: the last way into a machine on which our own files have become unusable.

use authflow_core::console::is_own_tty;
use authflow_host::accounts;

use crate::handle::Handle;

/// Whether this is root at a real console: uid 0, no remote host, and a tty that is the machine's own.
pub fn is_root_there<H: Handle>(pam: &mut H) -> bool {
    let facts = pam.facts();
    let is_here = facts.remote_host.is_none() && facts.auth_info.is_none();
    let is_console = facts.tty.as_deref().is_some_and(is_own_tty);
    is_here && is_console && pam.user().is_ok_and(|user| is_root(user.as_str()))
}

fn is_root(user: &str) -> bool {
    matches!(accounts::by_name(user), Ok(Some(account)) if account.uid == 0)
}
