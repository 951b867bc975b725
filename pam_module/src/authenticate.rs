//! The auth phase: one flow, one attempt. The application decides about tries.

use std::time::Duration;

use authflow_core::{
    account::Password,
    factor::{Factor, Factors},
    flow::{Denial, Enrolment, Manner, Receipt, Verdict, password_in},
    rule::Remote,
    time::{Clock, WallTime},
};
use authflow_host::{
    accounts::{self, Account},
    clock::SystemClock,
    desk::{Attempt, Decision, Desk, DeskError, Judged},
    process::{self, ProcessId},
    shadow,
};

use crate::{
    account::Closed,
    ahead,
    args::Options,
    code::Answer,
    console,
    conversation::{Given, Questions, screen_of},
    error::Error,
    event::Event,
    handle::{Handle, UserName},
    log::{Line, Priority},
    login::{Login, Place},
    notes::{FlowNote, Notes},
    notice,
    receipt::{BadReceipt, Carried, Shelf},
    step_up::{self, Voucher},
    unprivileged,
};

/// What is asked of libpam for a failure. It spreads a delay by a quarter to both sides, so this stays at two seconds at most.
const FAILURE_DELAY: Duration = Duration::from_millis(1600);

/// Runs the phase.
///
/// # Errors
/// The flow was denied, or could not be run.
pub fn authenticate<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let answer = attempt(pam, options, place);
    if answer.is_err() {
        pam.delay_failure(FAILURE_DELAY);
    }
    answer
}

fn attempt<H: Handle>(pam: &mut H, options: &Options, place: &Place) -> Result<Answer, Error> {
    let Some(mut login) = Login::load(pam, options, place)?.if_governed() else { return Ok(Answer::NotOurs) };
    if unprivileged::is_here(&login) {
        return unprivileged::authenticate(&mut login, options);
    }
    let user = login.pam.user()?;
    let ahead = login.pam.notes().ahead.filter(|ahead| ahead.user == user.as_str());
    forget_older(&mut login, &user)?;
    if options.ask {
        let answer = ahead::ask(&mut login, &user, options)?;
        if answer == Answer::NotOurs {
            note(&mut login, &user, FlowNote::None)?;
        }
        return Ok(answer);
    }
    // With a directory away most names cannot be looked up, and those of the machine's own files can: to refuse at once would tell these.
    let found = accounts::by_name(user.as_str());
    let account = found.as_ref().ok().and_then(Option::as_ref);
    let closed = match &ahead {
        Some(ahead) => ahead.closed,
        None => Closed::look(user.as_str(), account)?,
    };
    let voucher = step_up::voucher(&login, user.as_str(), options);
    let from_session = voucher.iter().map(|_session| Factor::Session).collect();
    let attempt = Attempt {
        user: user.as_str(),
        account,
        service: &login.facts.service,
        remote: login.remote(),
        calling_uid: process::real_uid(),
        proved: proved_before(&login, &user, options)?.union(&login.proved_by_sshd()).union(&from_session),
        manner: Manner { one_prompt: options.one_prompt },
        is_at_console: console::is_login_there(&login.facts),
    };
    let desk = Desk::new(&login.config, login.records(), &SystemClock);
    // A module before us that is `required` has us run after a wrong password as well: nobody enrols by that.
    let screen = if options.proved.is_empty() { screen_of(&login.facts, login.is_sshd()) } else { None };
    let code = ahead.map(|ahead| ahead.code);
    let mut questions = Questions::new(&mut *login.pam, options.first_pass).at(screen).with_code(code);
    let decision = desk.run(&attempt, &mut questions)?;
    if let Err(why) = &found {
        // Others may not decide, either: the user's own rule could be one that asks for more.
        if let Decision::NotGoverned = decision {
            let _denied = desk.prove_password(&attempt, &mut questions)?;
        }
        return Err(DeskError::Account(*why).into());
    }
    let given = questions.into_given();
    match decision {
        Decision::NotGoverned => {
            note(&mut login, &user, FlowNote::None)?;
            Ok(Answer::NotOurs)
        }
        Decision::Judged(Judged { verdict: Verdict::Denied(denial), .. }) => {
            if let Denial::Locked(until) = denial {
                tell_own_wait(&mut login, account, until);
            }
            Err(denial.into())
        }
        Decision::Judged(Judged { verdict: Verdict::Granted(receipt), password }) => {
            grant(&mut login, &user, &receipt, (closed, voucher, password))?;
            leave_password(&mut login, &receipt, given)?;
            Ok(Answer::Yes)
        }
    }
}

