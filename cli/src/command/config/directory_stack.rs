//! Where a line of ours takes the password for proved, and the stack does not make sure that it was: auth lines are followed as libpam
//! follows them, with every module that could verify a password saying no.

use crate::pam_stack::{Line, OURS};

const PROVED: &str = "proved=password";

/// What a stack is at when a wrong password comes to our line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing before has refused for good: our line alone would decide.
    Open,
    /// It is refused in the end, whatever comes.
    Refused,
}

/// Every warning about that service's lines.
pub(super) fn warnings(lines: &[Line]) -> Vec<String> {
    let auth: Vec<&Line> = lines.iter().filter(|line| line.phase == "auth").collect();
    let Some((line, before)) = first_proved(&auth) else { return Vec::new() };
    let place = format!("{}:{}", line.file.display(), line.number);
    // Without any module before it there is another warning already.
    let reached = if before.is_empty() { None } else { after_a_wrong_password(&before, line) };
    let of_auth = match reached {
        None => None,
        Some(Standing::Open) => Some(format!(
            "{place}: {PROVED}, and a wrong password gets here: make the module before it requisite (or end the stack where it fails)"
        )),
        Some(Standing::Refused) => Some(format!(
            "{place}: {PROVED} behind a module that lets the stack go on after a wrong password: the login is refused, but its code is used \
             up; prefer requisite"
        )),
    };
    of_auth.into_iter().chain(changing(lines)).collect()
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
    let action = match (line.control.to_ascii_lowercase().as_str(), succeeds) {
        ("required", false) => "bad".to_owned(),
        ("requisite", false) => "die".to_owned(),
        ("required" | "requisite" | "optional", _) => "ignore".to_owned(),
        // With a wrong password neither the user's own rights nor a helper end it in success.
        ("sufficient", _) => "ignore".to_owned(),
        (control, _) => action(control, if succeeds { &["success"] } else { &["auth_err"] }),
    };
    match action.as_str() {
        "bad" => Outcome::Refuses,
        "die" => Outcome::Dies,
        "done" if succeeds => Outcome::IsDone,
        _ => action.parse().map_or(Outcome::GoesOn, Outcome::Skips),
    }
}

/// What `[value=action ..]` says of the first of these values, or else of all others.
fn action(control: &str, values: &[&str]) -> String {
    let pairs = control.trim_matches(['[', ']']).split_whitespace().filter_map(|pair| pair.split_once('='));
    let pairs: Vec<_> = pairs.collect();
    let of = |value: &str| pairs.iter().find(|(name, _)| *name == value).map(|(_, action)| (*action).to_owned());
    values.iter().find_map(|value| of(value)).or_else(|| of("default")).unwrap_or_else(|| "bad".to_owned())
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
fn changing(lines: &[Line]) -> Option<String> {
    let line = lines.iter().find(|line| line.phase == "password" && line.module == OURS && !line.says(PROVED))?;
    Some(format!(
        "{}:{}: the auth line says {PROVED} and this password line does not: it takes the directory's password for ours; write it there too, \
         or leave the line out",
        line.file.display(),
        line.number
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam_stack;

    const OURS_PROVED: &str = "auth required pam_authflow.so proved=password\n";

    fn warned(stack: &str) -> Vec<String> {
        warned_with(stack, "")
    }

    fn warned_with(stack: &str, substack: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sshd"), stack).unwrap();
        std::fs::write(folder.path().join("sub"), substack).unwrap();
        warnings(&pam_stack::lines(folder.path(), "sshd"))
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
            assert!(found.len() == 1 && found[0].contains("a wrong password gets here"), "{open}: {found:?}");
        }
    }

    #[test]
    fn required_is_told_to_use_codes_up_and_requisite_is_not_told_of() {
        for going_on in ["auth required pam_sss.so\n", "auth [success=ok default=bad] pam_sss.so\n"] {
            let found = behind(going_on);
            assert!(found.len() == 1 && found[0].contains("prefer requisite"), "{going_on}: {found:?}");
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
        assert!(found.len() == 1 && found[0].contains("prefer requisite"), "{found:?}");
        assert_eq!(warned_with(&substack.replace("substack", "include"), dies), Vec::<String>::new());
        assert_eq!(warned_with("auth substack sub\n", &format!("{dies}{OURS_PROVED}")), Vec::<String>::new());
        let done = "auth [success=done default=ignore] pam_permit.so\n";
        let found = warned_with(&substack, done);
        assert!(found.len() == 1 && found[0].contains("a wrong password gets here"), "{found:?}");
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
        assert!(found.len() == 1 && found[0].contains("a wrong password gets here"), "{found:?}");
        assert_eq!(warned_with(&stack(2), two), Vec::<String>::new(), "our line is jumped over");
        let found = warned_with(&format!("auth substack sub\n{OURS_PROVED}"), "auth [default=2] pam_sss.so\n");
        assert!(found.len() == 1 && found[0].contains("prefer requisite"), "libpam takes it for a failure: {found:?}");
    }

    #[test]
    fn a_password_line_that_does_not_know_of_the_directory_is_warned_of() {
        let auth = format!("auth requisite pam_sss.so\n{OURS_PROVED}");
        let found = warned(&format!("{auth}password required pam_authflow.so\n"));
        assert!(
            found.len() == 1 && found[0].contains(":3: ") && found[0].contains("the directory's password"),
            "{found:?}"
        );
        assert_eq!(warned(&format!("{auth}password required pam_authflow.so proved=password\n")), Vec::<String>::new());
        assert_eq!(warned("password required pam_authflow.so\n"), Vec::<String>::new(), "no directory here");
    }
}
