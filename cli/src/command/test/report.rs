//! What `authflow test` says, to people and to programs.

use std::time::Duration;

use authflow_core::{
    factor::{Factor, Factors},
    rule::{Method, Mismatch, Rule},
};
use serde::Serialize;

use super::Case;
use crate::output::{
    Output,
    table::{Table, facts},
    text::clean,
    time::words,
};

/// What a login would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// No rule is about the service: other modules decide.
    NotGoverned,
    /// The rule leaves it to other modules.
    LeftToTheStack,
    /// It is asked, and the right answers let it in.
    Asked,
    /// It is asked and denied, whatever is answered.
    Denied,
}

/// What a login would come to, for a command that goes by it.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// What it would come to.
    pub outcome: Outcome,
    /// Why it would be denied, if it would.
    pub reason: Option<String>,
    /// What the user would have to be given for it, where that would be enough.
    pub lacks: Vec<Factor>,
}

/// All that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub user: String,
    pub service: String,
    pub from: String,
    pub proved: Vec<&'static str>,
    /// In the order in which they are tried, up to the one that matches.
    pub rules: Vec<RuleEntry>,
    pub prompts: Vec<&'static str>,
    /// Unknown to anybody but root.
    pub enrolled: Option<Vec<&'static str>>,
    pub methods: Vec<MethodEntry>,
    pub method: Option<Vec<&'static str>>,
    /// How the rule enrols a user who has no authenticator, if this one has none.
    pub enroll: Option<&'static str>,
    pub aal: Option<u8>,
    pub session: Option<Session>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    /// What the service must be told for what is asked to be asked at all.
    pub needs: Option<&'static str>,
    #[serde(skip)]
    pub lacks: Vec<Factor>,
}

/// A rule, and why it is not the one.
#[derive(Debug, Serialize)]
pub(super) struct RuleEntry {
    name: String,
    matches: bool,
    why_not: Option<String>,
}

/// A method, and what the user lacks for it.
#[derive(Debug, Serialize)]
pub(super) struct MethodEntry {
    factors: Vec<&'static str>,
    missing: Option<Vec<&'static str>>,
    #[serde(skip)]
    is_chosen: bool,
}

/// The limits that the rule grants, in seconds; null is none.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    idle: Option<u64>,
    lifetime: Option<u64>,
}

impl RuleEntry {
    pub(super) fn new(rule: &Rule, mismatch: Option<Mismatch>) -> Self {
        let why_not = mismatch.map(|why| why.to_string());
        Self { name: rule.name.clone(), matches: why_not.is_none(), why_not }
    }
}

impl MethodEntry {
    /// A method of which it is not known whether it is within reach.
    pub(super) fn unknown(method: &Method) -> Self {
        Self { factors: names(method.factors()), missing: None, is_chosen: false }
    }

    pub(super) fn new(method: &Method, chosen: Option<&Method>, within_reach: &Factors) -> Self {
        let missing = method.factors().iter().filter(|factor| !method.is_stack() && !within_reach.contains(*factor));
        Self {
            factors: names(method.factors()),
            missing: Some(missing.map(Factor::as_str).collect()),
            is_chosen: chosen == Some(method),
        }
    }
}

impl Session {
    pub(super) fn new(rule: &Rule) -> Self {
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
        Self { idle: seconds(rule.session.limits.idle), lifetime: seconds(rule.session.limits.lifetime) }
    }
}

impl Report {
    /// A report of a login that no rule governs.
    pub(super) fn new(case: &Case, mut rules: Vec<RuleEntry>) -> Self {
        let tried = rules.iter().position(|rule| rule.matches).map_or(rules.len(), |place| place + 1);
        rules.truncate(tried);
        Self {
            user: case.user.clone(),
            service: case.service.clone(),
            from: case.remote.to_string(),
            proved: names(&case.proved),
            rules,
            prompts: Vec::new(),
            enrolled: None,
            methods: Vec::new(),
            method: None,
            enroll: None,
            aal: None,
            session: None,
            outcome: Outcome::NotGoverned,
            reason: None,
            needs: None,
            lacks: Vec::new(),
        }
    }

