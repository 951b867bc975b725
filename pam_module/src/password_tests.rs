//! Password changes on a PAM that is a value: whose it is, what proves it, and the code of every way out. That a real `passwd`, sshd and
//! login do by it what we expect stands in the end-to-end tests.

use authflow_core::{account::Password, secret::Secret, time::Clock};
use authflow_host::{
    clock::SystemClock,
    hashing, lock,
    records::{RecordError, Records},
};
use pam::constants::PamResultCode::{
    self, PAM_AUTHTOK_ERR, PAM_AUTHTOK_LOCK_BUSY, PAM_AUTHTOK_RECOVERY_ERR, PAM_IGNORE, PAM_NEW_AUTHTOK_REQD,
    PAM_PERM_DENIED, PAM_SUCCESS, PAM_TRY_AGAIN,
};

use crate::{
    fake::{FakePam, Machine, PASSWORD, may_read_shadow},
    phase::Phase::{Account, Authenticate, ChangePassword, CheckPassword},
};

const OLD: &str = "Current password: ";
const NEW: &str = "New password: ";
const AGAIN: &str = "Retype new password: ";
const BETTER: &str = "quiet rivers turn blue";

fn machine() -> Machine {
    let machine = Machine::new("[[rule]]\nname = \"r\"\nservice = [\"login\"]\nmethods = [[\"password\"]]\n");
    std::fs::create_dir_all(machine.path("usr/share/authflow")).unwrap();
    std::fs::write(machine.place.paths.common_passwords(), "marmalade\n").unwrap();
    machine
}

fn records(machine: &Machine) -> Records {
    Records::trusting(machine.place.paths.clone(), machine.place.trust)
}

/// Whether that is the user's password now.
fn is_now(machine: &Machine, password: &str) -> bool {
    let keys = records(machine).authenticators(&machine.user).unwrap().unwrap();
    hashing::verify(&keys.password.unwrap().hash, &Secret::from(password)).unwrap()
}

fn replace(machine: &Machine, change: impl FnOnce(&mut Option<Password>)) {
    let changed: Result<(), RecordError> = records(machine).update(&machine.user, |keys| {
        change(&mut keys.password);
        Ok(())
    });
    changed.unwrap();
}

/// Both passes, as libpam runs them: the second only if the first did not fail.
fn change(machine: &Machine, pam: &mut FakePam, option: &str) -> PamResultCode {
    let options = [option].into_iter().filter(|option| !option.is_empty());
    let run =
        |phase, pam: &mut FakePam| crate::phase::run(phase, pam, options.clone().map(str::as_bytes), &machine.place);
    let first = run(CheckPassword, pam);
    if matches!(first, PAM_SUCCESS | PAM_IGNORE) { run(ChangePassword, pam) } else { first }
}

#[test]
fn the_user_proves_the_old_password_and_sets_a_new_one() {
    let machine = machine();
    let mut pam = machine.login("passwd", &[(OLD, PASSWORD), (NEW, BETTER), (AGAIN, BETTER)]);
    assert_eq!(change(&machine, &mut pam, ""), PAM_SUCCESS);
    assert!(is_now(&machine, BETTER));
    assert!(pam.old_password.as_ref().unwrap().matches(&Secret::from(PASSWORD)), "for the modules behind us");
    assert!(pam.password.as_ref().unwrap().matches(&Secret::from(BETTER)));
    assert!(!format!("{:?}", pam.logged).contains(BETTER));
}

#[test]
fn a_wrong_old_password_ends_it_before_a_new_one_is_asked_for() {
    let machine = machine();
    for wrong in ["wrong", ""] {
        let mut pam = machine.login("passwd", &[(OLD, wrong)]);
        assert_eq!(change(&machine, &mut pam, ""), PAM_AUTHTOK_RECOVERY_ERR);
        assert_eq!(pam.told.last().unwrap(), "The current password was not accepted.");
        assert!(pam.delay.is_some());
    }
    assert!(is_now(&machine, PASSWORD));
}

#[test]
fn a_new_password_may_be_tried_three_times() {
    let machine = machine();
    let answers = [(OLD, PASSWORD), (NEW, "short"), (NEW, BETTER), (AGAIN, "another"), (NEW, "MarmaladeMarmalade")];
    let mut pam = machine.login("passwd", &answers);
    assert_eq!(change(&machine, &mut pam, ""), PAM_AUTHTOK_ERR);
    let told: Vec<_> = pam.told.iter().skip(1).map(|text| text.split(':').next().unwrap()).collect();
    assert!(told[0].starts_with("The password has 5 characters, at least 15"), "{told:?}");
    assert_eq!(told[1], "These were two different passwords.");
    assert!(told[2].contains("tried first") && told.len() == 3, "{told:?}");
    assert!(is_now(&machine, PASSWORD));
}

