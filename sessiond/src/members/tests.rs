//! Whose a process is, on machines made of a few of them.

use authflow_core::{
    factor::Factors,
    policy::Limits,
    session::{Basis, Leader, Opening, State},
    time::{BootTime, Now},
};

use super::*;

fn process(pid: u32, parent: u32, audit_id: Option<u32>) -> Process {
    Process {
        id: ProcessId { pid, start_time: 1 },
        uid: 1000,
        parent,
        tty: 0,
        audit_id,
        cgroup: "/system.slice/ssh.service".into(),
        is_zombie: false,
    }
}

/// A session that this process leads.
pub(crate) fn session(n: u8, leader: u32, audit_id: Option<u32>) -> Session {
    Session {
        id: SessionId::new([n; 16]),
        opening: Opening {
            user: "alice".into(),
            uid: 1000,
            target: "alice".into(),
            target_uid: 1000,
            service: "sshd".into(),
            tty: None,
            remote_host: None,
            class: Class::User,
            factors: Factors::none(),
            aal: 0,
            rule: String::new(),
            limits: Limits::default(),
            authenticated_at: None,
            flow: None,
            vouched_by: None,
        },
        leader: Leader { pid: leader, start_time: 1 },
        boot_id: String::new(),
        opened: Now::default(),
        authenticated: Now::default(),
        proved: <_>::default(),
        last_active: Now::default(),
        looked: BootTime::default(),
        basis: Basis::Tty,
        parent: None,
        logind_id: None,
        audit_id,
        warned_of: None,
        warned_again_of: None,
        locked_of: None,
        cannot_lock: false,
        inhibition: <_>::default(),
        account_at_start: <_>::default(),
        told: None,
        extended: 0,
        state: State::Active,
    }
}

fn nested(n: u8, leader: u32, parent: u8) -> Session {
    let mut session = session(n, leader, Some(5));
    session.opening.class = Class::Nested;
    session.parent = Some(SessionId::new([parent; 16]));
    session
}

fn registry(sessions: &[Session]) -> Registry {
    let mut registry = Registry::default();
    for session in sessions {
        assert!(registry.load(session.clone(), "", Now::default()).is_empty());
    }
    registry
}

fn pids(session: &Session, others: &[Session], snapshot: &Snapshot) -> Vec<u32> {
    members(session, &registry(others), &Known::default(), snapshot).into_iter().map(|id| id.pid).collect()
}

/// 10 is sshd's listener; 20 and 30 lead sessions; 25 was adopted by init; 99 is a neighbour.
fn machine() -> Vec<Process> {
    vec![
        process(1, 0, None),
        process(10, 1, None),
        process(20, 10, Some(5)),
        process(21, 20, Some(5)),
        process(22, 21, Some(5)),
        process(25, 1, Some(5)),
        process(30, 10, Some(6)),
        process(31, 30, Some(6)),
        process(99, 1, None),
    ]
}

#[test]
fn members_are_the_leader_its_descendants_and_what_the_audit_id_names() {
    let snapshot = Snapshot::of(machine());
    let (one, two) = (session(1, 20, Some(5)), session(2, 30, Some(6)));
    assert_eq!(pids(&one, std::slice::from_ref(&two), &snapshot), [20, 21, 22, 25]);
    assert_eq!(pids(&two, std::slice::from_ref(&one), &snapshot), [30, 31]);
}

#[test]
fn without_an_audit_id_init_and_the_listener_are_still_nobodys() {
    let snapshot = Snapshot::of(machine());
    assert_eq!(pids(&session(1, 20, None), &[], &snapshot), [20, 21, 22]);
}

#[test]
fn an_audit_id_that_the_listener_has_never_reaches_above_the_leader() {
    let mut machine = machine();
    machine[1].audit_id = Some(5);
    let snapshot = Snapshot::of(machine);
    let found = pids(&session(1, 20, Some(5)), &[session(2, 30, Some(6))], &snapshot);
    assert!(!found.contains(&10) && !found.contains(&1), "{found:?}");
}

