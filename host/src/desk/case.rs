//! Which rule an attempt is judged by, and whose questions it sees where no rule is for it or none can be told. Decides nothing.

use std::{borrow::Cow, io};

use authflow_core::{
    config::Config,
    flow::{Flow, FlowId, Step, Subject, is_left_to_the_stack},
    rule::{Request, Rule},
};

use super::Attempt;
use crate::{
    accounts::{self, Account, AccountError},
    caller, matching, random,
};

/// An attempt, looked up.
pub(super) struct Case<'a> {
    rule: Cow<'a, Rule>,
    /// Whether the rule matches, or only stands in so that strangers see the same questions.
    pub(super) ruling: Ruling,
    is_sshd: bool,
}

/// Whether a rule is for an attempt.
#[derive(Clone, Copy)]
pub(super) enum Ruling {
    /// One is.
    Matched,
    /// None is.
    NoRule,
    /// That hangs on a group that no source tells of.
    Untold(AccountError),
}

impl<'a> Case<'a> {
    /// The case of an attempt. `None` where its rule leaves it to others.
    pub(super) fn of(config: &'a Config, attempt: &Attempt<'_>) -> Option<Self> {
        let Attempt { service, remote, account, .. } = *attempt;
        let stand_in = config.stand_in_for(service)?;
        let request = Request { service, user: own_name(account, attempt.user), groups: &[], remote };
        let is_left = |rule: &Rule| is_left_to_the_stack(&rule.methods, &attempt.proved);
        let (rule, ruling) = match matching::rule_for(config, account, request) {
            Ok(Some(rule)) if is_left(rule) => return None,
            Ok(Some(rule)) => (Cow::Borrowed(rule), Ruling::Matched),
            Ok(None) => (Cow::Borrowed(stand_in), Ruling::NoRule),
            Err(why) => {
                // As if there were no such account, or the questions would tell a stranger that there is one.
                let strangers = config.rule_for(&Request { user: attempt.user, ..request }).unwrap_or(stand_in);
                let rule = if is_left(strangers) {
                    // The user's own rule could be one that asks for more, so the stack may not decide: it is asked here as it asks.
                    let Rule { methods, .. } = Rule::of_password_alone("untold");
                    Cow::Owned(Rule { methods, ..strangers.clone() })
                } else {
                    Cow::Borrowed(strangers)
                };
                (rule, Ruling::Untold(why))
            }
        };
        Some(Self { rule, ruling, is_sshd: config.is_sshd(service) })
    }

    /// The case of one who proves the password alone, by no rule of the file.
    pub(super) fn of_password_alone(config: &Config, attempt: &Attempt<'_>) -> Self {
        let rule = Cow::Owned(Rule::of_password_alone("password-change"));
        Self { rule, ruling: Ruling::Matched, is_sshd: config.is_sshd(attempt.service) }
    }

    /// Whether the rule is for this attempt.
    pub(super) const fn is_ruled(&self) -> bool {
        matches!(self.ruling, Ruling::Matched)
    }

    /// The flow before its first question.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub(super) fn begin(&self, attempt: &Attempt<'_>) -> io::Result<Step> {
        let subject = Subject {
            user: attempt.user.to_owned(),
            uid: attempt.account.map(|account| account.uid),
            service: attempt.service.to_owned(),
            remote: attempt.remote,
            calling_uid: caller::counted(attempt.calling_uid, attempt.account, accounts::by_uid),
            is_sshd: self.is_sshd,
        };
        let id = FlowId::new(random::bytes()?);
        Ok(Flow::begin(id, &self.rule, subject, attempt.proved.clone(), attempt.manner))
    }
}

/// The name that the account itself goes by. Name services may know one user under several spellings (`Alice`, `alice@example.org`);
/// counted by spelling, one code would pass once for each.
fn own_name<'a>(account: Option<&'a Account>, given: &'a str) -> &'a str {
    account.map_or(given, |account| &account.name)
}

#[cfg(test)]
mod tests {
    use authflow_core::{
        config::Text,
        factor::Factors,
        flow::{Manner, Prompt},
        rule::Remote,
    };

    use super::*;

    /// Without the rule that is for everybody.
    const OPERATORS: &str = "[[rule]]\nname = \"operators\"\nservice = [\"sshd\"]\ngroup = [\"operators\"]\n\
                             methods = [[\"password\", \"totp\"]]\n";

    /// Whether the attempt has a case at all; if so what is asked, and whether the rule is told.
    fn case(rest: &str, account: Option<&Account>) -> Option<(Vec<Prompt>, bool)> {
        let config = Config::parse(Text { name: "test", text: &format!("{OPERATORS}{rest}") }, &[]).unwrap();
        let attempt = Attempt {
            user: "alice",
            account,
            service: "sshd",
            remote: Remote::Local,
            calling_uid: 0,
            proved: Factors::none(),
            manner: Manner::default(),
            is_at_console: false,
        };
        let case = Case::of(&config, &attempt)?;
        let prompts = case.begin(&attempt).unwrap().prompts();
        Some((prompts, !matches!(case.ruling, Ruling::Untold(_))))
    }

    /// Whose groups nobody can look up: the C library takes no such name.
    fn untold(uid: u32) -> Account {
        Account { name: "\0".to_owned(), uid, ..accounts::by_uid(0).unwrap().unwrap() }
    }

    #[test]
    fn whose_rule_is_not_told_is_asked_as_if_there_were_no_such_account() {
        let rest = |methods: &str| format!("[[rule]]\nname = \"rest\"\nservice = [\"sshd\"]\nmethods = {methods}\n");
        for rest in ["", &rest("[[\"password\"]]"), &rest("[[\"password\", \"totp\"]]"), &rest("[[\"totp\"]]")] {
            let (asked, is_told) = case(rest, Some(&untold(1000))).unwrap();
            assert!(!is_told, "{rest}");
            assert_eq!(Some((asked, true)), case(rest, None), "{rest}");
        }
        let named = rest("[[\"totp\"]]").replace("methods", "user = [\"alice\"]\nmethods");
        assert_eq!(
            case(&named, Some(&untold(1000))).unwrap().0,
            case(&named, None).unwrap().0,
            "by the name as it is given"
        );
    }

    #[test]
    fn whose_rule_is_not_told_is_not_left_to_the_stack() {
        let rest = "[[rule]]\nname = \"rest\"\nservice = [\"sshd\"]\nmethods = [[\"stack\"]]\n";
        assert_eq!(case(rest, None), None);
        assert_eq!(case(rest, Some(&untold(1000))), Some((vec![Prompt::Password], false)));
        assert_eq!(case(rest, Some(&untold(0))), None, "root hangs on no directory");
    }
}