/// What the module before us has verified. It leaves the password in PAM; where there is none it has asked for none. And `pam_unix` may
/// take any password, or none, for an account whose hash is empty: an empty hash never proves a factor.
fn proved_before<H: Handle>(login: &Login<'_, H>, user: &UserName, options: &Options) -> Result<Factors, Error> {
    if options.proved.is_empty() {
        return Ok(Factors::none());
    }
    let why_not = if login.pam.password().is_none_or(|password| password.is_empty()) {
        "the module before us has left no password in PAM (pam_sss alone needs forward_pass)"
    } else if shadow::by_name(user.as_str()).map_err(Error::Shadow)?.is_some_and(|entry| entry.hash.is_empty()) {
        "the account's hash is empty"
    } else {
        return Ok(options.proved.clone());
    };
    login
        .pam
        .log(Priority::Warning, &Line::new(Event::PasswordNotProved).with("user", user.as_str()).with("why", why_not));
    Ok(Factors::none())
}

/// Tells how long a lock lasts to whom it gives nothing away: the account's own user on this machine, as at sudo. Anybody else would learn
/// from it whether there is such an account.
fn tell_own_wait<H: Handle>(login: &mut Login<'_, H>, account: Option<&Account>, until: WallTime) {
    let caller = process::real_uid();
    let is_own = account.is_some_and(|account| account.uid == caller);
    if login.remote() == Remote::Local && caller != 0 && is_own {
        login.pam.tell_refusal(&notice::wait(until, SystemClock.now().wall));
    }
}

/// Notes that a flow runs, and removes the receipt of an earlier one, whatever becomes of this one.
fn forget_older<H: Handle>(login: &mut Login<'_, H>, user: &UserName) -> Result<(), Error> {
    note(login, user, FlowNote::Denied)?;
    if login.is_sshd() {
        let reader = ProcessId::parent_of_current().map_err(Error::Process)?;
        Shelf(&login.place.paths.flows()).remove(reader)?;
    }
    Ok(())
}

/// Notes the receipt for the account phase, if PAM still means the same user.
fn grant<H: Handle>(
    login: &mut Login<'_, H>,
    user: &UserName,
    receipt: &Receipt,
    (closed, voucher, password): (Closed, Option<Voucher>, Option<Password>),
) -> Result<(), Error> {
    let now = login.pam.user()?;
    if now != *user || !user.is_text() {
        return Err(Error::UserChanged { before: user.as_str().to_owned(), now: now.as_str().to_owned() });
    }
    let boot_id = process::boot_id().map_err(Error::Process)?;
    let mut carried = Carried::new(receipt, &boot_id, (closed, SystemClock.now()));
    if receipt.factors().contains(Factor::Session) {
        // The user's groups, and with them the rule, may have changed since.
        let voucher = voucher.filter(|voucher| voucher.rule == receipt.rule()).ok_or(BadReceipt::Voucher)?;
        carried.vouched_by = Some(voucher.session);
    }
    let line = Line::new(Event::Granted)
        .with("flow", receipt.flow())
        .with("user", receipt.user())
        .with("rhost", receipt.remote())
        .with("factors", receipt.factors())
        .with("rule", receipt.rule())
        .with_some("enrolment", enrolment_word(receipt.enrolment()))
        .with_some("vouched-by", carried.vouched_by);
    login.pam.log(Priority::Info, &line);
    let notes = Notes {
        proved: password,
        success: receipt.unsettled().cloned(),
        ..notes_of(login, user, FlowNote::Granted(Box::new(carried)))
    };
    Ok(login.pam.keep(notes)?)
}

const fn enrolment_word(enrolment: Enrolment) -> Option<&'static str> {
    match enrolment {
        Enrolment::NotAsked => None,
        Enrolment::Done => Some("done"),
        Enrolment::PutOff => Some("put-off"),
    }
}

/// Notes afresh what this login has come to, for the later phases.
///
/// # Errors
/// There is no memory for it.
pub fn note<H: Handle>(login: &mut Login<'_, H>, user: &UserName, flow: FlowNote) -> Result<(), Error> {
    let notes = notes_of(login, user, flow);
    Ok(login.pam.keep(notes)?)
}

fn notes_of<H: Handle>(login: &Login<'_, H>, user: &UserName, flow: FlowNote) -> Notes {
    let config = Some(login.known_config());
    Notes { user: Some(user.as_str().to_owned()), flow, config, ..Notes::default() }
}

/// Leaves the password, and never a code, to the modules behind us: keyrings open with it.
fn leave_password<H: Handle>(login: &mut Login<'_, H>, receipt: &Receipt, given: Given) -> Result<(), Error> {
    let password = match given {
        Given::Nothing => return Ok(()),
        Given::Password(password) => password,
        Given::PasswordAndCode(both) => {
            let keys = login.records().authenticators(receipt.user())?.unwrap_or_default();
            password_in(&both, &keys)
        }
    };
    login.pam.set_password(&password);
    Ok(())
}
