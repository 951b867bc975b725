//! Where a line of ours takes the password for proved, and the stack does not make sure that it was: auth lines are followed as libpam
//! follows them, with every module that could verify a password saying no.

use super::place;
use crate::{
    command::check::{catalogue::Defect, finding::Finding},
    pam_stack::{
        Line, OURS, Stack,
        control::{Action, action, is_word},
    },
};

const PROVED: &str = "proved=password";

/// What a stack is at when a wrong password comes to our line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing before has refused for good: our line alone would decide.
    Open,
    /// It is refused in the end, whatever comes.
    Refused,
}

/// What is wrong with that stack.
pub(super) fn findings(stack: &Stack) -> Vec<Finding> {
    let auth: Vec<&Line> = stack.phase("auth").collect();
    let Some((line, before)) = first_proved(&auth) else { return Vec::new() };
    let of_auth = if let Some(unverified) = unverified(&auth) {
        Some(unverified)
    } else {
        match after_a_wrong_password(&before, line) {
            None => None,
            Some(Standing::Open) => Some(Finding::new(
                Defect::PasswordNotRequired,
                place(line),
                format!("{PROVED}, and a wrong password gets here"),
                "make the module before it requisite (or end the stack where it fails)",
            )),
            Some(Standing::Refused) => Some(Finding::new(
                Defect::PasswordLateRefusal,
                place(line),
                format!("{PROVED} behind a module that lets the stack go on after a wrong password"),
                "prefer requisite",
            )),
        }
    };
    of_auth.into_iter().chain(changing(stack)).collect()
}

/// A line of ours that takes the password for proved, although no other module can have verified it since a line of ours asked for it.
fn unverified(auth: &[&Line]) -> Option<Finding> {
    let mut others = 0;
    for line in auth {
        if line.module != OURS {
            others += 1;
        } else if line.says("ask") {
            others = 0;
        } else if line.says(PROVED) && others == 0 {
            let what = format!("{PROVED}, and no module before it verifies a password");
            return Some(Finding::new(
                Defect::PasswordNotVerified,
                place(line),
                what,
                "put the line behind the one that does",
            ));
        }
    }
    None
}

/// The first line of ours that takes the password for proved, and the lines before it.
fn first_proved<'a>(auth: &[&'a Line]) -> Option<(&'a Line, Vec<&'a Line>)> {
    let place = auth.iter().position(|line| line.module == OURS && line.says(PROVED))?;
    Some((auth.get(place).copied()?, auth.iter().take(place).copied().collect()))
}

/// How the stack stands where our line is, if a wrong password gets there.
fn after_a_wrong_password(before: &[&Line], ours: &Line) -> Option<Standing> {
    let walk = walk(before, ours, (0, Standing::Open));
    walk.is_through.then_some(walk.standing)
}

/// Where a wrong password has come to.
struct Walk {
    standing: Standing,
    /// Whether what comes next is reached.
    is_through: bool,
}

/// Follows lines at that depth of substacks. A substack is one step of the stack that it stands in, and what ends it ends no more.
fn walk(lines: &[&Line], ours: &Line, (depth, mut standing): (usize, Standing)) -> Walk {
    let substack = |line: &Line| line.substacks.get(depth).copied();
    let mut skip = 0_usize;
    for step in lines.chunk_by(|one, next| substack(one).is_some() && substack(one) == substack(next)) {
        let Some(line) = step.first() else { continue };
        let is_substack = substack(line).is_some();
        let is_ours = is_substack && substack(line) == substack(ours);
        if skip > 0 {
            if is_ours {
                return Walk { standing, is_through: false };
            }
            skip -= 1;
        } else if is_substack {
            let inner = walk(step, ours, (depth + 1, standing));
            if is_ours {
                return inner;
            }
            standing = inner.standing;
        } else {
            match outcome(line) {
                Outcome::Dies => return Walk { standing: Standing::Refused, is_through: false },
                Outcome::IsDone if standing == Standing::Open => return Walk { standing, is_through: false },
                Outcome::Refuses => standing = Standing::Refused,
                Outcome::Skips(count) => skip = count,
                Outcome::IsDone | Outcome::GoesOn => {}
            }
        }
    }
    // A jump does not lead out of its substack: it fails there.
    Walk { standing: if skip > 0 { Standing::Refused } else { standing }, is_through: skip == 0 }
}

/// What a line does to a login with a wrong password.
enum Outcome {
    GoesOn,
    Refuses,
    Dies,
    IsDone,
    Skips(usize),
}

fn outcome(line: &Line) -> Outcome {
    let succeeds = is_bystander(line);
    // Neither the user's own rights nor a helper end a stack in success by one of these words, when the password is wrong.
    let is_word = is_word(&line.control);
    if succeeds && is_word {
        return Outcome::GoesOn;
    }
    match action(&line.control, if succeeds { "success" } else { "auth_err" }) {
        Action::Bad => Outcome::Refuses,
        Action::Die => Outcome::Dies,
        Action::Done if succeeds => Outcome::IsDone,
        Action::Jump(count) => Outcome::Skips(count),
        Action::Done | Action::Ok | Action::Ignore | Action::Reset => Outcome::GoesOn,
    }
}

/// Modules that verify no password and say yes to whoever comes. `ask` of ours puts questions alone.
fn is_bystander(line: &Line) -> bool {
    const MODULES: [&str; 9] = [
        "pam_permit.so",
        "pam_env.so",
        "pam_faildelay.so",
        "pam_nologin.so",
        "pam_group.so",
        "pam_cap.so",
        "pam_shells.so",
        "pam_securetty.so",
        "pam_keyinit.so",
    ];
    MODULES.contains(&line.module.as_str()) || (line.module == OURS && line.says("ask"))
}

