use super::*;

fn ledger(folder: &tempfile::TempDir) -> Ledger {
    Ledger::new(folder.path().join("setup"), Trust::of(nix::unistd::geteuid().as_raw()))
}

fn step(path: &str) -> Step {
    Step { path: path.into(), before: Some("old".into()), after: Some("new".into()) }
}

#[test]
fn a_setup_is_found_again_and_the_newest_one_that_stands_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    assert_eq!(ledger.newest_standing().unwrap(), None);
    let who = Who::Everybody;
    let begin = |at| {
        ledger.begin(WallTime::from_micros(at), (&[Service::Sshd], Some(&who)), vec![step("/etc/pam.d/sshd")]).unwrap()
    };
    let (first, second, third) = (begin(0), begin(0), begin(5_000_000));
    assert_ne!(first.name, second.name, "two in one second");
    assert_eq!(ledger.setup(&second.name).unwrap(), second);
    assert_eq!(fs::read_to_string(ledger.folder_of(&first.name).join("before/etc/pam.d/sshd")).unwrap(), "old");
    for setup in [&first, &third] {
        ledger.settle(&setup.name, End::Confirmed).unwrap();
    }
    assert_eq!(ledger.newest_standing().unwrap(), Some(third.clone()));
    ledger.settle(&third.name, End::RolledBack).unwrap();
    assert_eq!(ledger.newest_standing().unwrap(), Some(first));
}

#[test]
fn what_waits_is_known_until_it_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let setup = ledger.begin(WallTime::from_micros(0), (&[Service::Su], None), Vec::new()).unwrap();
    assert_eq!(ledger.pending().unwrap(), None);
    let pending =
        Pending { name: setup.name.clone(), until: WallTime::from_micros(9), live: None, is_going_back: false };
    ledger.set_pending(&pending).unwrap();
    assert_eq!(ledger.pending().unwrap(), Some(pending));
    ledger.settle(&setup.name, End::RolledBack).unwrap();
    assert_eq!(ledger.pending().unwrap(), None);
}

#[test]
fn the_newest_setup_is_known_without_pending_as_long_as_it_is_not_settled() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    assert_eq!(ledger.newest_unsettled().unwrap(), None);
    let begin = |at, who: Option<&Who>| {
        let steps = vec![step("/etc/pam.d/sshd")];
        ledger.begin(WallTime::from_micros(at), (&[Service::Sshd], who), steps).unwrap()
    };
    let (old, new) = (begin(0, Some(&Who::Everybody)), begin(5_000_000, Some(&Who::Everybody)));
    texts::private_folder(&ledger.folder_of("tried")).unwrap();
    assert_eq!(ledger.newest_unsettled().unwrap().as_ref(), Some(&new));
    ledger.settle(&new.name, End::Confirmed).unwrap();
    assert_eq!(ledger.newest_unsettled().unwrap(), None, "not {}, which was killed before", old.name);
    let _removal = begin(9_000_000, None);
    assert_eq!(ledger.newest_unsettled().unwrap(), None, "a removal is not taken back");
}

#[test]
fn a_clock_that_was_set_back_hides_no_setup_that_stands_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, file) = (ledger(&folder), folder.path().join("sshd"));
    let step = || vec![Step { path: file.clone(), before: Some("old".into()), after: Some("new".into()) }];
    let begin = |at, steps| {
        let what = (&[Service::Sshd][..], Some(&Who::Everybody));
        ledger.begin(WallTime::from_micros(at), what, steps).unwrap()
    };
    let waiting = begin(0, step());
    let confirmed = begin(9_000_000, vec![Step { after: Some("other".into()), ..step().remove(0) }]);
    ledger.settle(&confirmed.name, End::Confirmed).unwrap();
    fs::write(&file, "old").unwrap();
    assert_eq!(ledger.newest_unsettled().unwrap(), None, "nothing of it stands");
    fs::write(&file, "new").unwrap();
    assert_eq!(ledger.newest_unsettled().unwrap(), Some(waiting));
}

#[test]
fn a_removal_ends_what_was_set_up_before_it_at_its_services() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let begin = |at, services: &[Service], who: Option<&Who>| {
        ledger.begin(WallTime::from_micros(at), (services, who), vec![step("/etc/pam.d/sshd")]).unwrap()
    };
    let who = Who::Everybody;
    let confirmed = |at, services: &[Service], who: Option<&Who>| {
        let setup = begin(at, services, who);
        ledger.settle(&setup.name, End::Confirmed).unwrap();
        setup
    };
    let su = confirmed(0, &[Service::Su], Some(&who));
    let _older = confirmed(1_000_000, &[Service::Sshd], Some(&who));
    let _newer = confirmed(2_000_000, &[Service::Sshd, Service::Sudo], Some(&who));
    let _removal = confirmed(3_000_000, &[Service::Sudo], None);
    assert_eq!(ledger.newest_standing().unwrap(), Some(su.clone()), "nor what was below the newer one");
    let again = confirmed(4_000_000, &[Service::Sshd], Some(&who));
    assert_eq!(ledger.newest_standing().unwrap(), Some(again));
    let _stopped = begin(5_000_000, &[Service::Sshd], None);
    assert_eq!(ledger.newest_standing().unwrap(), Some(su));
}

#[test]
fn one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder);
    let lock = ledger.lock(Duration::ZERO).unwrap();
    assert!(lock.is_some() && ledger.lock(Duration::ZERO).unwrap().is_none());
    drop(lock);
    assert!(ledger.lock(Duration::ZERO).unwrap().is_some());
}

#[test]
fn since_when_it_is_live_is_told_by_a_clock_that_was_set_meanwhile() {
    let at = |boot: u64, wall: u64| Now {
        boot: BootTime::from_micros(boot * 1_000_000),
        wall: WallTime::from_micros(wall * 1_000_000),
    };
    let live = Live { boot_id: "this".into(), since: at(100, 0).boot };
    for (now, expected) in [
        (at(160, 1_000_060), 1_000_000),
        (at(160, 1_000_060 + 86_400), 1_000_000 + 86_400),
        (at(160, 500_000), 499_940),
    ] {
        assert_eq!(live.by_wall_clock_at("this", now).as_secs(), expected, "{now:?}");
    }
    assert_eq!(live.by_wall_clock_at("another", at(5, 10)), WallTime::default(), "everything is newer");
}
