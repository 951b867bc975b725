//! What of one rule is weaker than a preset asks.

use super::{
    Preset, Weaker,
    demand::{Clause, Reach},
    values::Values,
};
use crate::{
    config::Config,
    console,
    enrolment::Enroll,
    factor::{Factor, Factors},
    rule::{Method, Network, Rule},
};

/// Adds what of that rule is weaker.
pub(super) fn add_weaker(found: &mut Vec<Weaker>, preset: Preset, (config, rule): (&Config, &Rule)) {
    let (granted, defaults) = (Values::of(config, &rule.session), Values::of(config, &config.session));
    let is_reachable = is_reachable_from_elsewhere(rule);
    for clause in preset.clauses() {
        let weaker = match clause.demand.reach() {
            Reach::Machine => None,
            // What is as in `[session]` was judged there.
            Reach::Sessions if clause.demand.value(&granted) == clause.demand.value(&defaults) => None,
            Reach::Sessions => clause.weaker(preset, &granted),
            Reach::Methods | Reach::Enrolment if !is_reachable => None,
            Reach::Methods => one_kind(rule).map(|method| of_rule(preset, clause, method.to_string())),
            Reach::Enrolment => delay(rule).map(|enroll| of_rule(preset, clause, enroll.as_str().to_owned())),
        };
        if let Some(weaker) = weaker {
            let reason = config.reasons.of_rule(&rule.name).cloned();
            found.push(Weaker { rule: Some(rule.name.clone()), reason, ..weaker });
        }
    }
}

/// A method that proves one kind of factor only.
fn one_kind(rule: &Rule) -> Option<&Method> {
    rule.methods.iter().find(|method| proved_by(method, rule).aal() < 2)
}

/// An enrolment that lets in without the second factor for now.
fn delay(rule: &Rule) -> Option<Enroll> {
    rule.enroll.filter(|enroll| enroll.can_be_put_off())
}

fn of_rule(preset: Preset, clause: &Clause, value: String) -> Weaker {
    let (key, required) = (clause.demand.key(), clause.demand.required());
    Weaker { key, rule: None, value, required, preset, clause: clause.place, reason: None }
}

fn is_reachable_from_elsewhere(rule: &Rule) -> bool {
    let is_local_alone = !rule.from.is_empty() && rule.from.iter().all(|network| *network == Network::Local);
    // A rule for any other service can say `from = ["local"]`.
    !is_local_alone && rule.services.iter().any(|service| service != "login" && !console::is_never_remote(service))
}

/// What a login by `method` has proved: with `session`, what that session must have proved.
fn proved_by(method: &Method, rule: &Rule) -> Factors {
    match &rule.from_session {
        Some(session) if method.factors().contains(Factor::Session) => method.factors().union(&session.proved),
        Some(_) | None => method.factors().clone(),
    }
}
