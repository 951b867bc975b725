//! Lines that keep people out, and that our success leaves out: those that stand behind our auth line.

use super::{
    Service,
    order::{ends_for, jumps_over},
    place,
};
use crate::{
    command::check::{catalogue::Defect, finding::Finding, service::is_background},
    pam_stack::{
        Line, OURS,
        control::{Action, action},
        role::{is_harmless, keeps_out, locks, refuses_the_locked},
    },
};

/// Those of a stack that a rule governs.
pub(super) fn findings(service: &Service<'_>) -> Vec<Finding> {
    // What runs in the background is asked nothing.
    if is_background(service.name) && !service.is_named() {
        return Vec::new();
    }
    let lines: Vec<&Line> = service.stack.phase("auth").collect();
    let ours = lines.iter().position(|line| line.module == OURS && !line.says("ask")).filter(|_| service.is_asked());
    let Some((ours, line)) = ours.and_then(|ours| Some((ours, lines.get(ours)?))) else { return Vec::new() };
    let is_left_out = |number: usize| match action(&line.control, "success") {
        Action::Done => ends_for(line, &lines, number),
        Action::Jump(count) => jumps_over(&lines, ours, number, count),
        Action::Ignore | Action::Bad | Action::Die | Action::Ok | Action::Reset => false,
    };
    let behind = lines.iter().enumerate().skip(ours + 1).filter(|(number, _)| is_left_out(*number));
    let left_out: Vec<&Line> = behind.map(|(_, line)| *line).collect();
    let told = |line: &Line, fix: &str| {
        let what = format!("{} ({}) is not asked after our auth line in {}", line.module, line.control, service.name);
        Finding::new(Defect::LineLeftOut, place(line), what, fix)
    };
    let keeping = left_out.iter().filter(|line| keeps_out(line) && !is_harmless(line) && !locks(line));
    let mut found: Vec<Finding> =
        keeping.map(|line| told(line, "put it before our line, in the service's own file")).collect();
    // Failures are counted by our throttle; who is locked elsewhere has to be refused before.
    let is_refused = lines.iter().take(ours).any(|line| refuses_the_locked(line));
    let locking = left_out.iter().find(|line| locks(line)).filter(|_| !is_refused);
    found.extend(locking.map(|line| {
        told(line, "write \"auth required pam_faillock.so preauth\" before our line, in the service's own file")
    }));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{fixture::TWO_FACTORS, pam::tests::judged};

    const DONE: &str = "auth [success=done user_unknown=ignore ignore=ignore default=die] pam_authflow.so\n";

    fn told(stack: &str) -> Vec<String> {
        judged(TWO_FACTORS, stack, &[], findings)
    }

    #[test]
    fn what_keeps_people_out_behind_our_success_is_told() {
        const LISTED: &str = "auth required pam_listfile.so item=user\n";
        let debian = "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n\
                      auth optional pam_cap.so\nauth required pam_env.so\n";
        let of = |stack: &str, common: &str| judged(TWO_FACTORS, stack, &[("etc/pam.d/common-auth", common)], findings);
        let include = format!("{DONE}@include common-auth\n");
        assert_eq!(of(&include, debian), Vec::<String>::new());
        assert_eq!(of(&include, &format!("{LISTED}{debian}")), ["line-left-out etc/pam.d/common-auth:1"]);
        assert_eq!(of(&format!("{DONE}{LISTED}"), ""), ["line-left-out etc/pam.d/sshd:2"]);
        assert_eq!(of(&format!("{LISTED}{DONE}"), ""), Vec::<String>::new());
        assert_eq!(of(&format!("auth required pam_authflow.so\n{LISTED}"), ""), Vec::<String>::new(), "it is asked");
        // As pam-auth-update writes the profile: what is jumped over is left out, what it lands at is asked.
        let jump = |behind: &str| {
            let ours = "auth [success=3 user_unknown=ignore ignore=ignore default=die] pam_authflow.so\n";
            of("@include common-auth\n", &format!("{ours}{behind}"))
        };
        let (unix, deny) = ("auth [success=2 default=ignore] pam_unix.so\n", "auth requisite pam_deny.so\n");
        let permit = "auth required pam_permit.so\n";
        assert_eq!(jump(&[LISTED, unix, deny, permit].concat()), ["line-left-out etc/pam.d/common-auth:2"]);
        assert_eq!(jump(&[unix, deny, permit, LISTED].concat()), Vec::<String>::new());
    }

    #[test]
    fn who_is_locked_has_to_be_refused_before_our_success() {
        const PREAUTH: &str = "auth requisite pam_faillock.so preauth\n";
        let counting = "auth required pam_unix.so\nauth [default=die] pam_faillock.so authfail\n";
        assert_eq!(told(&format!("{DONE}{PREAUTH}{counting}")), ["line-left-out etc/pam.d/sshd:2"]);
        assert_eq!(told(&format!("{DONE}{counting}")), ["line-left-out etc/pam.d/sshd:3"]);
        assert_eq!(told(&format!("{PREAUTH}{DONE}{counting}")), Vec::<String>::new());
        assert_eq!(told(&format!("{PREAUTH}{DONE}{PREAUTH}{counting}")), Vec::<String>::new());
    }
}
