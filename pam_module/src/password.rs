//! The two passes of a password change. The first finds out whose the password is, ours or another module's, and has the old one
//! proved; the second asks for a new one and sets it. A user without a password of ours is left to the other modules, whatever else of
//! ours is broken.

use std::time::Duration;

use authflow_core::{
    account::{Authenticators, Password},
    config::Source,
    factor::{Factor, Factors},
    flow::{Manner, Verdict},
    outside::visible,
    password::PasswordHash,
    password_rules::{PasswordRules, asks_for_password},
    secret::Secret,
    time::Clock,
};
use authflow_host::{
    accounts::{self, Account},
    clock::SystemClock,
    desk::{Attempt, Judged},
    hashing,
    new_password::{self, Holder, List},
    passwords::Passwords,
    process,
    records::{RecordError, Records},
};

use crate::{
    account::make_usable,
    args::{FirstPass, Options},
    ask_new::{self, AskOld, NewPasswords},
    code::Answer,
    console,
    error::{BadNewPassword, Error},
    event::Event,
    handle::Handle,
    log::{Line, Priority},
    login::{Login, Place},
    notes::{Change, FlowNote},
};

/// What is asked of libpam for a failure, as in the auth phase.
const FAILURE_DELAY: Duration = Duration::from_millis(1600);

/// Runs the first pass: may this password be changed here, and by whoever asks?
///
/// # Errors
/// It may not, or it cannot be told.
pub fn check<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let mut notes = pam.notes();
    notes.change = None;
    let user = text_of(pam)?;
    notes.pin(&user)?;
    pam.keep(notes)?;
    let Some(account) = accounts::by_name(&user)? else { return Ok(Answer::NotOurs) };
    let records = Records::trusting(place.paths.clone(), place.trust);
    let Some(keys) = keys_of(&records, &account)? else { return Ok(Answer::NotOurs) };
    let mut login = match Login::go_on(pam, options, place) {
        Ok(login) => login,
        // Without a password of ours there is nothing here to get wrong: other modules' must stay changeable.
        Err(_unusable) if keys.password.is_none() => return Ok(Answer::NotOurs),
        Err(error) => return Err(error),
    };
    if !is_ours(&login, &account, &keys)? {
        return Ok(Answer::NotOurs);
    }
    if records.is_managed(&account.name)? {
        return Err(RecordError::Managed(login.place.paths.managed_users()).into());
    }
    let change = if is_by_root(&login) { Change::ByRoot } else { prove(&mut login, options, &account)? };
    let mut notes = login.pam.notes();
    notes.change = Some(change);
    login.pam.keep(notes)?;
    Ok(Answer::Yes)
}

/// Runs the second pass: a new password, if the first pass found that it is ours to change.
///
/// # Errors
/// There is no new password that will do, or it cannot be set.
pub fn change<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let mut notes = pam.notes();
    let Some(change) = notes.change.take() else { return leave(pam, options) };
    let user = text_of(pam)?;
    notes.pin(&user)?;
    pam.keep(notes)?;
    let mut login = Login::go_on(pam, options, place)?;
    let account = accounts::by_name(&user)?.ok_or(Error::NoAccount)?;
    let records = login.records();
    let keys = records.authenticators(&account.name)?.unwrap_or_default();
    let rules = rules(&mut login, &account, &keys, &change)?;
    let new = NewPasswords { options, rules: &rules, before: before(&change) }.ask(login.pam)?;
    set(&mut login, &account, &new, &change)?;
    login.pam.set_password(&new);
    let mut notes = login.pam.notes();
    // What the flow proved is no more.
    notes.proved = None;
    if matches!(notes.flow, FlowNote::Granted(_)) {
        make_usable(&mut login, notes)?;
    } else {
        login.pam.keep(notes)?;
    }
    Ok(Answer::Yes)
}

/// Leaves it to the modules behind us. One that takes a new password only from the module before it (`use_authtok`), as pam_unix behind
/// our profile of pam-auth-update does, needs it asked for here.
fn leave<H: Handle>(pam: &mut H, options: &Options) -> Result<Answer, Error> {
    if options.ask {
        let new = ask_new::ask_for_another(pam)?;
        pam.set_password(&new);
    }
    Ok(Answer::NotOurs)
}

fn text_of<H: Handle>(pam: &mut H) -> Result<String, Error> {
    let user = pam.user()?;
    if user.is_text() { Ok(user.as_str().to_owned()) } else { Err(Error::NameIsNoText) }
}

