//! The parts of a flow that may take long: the configuration, name services, hashing, a user's lock. They run on threads beside the
//! daemon's loop, which must never wait for any of them.

use std::{collections::VecDeque, io, sync::Arc};

use authflow_core::{
    config::Config,
    console,
    factor::Factors,
    first_authenticator::NotByPassword,
    flow::{Denial, Manner, Prompt, Verdict},
    rule::Remote,
    secret::Secret,
    time::{Clock, Now},
};
use authflow_host::{
    accounts::{self, Account, AccountError},
    clock::SystemClock,
    config::{self, From, LoadError},
    desk::{Attempt, Conversation, Decision, Desk, DeskError, Judged, Refused},
    paths::Paths,
    records::Records,
    shadow,
};

use super::{
    own_factors::{self, Seen},
    permit::{Permission, Shown},
};

/// The service whose rule is for renewing; where none names it, the one that opened the session decides.
pub(super) const RENEWAL: &str = "authflow";

/// What the caller wants to prove itself to.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The user.
    pub(super) uid: u32,
    /// Which rules are asked.
    pub(super) place: Place,
    /// How to ask.
    pub(super) manner: Manner,
    /// Whether an authenticator is to be enrolled after it.
    pub(super) enrols: bool,
}

/// What the rule is looked up by.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A PAM service, on this machine.
    Service(String),
    /// The session that the caller is in: as it was opened, from where it was opened.
    Session { service: String, remote_host: Option<String>, tty: Option<String> },
}

/// A flow that was looked up: what is asked, and what it will be judged by.
#[derive(Debug)]
pub(super) struct Case {
    /// Who it is about.
    pub(super) user: String,
    /// The PAM service.
    pub(super) service: String,
    /// What is asked.
    pub(super) prompts: Vec<Prompt>,
    /// Why the live configuration is not the one that counts, if it is not.
    pub(super) last_good: Option<String>,
    /// What it permits beside.
    pub(super) permission: Permission,
    uid: u32,
    remote: Remote,
    manner: Manner,
    config: Arc<Config>,
}

/// What was proved.
#[derive(Debug)]
pub(super) struct Proof {
    /// With what, of what the user has.
    pub(super) shown: Shown,
    /// By which rule.
    pub(super) rule: String,
    /// When.
    pub(super) at: Now,
}

