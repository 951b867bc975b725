//! The rule that a login is judged by, where a source of groups may be away. The next rule is often the weaker one, so a group that nothing
//! is known of does not count as one that the user is not in.

use authflow_core::{
    config::Config,
    rule::{Request, Rule},
};

use crate::accounts::{Account, AccountError, Membership, Untold};

/// The rule that a login is under, as far as that can be told.
#[derive(Debug)]
pub enum Matched<'a> {
    /// It is this one, or there is none.
    Told(Option<&'a Rule>),
    /// It hangs on a group that no source of names tells of.
    Untold {
        /// One of these, or none. In their order, so the last is the one whose groups the user is in for sure, if there is such a one.
        may_be: Vec<&'a Rule>,
        /// What is not told.
        why: AccountError,
    },
}

impl<'a> Matched<'a> {
    /// The rule, for what must not go by another one.
    ///
    /// # Errors
    /// It cannot be told.
    pub fn told(self) -> Result<Option<&'a Rule>, AccountError> {
        match self {
            Self::Told(rule) => Ok(rule),
            Self::Untold { why, .. } => Err(why),
        }
    }

    /// The rules that it may be.
    pub fn may_be(&self) -> impl Iterator<Item = &'a Rule> {
        let (told, untold) = match self {
            Self::Told(rule) => (*rule, [].as_slice()),
            Self::Untold { may_be, .. } => (None, may_be.as_slice()),
        };
        told.into_iter().chain(untold.iter().copied())
    }
}

/// The first rule that matches. `request` is without groups: they are looked up here, if a rule for the service names any.
///
/// # Errors
/// It hangs on a group that no source of names tells of. Never for uid 0: no directory speaks for it (those of sssd and nslcd leave it out),
/// and one that is away must not keep root from its machine.
pub fn rule_for<'a>(
    config: &'a Config,
    account: Option<&Account>,
    request: Request<'_>,
) -> Result<Option<&'a Rule>, AccountError> {
    match account {
        Some(account) => matched(config, account, request).told(),
        None => Ok(config.rule_for(&request)),
    }
}

/// The same for an account, and what it may be where it cannot be told.
pub fn matched<'a>(config: &'a Config, account: &Account, request: Request<'_>) -> Matched<'a> {
    let membership = account.membership(config.groups_named_for(request.service));
    decide(config, membership, account.uid, request)
}

fn decide<'a>(config: &'a Config, membership: Membership, uid: u32, request: Request<'_>) -> Matched<'a> {
    let Membership { mut groups, untold } = membership;
    let surely = config.rule_for(&Request { groups: &groups, ..request });
    let Some(Untold { groups: mut others, why }) = untold.filter(|_| uid != 0) else { return Matched::Told(surely) };
    // More groups never make a rule match less. So only what matches with all of these can be the one with some of them, and nothing
    // behind what matches without them.
    groups.append(&mut others);
    let with_all = Request { groups: &groups, ..request };
    let is_sure = |rule: &Rule| surely.is_some_and(|surely| std::ptr::eq(surely, rule));
    let ahead = config.rules.iter().take_while(|rule| !is_sure(rule)).filter(|rule| rule.matches(&with_all));
    let mut may_be: Vec<&Rule> = ahead.collect();
    if may_be.is_empty() {
        return Matched::Told(surely);
    }
    may_be.extend(surely);
    Matched::Untold { may_be, why }
}

#[cfg(test)]
mod tests {
    use authflow_core::{config::Text, rule::Remote};
    use nix::errno::Errno;

    use super::*;

    const RULES: &str = r#"
[[rule]]
name = "own"
service = ["login"]
user = ["bob"]
methods = [["password"]]
[[rule]]
name = "robots"
service = ["login"]
group = ["robots"]
from = ["10.0.0.0/8"]
methods = [["publickey"]]
[[rule]]
name = "admins"
service = ["login"]
group = ["wheel", "5000"]
methods = [["password", "totp"]]
[[rule]]
name = "rest"
service = ["login"]
methods = [["password"]]
"#;

    /// The rules for a user of whom it is told that he is in the groups of one list, and not told whether he is in those of the other.
    fn rules(user: &str, uid: u32, told: &[&str], untold: &[&str]) -> Vec<String> {
        let config = Config::parse(Text { name: "test", text: RULES }, &[]).unwrap();
        let owned = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect();
        let why = AccountError::new("a group", Errno::ENOENT);
        let untold = Some(Untold { groups: owned(untold), why }).filter(|untold: &Untold| !untold.groups.is_empty());
        let membership = Membership { groups: owned(told), untold };
        let request = Request { service: "login", user, groups: &[], remote: Remote::Local };
        let matched = decide(&config, membership, uid, request);
        let rules: Vec<_> = matched.may_be().map(|rule| rule.name.clone()).collect();
        assert_eq!(matched.told().is_ok(), rules.len() == 1, "{rules:?}");
        rules
    }

    #[test]
    fn a_group_that_nothing_is_known_of_lets_nobody_fall_through_to_a_weaker_rule() {
        assert_eq!(rules("alice", 1000, &[], &[]), ["rest"]);
        assert_eq!(rules("alice", 1000, &[], &["5000"]), ["admins", "rest"]);
        assert_eq!(rules("alice", 1000, &[], &["robots", "wheel"]), ["admins", "rest"]);
    }

    #[test]
    fn a_directory_that_is_away_denies_nobody_whose_rule_does_not_hang_on_it() {
        assert_eq!(rules("alice", 1000, &["wheel"], &["5000"]), ["admins"]);
        assert_eq!(rules("alice", 1000, &[], &["robots"]), ["rest"], "that rule is about another network");
        assert_eq!(rules("bob", 1001, &[], &["robots", "5000"]), ["own"]);
        assert_eq!(rules("root", 0, &[], &["robots", "5000"]), ["rest"]);
    }
}
