//! The session phases: opening takes the receipt, looks a last time whether enough was proved, and has the session tracked; closing
//! says that it was a logout.

use authflow_core::{
    config::Config,
    factor::{Factor, Factors},
    flow::is_left_to_the_stack,
    news::Item,
    outside::visible,
    policy::LockedPassword,
    rule::{Remote, Rule, SessionPolicy},
    session::{Class, Opening},
    state::Failures,
    time::Clock,
};
use authflow_host::{
    accounts::Account,
    clock::SystemClock,
    matching::Matched,
    process::{self, ProcessId},
};

use crate::{
    account::{Closed, check_standing},
    args::Options,
    code::Answer,
    error::Error,
    event::Event,
    guard::{self, Look, Proved},
    handle::Handle,
    log::{Line, Priority},
    login::{Login, Place, account_of},
    notes::{FlowNote, Notes, OpenSession},
    notice::Notice,
    receipt::{Carried, Expected, Shelf},
    tracking::{self, Opened},
    unprivileged,
};

/// Services that run inside a session, mostly as another user.
const NESTED: [&str; 4] = ["su", "su-l", "sudo", "sudo-i"];

/// Services that are nobody's login.
const BACKGROUND: [&str; 7] = ["runuser", "runuser-l", "cron", "crond", "atd", "systemd-user", "polkit-1"];

/// Names the session to people. Nothing of ours reads it back: stock Debian lets the user overwrite it.
const VARIABLE: &str = "AUTHFLOW_SESSION";

/// Opens a session.
///
/// # Errors
/// Too little was proved, a policy refuses, or no session could be made.
pub fn open<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let Some(mut login) = Login::go_on(pam, options, place)?.if_governed() else { return Ok(Answer::NotOurs) };
    let Some(class) = class_of(&login.config, &login.facts.service) else { return Ok(Answer::NotOurs) };
    let mut notes = login.pam.notes();
    let target = login.user()?;
    if notes.session.as_ref().is_some_and(|open| open.target == target) {
        // Our line stands in the stack twice, as happens with included files. It is one session.
        return Ok(Answer::Yes);
    }
    if unprivileged::is_here(&login) {
        return unprivileged::open(&login, &target, &notes);
    }
    let receipt = take_receipt(&login, &mut notes)?;
    login.pam.keep(notes.clone())?;
    let user = who_authenticated(class, &target, &notes, receipt.as_ref())?;
    let account = account_of(&user)?;
    check(receipt.as_ref(), &login.facts.service, &account)?;
    // Again: sshd may wait for its last method long after the account phase, and the user may have been disabled meanwhile.
    let closed = check_standing(&mut login, &account)?;
    refuse_closed_meanwhile(&login, receipt.as_ref(), closed)?;
    let Some(grant) = grant(&login, &account, &notes, receipt)? else { return Ok(Answer::NotOurs) };
    let target_account = account_of(&target)?;
    let opening = opening(&login, class, account, target_account, &grant);
    if let Some(opened) = tracking::begin(&mut login, &opening, grant.policy.when_unavailable)? {
        login.pam.set_variable(VARIABLE, &opened.id);
        tell(&mut login, &opening, &grant, &opened);
        notes.session = Some(OpenSession { id: opened.id, target });
        login.pam.keep(notes)?;
    }
    Ok(Answer::Yes)
}

/// Closes the session that was opened on this handle. The configuration may be another by now; the session is closed all the same.
///
/// # Errors
/// The daemon could not be told. It sees the leader's end by itself.
pub fn close<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let mut notes = pam.notes();
    let Some(OpenSession { id, .. }) = notes.session.take() else { return Ok(Answer::NotOurs) };
    pam.keep(notes)?;
    if !place.trust.is_own() {
        // As systemd does for its services: it has become the user by now, who may not say that a login is over. The daemon sees the
        // leader end.
        return Ok(Answer::Yes);
    }
    let login = Login::load(pam, options, place)?;
    tracking::end(&login, &id)?;
    login.pam.log(Priority::Info, &Line::new(Event::SessionClosed).with("session", id));
    Ok(Answer::Yes)
}

/// What a session of that service is, if it is tracked at all.
fn class_of(config: &Config, service: &str) -> Option<Class> {
    if NESTED.contains(&service) {
        Some(Class::Nested)
    } else if !BACKGROUND.contains(&service) {
        Some(Class::User)
    } else if config.rules.iter().any(|rule| rule.names(service)) {
        Some(Class::Background)
    } else {
        None
    }
}

/// The receipt of the flow that let this login in. It is gone afterwards, and counts only if sshd, where it is sshd, says that a method
/// with a flow succeeded.
fn take_receipt<H: Handle>(login: &Login<'_, H>, notes: &mut Notes) -> Result<Option<Carried>, Error> {
    let receipt = find_receipt(login, notes)?;
    Ok(receipt.filter(|_| login.may_have_run_a_flow()))
}

