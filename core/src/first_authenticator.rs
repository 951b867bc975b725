//! Whether a user who has none may enrol an authenticator by the password alone, outside of a login. It takes what a login takes: were
//! it less, whoever stole a password would enrol a phone of his own at the easiest place, and by that get in at all the others.

use crate::{
    config::Config,
    enrolment::Enroll,
    factor::{Factor, Factors},
    flow::{choose, may_enrol},
    rule::Rule,
};

/// A rule that has nobody enrol by the password alone.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("by the rule {0:?} nobody enrols the first authenticator by a password alone: ask an administrator")]
pub struct NotByPassword(pub String);

/// Whether every rule that could ask that user for a code, at whatever service and from wherever, would have the user enrol in a login
/// in which the password alone is proved. `groups` are those of the groups that rules name which the user is in.
///
/// # Errors
/// The first rule that would not.
pub fn by_password(config: &Config, user: &str, groups: &[String]) -> Result<(), NotByPassword> {
    let of_user: Vec<&Rule> = config.rules.iter().filter(|rule| rule.is_of(user, groups)).collect();
    let is_reached = |place: usize, rule: &Rule| {
        let before = || of_user.iter().take(place).filter(|before| before.from.is_empty());
        rule.services.iter().any(|service| !before().any(|before| before.governs(service)))
    };
    let refusing = of_user.iter().enumerate().find(|(place, rule)| {
        let asks = rule.methods.iter().any(|method| method.factors().contains(Factor::Totp));
        asks && is_reached(*place, rule) && !enrols(rule)
    });
    refusing.map_or(Ok(()), |(_, rule)| Err(NotByPassword(rule.name.clone())))
}

/// Whether a login under `rule` that proves the password and nothing else comes to enrolling.
fn enrols(rule: &Rule) -> bool {
    let proved = Factors::none().with(Factor::Password);
    match rule.enroll {
        None | Some(Enroll::Ticket) => false,
        // A grace that is over requires it, and thus still enrols.
        Some(Enroll::Required | Enroll::Grace(_) | Enroll::Optional) => {
            choose(&rule.methods, &proved.clone().with(Factor::Totp), &proved)
                .is_some_and(|method| method.factors().contains(Factor::Totp) && may_enrol(method, &proved))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;

    /// Who refuses alice, who is in `staff`.
    fn refused_by(rules: &[&str]) -> Option<String> {
        let text: String = rules
            .iter()
            .enumerate()
            .map(|(number, rule)| {
                let services = if rule.contains("service") { "" } else { "service = ['sshd']\n" };
                format!("[[rule]]\nname = '{number}'\n{services}{}\n", rule.replace("; ", "\n"))
            })
            .collect();
        let config = Config::parse(Text { name: "test", text: &text }, &[]).unwrap_or_else(|error| panic!("{error}"));
        by_password(&config, "alice", &["staff".to_owned()]).err().map(|NotByPassword(rule)| rule)
    }

    const BOTH: &str = "methods = [['password', 'totp']]";

    #[test]
    fn each_mode_that_a_password_enrols_by_in_a_login_will_do_and_no_other() {
        let by = |enroll: &str| refused_by(&[&format!("{BOTH}; {enroll}")]);
        for mode in ["required", "optional"] {
            assert_eq!(by(&format!("enroll = {{ mode = '{mode}' }}")), None, "{mode}");
        }
        assert_eq!(by("enroll = { mode = 'grace', for = '7d' }"), None);
        assert_eq!(by("enroll = { mode = 'ticket' }").as_deref(), Some("0"));
        assert_eq!(by("").as_deref(), Some("0"));
    }

    #[test]
    fn the_strictest_rule_at_any_service_decides() {
        let easy = format!("{BOTH}; enroll = {{ mode = 'optional' }}");
        let sudo = |more: &str| format!("service = ['sudo']; {BOTH}{more}");
        assert_eq!(refused_by(&[&easy, &sudo("")]).as_deref(), Some("1"));
        assert_eq!(refused_by(&[&easy, &sudo("; enroll = { mode = 'ticket' }")]).as_deref(), Some("1"));
        assert_eq!(refused_by(&[&easy, &sudo("; from = ['10.0.0.0/8']")]).as_deref(), Some("1"));
        assert_eq!(refused_by(&[&easy, &sudo("; user = ['bob']")]), None, "it never asks alice");
        assert_eq!(refused_by(&[&easy, &sudo("; group = ['wheel']")]), None);
        assert_eq!(refused_by(&[&easy, &sudo("; group = ['staff']")]).as_deref(), Some("1"));
        assert_eq!(refused_by(&[&easy, "service = ['cups']; methods = [['password']]"]), None, "it asks for no code");
    }

    #[test]
    fn a_rule_that_another_takes_everything_from_asks_nobody() {
        let easy = format!("group = ['staff']; {BOTH}; enroll = {{ mode = 'optional' }}");
        assert_eq!(refused_by(&[&easy, BOTH]), None);
        assert_eq!(refused_by(&[&format!("{easy}; from = ['10.0.0.0/8']"), BOTH]).as_deref(), Some("1"));
        assert_eq!(refused_by(&[&easy, &format!("service = ['sshd', 'sudo']; {BOTH}")]).as_deref(), Some("1"));
        assert_eq!(refused_by(&[&easy, &format!("service = ['*']; {BOTH}")]).as_deref(), Some("1"));
    }

    #[test]
    fn where_more_than_the_password_is_proved_before_enrolling_the_password_is_not_enough() {
        let by = |methods: &str| refused_by(&[&format!("methods = {methods}; enroll = {{ mode = 'required' }}")]);
        assert_eq!(by("[['publickey', 'totp']]").as_deref(), Some("0"));
        assert_eq!(by("[['password'], ['publickey', 'totp']]").as_deref(), Some("0"));
        assert_eq!(by("[['publickey', 'totp'], ['password', 'totp']]"), None, "as a login by the password does");
    }

    #[test]
    fn where_no_rule_asks_for_a_code_anybody_may_have_one() {
        assert_eq!(refused_by(&["methods = [['password']]"]), None);
    }
}
