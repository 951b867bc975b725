//! What a login would come to, from the configuration, the account and, for root, the records. Changes nothing.

use authflow_core::{
    account::Authenticators,
    config::Config,
    console,
    enrolment::Enroll,
    factor::{Factor, Factors},
    flow::{Prompt, asked, choose, is_left_to_the_stack},
    rule::{Method, Mismatch, Remote, Request, Rule},
    stand_in::RecoverySet,
    state::State,
    throttle::{Caller, Gate, Source},
    time::Clock,
};
use authflow_host::{
    accounts::{self, Account},
    clock::SystemClock,
    desk::{Desk, DeskError},
    matching,
    records::Records,
    shadow,
};

use super::{
    Case,
    report::{Foreseen, MethodEntry, Outcome, Report, RuleEntry, Session},
};
use crate::{context::Context, error::Error};

/// Tells what the login would come to.
pub(super) fn explain(context: &Context, config: &Config, case: &Case) -> Result<(), Error> {
    let account = accounts::by_name(&case.user).map_err(|error| Error::failed("the user data base", &error))?;
    let report = report(context, config, case, account.as_ref())?;
    context.output.either(&report, || report.text(context.output))?;
    match (report.outcome, account) {
        (Outcome::Denied, None) => Err(Error::NoUser(case.user.clone())),
        (Outcome::Denied, Some(_)) => Err(Error::WouldBeDenied),
        (Outcome::NotGoverned | Outcome::LeftToTheStack | Outcome::Asked, _) => Ok(()),
    }
}

/// What the login would come to, and why it would be denied if it would.
pub(super) fn foresee(context: &Context, config: &Config, case: &Case) -> Result<Foreseen, Error> {
    let account = accounts::by_name(&case.user).map_err(|error| Error::failed("the user data base", &error))?;
    let Report { outcome, reason, lacks, .. } = report(context, config, case, account.as_ref())?;
    Ok(Foreseen { outcome, reason, lacks })
}

fn report(context: &Context, config: &Config, case: &Case, account: Option<&Account>) -> Result<Report, Error> {
    let user = account.map_or(case.user.as_str(), |account| &account.name);
    let request = Request { service: &case.service, user, groups: &[], remote: case.remote };
    let matched = matching::rule_for(config, account, request);
    let matched = matched.map_err(|error| Error::failed("the user data base", &error))?;
    let rules = config.rules.iter().map(|rule| RuleEntry::new(rule, why_not(rule, matched, &request))).collect();
    let report = Report::new(case, rules);
    let Some(rule) = matched.or_else(|| config.stand_in_for(&case.service)) else { return Ok(report) };
    if matched.is_some() && is_left_to_the_stack(&rule.methods, &case.proved) {
        return Ok(Report { outcome: Outcome::LeftToTheStack, session: Some(Session::new(rule)), ..report });
    }
    let report = Report { prompts: prompts(&rule.methods, &case.proved), outcome: Outcome::Denied, ..report };
    let Some(account) = account else { return Ok(report.denied("there is no such user")) };
    let Some(rule) = matched else { return Ok(report.denied("no rule matches this login")) };
    let report = Report { outcome: Outcome::Asked, session: Some(Session::new(rule)), ..report };
    if context.is_root() {
        Ok(with_needs_of_sshd(config, case, with_records(context, (config, rule), case, (report, account))?))
    } else {
        let methods = rule.methods.iter().map(MethodEntry::unknown).collect();
        Ok(Report { methods, ..report })
    }
}

/// Why a rule that was tried is not the one that matches. Groups are not looked up again: what would match in all of its groups is passed over by them,
/// also where that is since nobody tells of one.
fn why_not(rule: &Rule, matched: Option<&Rule>, request: &Request<'_>) -> Option<Mismatch> {
    let in_all_groups = Request { groups: &rule.groups, ..*request };
    let is_matched = matched.is_some_and(|matched| std::ptr::eq(matched, rule));
    (!is_matched).then(|| rule.mismatch(&in_all_groups).unwrap_or(Mismatch::Group))
}