/// Takes the receipt from where it is: from the handle where one process does it all, else from the file that was left for
/// this process. It opens one session.
fn find_receipt<H: Handle>(login: &Login<'_, H>, notes: &mut Notes) -> Result<Option<Carried>, Error> {
    let on_handle = match std::mem::take(&mut notes.flow) {
        FlowNote::Usable(receipt) => {
            notes.flow = FlowNote::Used;
            Some(*receipt)
        }
        other @ (FlowNote::None
        | FlowNote::BrokenGlass
        | FlowNote::Denied
        | FlowNote::Vouched
        | FlowNote::Granted(_)
        | FlowNote::Used) => {
            notes.flow = other;
            None
        }
    };
    if !login.is_sshd() {
        return Ok(on_handle);
    }
    let flows = login.place.paths.flows();
    let shelf = Shelf(&flows);
    if on_handle.is_some() {
        // sshd's `password` method: all in one process, and the account phase has left a file for a parent that takes none.
        shelf.remove(ProcessId::parent_of_current().map_err(Error::Process)?)?;
        return Ok(on_handle);
    }
    Ok(shelf.take(ProcessId::current().map_err(Error::Process)?, login.place.trust)?)
}

/// Who authenticated. Under su and sudo that may be another than the session's user; in a login it may not.
fn who_authenticated(class: Class, target: &str, notes: &Notes, receipt: Option<&Carried>) -> Result<String, Error> {
    let before = receipt.map(|receipt| receipt.user.as_str()).or(notes.user.as_deref());
    match (class, before) {
        (_, None) => Ok(target.to_owned()),
        (Class::Nested, Some(before)) => Ok(before.to_owned()),
        (Class::User | Class::Background, Some(before)) if before == target => Ok(before.to_owned()),
        (Class::User | Class::Background, Some(before)) => {
            Err(Error::UserChanged { before: before.to_owned(), now: target.to_owned() })
        }
    }
}

/// Checks all that a receipt says against what is true now.
fn check(receipt: Option<&Carried>, service: &str, account: &Account) -> Result<(), Error> {
    let Some(receipt) = receipt else { return Ok(()) };
    let boot_id = process::boot_id().map_err(Error::Process)?;
    let now = SystemClock.now().boot;
    Ok(receipt.check(&Expected { boot_id: &boot_id, service, uid: Some(account.uid), now })?)
}

/// Refuses who was put out by the shell or the password since the first question: the daemon, which sees such changes, takes what it finds
/// at a session's start for how the account is meant to be.
fn refuse_closed_meanwhile<H: Handle>(
    login: &Login<'_, H>,
    receipt: Option<&Carried>,
    now: Closed,
) -> Result<(), Error> {
    let Some(Carried { closed: before, .. }) = receipt else { return Ok(()) };
    let counts = match login.config.accounts.locked_password {
        LockedPassword::Deactivate => true,
        LockedPassword::Ignore => false,
    };
    let is_closed = now.has_no_shell && !before.has_no_shell || counts && now.is_locked && !before.is_locked;
    if is_closed { Err(Error::ClosedMeanwhile) } else { Ok(()) }
}

/// What a session is opened with.
struct Grant {
    rule: String,
    policy: SessionPolicy,
    factors: Factors,
    receipt: Option<Carried>,
}

/// Looks whether enough was proved, where it must have been. `None` where no rule is about this login, and none need be.
fn grant<H: Handle>(
    login: &Login<'_, H>,
    account: &Account,
    notes: &Notes,
    receipt: Option<Carried>,
) -> Result<Option<Grant>, Error> {
    let matched = login.matched(account);
    let is_left_to_others = matches!(notes.flow, FlowNote::BrokenGlass);
    let must_be_proved =
        !is_left_to_others && guard::applies(login, notes.flow.has_run() || receipt.is_some(), &matched);
    let (rule, policy) = if must_be_proved {
        let rule = matched.told()?.ok_or(Error::NoRule)?;
        (rule, rule.session.clone())
    } else {
        let Some(unasked) = unasked(login, account, &matched) else { return Ok(None) };
        unasked
    };
    let from_flow = receipt.as_ref().map(|receipt| receipt.factors_for(rule)).unwrap_or_default();
    let mut factors = from_flow.union(&login.proved_by_sshd());
    if must_be_proved {
        let proved = Proved { factors: &factors, receipt: receipt.as_ref() };
        guard::look(login, Look::AtSession, (account, rule), &proved)?;
    }
    if receipt.is_none() && is_left_to_the_stack(&rule.methods, &factors) {
        factors.insert(Factor::Stack);
    }
    let policy = receipt.as_ref().map_or(policy, Carried::policy);
    Ok(Some(Grant { rule: rule.name.clone(), policy, factors, receipt }))
}

