//! What stands before our lines: modules that lead around them, and what must come first, or must not.

use super::{Service, place};
use crate::{
    command::check::{
        catalogue::Defect,
        finding::Finding,
        service::{is_background, opens_logins},
    },
    pam_stack::{
        Line, OURS,
        control::{Action, action},
        role::reads_the_users_file,
    },
};

/// What is wrong with the order of a stack that a rule governs.
pub(super) fn findings(service: &Service<'_>) -> Vec<Finding> {
    // What runs in the background is asked nothing, and is no session of ours unless a rule names it.
    if is_background(service.name) && !service.is_named() {
        return Vec::new();
    }
    let mut found: Vec<Finding> =
        ["auth", "account", "session"].into_iter().flat_map(|phase| around(service, phase)).collect();
    let session: Vec<&Line> = service.stack.phase("session").collect();
    found.extend(asking_first(service));
    found.extend(too_early(&session, "pam_loginuid.so", Defect::SessionBeforeLoginuid));
    found.extend(too_early(&session, "pam_systemd.so", Defect::SessionBeforeSystemd));
    found.extend(too_early(&session, "pam_elogind.so", Defect::SessionBeforeSystemd));
    found.extend(escaping(service, &session).or_else(|| without_loginuid(service, &session)));
    if service.config.is_sshd(service.name) {
        found.extend(forgeable(&session));
    }
    found
}

/// The lines of a phase, and where among them the one of ours is that decides.
fn ours<'a>(service: &'a Service<'_>, phase: &'a str) -> Option<(Vec<&'a Line>, usize)> {
    let lines: Vec<&Line> = service.stack.phase(phase).collect();
    let ours = lines.iter().position(|line| line.module == OURS && !line.says("ask"))?;
    Some((lines, ours))
}

/// Modules that end the phase with success before it comes to us, or jump over us.
fn around(service: &Service<'_>, phase: &str) -> Vec<Finding> {
    // A rule that leaves everything to the stack is not got around, nor is one that only asks for keys by what asks somebody.
    let is_concerned = if phase == "auth" { service.is_asked() } else { service.is_decided() };
    if !is_concerned {
        return Vec::new();
    }
    let Some((lines, ours)) = ours(service, phase) else { return Vec::new() };
    let mut found = Vec::new();
    for (number, line) in lines.iter().take(ours).enumerate() {
        let Some(defect) = leads_around(&lines, number, ours) else { continue };
        // Root needs no proof to become somebody else.
        if line.module != "pam_rootok.so" && line.module != OURS {
            let what = format!("{} ({}) leads around our {phase} line in {}", line.module, line.control, service.name);
            found.push(Finding::new(defect, place(line), what, "put our line before it, or make it \"required\""));
        }
    }
    found
}

/// How the line of that number leads around ours, if it does.
fn leads_around(lines: &[&Line], number: usize, ours: usize) -> Option<Defect> {
    let line = lines.get(number)?;
    match action(&line.control, "success") {
        Action::Done if ends_for(line, lines, ours) => Some(Defect::LineSkipped),
        Action::Jump(count) if jumps_over(lines, number, ours, count) => Some(Defect::LineJumpedOver),
        Action::Done | Action::Jump(_) | Action::Ignore | Action::Bad | Action::Die | Action::Ok | Action::Reset => {
            None
        }
    }
}

/// Modules that verify a password before our line does, which our line does not take for proved. What leads around it is told as that.
fn asking_first(service: &Service<'_>) -> Vec<Finding> {
    const VERIFYING: [&str; 12] = [
        "pam_unix.so",
        "pam_sss.so",
        "pam_ldap.so",
        "pam_krb5.so",
        "pam_winbind.so",
        "pam_systemd_home.so",
        "pam_radius_auth.so",
        "pam_tacplus.so",
        "pam_tcb.so",
        "pam_userdb.so",
        "pam_pwdfile.so",
        "pam_unix2.so",
    ];
    let Some((lines, ours)) = ours(service, "auth").filter(|_| service.is_asked()) else { return Vec::new() };
    if lines.get(ours).is_none_or(|line| line.says("proved=password")) {
        return Vec::new();
    }
    let numbered = lines.iter().take(ours).enumerate();
    let asking = numbered.filter(|(number, line)| {
        VERIFYING.contains(&line.module.as_str()) && leads_around(&lines, *number, ours).is_none()
    });
    let finding = |line: &Line| {
        let what = format!("{} asks before our auth line in {}, which asks again", line.module, service.name);
        let fix = "put our line before it; where passwords are in a directory: proved=password on our line (docs/passwords.md)";
        Finding::new(Defect::PasswordAskedFirst, place(line), what, fix)
    };
    asking.map(|(_, line)| finding(line)).collect()
}

