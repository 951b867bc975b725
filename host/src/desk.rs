//! The one driver of a flow: asks through a [`Conversation`], hashes outside any lock, settles under it. Whoever lets a user in, the
//! module or the daemon, comes here.

use std::io;

use authflow_core::{
    account::Authenticators,
    config::{Config, Source},
    factor::{Factor, Factors},
    flow::{
        Answered, Flow, FlowId, HashOutcome, Holder, Manner, Prompt, Standing, Step, Subject, Terms, Verdict,
        is_left_to_the_stack,
    },
    password::{BadHash, PasswordHash},
    rule::{Remote, Request, Rule},
    secret::Secret,
    time::Clock,
};

use crate::{
    accounts::{self, Account, AccountError},
    crypt,
    hash_memory::HashMemory,
    random,
    records::{RecordError, Records, Slot},
    shadow,
};

/// How a product asks.
pub trait Conversation {
    /// Puts one question and gives the answer.
    ///
    /// # Errors
    /// The user, or the application, has ended the conversation.
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused>;
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
    /// The PAM service.
    pub service: &'a str,
    /// Where from.
    pub remote: Remote,
    /// What sshd or a module before us has verified.
    pub proved: Factors,
    /// How to ask.
    pub manner: Manner,
}

/// What became of an attempt.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// No rule is about the service, or its method leaves it to other modules. Nothing was asked.
    NotGoverned,
    /// It was decided.
    Verdict(Verdict),
}