#[test]
fn an_audit_id_that_two_sessions_have_is_no_evidence() {
    let mut machine = machine();
    machine[6].audit_id = Some(5);
    machine[7].audit_id = Some(5);
    let snapshot = Snapshot::of(machine);
    let (one, two) = (session(1, 20, Some(5)), session(2, 30, Some(5)));
    assert_eq!(pids(&one, std::slice::from_ref(&two), &snapshot), [20, 21, 22]);
}

#[test]
fn what_init_adopted_of_another_user_is_the_nested_sessions_and_of_two_nobodys() {
    let mut machine = machine();
    // The login's own; bob's from before; bob's; and one of bob's in another login.
    for (pid, uid, start_time, audit_id) in [(40, 1000, 9, 5), (41, 1001, 2, 5), (42, 1001, 9, 5), (43, 1001, 9, 6)] {
        machine.push(Process { uid, id: ProcessId { pid, start_time }, ..process(pid, 1, Some(audit_id)) });
    }
    let snapshot = Snapshot::of(machine);
    let su = |n: u8, leader: u32| {
        let mut session = nested(n, leader, 1);
        session.opening.target_uid = 1001;
        session.leader.start_time = 5;
        session
    };
    let logins = [session(1, 20, Some(5)), session(2, 30, Some(6))];
    // Its leader was killed: only what it left is there.
    assert_eq!(pids(&su(3, 77), &logins, &snapshot), [42]);
    let others = [logins.to_vec(), vec![su(4, 78)]].concat();
    assert_eq!(pids(&su(3, 77), &others, &snapshot), Vec::<u32>::new());
    assert_eq!(pids(&logins[0], &[su(3, 77)], &snapshot), [20, 21, 22, 25, 40, 41, 42], "and the login has them all");
}

#[test]
fn a_scope_that_another_login_was_let_in_from_is_not_the_sessions_alone() {
    const SCOPE: &str = "/user.slice/user-1000.slice/session-1.scope";
    let inside =
        |pid, parent, audit_id, cgroup: &str| Process { cgroup: cgroup.into(), ..process(pid, parent, audit_id) };
    let mut machine = vec![process(1, 0, None), process(10, 1, None)];
    for (pid, parent, audit_id) in [(20, 10, 5), (21, 20, 5), (22, 21, 5), (40, 1, 4)] {
        machine.push(inside(pid, parent, Some(audit_id), SCOPE));
    }
    let administrator = session(1, 20, Some(5));
    let is_shared = |more: &[Process], others: &[Session]| {
        let snapshot = Snapshot::of(machine.iter().chain(more).cloned());
        super::is_shared(SCOPE, &administrator, &registry(others), &snapshot)
    };
    assert!(!is_shared(&[], &[nested(3, 22, 1)]), "what is nested in it, and what an ended one left there");
    let login = session(2, 30, Some(6));
    let elsewhere = [process(30, 22, Some(6))];
    assert!(!is_shared(&elsewhere, std::slice::from_ref(&login)));
    // Below its leader; in a cgroup of its own below the scope; and adopted by init.
    let below = inside(31, 30, None, SCOPE);
    let deeper = inside(31, 30, None, &format!("{SCOPE}/one"));
    let adopted = inside(32, 1, Some(6), SCOPE);
    for process in [below, deeper, adopted] {
        let more = [elsewhere.to_vec(), vec![process]].concat();
        assert!(is_shared(&more, std::slice::from_ref(&login)), "{more:?}");
        assert!(!is_shared(&more[1..], &[]), "of nobody who is logged in");
    }
    let alike = inside(31, 30, None, &SCOPE.replace("-1.scope", "-1.scope2"));
    assert!(!is_shared(&[elsewhere[0].clone(), alike], &[login]));
}

#[test]
fn a_nested_session_is_its_leaders_descendants_and_the_parent_has_them_too() {
    let snapshot = Snapshot::of(machine());
    let (outer, inner) = (session(1, 20, Some(5)), nested(3, 22, 1));
    assert_eq!(pids(&inner, std::slice::from_ref(&outer), &snapshot), [22]);
    assert_eq!(pids(&outer, std::slice::from_ref(&inner), &snapshot), [20, 21, 22, 25]);
}

