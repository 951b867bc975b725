//! The rule that a login is judged by, where a source of groups may be away. The next rule is often the weaker one, so a group that nothing
//! is known of does not count as one that the user is not in.

use authflow_core::{
    config::Config,
    rule::{Request, Rule},
};

use crate::accounts::{Account, AccountError, Membership, Untold};

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
    let Some(account) = account else { return Ok(config.rule_for(&request)) };
    let membership = account.membership(config.groups_named_for(request.service));
    decide(config, membership, account.uid, request)
}

fn decide<'a>(
    config: &'a Config,
    membership: Membership,
    uid: u32,
    request: Request<'_>,
) -> Result<Option<&'a Rule>, AccountError> {
    let Membership { mut groups, untold } = membership;
    let matched = config.rule_for(&Request { groups: &groups, ..request });
    let Some(Untold { groups: mut others, why }) = untold.filter(|_| uid != 0) else { return Ok(matched) };
    // More groups never make a rule match less. So if all of these make no other rule the first, no choice of them does.
    groups.append(&mut others);
    let otherwise = config.rule_for(&Request { groups: &groups, ..request });
    let is_same = match (matched, otherwise) {
        (Some(one), Some(other)) => std::ptr::eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if is_same { Ok(matched) } else { Err(why) }
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

    /// The rule for a user of whom it is told that he is in the groups of one list, and not told whether he is in those of the other.
    fn rule(user: &str, uid: u32, told: &[&str], untold: &[&str]) -> Result<String, AccountError> {
        let config = Config::parse(Text { name: "test", text: RULES }, &[]).unwrap();
        let owned = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect();
        let why = AccountError::new("a group", Errno::ENOENT);
        let untold = Some(Untold { groups: owned(untold), why }).filter(|untold: &Untold| !untold.groups.is_empty());
        let membership = Membership { groups: owned(told), untold };
        let request = Request { service: "login", user, groups: &[], remote: Remote::Local };
        decide(&config, membership, uid, request).map(|rule| rule.unwrap().name.clone())
    }

    #[test]
    fn a_group_that_nothing_is_known_of_lets_nobody_fall_through_to_a_weaker_rule() {
        assert_eq!(rule("alice", 1000, &[], &[]).unwrap(), "rest");
        assert!(rule("alice", 1000, &[], &["5000"]).is_err());
        assert!(rule("alice", 1000, &[], &["robots", "wheel"]).is_err());
    }

    #[test]
    fn a_directory_that_is_away_denies_nobody_whose_rule_does_not_hang_on_it() {
        assert_eq!(rule("alice", 1000, &["wheel"], &["5000"]).unwrap(), "admins");
        assert_eq!(rule("alice", 1000, &[], &["robots"]).unwrap(), "rest", "that rule is about another network");
        assert_eq!(rule("bob", 1001, &[], &["robots", "5000"]).unwrap(), "own");
        assert_eq!(rule("root", 0, &[], &["robots", "5000"]).unwrap(), "rest");
    }
}
