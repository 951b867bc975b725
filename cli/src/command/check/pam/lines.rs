//! Which lines of ours a stack has, and what their controls make of our answers.

use authflow_core::rule::AccountMode;

use super::{Service, place, runs};
use crate::{
    command::check::{
        Place,
        catalogue::Defect,
        finding::Finding,
        service::{is_background, lets_root_through, opens_no_session},
    },
    pam_stack::{
        Line, OURS,
        control::{Action, action, fault},
    },
};

/// What our controls should be, by phase.
const AUTH: &str = "[success=done user_unknown=ignore ignore=ignore default=die]";
const ACCOUNT: &str = "[success=ok new_authtok_reqd=ok user_unknown=ignore ignore=ignore default=bad]";

/// What is wrong with our lines as such.
pub(super) fn findings(service: &Service<'_>) -> Vec<Finding> {
    let ours = || ["auth", "account", "session"].into_iter().flat_map(|phase| service.stack.ours(phase));
    let mut found: Vec<Finding> = ours().filter_map(|line| refusing_others(service, line)).collect();
    // Where no rule governs, refusing others is all that our lines can do.
    if service.is_governed() {
        found.extend(missing(service));
        found.extend(twice(service));
        found.extend(ours().filter_map(ignoring_refusals));
        found.extend(ends_background(service));
    }
    found
}

/// A phase in which we are not called, although we are in another.
fn missing(service: &Service<'_>) -> Vec<Finding> {
    // What `"*"` reaches by a shared file, and no rule names, may do with less; the password stack alone is no login.
    let is_login = ["auth", "account", "session"].iter().any(|phase| service.stack.ours(phase).next().is_some());
    // The line may stand in a file that cannot be read, which is told.
    if !is_login || service.stack.lacks_a_file() {
        return Vec::new();
    }
    let is_background = is_background(service.name);
    let has_auth = service.stack.phase("auth").next().is_some();
    let phases = [
        (Defect::AuthLineMissing, "auth", AUTH, has_auth && service.is_asked() && !is_background),
        (Defect::AccountLineMissing, "account", ACCOUNT, runs(service, "account") && !is_background),
        (
            Defect::SessionLineMissing,
            "session",
            "required",
            !opens_no_session(service.name) && !is_background && runs_sessions(service),
        ),
    ];
    let lacking =
        phases.into_iter().filter(|(_, phase, _, is_due)| *is_due && service.stack.ours(phase).next().is_none());
    // A line with a slip in its name is told as that.
    let lacking = lacking.filter(|(_, phase, _, _)| !service.stack.phase(phase).any(Line::is_almost_ours));
    let finding = |(defect, phase, control, _): (Defect, &str, &str, bool)| {
        let what = format!("{} has no {phase} line of {OURS}", service.name);
        let before = if phase == "session" { "behind pam_loginuid and pam_systemd" } else { "before pam_unix's" };
        Finding::new(
            defect,
            Place::file(&service.stack.file),
            what,
            format!("put \"{phase} {control} {OURS}\" {before}"),
        )
    };
    lacking.map(finding).collect()
}

/// Whether sessions are opened there: sshd's are in any case.
fn runs_sessions(service: &Service<'_>) -> bool {
    service.config.is_sshd(service.name) || service.stack.phase("session").next().is_some()
}

/// A phase in which we are called twice. `ask` and the line that decides are two on purpose.
fn twice(service: &Service<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for phase in ["auth", "account", "session"] {
        let mut lines = service.stack.ours(phase).filter(|line| !line.says("ask"));
        if let Some((first, second)) = lines.next().zip(lines.next()) {
            let finding = Finding::new(
                Defect::LineTwice,
                place(second),
                format!("a second {phase} line of {OURS} in {}; the first is {}", service.name, place(first)),
                "take one of them out, or the profile (pam-auth-update) that put it there",
            );
            found.push(finding.so(of_second_call(phase)));
        }
    }
    found
}

/// What comes of a second call in that phase. Only auth asks anything; the handle knows a session that is open.
fn of_second_call(phase: &str) -> &'static str {
    match phase {
        "account" => "the second call looks at the same once more, and nothing else comes of it",
        "session" => "the second call opens no second session, and nothing else comes of it",
        _ => "the second call asks again, and a code passes only once",
    }
}

/// A refusal of ours that does not refuse.
fn ignoring_refusals(line: &Line) -> Option<Finding> {
    let (refusals, control): (&[&str], _) = match line.phase.as_str() {
        "auth" => (&["auth_err", "authinfo_unavail", "service_err"], AUTH),
        "account" => (&["perm_denied", "acct_expired", "authinfo_unavail", "service_err"], ACCOUNT),
        _ => (&["perm_denied", "system_err", "service_err"], "required"),
    };
    let passing = refusals.iter().find(|refusal| !action(&line.control, refusal).refuses())?;
    Some(Finding::new(
        Defect::RefusalIgnored,
        place(line),
        format!("the control of our {} line, {:?}, lets {passing} pass", line.phase, line.control),
        format!("write {control:?}"),
    ))
}