#[test]
fn what_carries_an_ended_sessions_audit_id_is_in_no_session() {
    let mut machine = machine();
    machine.push(process(40, 21, Some(4)));
    assert!(!pids(&session(1, 20, Some(5)), &[], &Snapshot::of(machine)).contains(&40));
}

#[test]
fn what_was_seen_below_the_leader_stays_a_member_when_init_adopts_it() {
    let mut known = Known::default();
    let session = session(1, 20, None);
    let before = Snapshot::of(machine());
    known.note(session.id, &members(&session, &registry(&[]), &known, &before), &before);
    let after = Snapshot::of([process(1, 0, None), process(22, 1, None), process(99, 1, None)]);
    let left = members(&session, &registry(&[]), &known, &after);
    assert_eq!(left.iter().map(|id| id.pid).collect::<Vec<_>>(), [22]);
}

#[test]
fn a_process_that_took_a_dead_leaders_pid_is_no_leader() {
    let mut machine = machine();
    machine[2].id.start_time = 77;
    assert_eq!(pids(&session(1, 20, None), &[], &Snapshot::of(machine)), Vec::<u32>::new());
}

#[test]
fn a_login_through_an_sshd_that_another_session_started_has_its_own_processes() {
    let mut machine = machine();
    machine[6].parent = 22;
    let snapshot = Snapshot::of(machine);
    let (administrator, login) = (session(1, 20, Some(5)), session(2, 30, Some(6)));
    assert_eq!(pids(&login, std::slice::from_ref(&administrator), &snapshot), [30, 31]);
    assert_eq!(pids(&administrator, std::slice::from_ref(&login), &snapshot), [20, 21, 22, 25]);
}

#[test]
fn what_a_session_holds_it_might_hold() {
    let snapshot = Snapshot::of(machine());
    let sessions = [session(1, 20, Some(5)), session(2, 30, Some(6)), nested(3, 22, 1)];
    let may_hold = |session: &Session, pid: u32| {
        let above = snapshot.ancestors(pid).collect();
        super::may_hold(session, (pid, &above), &Known::default(), &snapshot)
    };
    for session in &sessions {
        let held = pids(session, &sessions, &snapshot);
        assert!(held.iter().all(|pid| may_hold(session, *pid)), "{held:?}");
    }
    assert!(!may_hold(&sessions[0], 31) && !may_hold(&sessions[0], 99));
}

#[test]
fn a_scope_names_its_session() {
    assert_eq!(logind_id("/user.slice/user-1000.slice/session-7.scope").as_deref(), Some("7"));
    assert_eq!(logind_id("/system.slice/ssh.service"), None);
}

#[test]
fn a_login_that_logind_knows_is_one_of_a_person() {
    let file = |class: &str| format!("UID=1000\nUSER=alice\nSTATE=active\nCLASS={class}\nLEADER=77\n");
    assert_eq!(leader_of_login(&file("user"), 1000), Some(77));
    assert_eq!(leader_of_login(&file("user"), 1001), None);
    for other in ["background", "manager", "greeter"] {
        assert_eq!(leader_of_login(&file(other), 1000), None, "{other}");
    }
    assert_eq!(leader_of_login("UID=1000\nLEADER=77\n", 1000), Some(77), "what is not told is the safe way");
    assert_eq!(leader_of_login("", 1000), None);
}

/// A process that does not let itself be read.
fn unreadable(process: Process) -> Process {
    Process { id: ProcessId { start_time: u64::MAX, ..process.id }, ..process }
}

#[test]
fn what_cannot_be_read_is_in_its_session_all_the_same() {
    let machine = machine().into_iter().map(|process| if process.id.pid < 20 { process } else { unreadable(process) });
    let snapshot = Snapshot::of(machine);
    let (one, two) = (session(1, 20, Some(5)), session(2, 30, Some(6)));
    assert_eq!(pids(&one, std::slice::from_ref(&two), &snapshot), [20, 21, 22, 25]);
    assert_eq!(pids(&two, std::slice::from_ref(&one), &snapshot), [30, 31]);
    let found = members(&one, &registry(&[]), &Known::default(), &snapshot);
    assert!(found.contains(&process_of(one.leader)), "the leader goes by its own name");
}