/// The rule of a login that need prove nothing, and what it grants. With a directory away it may be one of several, and to refuse would stop
/// cron jobs and user managers: then it is the one that it is for sure, if there is such a one, under the strictest limits that any of them sets.
fn unasked<'a, H: Handle>(
    login: &Login<'_, H>,
    account: &Account,
    matched: &Matched<'a>,
) -> Option<(&'a Rule, SessionPolicy)> {
    let rule = matched.may_be().last()?;
    if let Matched::Untold { why, .. } = matched {
        let line = Line::new(Event::RuleUntold).with("user", &account.name).with("rule", &rule.name).with("why", why);
        login.pam.log(Priority::Warning, &line);
    }
    let strictest = |policy: SessionPolicy, other: &Rule| policy.strictest(&other.session);
    Some((rule, matched.may_be().fold(rule.session.clone(), strictest)))
}

fn opening<H: Handle>(login: &Login<'_, H>, class: Class, account: Account, target: Account, grant: &Grant) -> Opening {
    let facts = &login.facts;
    // sshd makes the pty later, and says "ssh" until then.
    let tty = facts.tty.clone().filter(|tty| !(login.is_sshd() && tty == "ssh"));
    let remote_host = match login.remote() {
        Remote::Address(address) => Some(address.to_string()),
        Remote::Console | Remote::Local | Remote::Untold | Remote::Unknown => {
            facts.remote_host.as_deref().map(|host| visible(host, 255))
        }
    };
    Opening {
        // The account's own name, however it was spelt: whoever is disabled or looked for is so by that one.
        user: account.name,
        uid: account.uid,
        target: target.name,
        target_uid: target.uid,
        service: facts.service.clone(),
        tty,
        remote_host,
        class,
        factors: grant.factors.clone(),
        aal: grant.factors.aal(),
        rule: grant.rule.clone(),
        limits: grant.policy.limits.clone(),
        authenticated_at: grant.receipt.as_ref().map(|receipt| receipt.granted_at),
        flow: grant.receipt.as_ref().map(|receipt| receipt.flow.clone()),
        vouched_by: grant.receipt.as_ref().and_then(|receipt| receipt.vouched_by),
    }
}

/// Logs the session, and tells the user. sshd keeps the notice until it has a pty and shows it only before a shell, so there it is
/// always given; elsewhere a login without a tty is not told, and su and sudo are not logins.
fn tell<H: Handle>(login: &mut Login<'_, H>, opening: &Opening, grant: &Grant, opened: &Opened) {
    let line = Line::new(Event::SessionOpened)
        .with("session", &opened.id)
        .with("user", &opening.user)
        .with("target", &opening.target)
        .with("class", opening.class.as_str())
        .with("factors", &opening.factors)
        .with("aal", opening.aal)
        .with("rule", &opening.rule);
    login.pam.log(Priority::Info, &line);
    let has_reader = login.facts.tty.is_some() && !login.facts.is_silent;
    if opening.class == Class::User && has_reader {
        let previous = grant.receipt.as_ref().and_then(|receipt| receipt.previous.as_ref());
        let failures = grant.receipt.as_ref().and_then(|receipt| receipt.failures.as_ref());
        let news = news(login, opening);
        let notice = Notice {
            id: &opened.id,
            aal: opening.aal,
            limits: &opening.limits,
            since: opening.authenticated_at.unwrap_or_else(|| SystemClock.now().wall),
            previous: previous.map(|(at, source)| (*at, source.as_str())),
            failures: failures.map(|(count, at, source)| (*count, *at, source.as_str())),
            is_new_source: grant.receipt.as_ref().is_some_and(|receipt| receipt.is_new_source),
            news: &news,
            is_pending: opened.is_pending,
        };
        login.pam.tell(&notice.to_string());
    }
}

/// What the user has to be told. It is no reason to refuse a session if that cannot be read or noted as told.
fn news<H: Handle>(login: &Login<'_, H>, opening: &Opening) -> Vec<Item> {
    let login_at = opening.authenticated_at.unwrap_or_default();
    let told = login.records().state(&opening.user).and_then(|state| {
        if state.news.items().is_empty() && state.failures.count == 0 {
            return Ok(Vec::new());
        }
        login.records().update_state(&opening.user, |state| {
            // The receipt brings their count; what failed since the login counts for the next one.
            if state.failures.last.as_ref().is_some_and(|(at, _)| *at <= login_at) {
                state.failures = Failures::default();
            }
            state.news.tell(login_at)
        })
    });
    told.unwrap_or_else(|error| {
        login.pam.log(Priority::Error, &Line::new(Event::NewsUnread).with("user", &opening.user).with("why", error));
        Vec::new()
    })
}