/// An answer of ours that says "this is for others", and that refuses.
fn refusing_others(service: &Service<'_>, line: &Line) -> Option<Finding> {
    let is_left_to_others =
        !service.is_governed() || service.rules().flat_map(|rule| &rule.methods).any(|method| method.is_stack());
    let (answer, control) = match line.phase.as_str() {
        "auth" if line.says("ask") => ("ignore", AUTH),
        "auth" if is_left_to_others => ("user_unknown", AUTH),
        "auth" => return None,
        "account" => ("ignore", ACCOUNT),
        _ => ("ignore", "required"),
    };
    match action(&line.control, answer) {
        // What libpam does not understand is told as that.
        Action::Bad if fault(&line.control).is_some() => None,
        Action::Bad | Action::Die => Some(Finding::new(
            Defect::OthersRefused,
            place(line),
            format!("the control of our {} line, {:?}, takes {answer} for a refusal", line.phase, line.control),
            // Behind what asks for a password it would be right for others alone.
            match line.phase.as_str() {
                "auth" if !line.says("proved=password") => {
                    format!("write {control:?}, with the line before the modules that verify passwords")
                }
                _ => format!("write {control:?}"),
            },
        )),
        Action::Ignore | Action::Ok | Action::Done | Action::Reset | Action::Jump(_) => None,
    }
}

