//! The phases on a PAM that is a value. What needs real programs (sshd's two processes, su, sudo, login) stands in the end-to-end tests.

use authflow_core::secret::Secret;
use authflow_host::pending;
use pam::constants::PamResultCode::{
    self, PAM_AUTH_ERR, PAM_AUTHINFO_UNAVAIL, PAM_IGNORE, PAM_PERM_DENIED, PAM_SUCCESS, PAM_SYSTEM_ERR,
    PAM_USER_UNKNOWN,
};

use crate::{
    fake::{FakePam, Machine, PASSWORD, may_read_shadow},
    phase::Phase::{Account, Authenticate, CloseSession, OpenSession},
};

const ASKED: &str = "Password: ";

fn rule(service: &str, methods: &str) -> String {
    format!("[[rule]]\nname = \"r\"\nservice = [\"{service}\"]\nmethods = {methods}\n")
}

fn password_for_login() -> Machine {
    Machine::new(&rule("login", r#"[["password"]]"#))
}

fn last_log(pam: &FakePam) -> String {
    pam.logged.borrow().last().cloned().unwrap_or_default()
}

fn files(machine: &Machine, part: &str) -> usize {
    std::fs::read_dir(machine.path(part)).map_or(0, Iterator::count)
}

#[test]
fn a_service_without_a_rule_is_left_alone_before_the_user_is_looked_at() {
    let machine = password_for_login();
    let mut pam = machine.login("cups", &[]);
    pam.facts.user = None;
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_USER_UNKNOWN);
    for phase in [Account, OpenSession, CloseSession] {
        assert_eq!(machine.run(phase, &mut pam), PAM_IGNORE);
    }
}

#[test]
fn a_rule_that_leaves_it_to_the_stack_asks_nothing() {
    let machine = Machine::new(&rule("login", r#"[["stack"]]"#));
    let mut pam = machine.login("login", &[]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_USER_UNKNOWN);
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_SUCCESS);
    assert!(pam.logged.borrow().iter().any(|line| line.contains("factors=stack aal=0")));
}

#[test]
fn a_right_password_is_left_to_the_modules_behind_us_and_a_wrong_one_is_not() {
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
    assert!(pam.password.as_ref().unwrap().matches(&Secret::from(PASSWORD)));
    assert_eq!(pam.delay, None);

    let mut pam = machine.login("login", &[(ASKED, "wrong")]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTH_ERR);
    assert!(pam.password.is_none());
    assert!(pam.delay.is_some());
    assert!(last_log(&pam).contains(r#"reason="wrong password""#), "{}", last_log(&pam));
    assert!(pam.told.is_empty(), "which factor failed is never shown");
}

#[test]
fn an_empty_answer_proves_nothing() {
    let machine = password_for_login();
    assert_eq!(machine.run(Authenticate, &mut machine.login("login", &[(ASKED, "")])), PAM_AUTH_ERR);
    let mut pam = machine.login("login", &[]);
    assert_eq!(machine.run_with("use_first_pass", Authenticate, &mut pam), PAM_AUTH_ERR, "and is not asked for");
}

#[test]
fn the_password_of_the_module_before_us_is_taken_where_the_line_says_so() {
    let machine = password_for_login();
    for (option, given, answers, expected) in [
        ("use_first_pass", Some(PASSWORD), &[][..], PAM_SUCCESS),
        ("try_first_pass", Some(PASSWORD), &[], PAM_SUCCESS),
        ("try_first_pass", Some("wrong"), &[], PAM_AUTH_ERR),
        ("try_first_pass", None, &[(ASKED, PASSWORD)], PAM_SUCCESS),
        ("debug", Some(PASSWORD), &[(ASKED, "wrong")], PAM_AUTH_ERR),
    ] {
        let mut pam = machine.login("login", answers);
        pam.password = given.map(Secret::from);
        assert_eq!(machine.run_with(option, Authenticate, &mut pam), expected, "{option} {given:?}");
    }
}

#[test]
fn names_that_nobody_has_see_the_same_prompt_and_are_denied() {
    let machine = password_for_login();
    for name in [&b"nobody-here"[..], b"../../etc/shadow", b"\x1b[2J\n", b"\xff\xfe", b"", &[b'x'; 300]] {
        let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
        pam.facts.user = Some(crate::handle::UserName::new(name));
        assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTH_ERR);
        assert!(!last_log(&pam).contains(char::is_control), "{:?}", last_log(&pam));
    }
}

#[test]
fn a_user_that_changes_during_the_flow_is_denied() {
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
    pam.user_at_the_end = Some("somebody-else");
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTH_ERR);
    assert!(last_log(&pam).contains("PAM_USER was"), "{}", last_log(&pam));
}

#[test]
fn an_unknown_option_refuses_in_every_phase() {
    let machine = password_for_login();
    for (phase, expected) in
        [(Authenticate, PAM_AUTHINFO_UNAVAIL), (Account, PAM_AUTHINFO_UNAVAIL), (OpenSession, PAM_SYSTEM_ERR)]
    {
        assert_eq!(machine.run_with("nullok", phase, &mut machine.login("login", &[])), expected, "{phase:?}");
    }
}

#[test]
fn a_broken_configuration_refuses_and_says_where() {
    let machine = password_for_login();
    machine.configure("[session]\nidle = '0s'\n");
    let mut pam = machine.login("login", &[]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTHINFO_UNAVAIL);
    assert!(last_log(&pam).contains("authflow.toml:2:8: "), "{}", last_log(&pam));
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_SYSTEM_ERR, "never PAM_SESSION_ERR: sudo goes on then");
}

#[test]
fn a_record_that_cannot_be_read_is_no_missing_record() {
    let machine = password_for_login();
    let record = machine.place.paths.users().join(format!("{}.toml", machine.user));
    std::fs::write(record, "version = 1\n").unwrap();
    let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTHINFO_UNAVAIL);
}

