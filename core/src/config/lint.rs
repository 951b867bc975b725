//! What a configuration may say and yet probably does not mean.

use std::{fmt, time::Duration};

use super::{Config, preset::weaker_than, written};
use crate::{
    policy::AtLimit,
    rule::{Method, Rule},
};

/// A warning about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Users who lack the earlier method's authenticators get in by the later one.
    WeakerMethod {
        /// The rule.
        rule: String,
        /// The stronger method that stands first.
        earlier: Method,
        /// The weaker one.
        later: Method,
    },
    /// No request reaches the rule.
    Shadowed {
        /// The rule.
        rule: String,
        /// The rule before it that takes everything.
        by: String,
    },
    /// The factor `session` in a rule for sshd alone: whoever comes from elsewhere is in no session yet.
    NoSession {
        /// The rule.
        rule: String,
    },
    /// A limit that ends people's work within half a minute.
    ShortLimit {
        /// The rule.
        rule: String,
        /// The limit.
        limit: Duration,
    },
    /// A reason for what is not weaker than the preset, or without one: a slip made later would go by unnoticed.
    NothingWeaker {
        /// The rule that it stands in. `None`: a table of the file's own.
        rule: Option<String>,
        /// Its key, behind that table.
        key: String,
    },
    /// A lock that in practice an administrator lifts.
    LongLock {
        /// How long it is.
        lock: Duration,
    },
    /// A screen that is locked at the end of the lifetime, by a display manager that unlocks it as root: that renews nothing.
    LockedForGood {
        /// The rule.
        rule: String,
        /// The display manager's service.
        service: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WeakerMethod { rule, earlier, later } => write!(
                f,
                "rule {rule:?}: whoever lacks an authenticator for {earlier} gets in by {later}, which is weaker"
            ),
            Self::Shadowed { rule, by } => {
                write!(f, "rule {rule:?} is never reached: rule {by:?} before it takes every request")
            }
            Self::NoSession { rule } => {
                write!(f, "rule {rule:?}: who logs in by sshd is in no session yet, so \"session\" never counts there")
            }
            Self::ShortLimit { rule, limit } => {
                write!(f, "rule {rule:?}: a limit of {} s is for tests", limit.as_secs())
            }
            Self::NothingWeaker { rule, key } => {
                match rule {
                    Some(rule) => write!(f, "rule {rule:?}")?,
                    None => write!(f, "[{}]", key.split('.').next().unwrap_or(key))?,
                }
                f.write_str(": weaker_than_preset, and no preset that is chosen asks for more there")
            }
            Self::LongLock { lock } => write!(
                f,
                "[throttle]: a lock of {} waits for `authflow user unlock`, as root. sudo and su count as local: whoever fails there needs \
                 another administrator, or root's console, which never waits longer than 30 s",
                written(*lock)
            ),
            Self::LockedForGood { rule, service } => write!(
                f,
                "rule {rule:?}: where {service} unlocks a screen, as root, that renews no session: after `lifetime` the screen is locked again \
                 as often as it is opened; at_lifetime = \"terminate\" ends the session instead"
            ),
        }
    }
}

/// Nobody waits for the end of a lock that lasts longer.
const LONGEST_LOCK: Duration = Duration::from_secs(24 * 3600);

/// The key of a reason, in tables and in rules.
const REASON: &str = "weaker_than_preset";

const SHORTEST: Duration = Duration::from_secs(30);

/// What the services of display managers begin with that unlock a screen themselves.
const UNLOCKING_AS_ROOT: [&str; 2] = ["gdm", "lightdm"];

pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let mut found = idle_reasons(config);
    found.extend(Some(config.throttle.lock).filter(|lock| *lock > LONGEST_LOCK).map(|lock| Warning::LongLock { lock }));
    for (place, rule) in config.rules.iter().enumerate() {
        found.extend(weaker_methods(rule));
        if let Some(before) = config.rules.iter().take(place).find(|before| takes_all_of(before, rule)) {
            found.push(Warning::Shadowed { rule: rule.name.clone(), by: before.name.clone() });
        }
        if rule.from_session.is_some() && rule.services.iter().all(|service| config.is_sshd(service)) {
            found.push(Warning::NoSession { rule: rule.name.clone() });
        }
        let limits = &rule.session.limits;
        for limit in [limits.idle, limits.lifetime].into_iter().flatten().filter(|limit| *limit < SHORTEST) {
            found.push(Warning::ShortLimit { rule: rule.name.clone(), limit });
        }
        found.extend(locked_for_good(rule));
    }
    found
}

fn idle_reasons(config: &Config) -> Vec<Warning> {
    let weaker: Vec<_> = config.preset.into_iter().flat_map(|preset| weaker_than(preset, config)).collect();
    let in_table = |table: &&str| !weaker.iter().any(|weaker| weaker.rule.is_none() && weaker.table() == *table);
    let in_rule = |rule: &&String| !weaker.iter().any(|weaker| weaker.rule.as_ref() == Some(rule));
    let of_table = |table: &str| Warning::NothingWeaker { rule: None, key: format!("{table}.{REASON}") };
    let of_rule = |rule: &String| Warning::NothingWeaker { rule: Some(rule.clone()), key: REASON.to_owned() };
    let tables = config.reasons.tables.iter().map(|(table, _)| *table).filter(in_table).map(of_table);
    let rules = config.reasons.rules.iter().map(|(rule, _)| rule).filter(in_rule).map(of_rule);
    tables.chain(rules).collect()
}