/// `account = "enforce"` where nobody is ever asked.
fn ends_background(service: &Service<'_>) -> Option<Finding> {
    let line = service.stack.ours("account").next()?;
    // Lines that ask may stand in a file that cannot be read, which is told.
    let has_no_auth = service.stack.phase("auth").next().is_none() && !service.stack.lacks_a_file();
    let why = match service.name {
        name if is_background(name) || lets_root_through(name) => "runs account without asking anybody",
        _ if has_no_auth => "has no auth line that could ask anybody",
        _ => return None,
    };
    let rule = service.rules().next().filter(|rule| rule.account == AccountMode::Enforce)?;
    // Whoever names the service means it.
    if rule.names(service.name) {
        return None;
    }
    Some(Finding::new(
        Defect::RuleEndsBackground,
        place(line),
        format!("rule {:?} (account = \"enforce\") reaches {}, which {why}", rule.name, service.name),
        format!(
            "put a rule for {:?} with methods = [[\"stack\"]] before it, or name services instead of \"*\"",
            service.name
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{
        fixture::TWO_FACTORS,
        pam::tests::{judged, judged_of},
    };

    const OURS_AUTH: &str = "auth [success=done user_unknown=ignore ignore=ignore default=die] pam_authflow.so\nauth required pam_unix.so\n";
    const OURS_ACCOUNT: &str = "account [success=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so\naccount required pam_unix.so\n";
    const OURS_SESSION: &str = "session required pam_authflow.so\n";

    fn told(rules: &str, stack: &str) -> Vec<String> {
        judged(rules, stack, &[], findings)
    }

    #[test]
    fn a_phase_without_us_is_told_where_a_rule_governs() {
        let all = [OURS_AUTH, OURS_ACCOUNT, OURS_SESSION];
        assert_eq!(told(TWO_FACTORS, &all.concat()), Vec::<String>::new());
        let none = "auth required pam_unix.so\n";
        for (stack, expected) in [
            ([none, OURS_ACCOUNT, OURS_SESSION], "auth-line-missing"),
            ([OURS_AUTH, "", OURS_SESSION], "account-line-missing"),
            ([OURS_AUTH, OURS_ACCOUNT, ""], "session-line-missing"),
        ] {
            assert_eq!(told(TWO_FACTORS, &stack.concat()), [format!("{expected} etc/pam.d/sshd")]);
            assert_eq!(told("", &stack.concat()), Vec::<String>::new(), "no rule");
        }
        let of_stack = TWO_FACTORS.replace("'password','totp'", "'stack'");
        assert_eq!(
            told(&of_stack, &[none, OURS_ACCOUNT, OURS_SESSION].concat()),
            Vec::<String>::new(),
            "nothing to ask"
        );
    }

    #[test]
    fn what_opens_no_session_needs_no_line_for_one() {
        let stack = [OURS_AUTH, OURS_ACCOUNT, "session required pam_unix.so\n"].concat();
        let of = |name: &str| {
            let file = format!("etc/pam.d/{name}");
            judged_of(name, &TWO_FACTORS.replace("sshd", name), &[(file.as_str(), stack.as_str())], findings)
        };
        assert_eq!(of("polkit-1"), Vec::<String>::new());
        assert_eq!(of("cron"), Vec::<String>::new());
        assert_eq!(of("su"), ["session-line-missing etc/pam.d/su"]);
        let locker = |rules: &str| judged_of("swaylock", rules, &[("etc/pam.d/swaylock", OURS_AUTH)], findings);
        assert_eq!(locker(&TWO_FACTORS.replace("sshd", "swaylock")), Vec::<String>::new());
    }

    #[test]
    fn a_control_that_lets_a_refusal_pass_is_told() {
        for (phase, controls) in [
            (
                "auth",
                ["optional", "sufficient", "[success=done default=ignore]", "[success=done auth_err=1 default=die]"],
            ),
            ("account", ["optional", "sufficient", "[default=ignore]", "[success=ok acct_expired=ignore default=bad]"]),
            ("session", ["optional", "sufficient", "[default=ignore]", "[perm_denied=ok default=bad]"]),
        ] {
            for control in controls {
                let stack = format!("{phase} {control} pam_authflow.so\n{phase} required pam_unix.so\n");
                let found = told(TWO_FACTORS, &stack);
                assert!(found.contains(&"refusal-ignored etc/pam.d/sshd:1".to_owned()), "{stack}: {found:?}");
            }
            for control in ["required", "requisite", "[success=ok ignore=ignore default=bad]"] {
                let found = told(TWO_FACTORS, &format!("{phase} {control} pam_authflow.so\n"));
                assert!(
                    !found.iter().any(|found| found.starts_with("refusal-ignored")),
                    "{phase} {control}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn a_control_that_refuses_what_is_for_others_is_told() {
        let is_told = |rules: &str, line: &str| {
            told(rules, &format!("{line} pam_authflow.so\n")).contains(&"others-refused etc/pam.d/sshd:1".to_owned())
        };
        let of_stack = TWO_FACTORS.replace("'password','totp'", "'stack'");
        assert!(is_told("", "auth required") && is_told(&of_stack, "auth requisite"));
        assert!(!is_told(TWO_FACTORS, "auth required"), "this rule never says that it is for others");
        assert!(is_told(TWO_FACTORS, "account [success=ok default=bad]") && !is_told(TWO_FACTORS, "account required"));
        assert!(is_told("", "session [success=ok default=die]") && !is_told("", "session required"));
    }

    #[test]
    fn a_second_line_is_told_but_for_the_two_of_a_directory() {
        let twice = [OURS_AUTH, OURS_ACCOUNT, OURS_SESSION, OURS_ACCOUNT].concat();
        assert_eq!(told(TWO_FACTORS, &twice), ["line-twice etc/pam.d/sshd:6"]);
        let ask = "auth [success=ok ignore=ignore default=die] pam_authflow.so ask\n";
        let two = [ask, OURS_AUTH, OURS_ACCOUNT, OURS_SESSION].concat();
        assert_eq!(told(TWO_FACTORS, &two), Vec::<String>::new());
    }

    #[test]
    fn what_comes_of_a_second_line_is_said_of_its_phase() {
        let said = |line: &str| {
            let said = std::cell::RefCell::new(Vec::new());
            let stack = [OURS_AUTH, OURS_ACCOUNT, OURS_SESSION, line].concat();
            let found = judged(TWO_FACTORS, &stack, &[], |service| {
                let found = findings(service);
                said.borrow_mut().extend(found.iter().map(Finding::consequence));
                found
            });
            assert_eq!(found.len(), 1, "{found:?}");
            said.into_inner().concat()
        };
        assert!(said(OURS_AUTH).starts_with("the second call asks again"));
        for line in [OURS_ACCOUNT, OURS_SESSION] {
            assert!(!said(line).contains("asks") && said(line).ends_with("nothing else comes of it"), "{line}");
        }
    }

    #[test]
    fn a_rule_for_everything_that_enforces_ends_background_services() {
        let rules = "[[rule]]\nname='all'\nservice=['*']\nmethods=[['password']]\naccount='enforce'\n";
        let of = |rules: &str, name: &str| {
            let file = format!("etc/pam.d/{name}");
            let stack = [OURS_ACCOUNT, OURS_AUTH].concat();
            let found = judged_of(name, rules, &[(file.as_str(), stack.as_str())], findings);
            found.contains(&format!("rule-ends-background {file}:1"))
        };
        assert!(of(rules, "cron") && of(rules, "systemd-user") && of(rules, "samba") && of(rules, "su"));
        assert!(!of(rules, "login"));
        assert!(!of(&rules.replace("enforce", "auto"), "cron"));
        assert!(!of(&rules.replace("'*'", "'cron'"), "cron"), "whoever names it means it");
        let before = format!("[[rule]]\nname='cron'\nservice=['cron']\nmethods=[['stack']]\n{rules}");
        assert!(!of(&before, "cron"));
    }

    #[test]
    fn a_stack_without_auth_can_meet_no_rule_that_enforces() {
        let rules = "[[rule]]\nname='all'\nservice=['*']\nmethods=[['password']]\naccount='enforce'\n";
        let of = |rules: &str, stack: &str| {
            let found = judged_of("batch", rules, &[("etc/pam.d/batch", stack)], findings);
            found.contains(&"rule-ends-background etc/pam.d/batch:1".to_owned())
        };
        assert!(of(rules, OURS_ACCOUNT) && !of(&rules.replace("enforce", "auto"), OURS_ACCOUNT));
        assert!(!of(rules, &[OURS_ACCOUNT, OURS_AUTH].concat()), "it asks");
        assert!(!of(rules, &[OURS_ACCOUNT, "@include gone\n"].concat()), "what is gone may ask");
        assert!(!of(&rules.replace("'*'", "'batch'"), OURS_ACCOUNT), "whoever names it means it");
    }
}