#[test]
fn a_login_in_one_process_opens_one_session() {
    if !may_read_shadow() {
        return;
    }
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
    pam.facts.tty = Some("/dev/pts/7".into());
    for phase in [Authenticate, Account, OpenSession] {
        assert_eq!(machine.run(phase, &mut pam), PAM_SUCCESS, "{phase:?}");
    }
    let [told] = pam.told.as_slice() else { panic!("one notice: {:?}", pam.told) };
    assert!(told.starts_with("authflow: session ") && told.contains("AAL 1"), "{told}");
    assert!(pam.variables[0].starts_with("AUTHFLOW_SESSION="));
    let pending = pending::list(&machine.place.paths, machine.place.trust).unwrap().pop().unwrap().unwrap();
    assert_eq!(pam.variables[0], format!("AUTHFLOW_SESSION={}", pending.id));
    assert_eq!((pending.opening.aal, pending.opening.tty.as_deref()), (1, Some("/dev/pts/7")));

    assert_eq!(machine.run(OpenSession, &mut pam), PAM_SUCCESS, "our line stands in the stack twice");
    assert_eq!((files(&machine, "run/authflow/pending"), pam.variables.len(), pam.told.len()), (1, 1, 1));

    assert_eq!(machine.run(CloseSession, &mut pam), PAM_SUCCESS);
    assert_eq!(machine.run(CloseSession, &mut pam), PAM_IGNORE);
    let over = pending::list(&machine.place.paths, machine.place.trust).unwrap().pop().unwrap().unwrap();
    assert!(over.id == pending.id && over.closed.is_some(), "for the history, and nothing to adopt");
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_PERM_DENIED, "the receipt is used up");
}

/// systemd has its helper close a service's session, which is the service's user by then.
#[test]
fn who_has_become_the_user_tells_nobody_that_the_login_is_over_and_that_is_no_error() {
    let mut machine = Machine::new(&rule("login", r#"[["stack"]]"#));
    let mut pam = machine.login("login", &[]);
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_SUCCESS);
    let logged = pam.logged.borrow().len();
    machine.place.trust = authflow_host::file::Trust::of(nix::unistd::geteuid().as_raw() + 1);
    assert_eq!(machine.run(CloseSession, &mut pam), PAM_SUCCESS);
    assert_eq!(pam.logged.borrow().len(), logged, "{}", last_log(&pam));
}

#[test]
fn who_is_disabled_between_account_and_session_gets_no_session() {
    if !may_read_shadow() {
        return;
    }
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
    for phase in [Authenticate, Account] {
        assert_eq!(machine.run(phase, &mut pam), PAM_SUCCESS, "{phase:?}");
    }
    let user = pam.facts.user.as_ref().unwrap().as_str().to_owned();
    std::fs::write(machine.place.paths.state().join(format!("{user}.disabled")), "").unwrap();
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_PERM_DENIED);
    assert_eq!(files(&machine, "run/authflow/pending"), 0);
}

