//! The account phase: may this account be used, and was enough proved? It runs after the whole auth stack has succeeded, so here a
//! receipt becomes usable. Where no flow can have run it looks at the account's own standing alone, and leaves the rest to others.

use authflow_core::{factor::Factor, flow::is_left_to_the_stack, time::Clock};
use authflow_host::{accounts::Account, clock::SystemClock, file, process::ProcessId, shadow};

use serde::{Deserialize, Serialize};

use crate::{
    args::Options,
    code::Answer,
    console,
    error::Error,
    guard::{self, Look, Proved},
    handle::Handle,
    login::{Login, Place, account_of},
    notes::{FlowNote, Notes},
    receipt::Shelf,
    unprivileged,
};

/// Runs the phase.
///
/// # Errors
/// The account may not be used, too little was proved, or it cannot be told.
pub fn account<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let Some(mut login) = Login::go_on(pam, options, place)?.if_governed() else { return Ok(Answer::NotOurs) };
    let mut notes = login.pam.notes();
    let user = login.user()?;
    notes.pin(&user)?;
    let flow_was_judged_by_it = notes.config.replace(login.known_config()).is_some_and(|known| known.is(&login.config));
    let account = account_of(&user)?;
    if unprivileged::is_here(&login) {
        let answer = unprivileged::account(&login, &account, &notes)?;
        login.pam.keep(notes)?;
        return Ok(answer);
    }
    let _may_be_closed = check_standing(&mut login, &account)?;
    if options.breakglass && matches!(notes.flow, FlowNote::BrokenGlass) {
        // The disk that let no flow end well may still be read, and nothing was proved to us.
        login.pam.keep(notes)?;
        return Ok(Answer::NotOurs);
    }
    let answer = examine(&login, &account, &notes, flow_was_judged_by_it)?;
    if notes.flow.factors().contains(Factor::Password) && must_change(options, &notes) {
        // No receipt before the change: an application that went on without it would get no session.
        login.pam.keep(notes)?;
        return Ok(Answer::NewPasswordNeeded);
    }
    if let Some(success) = notes.success.take() {
        let now = SystemClock.now().wall;
        // A success that cannot be counted leaves the failures before it, and takes the login from nobody.
        let _counted_or_not = login.records().update_state(&account.name, |state| state.throttle.count(&success, now));
    }
    make_usable(&mut login, notes)?;
    Ok(answer)
}

/// How an account is closed that may be used all the same: some are meant to be so, for copying files or by a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Its shell lets nobody in.
    pub has_no_shell: bool,
    /// Its system password is locked.
    pub is_locked: bool,
}

impl Closed {
    /// Looks at the account that goes by that name; a name that is none costs the same, and fails no more where a directory does.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn look(user: &str, account: Option<&Account>) -> Result<Self, Error> {
        let entry = shadow::by_name(user);
        let Some(account) = account else { return Ok(Self::default()) };
        Ok(Self::of(account, entry.map_err(Error::Shadow)?.as_ref()))
    }

    fn of(account: &Account, entry: Option<&shadow::Entry>) -> Self {
        Self { has_no_shell: account.has_no_shell(), is_locked: entry.is_some_and(shadow::Entry::is_locked) }
    }
}

/// Refuses a disabled user and an expired account; tells how else it is closed. Root at the console is never disabled: somebody must be able to undo it.
///
/// # Errors
/// The user is disabled, the account has expired, or it cannot be told.
pub fn check_standing<H: Handle>(login: &mut Login<'_, H>, account: &Account) -> Result<Closed, Error> {
    if login.records().is_disabled(&account.name)? && !console::is_root_there(&login.facts, login.pam) {
        return Err(Error::Disabled);
    }
    let entry = shadow::by_name(&account.name).map_err(Error::Shadow)?;
    if entry.as_ref().is_some_and(|entry| entry.is_expired(SystemClock.now().wall)) {
        return Err(Error::Expired);
    }
    Ok(Closed::of(account, entry.as_ref()))
}

fn examine<H: Handle>(
    login: &Login<'_, H>,
    account: &Account,
    notes: &Notes,
    flow_was_judged_by_it: bool,
) -> Result<Answer, Error> {
    let matched = login.matched(account);
    if !guard::applies(login, notes.flow.has_run(), &matched) {
        return Ok(Answer::NoObjection);
    }
    let rule = matched.told()?.ok_or(Error::NoRule)?;
    let proved = notes.flow.factors_for(rule).union(&login.proved_by_sshd());
    if !notes.flow.has_run() && is_left_to_the_stack(&rule.methods, &proved) {
        return Ok(Answer::NotOurs);
    }
    if flow_was_judged_by_it && matches!(&notes.flow, FlowNote::Granted(receipt) if receipt.rule == rule.name) {
        // The flow has proved a method of this very rule, a moment ago.
        return Ok(Answer::Yes);
    }
    let proved = Proved { factors: &proved, receipt: notes.flow.receipt() };
    guard::look(login, Look::AtAccount, (account, rule), &proved)?;
    Ok(Answer::Yes)
}

/// Whether the password that the flow has just proved is an initial one of ours.
fn must_change(options: &Options, notes: &Notes) -> bool {
    let is_ours = !options.proved.contains(Factor::Password);
    is_ours && notes.proved.as_ref().is_some_and(|password| password.must_change)
}

/// Makes the receipt of a granted flow usable: on this handle and, since sshd's authentication process is not the one that opens the
/// session, in a file for its parent.
///
/// # Errors
/// The file cannot be written, or the note not kept.
pub fn make_usable<H: Handle>(login: &mut Login<'_, H>, mut notes: Notes) -> Result<(), Error> {
    if let FlowNote::Granted(receipt) = notes.flow {
        if login.is_sshd() {
            let paths = &login.place.paths;
            file::ensure_folder(&paths.run(), 0o755).map_err(Error::Folder)?;
            file::ensure_folder(&paths.flows(), 0o700).map_err(Error::Folder)?;
            Shelf(&paths.flows()).leave(ProcessId::parent_of_current().map_err(Error::Process)?, &receipt)?;
        }
        notes.flow = FlowNote::Usable(receipt);
    }
    Ok(login.pam.keep(notes)?)
}