/// Whether the end of the stack that `line` stands in is the end for our line as well; what ends a substack ends no more.
pub(super) fn ends_for(line: &Line, lines: &[&Line], ours: usize) -> bool {
    lines.get(ours).is_some_and(|ours| ours.substacks.starts_with(&line.substacks))
}

/// Whether a jump by `count` from line `from` lands behind our line. A substack is one step, and no jump leads out of one.
pub(super) fn jumps_over(lines: &[&Line], from: usize, ours: usize, count: usize) -> bool {
    let (Some(line), Some(target)) = (lines.get(from), lines.get(ours)) else { return false };
    if !target.substacks.starts_with(&line.substacks) {
        return false;
    }
    let depth = line.substacks.len();
    let substack = |line: &Line| line.substacks.get(depth).copied();
    let rest: Vec<&Line> =
        lines.iter().skip(from + 1).copied().filter(|other| other.substacks.starts_with(&line.substacks)).collect();
    let mut steps = rest.chunk_by(|one, next| substack(one).is_some() && substack(one) == substack(next));
    let total = steps.clone().count();
    let is_target = |step: &[&Line]| step.iter().any(|line| std::ptr::eq(*line, *target));
    // A jump further than there are lines is a failure to libpam.
    steps.position(is_target).is_some_and(|place| count > place && count <= total)
}

/// What must have run before our session line, and runs after it.
fn too_early(session: &[&Line], module: &str, defect: Defect) -> Option<Finding> {
    let ours = session.iter().position(|line| line.module == OURS)?;
    let later = session.iter().skip(ours).find(|line| line.module == module)?;
    let line = session.get(ours)?;
    let what = format!("our session line stands before {module} ({})", place(later));
    Some(Finding::new(defect, place(line), what, format!("put it behind {module}")))
}

/// A login by whose audit session id and logind's scope nothing is found. On systemd the daemon asks for a scope.
fn escaping(service: &Service<'_>, session: &[&Line]) -> Option<Finding> {
    let line = session.iter().find(|line| line.module == OURS).filter(|_| is_login(service))?;
    const MARKS: [&str; 3] = ["pam_loginuid.so", "pam_systemd.so", "pam_elogind.so"];
    let is_marked = session.iter().any(|line| MARKS.contains(&line.module.as_str()));
    (!is_marked).then(|| {
        Finding::new(
            if service.has_systemd { Defect::SessionUnmarked } else { Defect::SessionEscapes },
            place(line),
            format!("{} has neither pam_loginuid.so nor pam_systemd.so", service.name),
            "put \"session required pam_loginuid.so\" and \"session optional pam_systemd.so\" before our line",
        )
    })
}

/// Whether the service opens logins, and not only sessions within one.
fn is_login(service: &Service<'_>) -> bool {
    opens_logins(service.name) || service.config.is_sshd(service.name)
}

fn without_loginuid(service: &Service<'_>, session: &[&Line]) -> Option<Finding> {
    let vouching = service.config.rules.iter().find(|rule| rule.from_session.is_some())?;
    let line = session.iter().find(|line| line.module == OURS)?;
    let has_it = session.iter().any(|line| line.module == "pam_loginuid.so");
    (is_login(service) && !has_it).then(|| {
        let what = format!(
            "rule {:?} goes by sessions that vouch, and {} has no pam_loginuid.so",
            vouching.name, service.name
        );
        Finding::new(
            Defect::SessionWithoutLoginuid,
            place(line),
            what,
            "put \"session required pam_loginuid.so\" before our line",
        )
    })
}