#[test]
fn a_second_try_on_the_same_handle_counts_by_itself() {
    if !may_read_shadow() {
        return;
    }
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, "wrong"), (ASKED, PASSWORD), (ASKED, "wrong")]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTH_ERR);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
    assert_eq!(machine.run(Account, &mut pam), PAM_SUCCESS);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_AUTH_ERR, "and takes what the one before had proved");
    assert_eq!(machine.run(Account, &mut pam), PAM_PERM_DENIED);
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_PERM_DENIED);
}

#[test]
fn a_receipt_is_not_usable_before_the_account_phase() {
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, PASSWORD)]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_PERM_DENIED);
}

#[test]
fn a_failed_flow_is_refused_even_if_another_module_let_it_through() {
    if !may_read_shadow() {
        return;
    }
    let machine = password_for_login();
    let mut pam = machine.login("login", &[(ASKED, "wrong")]);
    let _another_module_succeeds = machine.run(Authenticate, &mut pam);
    assert_eq!(machine.run(Account, &mut pam), PAM_PERM_DENIED);
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_PERM_DENIED);
}

#[test]
fn account_without_a_flow_has_no_objection_unless_the_rule_enforces() {
    if !may_read_shadow() {
        return;
    }
    let machine = Machine::new(&rule("sudo", r#"[["password"]]"#));
    assert_eq!(machine.run(Account, &mut machine.login("sudo", &[])), PAM_IGNORE);
    let machine = Machine::new(&(rule("sudo", r#"[["password"]]"#) + "account = \"enforce\"\n"));
    assert_eq!(machine.run(Account, &mut machine.login("sudo", &[])), PAM_PERM_DENIED);
}

#[test]
fn a_plain_key_at_sshd_is_judged_when_sshd_has_told_of_it() {
    let at_open = |methods: &str, auth_info: &str| -> PamResultCode {
        let machine = Machine::new(&rule("sshd", methods));
        let mut pam = machine.login("sshd", &[]);
        pam.facts.auth_info = Some(auth_info.to_owned());
        machine.run(OpenSession, &mut pam)
    };
    assert_eq!(at_open(r#"[["publickey"]]"#, "publickey ssh-ed25519 AAAA\n"), PAM_SUCCESS);
    assert_eq!(at_open(r#"[["publickey"]]"#, "password\n"), PAM_PERM_DENIED);
    assert_eq!(at_open(r#"[["publickey"]]"#, ""), PAM_PERM_DENIED);
    assert_eq!(at_open(r#"[["publickey", "totp"]]"#, "publickey ssh-ed25519 AAAA\n"), PAM_PERM_DENIED);
}

#[test]
fn what_only_sshd_can_say_is_not_believed_of_others() {
    let machine = Machine::new(&(rule("login", r#"[["publickey"]]"#) + "account = \"enforce\"\n"));
    let mut pam = machine.login("login", &[]);
    pam.facts.auth_info = Some("publickey ssh-ed25519 AAAA\n".into());
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_PERM_DENIED);
}

#[test]
fn under_sudo_the_target_is_another_and_in_a_login_it_may_not_be() {
    if !may_read_shadow() {
        return;
    }
    let machine = Machine::new(&rule("*", r#"[["password"]]"#));
    for (service, expected) in [("sudo", PAM_SUCCESS), ("login", PAM_PERM_DENIED)] {
        let mut pam = machine.login(service, &[(ASKED, PASSWORD)]);
        assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
        assert_eq!(machine.run(Account, &mut pam), PAM_SUCCESS);
        pam.facts.user = Some(crate::handle::UserName::new(b"nobody"));
        assert_eq!(machine.run(OpenSession, &mut pam), expected, "{service}: {}", last_log(&pam));
    }
}

#[test]
fn background_services_are_tracked_only_by_name() {
    for (named, expected) in [("*", PAM_IGNORE), ("cron", PAM_SUCCESS)] {
        let machine = Machine::new(&rule(named, r#"[["password"]]"#));
        assert_eq!(machine.run(OpenSession, &mut machine.login("cron", &[])), expected, "{named}");
    }
}

#[test]
fn without_the_daemon_the_rule_decides() {
    for (word, expected) in [("open", PAM_SUCCESS), ("deny", PAM_SYSTEM_ERR)] {
        let policy = format!("session = {{ when_unavailable = \"{word}\" }}\n");
        let machine = Machine::new(&(rule("su", r#"[["password"]]"#) + &policy));
        let mut pam = machine.login("su", &[]);
        assert_eq!(machine.run(OpenSession, &mut pam), expected, "{word}");
        assert_eq!(files(&machine, "run/authflow/pending"), usize::from(word == "open"));
        assert_eq!(pam.told.len(), usize::from(word == "deny"), "su and sudo are not greeted: {:?}", pam.told);
    }
}

#[test]
fn a_session_that_nobody_would_hear_of_opens_only_where_its_program_is_roots() {
    for (is_called_by_root, expected) in [(false, PAM_SYSTEM_ERR), (true, PAM_SUCCESS)] {
        let machine = Machine::new(&rule("su", r#"[["password"]]"#));
        std::fs::create_dir(machine.path("run/authflow")).unwrap();
        std::fs::write(machine.path("run/authflow/pending"), "in the way").unwrap();
        let mut pam = machine.login("su", &[]);
        pam.facts.is_called_by_root = is_called_by_root;
        assert_eq!(machine.run(OpenSession, &mut pam), expected, "{}", last_log(&pam));
        let event = if is_called_by_root { "event=session-untracked" } else { "event=refused" };
        assert!(last_log(&pam).starts_with(event), "{}", last_log(&pam));
        assert!(pam.variables.is_empty(), "{:?}", pam.variables);
    }
}

#[test]
fn nobody_is_told_anything_who_wants_silence_or_has_no_tty() {
    let machine = Machine::new(&rule("login", r#"[["password"]]"#));
    for (tty, is_silent) in [(None, false), (Some("/dev/tty1"), true)] {
        let mut pam = machine.login("login", &[]);
        pam.facts.tty = tty.map(str::to_owned);
        pam.facts.is_silent = is_silent;
        assert_eq!(machine.run(OpenSession, &mut pam), PAM_SUCCESS);
        assert!(pam.told.is_empty(), "{:?}", pam.told);
    }
}

#[test]
fn break_glass_opens_for_root_at_a_console_when_our_files_are_unusable_and_only_then() {
    let machine = password_for_login();
    let root_at = |tty: &str, rhost: Option<&str>| {
        let mut pam = machine.login("login", &[]);
        pam.facts.user = Some(crate::handle::UserName::new(b"root"));
        pam.facts.tty = Some(tty.to_owned());
        pam.facts.remote_host = rhost.map(str::to_owned);
        pam.facts.is_called_by_root = true;
        pam
    };
    machine.configure("broken");
    let mut pam = root_at("/dev/tty1", None);
    assert_eq!(machine.run_with("breakglass", Authenticate, &mut pam), PAM_USER_UNKNOWN);
    assert_eq!(machine.run_with("breakglass", Account, &mut pam), PAM_IGNORE);
    assert_eq!(machine.run(OpenSession, &mut pam), PAM_SUCCESS);
    assert!(last_log(&pam).starts_with("event=breakglass"));
    assert_eq!(machine.run(Authenticate, &mut root_at("/dev/tty1", None)), PAM_AUTHINFO_UNAVAIL, "not asked for");
    for (tty, rhost) in [("/dev/pts/1", None), ("/dev/tty1", Some("10.0.0.1"))] {
        let mut pam = root_at(tty, rhost);
        assert_eq!(machine.run_with("breakglass", Authenticate, &mut pam), PAM_AUTHINFO_UNAVAIL, "{tty} {rhost:?}");
        assert_eq!(machine.run(OpenSession, &mut pam), PAM_SYSTEM_ERR);
    }
    let mut su = root_at("/dev/tty1", None);
    su.facts.is_called_by_root = false;
    assert_eq!(machine.run_with("breakglass", Authenticate, &mut su), PAM_AUTHINFO_UNAVAIL, "somebody else's su");
    assert_eq!(machine.run_with("breakglass", Account, &mut su), PAM_AUTHINFO_UNAVAIL);
    assert_eq!(machine.run(OpenSession, &mut su), PAM_SYSTEM_ERR);
}