/// Why an attempt came to no decision. Each denies.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The user data base could not be asked.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The shadow data base could not be asked.
    #[error("cannot look up the system's password hash: {0}")]
    Shadow(#[source] io::Error),
    /// The user's record or state cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The conversation ended.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No memory to hash in, or no random numbers.
    #[error("the kernel gives no memory to hash in, or no random numbers: {0}")]
    Kernel(#[from] io::Error),
    /// The hash could not be computed.
    #[error(transparent)]
    Hash(#[from] BadHash),
}

impl DeskError {
    /// Whether our own files or the machine failed, as opposed to the user or a crowd of logins.
    #[must_use]
    pub const fn is_breakage(&self) -> bool {
        match self {
            Self::Account(_) | Self::Refused(_) | Self::Record(RecordError::Busy | RecordError::Name(_)) => false,
            Self::Shadow(_) | Self::Record(_) | Self::Kernel(_) | Self::Hash(_) => true,
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
        let Some(case) = self.case(attempt)? else { return Ok(Decision::NotGoverned) };
        let answered = converse(begin(attempt, &case)?, conversation)?;
        self.decide(answered, case.account.as_ref(), case.is_ruled).map(Decision::Verdict)
    }

    /// What an attempt will be asked, for those who ask before they run it. `None` where it is not governed. Decides nothing.
    ///
    /// # Errors
    /// The user data base or the kernel cannot be asked.
    pub fn prompts(&self, attempt: &Attempt<'_>) -> Result<Option<Vec<Prompt>>, DeskError> {
        self.case(attempt)?.map(|case| Ok(begin(attempt, &case)?.prompts())).transpose()
    }

    /// What the user can prove when asked: the record's factors, and the password where the system has one that counts.
    ///
    /// # Errors
    /// The record or the shadow data base cannot be read.
    pub fn has(&self, account: &Account) -> Result<Factors, DeskError> {
        let keys = self.records.authenticators(&account.name)?.unwrap_or_default();
        self.has_with(account, &keys)
    }

    fn has_with(&self, account: &Account, keys: &Authenticators) -> Result<Factors, DeskError> {
        let mut has = keys.factors();
        if !self.uses(Source::Authflow) {
            has = has.iter().filter(|factor| *factor != Factor::Password).collect();
        }
        if self.shadow_hash(account)?.is_some() {
            has.insert(Factor::Password);
        }
        Ok(has)
    }

    /// Whose attempt it is, and the rule that it is judged by. `None` where that leaves it to others.
    fn case(&self, attempt: &Attempt<'_>) -> Result<Option<Case<'_>>, DeskError> {
        let Some(stand_in) = self.config.stand_in_for(attempt.service) else { return Ok(None) };
        let account = accounts::by_name(attempt.user)?;
        let named = self.config.groups_named_for(attempt.service);
        let groups = account.as_ref().map(|account| account.groups_among(named)).transpose()?.unwrap_or_default();
        let Attempt { service, remote, .. } = *attempt;
        let user = own_name(account.as_ref(), attempt.user);
        let matched = self.config.rule_for(&Request { service, user, groups: &groups, remote });
        let (rule, is_ruled) = (matched.unwrap_or(stand_in), matched.is_some());
        if is_ruled && is_left_to_the_stack(&rule.methods, &attempt.proved) {
            return Ok(None);
        }
        let is_sshd = self.config.is_sshd(service);
        Ok(Some(Case { account, rule, is_ruled, is_sshd }))
    }

    fn decide(&self, answered: Answered, account: Option<&Account>, is_ruled: bool) -> Result<Verdict, DeskError> {
        let holder = self.holder(account, is_ruled)?;
        let password = answered.password(&holder.keys).unwrap_or_default();
        let Hashed { outcome, outdated } = self.hash(&password, &holder, account)?;
        let given = answered.subject().user.clone();
        let slot = account.map_or(Slot::Decoy(&given), |account| Slot::User(&account.name));
        let terms = Terms { throttle: self.config.throttle, skew: self.config.totp.skew };
        let judge = |state: &_| answered.judge(outcome, &holder, state, (&terms, self.clock.now().wall));
        let verdict = self.records.settle(slot, judge)?;
        if let (Verdict::Granted(_), Some(account), Some(old)) = (&verdict, account, outdated) {
            // It is decided; a record that cannot be written now is renewed by a later login.
            let _renewed_or_not = self.renew(account, &password, &old);
        }
        Ok(verdict)
    }

    fn holder(&self, account: Option<&Account>, is_ruled: bool) -> Result<Holder, DeskError> {
        let Some(account) = account else {
            return Ok(Holder { standing: Standing::Unknown, keys: <_>::default(), has: Factors::none() });
        };
        let standing = if self.records.is_disabled(&account.name)? {
            Standing::Disabled
        } else if is_ruled {
            Standing::Good
        } else {
            Standing::Unruled
        };
        let keys = self.records.authenticators(&account.name)?.unwrap_or_default();
        let has = self.has_with(account, &keys)?;
        Ok(Holder { standing, keys, has })
    }

    /// Compares the password with the hash of the first source that has one. Everybody costs the same: one Argon2 computation, and where the
    /// system's own hashes count, one of those; a stand-in takes the place of what a user does not have.
    fn hash(&self, password: &Secret, holder: &Holder, account: Option<&Account>) -> Result<Hashed, DeskError> {
        let own = holder.keys.password.as_ref().filter(|_| self.uses(Source::Authflow)).map(|own| own.hash.clone());
        let has_own = own.is_some();
        let hash = own.unwrap_or_else(|| PasswordHash::impossible(self.config.password.cost));
        let mut memory = HashMemory::new(hash.cost().blocks())?;
        let own_matches = hash.verify(password, memory.blocks())?;
        drop(memory);
        let shadow_matches = if self.uses(Source::Shadow) {
            match account.map(|account| self.shadow_hash(account)).transpose()?.flatten() {
                Some(hash) => Some(crypt::verify(password, &hash)),
                None => {
                    crypt::verify_nothing(password);
                    None
                }
            }
        } else {
            None
        };
        let by_source = |source: &Source| match source {
            Source::Authflow => has_own.then_some(own_matches),
            Source::Shadow => shadow_matches,
        };
        let matches = self.config.password.sources.iter().find_map(by_source).unwrap_or(false);
        let outcome = if matches { HashOutcome::Matched } else { HashOutcome::Mismatched };
        let outdated = (has_own && own_matches && hash.cost().is_below(self.config.password.cost)).then_some(hash);
        Ok(Hashed { outcome, outdated })
    }

    /// Replaces the hash of a password that was just given by one of the cost that is asked for now; not if it has been changed meanwhile,
    /// and not where configuration management owns the record.
    fn renew(&self, account: &Account, password: &Secret, old: &PasswordHash) -> Result<(), DeskError> {
        if self.records.is_managed(&account.name)? {
            return Ok(());
        }
        let cost = self.config.password.cost;
        let mut memory = HashMemory::new(cost.blocks())?;
        let new = PasswordHash::create(cost, random::bytes()?, password, memory.blocks())?;
        self.records.update(&account.name, |record| {
            if let Some(kept) = record.password.as_mut().filter(|kept| kept.hash == *old) {
                kept.hash = new;
            }
            Ok(())
        })
    }

    fn uses(&self, source: Source) -> bool {
        self.config.password.sources.contains(&source)
    }

    fn shadow_hash(&self, account: &Account) -> Result<Option<Secret>, DeskError> {
        if !self.uses(Source::Shadow) {
            return Ok(None);
        }
        let entry = shadow::by_name(&account.name).map_err(DeskError::Shadow)?;
        Ok(entry.filter(shadow::Entry::has_password).map(|entry| entry.hash))
    }
}

/// An attempt, looked up.
struct Case<'a> {
    account: Option<Account>,
    rule: &'a Rule,
    /// Whether the rule matches, or only stands in so that strangers see the same questions.
    is_ruled: bool,
    is_sshd: bool,
}

fn begin(attempt: &Attempt<'_>, case: &Case<'_>) -> io::Result<Step> {
    let subject = Subject {
        user: attempt.user.to_owned(),
        uid: case.account.as_ref().map(|account| account.uid),
        service: attempt.service.to_owned(),
        remote: attempt.remote,
        is_sshd: case.is_sshd,
    };
    let id = FlowId::new(random::bytes()?);
    Ok(Flow::begin(id, case.rule, subject, attempt.proved.clone(), attempt.manner))
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

/// What came of hashing.
struct Hashed {
    outcome: HashOutcome,
    /// The user's own hash, if the password is the one and hashes cost more now.
    outdated: Option<PasswordHash>,
}

/// The name that the account itself goes by. Name services may know one user under several spellings (`Alice`, `alice@example.org`);
/// counted by spelling, one code would pass once for each.
fn own_name<'a>(account: Option<&'a Account>, given: &'a str) -> &'a str {
    account.map_or(given, |account| &account.name)
}