/// Whether a user could forge what sshd tells about a key: pam_env, told to read the user's own file, writes into the environment that
/// sshd's words stand in. Only what runs between sshd's words and our session line matters.
fn forgeable(session: &[&Line]) -> Option<Finding> {
    let ours = session.iter().position(|line| line.module == OURS)?;
    let first = session.iter().take(ours).find(|line| reads_the_users_file(line))?;
    Some(Finding::new(
        Defect::SessionAfterUserEnv,
        place(first),
        format!("pam_env.so reads the user's own file before {OURS} opens the session"),
        format!("put the line behind {OURS}'s session line, or leave out user_readenv"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{
        fixture::TWO_FACTORS,
        pam::tests::{judged, judged_of},
    };

    const AUTH: &str = "auth required pam_authflow.so\n";
    const SESSION: &str = "session required pam_authflow.so\n";
    const LOGINUID: &str = "session required pam_loginuid.so\n";

    fn told(stack: &str) -> Vec<String> {
        judged(TWO_FACTORS, stack, &[], findings)
    }

    #[test]
    fn a_module_that_leads_around_us_is_told() {
        for (before, expected) in [
            ("auth sufficient pam_fprintd.so\n", "line-skipped etc/pam.d/sshd:1"),
            ("auth [success=done default=ignore] pam_unix.so\n", "line-skipped etc/pam.d/sshd:1"),
            ("auth [success=1 default=ignore] pam_unix.so\n", "line-jumped-over etc/pam.d/sshd:1"),
            (
                "auth required pam_env.so\nauth [success=2 default=ignore] pam_unix.so\nauth required pam_env.so\n",
                "line-jumped-over etc/pam.d/sshd:2",
            ),
        ] {
            assert_eq!(told(&format!("{before}{AUTH}auth required pam_permit.so\n")), [expected], "{before}");
        }
        let account = "account sufficient pam_localuser.so\naccount required pam_authflow.so\n";
        assert_eq!(told(account), ["line-skipped etc/pam.d/sshd:1"]);
    }

    #[test]
    fn a_module_that_comes_to_us_is_not_told() {
        for before in [
            "auth sufficient pam_rootok.so\n",
            "auth required pam_fprintd.so\n",
            "auth optional pam_faildelay.so\n",
            "auth [success=1 default=ignore] pam_x.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
            "auth [success=9 default=ignore] pam_x.so\n",
        ] {
            assert_eq!(told(&format!("{before}{AUTH}")), Vec::<String>::new(), "{before}");
        }
        let behind = format!("{AUTH}auth sufficient pam_unix.so\n");
        assert_eq!(told(&behind), Vec::<String>::new());
        let of_stack = TWO_FACTORS.replace("'password','totp'", "'stack'");
        let skipped = format!("auth sufficient pam_unix.so\n{AUTH}");
        assert_eq!(judged(&of_stack, &skipped, &[], findings), Vec::<String>::new(), "the stack decides anyway");
    }

    #[test]
    fn a_module_that_verifies_passwords_before_us_is_told_unless_we_take_its_word() {
        const COMMON: &str = "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
        let inner = [("etc/pam.d/common-auth", COMMON)];
        let of = |rules: &str, stack: &str| judged(rules, stack, &inner, findings);
        let here = ["password-asked-first etc/pam.d/common-auth:1"];
        for include in ["@include common-auth\n", "auth include common-auth\n", "auth substack common-auth\n"] {
            assert_eq!(of(TWO_FACTORS, &format!("{include}{AUTH}")), here, "{include}");
            assert_eq!(of(TWO_FACTORS, &format!("{AUTH}{include}")), Vec::<String>::new(), "{include}");
        }
        assert_eq!(told(&format!("auth requisite pam_sss.so\n{AUTH}")), ["password-asked-first etc/pam.d/sshd:1"]);
        let of_stack = TWO_FACTORS.replace("'password','totp'", "'stack'");
        let behind = format!("@include common-auth\n{AUTH}");
        assert_eq!(of(&of_stack, &behind), Vec::<String>::new(), "the stack decides");
        let proved = behind.replace(".so\n", ".so proved=password\n");
        assert_eq!(of(TWO_FACTORS, &proved), Vec::<String>::new());
        let ask = format!("auth required pam_authflow.so ask\n{proved}");
        assert_eq!(of(TWO_FACTORS, &ask), Vec::<String>::new());
    }

    #[test]
    fn what_ends_a_substack_does_not_end_ours_and_a_substack_is_one_step() {
        let inner = [("etc/pam.d/inner", "auth sufficient pam_x.so\nauth required pam_deny.so\n")];
        let of = |stack: &str| judged(TWO_FACTORS, stack, &inner, findings);
        assert_eq!(of(&format!("auth substack inner\n{AUTH}")), Vec::<String>::new());
        assert_eq!(of(&format!("auth include inner\n{AUTH}")), ["line-skipped etc/pam.d/inner:1"]);
        let jump = |count: u8| {
            format!(
                "auth [success={count} default=ignore] pam_x.so\nauth substack inner\n{AUTH}auth required pam_permit.so\n"
            )
        };
        assert_eq!(of(&jump(1)), Vec::<String>::new());
        assert_eq!(of(&jump(2)), ["line-jumped-over etc/pam.d/sshd:1"]);
    }

    #[test]
    fn our_session_line_stands_behind_loginuid_and_systemd() {
        const SYSTEMD: &str = "session optional pam_systemd.so\n";
        assert_eq!(told(&[LOGINUID, SYSTEMD, SESSION].concat()), Vec::<String>::new());
        assert_eq!(told(&[SYSTEMD, SESSION, LOGINUID].concat()), ["session-before-loginuid etc/pam.d/sshd:2"]);
        assert_eq!(told(&[LOGINUID, SESSION, SYSTEMD].concat()), ["session-before-systemd etc/pam.d/sshd:2"]);
        let vouching = "[[rule]]\nname='sudo'\nservice=['sudo']\nmethods=[['session'],['password']]\n\
                        from_session={proved=['password'],within='5m'}\n";
        let rules = format!("{TWO_FACTORS}{vouching}");
        assert_eq!(
            judged(&rules, &[SYSTEMD, SESSION].concat(), &[], findings),
            ["session-without-loginuid etc/pam.d/sshd:2"]
        );
        assert_eq!(judged(&rules, &[LOGINUID, SESSION].concat(), &[], findings), Vec::<String>::new());
    }

    #[test]
    fn a_login_that_leaves_no_mark_on_its_processes_is_told() {
        assert_eq!(told(SESSION), ["session-escapes etc/pam.d/sshd:1"]);
        let on_systemd =
            judged_of("sshd", TWO_FACTORS, &[("etc/pam.d/sshd", SESSION), ("usr/lib/systemd/systemd", "")], findings);
        assert_eq!(on_systemd, ["session-unmarked etc/pam.d/sshd:1"]);
        for mark in ["pam_loginuid.so", "pam_systemd.so", "pam_elogind.so"] {
            assert_eq!(told(&format!("session optional {mark}\n{SESSION}")), Vec::<String>::new(), "{mark}");
        }
        let su = judged_of("su", &TWO_FACTORS.replace("sshd", "su"), &[("etc/pam.d/su", SESSION)], findings);
        assert_eq!(su, Vec::<String>::new(), "it is found by the login around it");
    }

    #[test]
    fn a_pam_env_that_reads_the_users_file_before_our_session_line_is_told() {
        const FORGED: &str = "session required pam_env.so user_readenv=1 envfile=/etc/default/locale\n";
        assert_eq!(told(&format!("{FORGED}{LOGINUID}{SESSION}")), ["session-after-user-env etc/pam.d/sshd:1"]);
        let none = Vec::<String>::new();
        assert_eq!(told(&format!("{LOGINUID}{SESSION}{FORGED}")), none, "Debian's order with our line in its place");
        assert_eq!(told(&format!("auth required pam_env.so user_readenv=1\n{LOGINUID}{SESSION}")), none);
        assert_eq!(
            told(&format!(
                "session required pam_env.so user_readenv=0\nsession required pam_env.so\n{LOGINUID}{SESSION}"
            )),
            none
        );
        assert_eq!(told(FORGED), none, "without us there is nothing to forge");
    }
}