/// Where the directory has the passwords, a password line of ours must know it.
fn changing(stack: &Stack) -> Option<Finding> {
    let line = stack.ours("password").find(|line| !line.says(PROVED))?;
    Some(Finding::new(
        Defect::PasswordLineUnaware,
        place(line),
        format!("the auth line says {PROVED} and this password line does not"),
        "write it there too, or leave the line out",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::pam::tests::judged;

    const OURS_PROVED: &str = "auth required pam_authflow.so proved=password\n";

    fn warned(stack: &str) -> Vec<String> {
        warned_with(stack, "")
    }

    fn warned_with(stack: &str, substack: &str) -> Vec<String> {
        judged("", stack, &[("etc/pam.d/sub", substack)], |service| findings(service.stack))
    }

    fn behind(before: &str) -> Vec<String> {
        warned(&format!("{before}{OURS_PROVED}"))
    }

    #[test]
    fn a_wrong_password_that_reaches_our_line_unrefused_is_warned_of() {
        for open in [
            "auth sufficient pam_sss.so\n",
            "auth optional pam_sss.so\n",
            "auth [success=ok default=ignore] pam_sss.so\n",
            "auth [success=1 default=ignore] pam_unix.so\nauth required pam_permit.so\n",
            "auth [success=ok auth_err=1 default=die] pam_sss.so\nauth requisite pam_deny.so\n",
        ] {
            let found = behind(open);
            assert!(found.len() == 1 && found[0].starts_with("password-not-required "), "{open}: {found:?}");
        }
    }

    #[test]
    fn required_is_told_to_use_codes_up_and_requisite_is_not_told_of() {
        for going_on in ["auth required pam_sss.so\n", "auth [success=ok default=bad] pam_sss.so\n"] {
            let found = behind(going_on);
            assert!(found.len() == 1 && found[0].starts_with("password-late-refusal "), "{going_on}: {found:?}");
        }
        for ending in [
            "auth requisite pam_sss.so\n",
            "auth [success=ok default=die] pam_sss.so\n",
            "auth required pam_env.so\nauth requisite pam_sss.so\n",
            "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
            "auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_sss.so\nauth requisite pam_deny.so\n",
        ] {
            assert_eq!(behind(ending), Vec::<String>::new(), "{ending}");
        }
    }

    /// As Red Hat's `auth substack password-auth`: requisite there does not keep a wrong password from what comes behind.
    #[test]
    fn what_ends_a_substack_ends_no_more_than_that() {
        let dies = "auth requisite pam_sss.so\n";
        let substack = format!("auth substack sub\n{OURS_PROVED}");
        let found = warned_with(&substack, dies);
        assert!(found.len() == 1 && found[0].starts_with("password-late-refusal "), "{found:?}");
        assert_eq!(warned_with(&substack.replace("substack", "include"), dies), Vec::<String>::new());
        assert_eq!(warned_with("auth substack sub\n", &format!("{dies}{OURS_PROVED}")), Vec::<String>::new());
        let done = "auth [success=done default=ignore] pam_permit.so\n";
        let found = warned_with(&substack, done);
        assert!(found.len() == 1 && found[0].starts_with("password-not-required "), "{found:?}");
    }

    #[test]
    fn a_substack_is_one_step_of_a_jump_and_no_jump_leads_out_of_it() {
        let stack = |jump: u8| {
            format!(
                "auth [success=ok default={jump}] pam_sss.so\nauth substack sub\n{OURS_PROVED}auth requisite pam_deny.so\n"
            )
        };
        let two = "auth required pam_env.so\nauth required pam_env.so\n";
        let found = warned_with(&stack(1), two);
        assert!(found.len() == 1 && found[0].starts_with("password-not-required "), "{found:?}");
        assert_eq!(warned_with(&stack(2), two), Vec::<String>::new(), "our line is jumped over");
        let found = warned_with(&format!("auth substack sub\n{OURS_PROVED}"), "auth [default=2] pam_sss.so\n");
        assert!(
            found.len() == 1 && found[0].starts_with("password-late-refusal "),
            "libpam takes it for a failure: {found:?}"
        );
    }

    #[test]
    fn a_password_line_that_does_not_know_of_the_directory_is_warned_of() {
        let auth = format!("auth requisite pam_sss.so\n{OURS_PROVED}");
        let found = warned(&format!("{auth}password required pam_authflow.so\n"));
        assert!(found == ["password-line-unaware etc/pam.d/sshd:3"], "{found:?}");
        assert_eq!(warned(&format!("{auth}password required pam_authflow.so proved=password\n")), Vec::<String>::new());
        assert_eq!(warned("password required pam_authflow.so\n"), Vec::<String>::new(), "no directory here");
    }

    #[test]
    fn a_password_that_nobody_verifies_is_told() {
        let is_told = |stack: &str| warned(stack).iter().any(|told| told.starts_with("password-not-verified "));
        const ASK: &str = "auth required pam_authflow.so ask\n";
        const OTHER: &str = "auth required pam_sss.so\n";
        assert!(is_told(OURS_PROVED));
        assert!(is_told(&format!("{ASK}{OURS_PROVED}")) && is_told(&format!("{OTHER}{ASK}{OURS_PROVED}")));
        assert!(is_told(&format!("account required pam_unix.so\n{OURS_PROVED}{OTHER}")));
        assert!(!is_told(&format!("{OTHER}{OURS_PROVED}")) && !is_told(&format!("{ASK}{OTHER}{OURS_PROVED}")));
        assert!(!is_told(ASK));
    }
}