/// A key is verified by sshd itself, which comes to our questions only if it is told to.
fn with_needs_of_sshd(config: &Config, case: &Case, report: Report) -> Report {
    let is_by_key = config.is_sshd(&case.service) && case.proved.contains(Factor::Publickey);
    let proved: Vec<&str> = case.proved.iter().map(Factor::as_str).collect();
    let is_asked_more = report.method.as_ref().is_some_and(|method| method.iter().any(|one| !proved.contains(one)));
    let needs = (report.outcome == Outcome::Asked && is_by_key && is_asked_more).then_some(
        "AuthenticationMethods publickey,keyboard-interactive:pam: where sshd takes the key alone, nothing is asked and this login is refused",
    );
    Report { needs, ..report }
}

/// What the user's records add.
fn with_records(
    context: &Context,
    (config, rule): (&Config, &Rule),
    case: &Case,
    (report, account): (Report, &Account),
) -> Result<Report, Error> {
    let records = Records::trusting(context.paths.clone(), context.trust());
    let (keys, state) = (records.authenticators(&account.name)?.unwrap_or_default(), records.state(&account.name)?);
    let own = Desk::new(config, records.clone(), &SystemClock).has(account)?;
    let stand_ins = stand_ins(&keys, &state);
    let enroll = rule.enroll.filter(|_| !own.contains(Factor::Totp));
    // A code that stands in is what a user without any other method has; so is the authenticator that the login itself enrols.
    let has = match (enroll, choose(&rule.methods, &own, &case.proved)) {
        (Some(Enroll::Required | Enroll::Grace(_) | Enroll::Optional), _) => own.clone().with(Factor::Totp),
        (None | Some(Enroll::Ticket), None) if rule.recovery && !stand_ins.is_empty() => own.clone().with(Factor::Totp),
        (None | Some(Enroll::Ticket), _) => own.clone(),
    };
    let chosen = choose(&rule.methods, &has, &case.proved);
    let methods = rule.methods.iter().map(|method| MethodEntry::new(method, chosen, &has.union(&case.proved)));
    let report = Report {
        enrolled: Some(own.union(&stand_ins).iter().map(Factor::as_str).collect()),
        methods: methods.collect(),
        method: chosen.map(|method| method.factors().iter().map(Factor::as_str).collect()),
        enroll: enroll.map(Enroll::as_str),
        aal: chosen.map(|method| method.factors().union(&case.proved).aal()),
        lacks: if chosen.is_none() { lacks(&rule.methods, &has.union(&case.proved)) } else { Vec::new() },
        ..report
    };
    let reason = match (standing((config, rule), case, (account, &records), state)?, chosen) {
        (Some(reason), _) => Some(reason),
        (None, Some(_)) if must_enrol_in_vain(enroll, &records, account)? => {
            Some("the user has no authenticator, and the record is managed: it is never written here".to_owned())
        }
        (None, None) => Some("the user has no authenticators for any method of the rule".to_owned()),
        (None, Some(method)) => unasked(method, rule, case),
    };
    Ok(match reason {
        Some(reason) => report.denied(&reason),
        None => report,
    })
}

/// What the user could be given, of the method that lacks the least.
fn lacks(methods: &[Method], within_reach: &Factors) -> Vec<Factor> {
    let of = |method: &Method| -> Vec<Factor> {
        method.factors().iter().filter(|factor| !within_reach.contains(*factor)).collect()
    };
    // Nobody can be given what others prove.
    let is_to_give = |lacks: &Vec<Factor>| lacks.iter().all(|lack| matches!(lack, Factor::Password | Factor::Totp));
    methods.iter().map(of).filter(is_to_give).min_by_key(Vec::len).unwrap_or_default()
}

/// Whether the login would enrol into a record that configuration management owns.
fn must_enrol_in_vain(enroll: Option<Enroll>, records: &Records, account: &Account) -> Result<bool, Error> {
    let must_enrol = enroll.is_some_and(|enroll| !enroll.can_be_put_off());
    Ok(must_enrol && records.is_managed(&account.name)?)
}

/// The codes of the user's that would stand in for `totp`.
fn stand_ins(keys: &Authenticators, state: &State) -> Factors {
    let now = SystemClock.now().wall;
    let is_left = |set: &RecoverySet| set.codes.iter().any(|code| !state.spent_codes.contains(code));
    let recovery = keys.recovery.as_ref().is_some_and(is_left).then_some(Factor::Recovery);
    let bypass = state.bypass.as_ref().is_some_and(|bypass| bypass.is_good(now)).then_some(Factor::Bypass);
    recovery.into_iter().chain(bypass).collect()
}