/// The user's record, empty if there is none; `None` for a name that no record can have.
fn keys_of(records: &Records, account: &Account) -> Result<Option<Authenticators>, Error> {
    match records.authenticators(&account.name) {
        Ok(keys) => Ok(Some(keys.unwrap_or_default())),
        Err(RecordError::Name(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the password to be changed is ours: the record's, where the record decides. The first one is root's to give, and only where
/// passwords are looked up nowhere else: elsewhere the system's is what its user logs in with.
fn is_ours<H: Handle>(login: &Login<'_, H>, account: &Account, keys: &Authenticators) -> Result<bool, Error> {
    let records = login.records();
    if let Some(password) = &keys.password {
        if login.facts.must_changes_only && !password.must_change {
            return Ok(false);
        }
        let source = Passwords { config: &login.config, records: &records }.source(account, keys)?;
        return Ok(source == Some(Source::Authflow));
    }
    if !is_by_root(login) || login.config.password.sources != [Source::Authflow] {
        return Ok(false);
    }
    let groups = new_password::groups_that_count(&login.config, account);
    Ok(asks_for_password(&login.config.rules, &account.name, &groups))
}

/// Whether root changes it, unasked. What an application changes only because it must, as a login does, it changes for the user.
const fn is_by_root<H>(login: &Login<'_, H>) -> bool {
    login.facts.is_called_by_root && !login.facts.must_changes_only
}

/// Has the old password proved, unless the flow of this login has done so a moment ago. It is the hash that was compared that may be
/// replaced, and none that was set since, however long somebody held this process up.
fn prove<H: Handle>(login: &mut Login<'_, H>, options: &Options, account: &Account) -> Result<Change, Error> {
    let notes = login.pam.notes();
    let is_fresh = notes.flow.receipt().is_some() && !options.proved.contains(Factor::Password);
    let proved = match notes.proved.filter(|_| is_fresh) {
        Some(password) => Some(password.hash),
        None => ask_old(login, options, account)?,
    };
    // It was another source's if there is none: the record's was taken away meanwhile.
    proved.map(Change::Of).ok_or_else(|| BadNewPassword::ChangedMeanwhile.into())
}

fn ask_old<H: Handle>(
    login: &mut Login<'_, H>,
    options: &Options,
    account: &Account,
) -> Result<Option<PasswordHash>, Error> {
    let service = login.facts.service.clone();
    let attempt = Attempt {
        user: &account.name,
        account: Some(account),
        service: &service,
        remote: login.remote(),
        calling_uid: process::real_uid(),
        proved: Factors::none(),
        manner: Manner::default(),
        is_at_console: console::is_login_there(&login.facts),
    };
    if options.first_pass == FirstPass::Ask && !login.facts.is_silent {
        login.pam.tell(&format!("Changing the password of {}.", visible(&account.name, 64)));
    }
    let mut old = AskOld::new(login.pam, options.first_pass);
    let desk = authflow_host::desk::Desk::new(
        &login.config,
        Records::trusting(login.place.paths.clone(), login.place.trust),
        &SystemClock,
    );
    let Judged { verdict, password } = desk.prove_password(&attempt, &mut old)?;
    let given = old.into_given();
    match verdict {
        Verdict::Granted(_receipt_that_opens_nothing) => {
            login.pam.set_old_password(&given);
            Ok(password.map(|password| password.hash))
        }
        Verdict::Denied(denial) => {
            login.pam.delay_failure(FAILURE_DELAY);
            Err(denial.into())
        }
    }
}

/// What the new password must be. Without the list of common ones only root may go on: somebody must be able to.
fn rules<H: Handle>(
    login: &mut Login<'_, H>,
    account: &Account,
    keys: &Authenticators,
    change: &Change,
) -> Result<PasswordRules, Error> {
    let groups = new_password::groups_that_count(&login.config, account);
    let holder = Holder { name: &account.name, gecos: &account.gecos, groups: &groups };
    let (rules, list) = new_password::rules(&login.config, holder, keys, (&login.place.paths, login.place.trust));
    match (list, change) {
        (List::Read, _) => Ok(rules),
        (List::Unusable(why), Change::Of(_)) => Err(BadNewPassword::NoList(why).into()),
        (List::Unusable(why), Change::ByRoot) => {
            login.pam.log(Priority::Error, &Line::new(Event::NoCommonPasswords).with("why", why));
            Ok(rules)
        }
    }
}

const fn before(change: &Change) -> Option<&PasswordHash> {
    match change {
        Change::ByRoot => None,
        Change::Of(hash) => Some(hash),
    }
}

fn set<H: Handle>(login: &mut Login<'_, H>, account: &Account, new: &Secret, change: &Change) -> Result<(), Error> {
    let hash = hashing::hash(login.config.password.cost, new)?;
    let password = Password::chosen(hash, SystemClock.now().wall);
    new_password::set(&login.records(), &account.name, password, before(change))?;
    let by = match change {
        Change::ByRoot => "root",
        Change::Of(_) => "user",
    };
    login.pam.log(Priority::Notice, &Line::new(Event::PasswordChanged).with("user", &account.name).with("by", by));
    Ok(())
}