#[test]
fn passwords_come_from_the_modules_before_us_where_the_line_says_so() {
    let machine = machine();
    let mut pam = machine.login("passwd", &[]);
    pam.old_password = Some(Secret::from(PASSWORD));
    pam.password = Some(Secret::from(BETTER));
    assert_eq!(change(&machine, &mut pam, "use_first_pass"), PAM_SUCCESS);
    let mut pam = machine.login("passwd", &[(OLD, BETTER)]);
    pam.password = Some(Secret::from("a third long password"));
    assert_eq!(change(&machine, &mut pam, "use_authtok"), PAM_SUCCESS);
    assert!(is_now(&machine, "a third long password"));
    let mut pam = machine.login("passwd", &[(NEW, BETTER), (AGAIN, BETTER)]);
    pam.old_password = Some(Secret::from("a third long password"));
    assert_eq!(change(&machine, &mut pam, "try_first_pass"), PAM_SUCCESS);
    let mut pam = machine.login("passwd", &[(OLD, BETTER)]);
    assert_eq!(change(&machine, &mut pam, "use_authtok"), PAM_AUTHTOK_ERR, "nobody gave a new one");
    let mut pam = machine.login("passwd", &[]);
    assert_eq!(change(&machine, &mut pam, "use_first_pass"), PAM_AUTHTOK_RECOVERY_ERR, "nobody gave the old one");
}

#[test]
fn who_has_no_password_of_ours_is_left_to_others_whatever_is_broken() {
    let machine = machine();
    replace(&machine, |password| *password = None);
    assert_eq!(change(&machine, &mut machine.login("passwd", &[]), ""), PAM_IGNORE);
    machine.configure("this does not parse");
    assert_eq!(change(&machine, &mut machine.login("passwd", &[]), ""), PAM_IGNORE);
    let mut nobody = machine.login("passwd", &[]);
    nobody.facts.user = Some(crate::handle::UserName::new(b"no-such-user-here"));
    assert_eq!(change(&machine, &mut nobody, ""), PAM_IGNORE);
}

#[test]
fn a_new_password_that_is_anothers_to_set_is_asked_for_where_the_line_says_so() {
    let machine = machine();
    replace(&machine, |password| *password = None);
    let mut pam = machine.login("passwd", &[(NEW, "short"), (AGAIN, "short")]);
    assert_eq!(change(&machine, &mut pam, "ask"), PAM_IGNORE);
    assert!(pam.password.as_ref().unwrap().matches(&Secret::from("short")), "it is the other module's to judge");
    for answers in [&[(NEW, "short"), (AGAIN, "other")][..], &[(NEW, "")]] {
        let mut pam = machine.login("passwd", answers);
        assert_eq!(change(&machine, &mut pam, "ask"), PAM_AUTHTOK_ERR);
        assert!(pam.password.is_none());
    }
}

#[test]
fn a_second_pass_without_a_first_changes_nothing() {
    let machine = machine();
    assert_eq!(machine.run(ChangePassword, &mut machine.login("passwd", &[])), PAM_IGNORE);
    let mut pam = machine.login("passwd", &[(OLD, PASSWORD)]);
    assert_eq!(machine.run(CheckPassword, &mut pam), PAM_SUCCESS);
    pam.facts.user = Some(crate::handle::UserName::new(b"root-or-whoever"));
    assert_eq!(machine.run(ChangePassword, &mut pam), PAM_AUTHTOK_ERR, "the user changed on the way");
}

#[test]
fn a_password_that_an_administrator_set_meanwhile_stays() {
    let machine = machine();
    let mut pam = machine.login("passwd", &[(OLD, PASSWORD), (NEW, BETTER), (AGAIN, BETTER)]);
    assert_eq!(machine.run(CheckPassword, &mut pam), PAM_SUCCESS);
    let cost = authflow_core::password::Cost::default();
    let reset = hashing::hash(cost, &Secret::from("set after the theft")).unwrap();
    replace(&machine, |password| *password = Some(Password::chosen(reset, SystemClock.now().wall)));
    assert_eq!(machine.run(ChangePassword, &mut pam), PAM_AUTHTOK_ERR);
    assert!(is_now(&machine, "set after the theft"));
}