/// What keeps the user out whatever is answered. Root is never disabled at its own console.
fn standing(
    (config, rule): (&Config, &Rule),
    case: &Case,
    (account, records): (&Account, &Records),
    mut state: State,
) -> Result<Option<String>, Error> {
    let is_root_at_console = account.uid == 0 && case.remote == Remote::Console;
    if records.is_disabled(&account.name)? && !is_root_at_console {
        return Ok(Some("the user is disabled (authflow user enable)".to_owned()));
    }
    let now = SystemClock.now().wall;
    let entry = shadow::by_name(&account.name).map_err(|error| Error::failed("the shadow data base", &error))?;
    if entry.is_some_and(|entry| entry.is_expired(now)) {
        return Ok(Some("the account has expired (chage -E)".to_owned()));
    }
    let name = rule.counted_name(&case.service);
    Ok(calling_uids(&case.service, account).iter().find_map(|uid| {
        let source = Source::new(case.remote, *uid, name.clone());
        let caller = Caller { source, is_root: account.uid == 0 };
        match state.throttle.gate(&config.throttle, &caller, now) {
            Gate::Open => None,
            Gate::Wait(until) => Some(format!("locked for this source until {until} (authflow user unlock)")),
            Gate::Stopped => {
                Some("stopped for unknown sources after too many failures (authflow user unlock)".to_owned())
            }
        }
    }))
}

/// Who may call that service. At sudo and a screen locker it is the user, at a login root, and of what is not known it may be either.
fn calling_uids(service: &str, account: &Account) -> Vec<u32> {
    if console::is_called_here(service) {
        vec![account.uid]
    } else if console::is_known(service) {
        vec![0]
    } else {
        vec![0, account.uid]
    }
}

/// A factor of the method that the prompts do not ask for: they are those of another method, which comes first.
fn unasked(method: &Method, rule: &Rule, case: &Case) -> Option<String> {
    let proved = asked(&rule.methods, &case.proved).union(&case.proved);
    let missing = method.factors().iter().find(|factor| !proved.contains(*factor))?;
    Some(format!("the user's method needs {missing}, which the rule's first method does not ask for"))
}

fn prompts(methods: &[Method], proved: &Factors) -> Vec<&'static str> {
    let asked = asked(methods, proved);
    let prompt = |factor, prompt: Prompt| asked.contains(factor).then(|| prompt.text());
    [prompt(Factor::Password, Prompt::Password), prompt(Factor::Totp, Prompt::Code)].into_iter().flatten().collect()
}

impl From<DeskError> for Error {
    fn from(error: DeskError) -> Self {
        Self::failed("the flow cannot be judged", &error)
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    const RULES: &str = "[[rule]]\nname='robots'\nservice=['sshd']\ngroup=['robots']\nfrom=['10.0.0.0/8']\nmethods=[['publickey']]\n\
                         [[rule]]\nname='operators'\nservice=['sshd']\ngroup=['operators']\nmethods=[['totp']]\n\
                         [[rule]]\nname='bobs'\nservice=['sshd']\nuser=['bob']\nmethods=[['totp']]\n\
                         [[rule]]\nname='rest'\nservice=['sshd']\nmethods=[['password']]\n";

    /// Of "operators" nothing may be known, as of root while a directory is away.
    #[test]
    fn a_rule_that_was_passed_over_is_told_with_what_it_lacks_without_another_look_at_groups() {
        let config = Config::parse(Text { name: "test", text: RULES }, &[]).unwrap();
        let of = |name: &str| config.rules.iter().find(|rule| rule.name == name);
        let told = |matched: Option<&Rule>| {
            let remote = Remote::from_rhost(Some("192.0.2.7"));
            let request = Request { service: "sshd", user: "root", groups: &[], remote };
            config.rules.iter().map(|rule| why_not(rule, matched, &request)).collect::<Vec<_>>()
        };
        let (network, group, user) = (Some(Mismatch::Network), Some(Mismatch::Group), Some(Mismatch::User));
        assert_eq!(told(of("rest")), [network, group, user, None]);
        assert_eq!(told(of("operators")).get(..2), Some(&[network, None][..]));
    }
}
