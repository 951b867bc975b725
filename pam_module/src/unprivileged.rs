//! The phases in a process that is not root, as screen lockers are. It can neither read a record nor write down that a code was used,
//! so the daemon runs the flow, for this process's own user alone. There is no receipt, and no session is opened.

use authflow_core::{factor::Factors, flow::is_left_to_the_stack};
use authflow_host::{
    accounts::{self, Account},
    desk::{Conversation, DeskError},
};
use nix::unistd::{geteuid, getuid};

use crate::{
    args::Options,
    authenticate::note,
    code::Answer,
    conversation::{Given, Questions},
    error::Error,
    event::Event,
    flow::{Begun, FlowError},
    guard,
    handle::{Handle, UserName},
    log::{Line, Priority},
    login::{Login, account_of},
    notes::{FlowNote, Notes},
    notice,
    tracking::daemon,
};

/// Whether this process is one: the files that a login is judged by belong to another user.
pub fn is_here<H>(login: &Login<'_, H>) -> bool {
    !login.place.trust.is_own()
}

/// The auth phase.
///
/// # Errors
/// The flow was denied, or the daemon could not run it.
pub fn authenticate<H: Handle>(login: &mut Login<'_, H>, options: &Options) -> Result<Answer, Error> {
    let user = login.pam.user()?;
    note(login, &user, FlowNote::Denied)?;
    let account = own_account(&user)?;
    // Nothing that was proved to somebody else counts: the daemon could not tell whether it was.
    if login.rule_for(&account)?.is_some_and(|rule| is_left_to_the_stack(&rule.methods, &Factors::none())) {
        note(login, &user, FlowNote::None)?;
        return Ok(Answer::NotOurs);
    }
    let (flow, given) = run(login, options).inspect_err(|error| {
        // It is about the user who is asked, so it gives nothing away.
        if let Error::Flow(FlowError::NotNow(why)) = error {
            login.pam.tell_refusal(&notice::not_now(why));
        }
    })?;
    let now = login.pam.user()?;
    if now != user {
        return Err(Error::UserChanged { before: user.as_str().to_owned(), now: now.as_str().to_owned() });
    }
    let line = Line::new(Event::Granted).with("flow", flow).with("user", user.as_str()).with("by", "authflow-sessiond");
    login.pam.log(Priority::Info, &line);
    note(login, &user, FlowNote::Vouched)?;
    if let Given::Password(password) = given {
        login.pam.set_password(&password);
    }
    Ok(Answer::Yes)
}

/// The account phase. The daemon has looked at the account's standing along with the flow; where no flow ran there is nothing here that
/// could be looked at, and others must speak for it.
///
/// # Errors
/// The flow was denied, or the rule wants one that did not run.
pub fn account<H: Handle>(login: &Login<'_, H>, account: &Account, notes: &Notes) -> Result<Answer, Error> {
    match &notes.flow {
        FlowNote::Vouched => Ok(Answer::Yes),
        FlowNote::None if !guard::applies(login, false, &login.matched(account)) => Ok(Answer::NoObjection),
        FlowNote::None
        | FlowNote::BrokenGlass
        | FlowNote::Denied
        | FlowNote::Granted(_)
        | FlowNote::Usable(_)
        | FlowNote::Used => Err(Error::NotProved { proved: notes.flow.factors(), needed: None }),
    }
}

/// The opening of a session: only root's login programs open any. What the account phase would refuse is refused here as well.
///
/// # Errors
/// A flow on this handle came to nothing, or the rule wants one that did not run.
pub fn open<H: Handle>(login: &Login<'_, H>, target: &str, notes: &Notes) -> Result<Answer, Error> {
    match account(login, &account_of(target)?, notes)? {
        Answer::Yes | Answer::NoObjection | Answer::NotOurs => Ok(Answer::NotOurs),
        Answer::NewPasswordNeeded | Answer::Asked => {
            Err(Error::NotProved { proved: notes.flow.factors(), needed: None })
        }
    }
}

/// The account of that name, if it is the one that this process runs as.
fn own_account(user: &UserName) -> Result<Account, Error> {
    let (real, effective) = (getuid(), geteuid());
    let account = if user.is_text() { accounts::by_name(user.as_str())? } else { None };
    // The bus knows the process by its effective uid. A program that runs as somebody else asks for nobody.
    let is_own = |account: &Account| account.uid == real.as_raw() && real == effective;
    account.filter(is_own).ok_or(Error::NotOneself)
}

/// Runs a flow: its id, and the password that was given.
fn run<H: Handle>(login: &mut Login<'_, H>, options: &Options) -> Result<(String, Given), Error> {
    let (daemon, service) = (daemon(login), login.facts.service.clone());
    let Begun { flow, prompts } = daemon.begin_flow(&service, options.one_prompt)?;
    let mut questions = Questions::new(&mut *login.pam, options.first_pass);
    let answers = prompts.iter().map(|prompt| questions.ask(*prompt)).collect::<Result<Vec<_>, _>>();
    let (answers, given) = (answers.map_err(DeskError::from)?, questions.into_given());
    let flow = match daemon.answer_flow(&flow, &answers) {
        Ok(()) => flow,
        // A locker asks when it locks, and may be answered hours later: the flow is begun again, once.
        Err(FlowError::Gone) => {
            let again = daemon.begin_flow(&service, options.one_prompt)?;
            if again.prompts != prompts {
                return Err(FlowError::Gone.into());
            }
            daemon.answer_flow(&again.flow, &answers)?;
            again.flow
        }
        Err(why @ (FlowError::Denied | FlowError::NotNow(_) | FlowError::Daemon(_))) => return Err(why.into()),
    };
    Ok((flow, given))
}