    /// The same, and yet it is denied whatever is answered.
    pub(super) fn denied(self, reason: &str) -> Self {
        Self { outcome: Outcome::Denied, reason: Some(reason.to_owned()), ..self }
    }

    pub(super) fn text(&self, output: Output) -> String {
        let mut text = String::new();
        if !self.rules.is_empty() {
            let mut table = Table::new(&["RULE", "MATCHES"]);
            for rule in &self.rules {
                table.row([
                    rule.name.clone(),
                    rule.why_not.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}")),
                ]);
            }
            text.push_str(&format!("{}\n", table.render(output)));
        }
        if !self.methods.is_empty() {
            let mut table = Table::new(&["METHOD", "WITHIN REACH"]);
            for method in &self.methods {
                table.row([method.factors.join("+"), method.within_reach()]);
            }
            text.push_str(&format!("{}\n", table.render(output)));
        }
        text + &facts(
            output,
            &[
                ("login", format!("{} at {} from {}", self.user, self.service, self.from)),
                ("proved", self.proved.join("+")),
                ("enrolled", self.enrolled.as_ref().map(|has| list(has)).unwrap_or_default()),
                ("asked", self.asked()),
                ("enrols", self.enroll.map(str::to_owned).unwrap_or_default()),
                ("level", self.aal.map(|aal| format!("AAL {aal}")).unwrap_or_default()),
                ("session", self.session.as_ref().map(Session::text).unwrap_or_default()),
                ("outcome", self.outcome_text()),
                ("needs", self.needs.map(str::to_owned).unwrap_or_default()),
            ],
        )
    }

    fn asked(&self) -> String {
        match self.outcome {
            Outcome::NotGoverned | Outcome::LeftToTheStack => String::new(),
            Outcome::Asked | Outcome::Denied if self.prompts.is_empty() => "nothing".to_owned(),
            Outcome::Asked | Outcome::Denied => {
                self.prompts.iter().map(|prompt| format!("{:?}", prompt.trim_end())).collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn outcome_text(&self) -> String {
        let reason = clean(self.reason.as_deref().unwrap_or_default());
        match self.outcome {
            Outcome::NotGoverned => "no rule is about this service: the other modules of the stack decide".to_owned(),
            Outcome::LeftToTheStack => "the rule leaves it to the other modules of the stack".to_owned(),
            Outcome::Asked if self.enrolled.is_none() => {
                "let in if that satisfies the user's method (only root sees what the user has enrolled)".to_owned()
            }
            Outcome::Asked => "let in with the right answers".to_owned(),
            Outcome::Denied => format!("denied whatever is answered: {reason}"),
        }
    }
}

impl MethodEntry {
    fn within_reach(&self) -> String {
        match &self.missing {
            None => "-".to_owned(),
            Some(_) if self.is_chosen => "yes: this is the user's method".to_owned(),
            Some(missing) if missing.is_empty() => "yes, but an earlier one comes first".to_owned(),
            Some(missing) => {
                let lacks = |factor: &&str| match *factor {
                    "publickey" => "no key was proved (--proved publickey)".to_owned(),
                    factor => format!("the user has no {factor}"),
                };
                format!("no: {}", missing.iter().map(lacks).collect::<Vec<_>>().join(", and "))
            }
        }
    }
}

impl Session {
    fn text(&self) -> String {
        let limit = |name: &str, seconds: Option<u64>| match seconds {
            Some(seconds) => format!("{name} {}", words(Duration::from_secs(seconds))),
            None => format!("{name} none"),
        };
        format!("{}, {}", limit("idle", self.idle), limit("lifetime", self.lifetime))
    }
}

fn names(factors: &Factors) -> Vec<&'static str> {
    factors.iter().map(Factor::as_str).collect()
}

fn list(words: &[&str]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}
