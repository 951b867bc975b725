//! What of one rule is weaker than a preset asks.

use super::{
    Preset, Weaker,
    demand::{Clause, Demand, Reach},
    values::Values,
};
use crate::{
    config::Config,
    factor::{Factor, Factors},
    rule::{Method, Network, Rule},
};

/// Services that nobody reaches over a network: the program runs on a terminal or desktop that somebody has already. A rule for any other
/// can say `from = ["local"]`.
const LOCAL_SERVICES: [&str; 18] = [
    "authflow",
    "atd",
    "chfn",
    "chsh",
    "cron",
    "crond",
    "i3lock",
    "login",
    "passwd",
    "polkit-1",
    "su",
    "su-l",
    "sudo",
    "sudo-i",
    "swaylock",
    "systemd-user",
    "vlock",
    "xscreensaver",
];

pub(super) fn weaker(preset: Preset, config: &Config, rule: &Rule) -> Vec<Weaker> {
    let (granted, defaults) = (Values::of(config, &rule.session), Values::of(config, &config.session));
    let found = preset.clauses().iter().filter_map(|clause| match clause.demand.reach() {
        Reach::Machine => None,
        // What is as in `[session]` was judged there.
        Reach::Sessions if clause.demand.value(&granted) == clause.demand.value(&defaults) => None,
        Reach::Sessions => clause.weaker(preset, &granted),
        Reach::Rules => single_factor(preset, clause, rule),
    });
    let reason = config.reasons.rules.get(&rule.name).cloned();
    found.map(|weaker| Weaker { rule: Some(rule.name.clone()), reason: reason.clone(), ..weaker }).collect()
}

/// A way in from elsewhere that proves one kind of factor only.
fn single_factor(preset: Preset, clause: &Clause, rule: &Rule) -> Option<Weaker> {
    if !is_reachable_from_elsewhere(rule) {
        return None;
    }
    let (key, value) = match clause.demand {
        Demand::TwoKinds => {
            ("methods", rule.methods.iter().find(|method| proved_by(method, rule).aal() < 2)?.to_string())
        }
        Demand::NoDelay => ("enroll", rule.enroll.filter(|enroll| enroll.can_be_put_off())?.as_str().to_owned()),
        _ => return None,
    };
    let required = clause.demand.required();
    Some(Weaker { key, rule: None, value, required, preset, clause: clause.place, reason: None })
}

fn is_reachable_from_elsewhere(rule: &Rule) -> bool {
    let is_local_alone = !rule.from.is_empty() && rule.from.iter().all(|network| *network == Network::Local);
    !is_local_alone && rule.services.iter().any(|service| !LOCAL_SERVICES.contains(&service.as_str()))
}

/// What a login by `method` has proved: with `session`, what that session must have proved.
fn proved_by(method: &Method, rule: &Rule) -> Factors {
    match &rule.from_session {
        Some(session) if method.factors().contains(Factor::Session) => method.factors().union(&session.proved),
        Some(_) | None => method.factors().clone(),
    }
}
