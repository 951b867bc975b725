//! The one driver of a flow: asks through a [`Conversation`], hashes outside any lock, settles under it. Whoever lets a user in, the
//! module or the daemon, comes here.

mod case;

use std::io;

use authflow_core::{
    account::{Authenticators, Password},
    config::{Config, Source},
    factor::{Factor, Factors},
    flow::{
        Answered, Denial, Enrollable, Enrolling, Finding, HashOutcome, Holder, Manner, Prompt, Standing, Step, Terms,
        Verdict,
    },
    qr::Background,
    rule::Remote,
    secret::Secret,
    time::Clock,
};

use self::case::{Case, Ruling};
use crate::{
    accounts::{Account, AccountError},
    enrolment::{self, Setting},
    passwords::{Compared, Matched, PasswordError, Passwords},
    records::{Looked, RecordError, Records, Slot},
};

/// How a product asks.
pub trait Conversation {
    /// Puts one question and gives the answer.
    ///
    /// # Errors
    /// The user, or the application, has ended the conversation.
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused>;

    /// The screen that a person sits at, if there is one. Only there an authenticator can be enrolled.
    fn screen(&mut self) -> Option<&mut dyn Screen> {
        None
    }
}

/// A screen of text that a person looks at.
pub trait Screen {
    /// What it looks like.
    fn background(&self) -> Background;

    /// Shows a page that ends with a question, and gives the answer.
    ///
    /// # Errors
    /// The user, or the application, has ended the conversation.
    fn ask(&mut self, page: &str) -> Result<Secret, Refused>;
}

/// The conversation ended before all was asked.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the conversation ended before all was asked")]
pub struct Refused;

/// One attempt to get in.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// The user name as given.
    pub user: &'a str,
    /// The account of that name, if there is one; looked up once, since every look-up may ask a directory.
    pub account: Option<&'a Account>,
    /// The PAM service.
    pub service: &'a str,
    /// Where from.
    pub remote: Remote,
    /// The real uid of the process that makes it: su and sudo have their caller's, login has 0.
    pub calling_uid: u32,
    /// What sshd or a module before us has verified.
    pub proved: Factors,
    /// How to ask.
    pub manner: Manner,
    /// Whether it is made at a real console of this machine, by a process that root has called. Root is never disabled there: somebody must
    /// be able to undo it.
    pub is_at_console: bool,
}

/// What became of an attempt.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// No rule is about the service, or its method leaves it to other modules. Nothing was asked.
    NotGoverned,
    /// It was decided.
    Judged(Judged),
}

/// A verdict, and what it rests on.
#[must_use]
#[derive(Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// The record's own password as it stands after the attempt, if it was proved: with the hash that was compared, or the one that took
    /// its place. Whoever changes it afterwards changes that one, and no other that was set meanwhile.
    pub password: Option<Password>,
}

/// Why an attempt came to no decision. Each denies.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A source of names is away, and what it would tell decides: whether there is such an account, or which rule it is. The attempt was asked,
    /// judged and counted like a stranger's.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The password could not be looked up or hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The user's record or state cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The conversation ended.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Kernel(#[from] io::Error),
}

impl DeskError {
    /// Whether our own files or the machine failed, as opposed to the user or a crowd of logins.
    #[must_use]
    pub const fn is_breakage(&self) -> bool {
        match self {
            Self::Account(_) | Self::Refused(_) | Self::Record(RecordError::Busy | RecordError::Name(_)) => false,
            Self::Password(PasswordError::Record(RecordError::Busy | RecordError::Name(_))) => false,
            Self::Password(_) | Self::Record(_) | Self::Kernel(_) => true,
        }
    }
}

/// The driver, with all that it works by.
pub struct Desk<'a> {
    config: &'a Config,
    records: Records,
    clock: &'a dyn Clock,
}

impl<'a> Desk<'a> {
    /// A desk that decides by that configuration, those records and that clock.
    #[must_use]
    pub const fn new(config: &'a Config, records: Records, clock: &'a dyn Clock) -> Self {
        Self { config, records, clock }
    }