fn weaker_methods(rule: &Rule) -> Option<Warning> {
    let strength = |method: &Method| (method.factors().aal(), method.factors().iter().count());
    rule.methods
        .iter()
        .zip(rule.methods.iter().skip(1))
        .find(|(earlier, later)| strength(later) < strength(earlier))
        .map(|(earlier, later)| Warning::WeakerMethod {
            rule: rule.name.clone(),
            earlier: earlier.clone(),
            later: later.clone(),
        })
}

fn locked_for_good(rule: &Rule) -> Option<Warning> {
    let locks = rule.session.limits.lifetime.is_some() && rule.session.limits.at_lifetime == AtLimit::Lock;
    let unlocks = |service: &&String| UNLOCKING_AS_ROOT.iter().any(|name| service.starts_with(name));
    let service = rule.services.iter().find(unlocks).filter(|_| locks)?;
    Some(Warning::LockedForGood { rule: rule.name.clone(), service: service.clone() })
}

fn takes_all_of(before: &Rule, rule: &Rule) -> bool {
    before.users.is_empty()
        && before.groups.is_empty()
        && before.from.is_empty()
        && rule.services.iter().all(|service| before.governs(service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Text;

    fn warnings_of(text: &str) -> Vec<String> {
        let config = Config::parse(Text { name: "authflow.toml", text }, &[]).unwrap();
        config.warnings().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_later_weaker_method_is_warned_of() {
        let warned = warnings_of("[[rule]]\nname='a'\nservice=['x']\nmethods=[['password','totp'],['password']]\n");
        assert_eq!(warned.len(), 1);
        assert!(warned[0].contains("gets in by password"), "{}", warned[0]);
        let equal = "[[rule]]\nname='a'\nservice=['x']\nmethods=[['publickey','totp'],['password','totp']]\n";
        assert!(warnings_of(equal).is_empty());
    }

    #[test]
    fn a_rule_behind_one_that_takes_everything_is_warned_of() {
        let rules = "[[rule]]\nname='a'\nservice=['*']\nmethods=[['totp']]\n[[rule]]\nname='b'\nservice=['x']\nmethods=[['totp']]\n";
        assert!(warnings_of(rules)[0].contains("never reached"));
    }

    #[test]
    fn a_session_that_nobody_can_have_yet_is_warned_of() {
        let rule = |service: &str| {
            let methods = "methods=[['session'],['password','totp']]\nfrom_session={proved=['totp'],within='5m'}\n";
            warnings_of(&format!("[[rule]]\nname='a'\nservice=[{service}]\n{methods}"))
        };
        assert!(rule("'sshd'")[0].contains("never counts"));
        assert!(rule("'sshd', 'sudo'").is_empty());
    }

    #[test]
    fn a_limit_for_tests_is_warned_of() {
        let rules = "[[rule]]\nname='a'\nservice=['x']\nmethods=[['totp']]\nsession={idle='5s'}\n";
        assert!(warnings_of(rules)[0].contains("5 s is for tests"));
    }

    #[test]
    fn a_lock_that_no_proof_opens_for_good_is_warned_of() {
        let rule = |service: &str, session: &str| {
            warnings_of(&format!(
                "[[rule]]\nname='a'\nservice=['{service}']\nmethods=[['totp']]\nsession={{{session}}}\n"
            ))
        };
        for service in ["gdm-password", "gdm3", "lightdm"] {
            let warned = rule(service, "at_lifetime='lock'");
            assert!(warned[0].contains(service) && warned[0].contains("at_lifetime = \"terminate\""), "{warned:?}");
        }
        for (service, session) in [
            ("gdm-password", "at_idle='lock'"),
            ("gdm-password", "at_lifetime='lock', lifetime='none'"),
            ("swaylock", "at_lifetime='lock'"),
        ] {
            assert!(rule(service, session).is_empty(), "{service} {session}");
        }
    }

    #[test]
    fn a_reason_for_nothing_and_a_lock_that_waits_for_somebody_are_warned_of() {
        let text = "preset = 'stig-rhel9'\n[session]\nidle = '10m'\nweaker_than_preset = 'once it was'\n[[rule]]\nname = 'a'\n\
                    service = ['x']\nmethods = [['totp']]\nweaker_than_preset = 'x'\n";
        let warned = warnings_of(text);
        assert_eq!(warned.len(), 3, "{warned:?}");
        assert!(warned[0].starts_with("[session]: weaker_than_preset, and no preset"), "{}", warned[0]);
        assert!(warned[1].starts_with("rule \"a\": weaker_than_preset"), "{}", warned[1]);
        assert!(warned[2].starts_with("[throttle]: a lock of 3650d waits for"), "{}", warned[2]);
        let needed = "preset = 'cis'\n[throttle]\nlock = '5m'\nweaker_than_preset = 'a lab'\n";
        assert_eq!(warnings_of(needed), Vec::<String>::new());
    }
}
