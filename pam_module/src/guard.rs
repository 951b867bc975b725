//! The guard at the account and session phases: where it applies. What it takes is core's to decide.

use authflow_core::{
    factor::Factors,
    flow::{
        Enrolment,
        guard::{self, Guard},
    },
    rule::{AccountMode, Rule},
};
use authflow_host::{accounts::Account, matching::Matched};

use crate::{error::Error, handle::Handle, login::Login, receipt::Carried};

/// Which of the two looks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At the account phase: sshd may yet verify a key.
    AtAccount,
    /// At the opening of the session: everything is known.
    AtSession,
}

/// What was proved.
#[derive(Clone, Copy, Debug)]
pub struct Proved<'a> {
    /// By the flow, and to sshd.
    pub factors: &'a Factors,
    /// The flow's receipt.
    pub receipt: Option<&'a Carried>,
}

impl Proved<'_> {
    /// What the flow had to do with enrolling, if it ran under this rule.
    fn enrolment(&self, rule: &Rule) -> Enrolment {
        let receipt = self.receipt.filter(|receipt| receipt.rule == rule.name && receipt.is_put_off);
        receipt.map_or(Enrolment::NotAsked, |_put_off| Enrolment::PutOff)
    }
}

/// Whether enough must have been proved. Where no flow can have run it need not: su by root, NOPASSWD, cron and user managers run
/// account and session alone, unless the rule, or one that it may be, says that they may not.
pub fn applies<H: Handle>(login: &Login<'_, H>, flow_has_run: bool, matched: &Matched<'_>) -> bool {
    let is_told_by_sshd = login.is_sshd() && login.facts.auth_info.is_some();
    flow_has_run || is_told_by_sshd || matched.may_be().any(|rule| rule.account == AccountMode::Enforce)
}

/// Looks whether what was proved satisfies the rule for that account.
///
/// # Errors
/// It does not, or the account's record cannot be read.
pub fn look<H: Handle>(
    login: &Login<'_, H>,
    look: Look,
    (account, rule): (&Account, &Rule),
    proved: &Proved<'_>,
) -> Result<(), Error> {
    let has = login.desk().has(account)?;
    let counted = guard::counted(rule, &has, proved.factors, proved.enrolment(rule));
    let says = match look {
        Look::AtAccount => guard::at_account(&rule.methods, &has, &counted),
        Look::AtSession => guard::at_session(&rule.methods, &has, &counted),
    };
    match says {
        Guard::Pass => Ok(()),
        Guard::Refuse { needed } => Err(Error::NotProved { proved: proved.factors.clone(), needed }),
    }
}