    /// Runs one attempt from the first question to the verdict.
    ///
    /// # Errors
    /// It came to no decision, which denies.
    pub fn run(&self, attempt: &Attempt<'_>, conversation: &mut dyn Conversation) -> Result<Decision, DeskError> {
        let Some(case) = Case::of(self.config, attempt) else { return Ok(Decision::NotGoverned) };
        let answered = converse(case.begin(attempt)?, conversation)?;
        let judged = self.decide(answered, Applicant::new(attempt, &case), conversation)?;
        match (case.ruling, &judged.verdict) {
            (Ruling::Untold(why), Verdict::Denied(Denial::NoRule)) => Err(why.into()),
            _ => Ok(Decision::Judged(judged)),
        }
    }

    /// What an attempt will be asked, for those who ask before they run it. `None` where it is not governed. Decides nothing.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn prompts(&self, attempt: &Attempt<'_>) -> Result<Option<Vec<Prompt>>, DeskError> {
        Case::of(self.config, attempt).map(|case| Ok(case.begin(attempt)?.prompts())).transpose()
    }

    /// Has the user prove the password alone, as before it is changed: at the same cost, and counted as any attempt.
    ///
    /// # Errors
    /// It came to no decision, which denies.
    pub fn prove_password(
        &self,
        attempt: &Attempt<'_>,
        conversation: &mut dyn Conversation,
    ) -> Result<Judged, DeskError> {
        let case = Case::of_password_alone(self.config, attempt);
        let answered = converse(case.begin(attempt)?, conversation)?;
        self.decide(answered, Applicant::new(attempt, &case), conversation)
    }

    /// What the user can prove when asked: the record's factors, and the password where the system has one that counts.
    ///
    /// # Errors
    /// The record or the shadow data base cannot be read.
    pub fn has(&self, account: &Account) -> Result<Factors, DeskError> {
        self.has_with(account, &self.keys(account)?)
    }

    fn has_with(&self, account: &Account, keys: &Authenticators) -> Result<Factors, DeskError> {
        let mut has = keys.factors();
        if !self.passwords().uses(Source::Authflow) {
            has = has.iter().filter(|factor| *factor != Factor::Password).collect();
        }
        if self.passwords().shadow_has_one(account)? {
            has.insert(Factor::Password);
        }
        Ok(has)
    }

    fn decide(
        &self,
        answered: Answered,
        applicant: Applicant<'_>,
        conversation: &mut dyn Conversation,
    ) -> Result<Judged, DeskError> {
        let account = applicant.account;
        let screen = conversation.screen();
        let Looked { record, seen } =
            account.map(|account| self.records.look(&account.name)).transpose()?.unwrap_or_default();
        let keys = record.unwrap_or_default();
        let password = answered.password(&keys).unwrap_or_default();
        let now = self.clock.now().wall;
        let Compared { outcome, matched, upkeep } = self.passwords().compare(&password, (account, &keys), now)?;
        let given = answered.subject().user.clone();
        let slot = account.map_or(Slot::Decoy(&given), |account| Slot::User(&account.name));
        let terms = self.terms();
        let has_screen = screen.is_some();
        let judge = |state: &_| {
            // Looked at again under the lock: hashing takes time, a caller may stop this process in it, and meanwhile the password and the
            // codes may have become others.
            let keys_now = match account {
                Some(account) if !self.records.is_still(&account.name, &seen)? => self.keys(account)?,
                Some(_) | None => keys,
            };
            let holder = self.holder(applicant, keys_now, has_screen)?;
            let deciding =
                account.map(|account| self.passwords().deciding(account, &holder.keys)).transpose()?.flatten();
            let outcome = match &matched {
                Some(matched) if !matched.is_still(deciding.as_ref()) => HashOutcome::Replaced,
                Some(_) | None => outcome,
            };
            Ok::<_, DeskError>(answered.judge(outcome, &holder, state, (&terms, self.clock.now().wall)))
        };
        let verdict = match (self.records.try_settle(slot, judge)?, account, screen) {
            (Finding::Verdict(verdict), _, _) => verdict,
            (Finding::Enrol(enrolling), Some(account), Some(screen)) => {
                self.enrol(*enrolling, (applicant, account), screen)?
            }
            (Finding::Enrol(_), None, _) => Verdict::Denied(Denial::UnknownUser),
            (Finding::Enrol(_), _, None) => Verdict::Denied(Denial::NoScreen),
        };
        let (Verdict::Granted(_), Some(account)) = (&verdict, account) else {
            return Ok(Judged { verdict, password: None });
        };
        // It is decided; a record that cannot be written now is kept up by a later login.
        let kept_up = self.passwords().keep_up(account, &password, (upkeep, now)).unwrap_or_default();
        Ok(Judged { verdict, password: kept_up.or_else(|| matched.and_then(Matched::into_own)) })
    }

    /// Has an authenticator enrolled, and judges once more by what is true after that.
    fn enrol(
        &self,
        enrolling: Enrolling,
        (applicant, account): (Applicant<'_>, &Account),
        screen: &mut dyn Screen,
    ) -> Result<Verdict, DeskError> {
        let Config { totp, .. } = self.config;
        let setting = Setting { issuer: &totp.issuer, user: &account.name, skew: totp.skew, clock: self.clock };
        let concluded = match enrolment::ask(enrolling, &setting, screen)? {
            Ok(concluded) => concluded,
            Err(denial) => return Ok(Verdict::Denied(denial)),
        };
        self.records.try_settle(Slot::User(&account.name), |state| {
            let holder = self.holder(applicant, self.keys(account)?, true)?;
            Ok(concluded.judge(&holder, state, (&self.terms(), self.clock.now().wall)))
        })
    }

    const fn terms(&self) -> Terms {
        Terms { throttle: self.config.throttle, skew: self.config.totp.skew }
    }

    fn keys(&self, account: &Account) -> Result<Authenticators, DeskError> {
        Ok(self.records.authenticators(&account.name)?.unwrap_or_default())
    }

    fn holder(&self, applicant: Applicant<'_>, keys: Authenticators, has_screen: bool) -> Result<Holder, DeskError> {
        let Some(account) = applicant.account else {
            let (standing, enrollable) = (Standing::Unknown, Enrollable::NoScreen);
            return Ok(Holder { standing, keys, has: Factors::none(), enrollable });
        };
        let standing = if self.records.is_disabled(&account.name)? && !applicant.is_root_at_console {
            Standing::Disabled
        } else if applicant.is_ruled {
            Standing::Good
        } else {
            Standing::Unruled
        };
        let has = self.has_with(account, &keys)?;
        let enrollable = if !has_screen {
            Enrollable::NoScreen
        } else if self.records.is_managed(&account.name)? {
            Enrollable::Managed
        } else {
            Enrollable::Yes
        };
        Ok(Holder { standing, keys, has, enrollable })
    }

    const fn passwords(&self) -> Passwords<'_> {
        Passwords { config: self.config, records: &self.records }
    }
}

/// Who wants in, as far as the judgement goes by it.
#[derive(Clone, Copy)]
struct Applicant<'a> {
    account: Option<&'a Account>,
    is_ruled: bool,
    is_root_at_console: bool,
}

impl<'a> Applicant<'a> {
    fn new(attempt: &Attempt<'a>, case: &Case<'_>) -> Self {
        let is_root = attempt.account.is_some_and(|account| account.uid == 0);
        let is_root_at_console = attempt.is_at_console && is_root;
        Self { account: attempt.account, is_ruled: case.is_ruled(), is_root_at_console }
    }
}

fn converse(mut step: Step, conversation: &mut dyn Conversation) -> Result<Answered, Refused> {
    loop {
        match step {
            Step::Ask(ask) => {
                let answer = conversation.ask(ask.prompt())?;
                step = ask.answer(answer);
            }
            Step::Answered(answered) => return Ok(answered),
        }
    }
}