/// Why a flow is not granted. The caller learns which kind it is, and no more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No rule asks anything there.
    #[error("no rule asks anything of the service {0:?}")]
    NotGoverned(String),
    /// The caller's uid is nobody's.
    #[error("there is no user with the uid {0}")]
    NoUser(u32),
    /// It was judged.
    #[error("{0}")]
    Denied(#[from] Denial),
    /// It takes more than the user has to enrol the first authenticator.
    #[error(transparent)]
    NotByPassword(#[from] NotByPassword),
    /// Nothing asked for would prove what the user has.
    #[error("the rule asks for no code here, so nothing proves the authenticator that you have: ask an administrator")]
    NoCodeAsked,
    /// The account has ended.
    #[error("the account has expired (chage -E)")]
    Expired,
    /// Between the lookup and the judgement the name became another user's.
    #[error("the uid of {0:?} has changed meanwhile")]
    OtherUser(String),
    /// The configuration cannot be used.
    #[error("no usable configuration: {0}")]
    Config(#[from] LoadError),
    /// The user data base cannot be asked.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The account's end cannot be looked up.
    #[error("the account's end cannot be looked up: {0}")]
    Shadow(#[from] io::Error),
    /// It came to no decision.
    #[error(transparent)]
    Desk(#[from] DeskError),
}

/// Looks up the caller, its rule and what that asks.
///
/// # Errors
/// Nothing is asked there, or it cannot be found out.
pub(super) fn look_up(paths: &Paths, wanted: Wanted) -> Result<Case, Failure> {
    let Wanted { uid, place, manner, enrols } = wanted;
    let loaded = config::load(paths)?;
    let last_good = match loaded.from {
        From::Live => None,
        From::LastGood { why } => Some(why),
    };
    let config = Arc::new(loaded.config);
    let account = accounts::by_uid(uid)?.ok_or(Failure::NoUser(uid))?;
    // Only `authflow` itself means more than the flow.
    let is_of_the_command = match &place {
        Place::Session { .. } => true,
        Place::Service(service) => service == RENEWAL,
    };
    let permission = match is_of_the_command {
        false => Permission::Nothing,
        true if enrols => permission_to_enrol(paths, &config, &account)?,
        true => Permission::Change,
    };
    let user = account.name.clone();
    let (service, remote) = place.resolve(&config);
    let prompts = Vec::new();
    let mut case = Case { user, service, prompts, last_good, permission, uid, remote, manner, config };
    if permission == Permission::First {
        case.prompts.push(Prompt::Password);
        return Ok(case);
    }
    let prompts = case.desk(paths).prompts(&case.attempt(Some(&account)))?;
    case.prompts = prompts.ok_or_else(|| Failure::NotGoverned(case.service.clone()))?;
    if enrols && !case.prompts.contains(&Prompt::Code) {
        return Err(Failure::NoCodeAsked);
    }
    Ok(case)
}

/// How a user comes to another authenticator: by one that is there, or what stands in for it; and to the first by the password, where a
/// login would have it so.
fn permission_to_enrol(paths: &Paths, config: &Config, account: &Account) -> Result<Permission, Failure> {
    let records = Records::new(paths.clone());
    let keys = records.authenticators(&account.name).map_err(DeskError::from)?.unwrap_or_default();
    if !keys.totp().is_empty() {
        return Ok(Permission::Change);
    }
    let state = records.state(&account.name).map_err(DeskError::from)?;
    let has_codes = keys.recovery.as_ref().is_some_and(|set| set.left(&state.spent_codes) > 0);
    match own_factors::first_by_password(config, account) {
        Ok(()) => Ok(Permission::First),
        Err(_not_by_password) if has_codes => Ok(Permission::Change),
        Err(not_by_password) => Err(not_by_password.into()),
    }
}

/// Judges the answers to a flow's questions, in their order.
///
/// # Errors
/// It was not granted.
pub(super) fn judge(paths: &Paths, case: &Case, answers: Vec<Secret>) -> Result<Proof, Failure> {
    let mut given = Given(case.prompts.iter().copied().zip(answers).collect());
    // Before it is judged: what is changed after this voids what the proof permits.
    let records = Records::new(paths.clone());
    let mut seen = Seen(records.authenticators(&case.user).map_err(DeskError::from)?.unwrap_or_default());
    let account = accounts::by_name(&case.user)?;
    let (desk, attempt) = (case.desk(paths), case.attempt(account.as_ref()));
    let decision = match case.permission {
        Permission::First => Decision::Judged(desk.prove_password(&attempt, &mut given)?),
        Permission::Nothing | Permission::Change => desk.run(&attempt, &mut given)?,
    };
    let Judged { verdict, password } = match decision {
        Decision::NotGoverned => return Err(Failure::NotGoverned(case.service.clone())),
        Decision::Judged(judged) => judged,
    };
    let receipt = match verdict {
        Verdict::Denied(denial) => return Err(denial.into()),
        Verdict::Granted(receipt) => receipt,
    };
    // The flow itself may have renewed the hash, or taken the system's password over.
    seen.0.password = password.or(seen.0.password);
    let at = SystemClock.now();
    if receipt.uid() != case.uid {
        return Err(Failure::OtherUser(case.user.clone()));
    }
    // The account phase of a process that is not root cannot look for itself.
    if shadow::by_name(&case.user)?.is_some_and(|entry| entry.is_expired(at.wall)) {
        return Err(Failure::Expired);
    }
    let shown = Shown { factors: receipt.factors().clone(), seen };
    Ok(Proof { shown, rule: receipt.rule().to_owned(), at })
}

impl Failure {
    /// Whether something is broken, as opposed to a flow that is not good enough.
    pub(super) const fn is_breakage(&self) -> bool {
        match self {
            Self::NotGoverned(_) | Self::NoUser(_) | Self::Denied(_) | Self::Expired | Self::OtherUser(_) => false,
            Self::NotByPassword(_) | Self::NoCodeAsked => false,
            Self::Config(_) | Self::Account(_) | Self::Shadow(_) => true,
            Self::Desk(why) => why.is_breakage(),
        }
    }
}

impl Place {
    /// The service and source that a rule is looked up by.
    fn resolve(self, config: &Config) -> (String, Remote) {
        match self {
            Self::Service(service) => (service, Remote::Local),
            Self::Session { .. } if config.rules.iter().any(|rule| rule.names(RENEWAL)) => {
                (RENEWAL.to_owned(), Remote::Local)
            }
            Self::Session { service, remote_host, tty } => {
                let told = Remote::from_rhost(remote_host.as_deref());
                let remote = console::place(told, &service, tty.as_deref());
                (service, remote)
            }
        }
    }
}

impl Case {
    fn desk(&self, paths: &Paths) -> Desk<'_> {
        Desk::new(&self.config, Records::new(paths.clone()), &SystemClock)
    }

    /// Nothing is proved beforehand: what the caller says of itself is worth nothing.
    fn attempt<'a>(&'a self, account: Option<&'a Account>) -> Attempt<'a> {
        Attempt {
            user: &self.user,
            account,
            service: &self.service,
            remote: self.remote,
            calling_uid: self.uid,
            proved: Factors::none(),
            manner: self.manner,
            is_at_console: false,
        }
    }
}

/// The answers that were given, to the questions that were put. A flow that asks anything else is broken off.
struct Given(VecDeque<(Prompt, Secret)>);

impl Conversation for Given {
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        self.0.pop_front().filter(|(asked, _)| *asked == prompt).map(|(_, answer)| answer).ok_or(Refused)
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    fn config(service: &str) -> Config {
        let text = format!("[[rule]]\nname = \"r\"\nservice = [\"{service}\"]\nmethods = [[\"password\"]]\n");
        Config::parse(Text { name: "test", text: &text }, &[]).unwrap()
    }

    #[test]
    fn a_renewal_is_by_its_own_rule_or_by_the_one_that_opened_the_session() {
        let remote_host = || Some("10.0.0.5".to_owned());
        let place = || Place::Session { service: "sshd".to_owned(), remote_host: remote_host(), tty: None };
        assert_eq!(place().resolve(&config("authflow")), ("authflow".to_owned(), Remote::Local));
        let address = Remote::Address("10.0.0.5".parse().unwrap());
        assert_eq!(place().resolve(&config("*")), ("sshd".to_owned(), address));
        let untold = Place::Session { service: "panel".to_owned(), remote_host: None, tty: None };
        assert_eq!(untold.resolve(&config("*")), ("panel".to_owned(), Remote::Untold));
        let console = Place::Session { service: "login".to_owned(), remote_host: None, tty: Some("tty1".to_owned()) };
        assert_eq!(console.resolve(&config("*")), ("login".to_owned(), Remote::Console));
    }

    #[test]
    fn a_question_that_was_not_put_has_no_answer() {
        let mut given = Given([(Prompt::Password, Secret::from("a"))].into());
        assert!(given.ask(Prompt::Code).is_err());
        let mut given = Given([(Prompt::Password, Secret::from("a"))].into());
        assert!(given.ask(Prompt::Password).is_ok());
        assert!(given.ask(Prompt::Code).is_err());
    }
}