#[test]
fn a_leader_that_cannot_be_read_keeps_its_own_from_the_session_above() {
    let machine = [
        process(1, 0, None),
        process(20, 1, None),
        process(21, 20, None),
        process(30, 21, None),
        process(31, 30, None),
    ];
    let hidden = |pid| machine.clone().map(|process| if process.id.pid == pid { unreadable(process) } else { process });
    let (above, below) = (session(1, 20, None), session(2, 30, None));
    for pid in [1, 21, 30, 31] {
        assert_eq!(pids(&above, std::slice::from_ref(&below), &Snapshot::of(hidden(pid))), [20, 21], "{pid}");
    }
}

#[test]
fn a_pid_alone_makes_nobody_elses_process_a_known_one() {
    let registry = registry(&[]);
    let session = session(1, 20, None);
    let mut known = Known::default();
    known.note(session.id, &[ProcessId { pid: 22, start_time: 1 }], &Snapshot::default());
    let found = |process: Process| {
        let snapshot = Snapshot::of([self::process(1, 0, None), process]);
        members(&session, &registry, &known, &snapshot)
    };
    assert_eq!(found(unreadable(process(22, 1, None))), [ProcessId { pid: 22, start_time: 1 }]);
    assert_eq!(found(Process { uid: 1001, ..unreadable(process(22, 1, None)) }), []);
    let later = Process { id: ProcessId { pid: 22, start_time: 2 }, ..process(22, 1, None) };
    assert_eq!(found(later), []);
}

#[test]
fn what_could_not_be_read_at_first_is_the_same_process_when_it_can_be() {
    let (registry, session) = (registry(&[]), session(1, 20, None));
    let at = |pid, start_time| Process { id: ProcessId { pid, start_time }, ..process(pid, 1, None) };
    let below = [process(1, 0, None), process(20, 1, None), unreadable(process(22, 20, None))];
    let snapshot = Snapshot::of(below).listed_at(50);
    let mut known = Known::default();
    known.note(session.id, &members(&session, &registry, &known, &snapshot), &snapshot);
    // Its parent is gone, and it has become another user's by now.
    let found = |process: Process, known: &Known| {
        let snapshot = Snapshot::of([self::process(1, 0, None), process.clone()]).listed_at(90);
        assert_eq!(
            may_hold(&session, (process.id.pid, &BTreeSet::from([1])), known, &snapshot),
            !members(&session, &registry, known, &snapshot).is_empty()
        );
        (members(&session, &registry, known, &snapshot), snapshot)
    };
    let now_read = Process { uid: 1001, ..at(22, 50) };
    let (members, snapshot) = found(now_read.clone(), &known);
    assert_eq!(members, [now_read.id]);
    assert_eq!(found(at(22, 51), &known).0, [], "it had not started then: the pid is another's by now");
    assert_eq!(found(at(23, 50), &known).0, []);
    known.note(session.id, &members, &snapshot);
    assert_eq!(found(now_read.clone(), &known).0, [now_read.id]);
    assert_eq!(found(at(22, 49), &known).0, [], "it is known as itself from then on");
}

#[test]
fn what_init_adopted_and_cannot_be_read_is_no_stray_for_it_may_be_older() {
    let mut machine = machine();
    machine.push(unreadable(Process { uid: 1001, ..process(42, 1, Some(5)) }));
    let around = session(1, 20, Some(5));
    let mut inner = nested(2, 22, 1);
    inner.opening.target_uid = 1001;
    let snapshot = Snapshot::of(machine);
    assert!(!pids(&inner, &[around.clone(), inner.clone()], &snapshot).contains(&42));
    assert!(pids(&around, &[around.clone(), inner], &snapshot).contains(&42));
}