/// What was proved is a hash, not a moment: clocks are set back, and a second is long.
#[test]
fn one_that_was_set_since_the_login_proved_another_stays_whatever_its_date_says() {
    if !may_read_shadow() {
        return;
    }
    let machine = machine();
    replace(&machine, |password| password.as_mut().unwrap().must_change = true);
    let mut pam = machine.login("login", &[("Password: ", PASSWORD), (NEW, BETTER), (AGAIN, BETTER)]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
    let reset = hashing::hash(authflow_core::password::Cost::default(), &Secret::from("set meanwhile")).unwrap();
    replace(&machine, |password| password.as_mut().unwrap().hash = reset);
    assert_eq!(machine.run(Account, &mut pam), PAM_NEW_AUTHTOK_REQD);
    (pam.facts.must_changes_only, pam.facts.is_called_by_root) = (true, true);
    assert_eq!(change(&machine, &mut pam, ""), PAM_AUTHTOK_ERR);
    assert!(is_now(&machine, "set meanwhile"));
}

#[test]
fn a_flow_that_took_another_modules_word_for_the_password_has_proved_none_of_ours() {
    if !may_read_shadow() {
        return;
    }
    let machine = machine();
    for (old, code) in [("not the password", PAM_AUTHTOK_RECOVERY_ERR), (PASSWORD, PAM_SUCCESS)] {
        let new = [(NEW, BETTER), (AGAIN, BETTER)];
        let answers: Vec<_> = [(OLD, old)].into_iter().chain(new.into_iter().filter(|_| code == PAM_SUCCESS)).collect();
        let mut pam = machine.login("login", &answers);
        pam.password = Some(Secret::from("known to the directory"));
        assert_eq!(machine.run_with("proved=password", Authenticate, &mut pam), PAM_SUCCESS);
        assert_eq!(change(&machine, &mut pam, ""), code, "{old}");
    }
    assert!(is_now(&machine, BETTER));
}

#[test]
fn what_cannot_be_changed_says_why() {
    let busy = machine();
    let file = records(&busy);
    let path = busy.place.paths.state().join(format!("{}.lock", busy.user));
    let mut pam = busy.login("passwd", &[(OLD, PASSWORD), (NEW, BETTER), (AGAIN, BETTER)]);
    assert_eq!(busy.run(CheckPassword, &mut pam), PAM_SUCCESS);
    let held = lock::take(&path, busy.place.trust).unwrap();
    assert_eq!(busy.run(ChangePassword, &mut pam), PAM_AUTHTOK_LOCK_BUSY);
    assert_eq!(busy.run(CheckPassword, &mut busy.login("passwd", &[(OLD, PASSWORD)])), PAM_TRY_AGAIN);
    drop(held);
    assert!(file.state(&busy.user).is_ok());

    let managed = machine();
    let own = managed.place.paths.users().join(format!("{}.toml", managed.user));
    std::fs::create_dir_all(managed.place.paths.managed_users()).unwrap();
    std::fs::copy(own, managed.place.paths.managed_users().join(format!("{}.toml", managed.user))).unwrap();
    let mut pam = managed.login("passwd", &[]);
    assert_eq!(change(&managed, &mut pam, ""), PAM_PERM_DENIED);
    assert!(pam.told.last().unwrap().contains("managed elsewhere"));
}

#[test]
fn without_the_list_of_common_passwords_root_alone_goes_on() {
    let machine = machine();
    std::fs::remove_file(machine.place.paths.common_passwords()).unwrap();
    let mut pam = machine.login("passwd", &[(OLD, PASSWORD)]);
    assert_eq!(change(&machine, &mut pam, ""), PAM_AUTHTOK_ERR);
    assert!(!pam.told.last().unwrap().contains("common-passwords.txt"), "where it lies is for the log");
    let mut pam = machine.login("passwd", &[(NEW, BETTER), (AGAIN, BETTER)]);
    pam.facts.is_called_by_root = true;
    assert_eq!(change(&machine, &mut pam, ""), PAM_SUCCESS);
}

#[test]
fn broken_files_of_ours_never_let_another_module_set_a_password_that_is_not_used() {
    let machine = machine();
    let own = machine.place.paths.users().join(format!("{}.toml", machine.user));
    let text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, &text[..text.len() / 2]).unwrap();
    assert_eq!(change(&machine, &mut machine.login("passwd", &[]), ""), PAM_AUTHTOK_ERR);
    std::fs::write(&own, text).unwrap();
    machine.configure("this does not parse");
    assert_eq!(change(&machine, &mut machine.login("passwd", &[]), ""), PAM_AUTHTOK_ERR);
}

#[test]
fn a_login_changes_only_what_must_be_and_asks_for_it_once() {
    if !may_read_shadow() {
        return;
    }
    let machine = machine();
    let mut pam = machine.login("login", &[("Password: ", PASSWORD)]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
    assert_eq!(machine.run(Account, &mut pam), PAM_SUCCESS);
    pam.facts.must_changes_only = true;
    pam.facts.is_called_by_root = true;
    assert_eq!(change(&machine, &mut pam, ""), PAM_IGNORE, "it is pam_unix that wants another one");

    replace(&machine, |password| password.as_mut().unwrap().must_change = true);
    let mut pam = machine.login("login", &[("Password: ", PASSWORD), (NEW, BETTER), (AGAIN, BETTER)]);
    assert_eq!(machine.run(Authenticate, &mut pam), PAM_SUCCESS);
    assert_eq!(machine.run(Account, &mut pam), PAM_NEW_AUTHTOK_REQD);
    pam.facts.must_changes_only = true;
    pam.facts.is_called_by_root = true;
    assert_eq!(change(&machine, &mut pam, ""), PAM_SUCCESS);
    assert!(is_now(&machine, BETTER));
    assert_eq!(machine.run(Account, &mut pam), PAM_SUCCESS);
    // Without a flow that has just proved it, the old one is asked for, whoever calls.
    replace(&machine, |password| password.as_mut().unwrap().must_change = true);
    let mut pam = machine.login("login", &[(OLD, "wrong")]);
    pam.facts.must_changes_only = true;
    pam.facts.is_called_by_root = true;
    assert_eq!(change(&machine, &mut pam, ""), PAM_AUTHTOK_RECOVERY_ERR);
}
