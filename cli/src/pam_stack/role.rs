//! What a line of a stack is there for, as far as its module and its control tell.

use super::{
    Line,
    control::{Action, actions, is_written_as},
};

/// Modules that prove who somebody is, or that stand in for one that does: ours is asked in their place. What only keeps people out stays
/// in front of ours, or our success would let them in.
const PROVING: [&str; 16] = [
    "pam_deny.so",
    "pam_fprintd.so",
    "pam_google_authenticator.so",
    "pam_krb5.so",
    "pam_ldap.so",
    "pam_oath.so",
    "pam_permit.so",
    "pam_pkcs11.so",
    "pam_radius_auth.so",
    "pam_sss.so",
    "pam_systemd_home.so",
    "pam_u2f.so",
    "pam_unix.so",
    "pam_winbind.so",
    "pam_yubico.so",
    super::OURS,
];

/// Where failures are counted, and whoever has too many is kept out for a while.
pub(crate) const FAILLOCK: &str = "pam_faillock.so";

/// Modules that keep nobody out, whatever their control: what they do besides is no reason to refuse a stack that others share.
const HARMLESS: [&str; 10] = [
    "pam_cap.so",
    "pam_echo.so",
    "pam_env.so",
    "pam_faildelay.so",
    "pam_gnome_keyring.so",
    "pam_group.so",
    "pam_issue.so",
    "pam_keyinit.so",
    "pam_mount.so",
    "pam_warn.so",
];

/// Whether the line proves who somebody is.
pub(crate) fn proves(line: &Line) -> bool {
    PROVING.contains(&line.module.as_str())
}

/// Whether the line is no loss to anybody's safety.
pub(crate) fn is_harmless(line: &Line) -> bool {
    HARMLESS.contains(&line.module.as_str())
}

/// Whether the line is there to keep people out, whatever they prove.
pub(crate) fn keeps_out(line: &Line) -> bool {
    !is_written_as(&line.control, "optional") && !may_end_or_jump(&line.control) && !proves(line)
}

/// Whether the line is one of pam_faillock's, which counts failures and keeps out whoever has too many.
pub(crate) fn locks(line: &Line) -> bool {
    line.module == FAILLOCK
}

/// Whether the line refuses whoever is locked, before anybody is asked. pam_faillock takes that for its task unless told another.
pub(crate) fn refuses_the_locked(line: &Line) -> bool {
    locks(line) && !line.says("authfail") && !line.says("authsucc") && !is_written_as(&line.control, "optional")
}

/// Whether the line has pam_env read the user's own file. As pam_env does: the last one counts, and any number but zero is a yes.
pub(crate) fn reads_the_users_file(line: &Line) -> bool {
    let told = line.arguments.iter().rev().find_map(|argument| argument.strip_prefix("user_readenv="));
    let number = told.unwrap_or_default().trim_start();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let is_yes = digits.chars().take_while(char::is_ascii_digit).any(|digit| digit != '0');
    line.module == "pam_env.so" && is_yes
}

/// Whether a success there may end the phase, or leave lines out.
pub(crate) fn may_end_or_jump(control: &str) -> bool {
    actions(control).into_iter().any(|action| matches!(action, Action::Done | Action::Jump(_)))
}

/// The furthest jump that a control makes.
pub(crate) fn jump(control: &str) -> Option<usize> {
    let jumps = actions(control).into_iter().filter_map(|action| match action {
        Action::Jump(count) => Some(count),
        Action::Ignore | Action::Bad | Action::Die | Action::Ok | Action::Done | Action::Reset => None,
    });
    jumps.max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pam_stack::entries::{Says, entries};

    #[test]
    fn the_users_file_is_read_by_any_number_but_zero() {
        let reads = |line: &str| {
            let found = entries(std::path::Path::new("/etc/pam.d/x"), line);
            matches!(found.first().map(|entry| &entry.says), Some(Says::Module(line)) if reads_the_users_file(line))
        };
        for number in ["1", "2", "01", "10", "-1", "+1", "1x", "0 user_readenv=1"] {
            assert!(reads(&format!("session required pam_env.so user_readenv={number}")), "{number}");
        }
        for number in ["0", "00", "", "x1", "yes", "-0", "1 user_readenv=0"] {
            assert!(!reads(&format!("session required pam_env.so user_readenv={number}")), "{number}");
        }
        assert!(!reads("session required pam_env.so") && !reads("session required pam_x.so user_readenv=1"));
    }

    #[test]
    fn what_may_end_or_jump_is_known_however_libpam_lets_it_be_written() {
        for (control, ends, over) in [
            ("[success=done default=ignore]", true, None),
            ("[success = done default=ignore]", true, None),
            ("[success = 2 default=ignore]", true, Some(2)),
            ("[success=1 default=3]", true, Some(3)),
            ("[success=1default=ignore]", true, Some(1)),
            ("success=done", true, None),
            ("[SUFFICIENT]", true, None),
            ("[success=okay default=1]", false, None),
            ("[success=ok default=die]", false, None),
            ("required", false, None),
        ] {
            assert_eq!((may_end_or_jump(control), jump(control)), (ends, over), "{control}");
        }
    }
}
