use std::{os::unix::process::CommandExt, process::Command};

use authflow_core::config::{Config, Text};
use proptest::prelude::*;

use super::*;

fn carried() -> Carried {
    Carried {
        flow: "00".repeat(16),
        user: "alice".into(),
        uid: 1000,
        service: "sshd".into(),
        remote: "10.0.0.5".into(),
        boot_id: "boot".into(),
        factors: "password totp".split(' ').map(|word| word.parse().unwrap()).collect(),
        rule: "ssh".into(),
        closed: Closed { has_no_shell: true, is_locked: false },
        granted_at: WallTime::from_micros(1_795_509_180_000_001),
        granted_boot: BootTime::new(Duration::from_secs(100)),
        previous: Some((WallTime::from_micros(7), "10.0.0.6".into())),
        failures: Some((2, WallTime::from_micros(8), "local".into())),
        is_new_source: true,
        is_put_off: true,
        when_unavailable: WhenUnavailable::Deny,
        vouched_by: None,
        limits: Limits { idle: None, ..Limits::default() },
    }
}

fn expected(now_seconds: u64) -> Expected<'static> {
    let now = BootTime::new(Duration::from_secs(now_seconds));
    Expected { boot_id: "boot", service: "sshd", uid: Some(1000), now }
}

fn trust() -> Trust {
    Trust::of(nix::unistd::geteuid().as_raw())
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_receipt_is_taken_once_by_the_process_that_it_was_left_for() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf(folder.path());
    let me = ProcessId::current().unwrap();
    let other = ProcessId { start_time: me.start_time + 1, ..me };
    shelf.leave(me, &carried()).unwrap();
    assert!(shelf.take(other, trust()).unwrap().is_none());
    assert_eq!(shelf.take(me, trust()).unwrap(), Some(carried()));
    assert!(shelf.take(me, trust()).unwrap().is_none());
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn a_new_flow_removes_the_receipt_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf(folder.path());
    let me = ProcessId::current().unwrap();
    shelf.leave(me, &carried()).unwrap();
    shelf.remove(me).unwrap();
    shelf.remove(me).unwrap();
    assert!(shelf.take(me, trust()).unwrap().is_none());
}

#[test]
fn a_file_that_others_could_have_written_is_removed_and_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf(folder.path());
    let me = ProcessId::current().unwrap();
    shelf.leave(me, &carried()).unwrap();
    fs::set_permissions(shelf.path(me), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(shelf.take(me, trust()), Err(BadReceipt::Untrusted(_))));
    assert_eq!(files(folder.path()), 0);
}

#[test]
fn what_the_dead_left_is_swept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf(folder.path());
    let me = ProcessId::current().unwrap();
    let dead = ProcessId { start_time: me.start_time + 1, ..me };
    for name in [dead.to_string(), format!(".{dead}"), "README".to_owned()] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    shelf.leave(me, &carried()).unwrap();
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [me.to_string().as_str(), "README"]);
}

#[test]
fn what_was_left_for_a_pid_that_is_somebody_elses_by_now_is_swept_without_asking_when_that_one_started() {
    let folder = tempfile::tempdir().unwrap();
    // Whoever tests is root, or is not what runs as root.
    let mut others = Command::new("sleep");
    others.arg("600");
    let mut others = if process::real_uid() == 0 { Some(others.uid(65534).spawn().unwrap()) } else { None };
    let other = ProcessId::of(others.as_ref().map_or(1, std::process::Child::id)).unwrap();
    fs::write(folder.path().join(other.to_string()), "").unwrap();
    let me = ProcessId::current().unwrap();
    Shelf(folder.path()).leave(me, &carried()).unwrap();
    if let Some(other) = &mut others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    assert_eq!(files(folder.path()), 1);
}

#[test]
fn everything_in_a_receipt_is_checked_again() {
    assert!(carried().check(&expected(100)).is_ok());
    assert!(carried().check(&expected(400)).is_ok());
    assert!(matches!(carried().check(&expected(401)), Err(BadReceipt::Age(_))));
    assert!(matches!(carried().check(&expected(99)), Err(BadReceipt::Age(_))));
    let check = |expected: Expected<'_>| carried().check(&expected).unwrap_err();
    assert!(matches!(check(Expected { boot_id: "other", ..expected(100) }), BadReceipt::Boot));
    assert!(matches!(check(Expected { service: "login", ..expected(100) }), BadReceipt::Service(_)));
    assert!(matches!(check(Expected { uid: Some(1001), ..expected(100) }), BadReceipt::Uid { .. }));
    assert!(matches!(check(Expected { uid: None, ..expected(100) }), BadReceipt::Uid { .. }));
    let vouched_for = Carried { factors: [Factor::Session].into_iter().collect(), ..carried() };
    assert!(matches!(vouched_for.check(&expected(100)), Err(BadReceipt::Voucher)));
    let vouched_by = Some(SessionId::new([1; 16]));
    assert!(Carried { vouched_by, ..vouched_for }.check(&expected(100)).is_ok());
    assert!(matches!(Carried { vouched_by, ..carried() }.check(&expected(100)), Err(BadReceipt::Voucher)));
}

#[test]
fn a_session_vouches_for_one_rule_alone() {
    let rule = |name: &str| {
        let text = format!("[[rule]]\nname = '{name}'\nservice = ['sudo']\nmethods = [['password']]\n");
        Config::parse(Text { name: "authflow.toml", text: &text }, &[]).unwrap().rules.remove(0)
    };
    let receipt = Carried { factors: [Factor::Password, Factor::Session].into_iter().collect(), ..carried() };
    assert_eq!(receipt.factors_for(&rule("ssh")), receipt.factors);
    assert_eq!(receipt.factors_for(&rule("another")), Factors::none().with(Factor::Password));
}

proptest! {
    #[test]
    fn a_receipt_reads_as_it_was_written(user in ".{0,30}", remote in "\\PC{0,30}", idle in any::<Option<u32>>()) {
        let mut receipt = Carried { user, remote, ..carried() };
        receipt.limits.idle = idle.map(|seconds| Duration::from_secs(seconds.into()));
        let text = receipt.to_text().unwrap();
        prop_assert_eq!(Carried::parse(&text).unwrap(), receipt);
    }

    #[test]
    fn no_part_of_a_receipt_is_taken_for_the_whole(cut in 0_usize..2000) {
        let text = carried().to_text().unwrap();
        prop_assume!(cut < text.len());
        prop_assert!(Carried::parse(text.get(..cut).unwrap_or_default()).is_err());
    }
}
