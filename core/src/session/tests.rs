//! The life of a session, first as people would tell it, then under every order of events.

mod any_order;
mod at_limit;
mod inhibiting;
mod locking;
mod step_up;

use std::time::Duration;

use super::*;
use crate::{
    factor::{Factor, Factors},
    policy::{ActivityKind, AtLogout, AtMax, Limits, WithoutTty},
    time::WallTime,
};

const BOOT: &str = "this-boot";
const IDLE: u64 = 900;
const LIFETIME: u64 = 3600;
const WARN: u64 = 120;

fn at(seconds: u64) -> Now {
    Now {
        boot: BootTime::new(Duration::from_secs(1000 + seconds)),
        wall: WallTime::new(Duration::from_secs(1_800_000_000 + seconds)),
    }
}

fn id(n: u8) -> SessionId {
    SessionId::new([n; 16])
}

fn limits() -> Limits {
    Limits {
        idle: Some(Duration::from_secs(IDLE)),
        lifetime: Some(Duration::from_secs(LIFETIME)),
        warn: Duration::from_secs(WARN),
        grace: Duration::from_secs(5),
        ..Limits::default()
    }
}

fn birth(n: u8) -> Birth {
    Birth {
        id: id(n),
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
            aal: 2,
            rule: "ssh".into(),
            limits: limits(),
            authenticated_at: None,
            flow: None,
            vouched_by: None,
        },
        leader: Leader { pid: u32::from(n), start_time: 7 },
        boot_id: BOOT.into(),
        parent: None,
        logind_id: None,
        audit_id: None,
        opened: at(0),
    }
}

fn with_limits(n: u8, limits: Limits) -> Birth {
    let mut birth = birth(n);
    birth.opening.limits = limits;
    birth
}

fn nested(n: u8, parent: u8) -> Birth {
    let mut birth = Birth { parent: Some(id(parent)), ..birth(n) };
    birth.opening.class = Class::Nested;
    birth
}

const QUIET: Seen = Seen { basis: Basis::Tty, active_at: None, is_alive: true };
const DEAD: Seen = Seen { is_alive: false, ..QUIET };

fn typed(seconds: u64) -> Seen {
    Seen { active_at: Some(at(seconds).boot), ..QUIET }
}

fn registry(births: impl IntoIterator<Item = Birth>) -> Registry {
    let mut registry = Registry::default();
    for birth in births {
        let _begun = registry.open(birth, at(0)).unwrap();
    }
    registry
}

/// How the sessions in `actions` ended.
fn ends(actions: &[Action]) -> Vec<(SessionId, EndReason)> {
    let end = |action: &Action| {
        if let Action::Archive(ended) = action { Some((ended.session.id, ended.reason)) } else { None }
    };
    actions.iter().filter_map(end).collect()
}

fn strikes(actions: &[Action]) -> Vec<(SessionId, Manner, Step)> {
    let strike = |action: &Action| {
        if let Action::Strike { id, manner, step } = action { Some((*id, *manner, *step)) } else { None }
    };
    actions.iter().filter_map(strike).collect()
}

fn farewells(actions: &[Action]) -> Vec<SessionId> {
    let farewell = |action: &Action| if let Action::Farewell { id, .. } = action { Some(*id) } else { None };
    actions.iter().filter_map(farewell).collect()
}

#[test]
fn a_session_left_alone_is_warned_then_hung_up_then_gone() {
    let mut registry = registry([birth(1)]);
    assert_eq!(registry.next_deadline(), Some(at(IDLE - WARN).boot));
    let warned = registry.review(id(1), QUIET, at(IDLE - WARN));
    let left = Duration::from_secs(WARN);
    assert!(warned.contains(&Action::Warn { id: id(1), limit: EndReason::Idle, left }));
    assert_eq!(registry.next_deadline(), Some(at(IDLE - WARN / 4).boot), "and is warned once more");
    let warned = registry.review(id(1), QUIET, at(IDLE - WARN / 4));
    let left = Duration::from_secs(WARN / 4);
    assert!(warned.contains(&Action::Warn { id: id(1), limit: EndReason::Idle, left }));
    assert_eq!(registry.next_deadline(), Some(at(IDLE).boot));

    let ending = registry.review(id(1), QUIET, at(IDLE));
    assert_eq!(ending[0], Action::Persist(id(1)), "kept before the first signal");
    assert_eq!(farewells(&ending), [id(1)]);
    assert!(strikes(&ending).is_empty(), "the last words are read first");
    assert!(registry.next_deadline().is_some_and(|next| next > at(IDLE).boot && next < at(IDLE + 1).boot));
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(IDLE + 1))), [(id(1), Manner::Hangup, Step::Hangup)]);
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(IDLE + 6))), [(id(1), Manner::Hangup, Step::Term)]);
    for again in [11, 16, 21] {
        assert_eq!(strikes(&registry.review(id(1), QUIET, at(IDLE + again))), [(id(1), Manner::Hangup, Step::Kill)]);
    }
    assert_eq!(ends(&registry.review(id(1), DEAD, at(IDLE + 22))), [(id(1), EndReason::Idle)]);
    assert!(registry.is_empty() && registry.next_deadline().is_none());
}

#[test]
fn activity_resets_idle_only_and_a_new_deadline_is_warned_of_anew() {
    let mut registry = registry([birth(1)]);
    let _ = registry.review(id(1), QUIET, at(IDLE - WARN));
    let _ = registry.review(id(1), typed(850), at(IDLE));
    assert_eq!(registry.next_deadline(), Some(at(850 + IDLE - WARN).boot));
    let session = registry.find(id(1)).unwrap();
    assert_eq!(deadlines(session).lifetime, Some(at(LIFETIME).boot));
    let warned = registry.review(id(1), QUIET, at(850 + IDLE - WARN));
    assert!(warned.iter().any(|action| matches!(action, Action::Warn { .. })));
}

#[test]
fn the_lifetime_ends_a_busy_session_and_terminates_it() {
    let mut registry = registry([birth(1)]);
    for seconds in (600..LIFETIME).step_by(600) {
        let _ = registry.review(id(1), typed(seconds), at(seconds));
    }
    assert_eq!(farewells(&registry.review(id(1), typed(LIFETIME), at(LIFETIME))), [id(1)]);
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(LIFETIME + 1))), [(id(1), Manner::Terminate, Step::Hangup)]);
}

#[test]
fn a_stamp_from_the_future_or_from_before_the_last_look_is_clamped() {
    let mut registry = registry([birth(1)]);
    let _ = registry.review(id(1), typed(1_000_000), at(100));
    assert_eq!(registry.find(id(1)).unwrap().last_active.boot, at(100).boot, "not later than now");
    let _ = registry.review(id(1), QUIET, at(200));
    let _ = registry.review(id(1), typed(50), at(300));
    assert_eq!(registry.find(id(1)).unwrap().last_active.boot, at(200).boot, "not before the last look");
}

#[test]
fn a_revoked_session_ends_at_once_and_keeps_its_first_cause() {
    let mut registry = registry([birth(1)]);
    let ending = registry.revoke(id(1), "root", Some("maintenance"), at(10)).unwrap();
    assert!(ending.contains(&Action::Farewell {
        id: id(1),
        reason: EndReason::Revoked,
        message: Some("maintenance".into())
    }));
    let struck = registry.review(id(1), QUIET, at(11));
    assert_eq!(strikes(&struck), [(id(1), Manner::Terminate, Step::Hangup)]);
    assert!(registry.revoke(id(1), "bob", Some("me too"), at(11)).unwrap().is_empty());
    assert!(registry.close(id(1), at(12)).is_empty(), "sshd closes on the first signal; others may still run");
    let over = registry.review(id(1), DEAD, at(12));
    let [Action::Archive(ended), Action::AnnounceClosed(_)] = over.as_slice() else { panic!("{over:?}") };
    assert_eq!((ended.by.as_deref(), ended.message.as_deref()), (Some("root"), Some("maintenance")));
    assert_eq!(registry.revoke(id(1), "root", None, at(13)), Err(NotEnded));
}

#[test]
fn a_logout_is_a_logout_and_a_lost_leader_is_one_when_nobody_is_left() {
    let mut registry = registry([birth(1), birth(2), birth(3)]);
    assert_eq!(ends(&registry.close(id(1), at(5))), [(id(1), EndReason::Logout)]);
    assert_eq!(ends(&registry.leader_exited(id(2), false, at(5))), [(id(2), EndReason::LeaderExited)]);
    assert_eq!(registry.leader_exited(id(3), true, at(5)), [Action::Persist(id(3))]);
    assert_eq!(registry.find(id(3)).unwrap().state_word(), "orphaned");
    let ending = registry.review(id(3), QUIET, at(IDLE));
    assert_eq!(farewells(&ending), [id(3)], "its limits still hold");
    let struck = strikes(&registry.review(id(3), QUIET, at(IDLE + 1)));
    assert_eq!(struck, [(id(3), Manner::Terminate, Step::Hangup)], "killing the leader is no way around a hang-up");
}

#[test]
fn who_logs_out_leaves_running_what_detached_itself() {
    let mut registry = registry([birth(1), nested(2, 1)]);
    assert_eq!(farewells(&registry.log_out(id(1), at(5)).unwrap()), [id(1), id(2)]);
    let _closed_by_sshd = registry.close(id(1), at(6));
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(6))), [(id(1), Manner::Hangup, Step::Hangup)]);
    assert_eq!(strikes(&registry.review(id(2), QUIET, at(6))), [(id(2), Manner::Terminate, Step::Hangup)]);
    assert_eq!(ends(&registry.review(id(1), DEAD, at(7))), [(id(1), EndReason::Logout)]);
    assert_eq!(registry.log_out(id(1), at(8)), Err(NotEnded));
}

#[test]
fn a_rule_may_end_what_a_logout_leaves_and_the_leader_goes_its_own_way() {
    let terminate = Limits { at_logout: AtLogout::Terminate, ..limits() };
    let births = [1, 2, 3].map(|n| with_limits(n, terminate.clone()));
    let mut registry = registry(births.into_iter().chain([nested(4, 1), birth(5)]));
    assert_eq!(ends(&registry.close(id(1), at(5))), []);
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(6))), [(id(1), Manner::Remains, Step::Hangup)]);
    assert_eq!(strikes(&registry.review(id(4), QUIET, at(6))), [(id(4), Manner::Terminate, Step::Hangup)]);
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(12))), [(id(1), Manner::Remains, Step::Term)]);
    assert_eq!(strikes(&registry.review(id(1), QUIET, at(18))), [(id(1), Manner::Remains, Step::Kill)]);
    assert!(registry.leader_exited(id(1), true, at(19)).is_empty(), "what it left is still there");
    assert_eq!(ends(&registry.review(id(1), DEAD, at(20))), [(id(1), EndReason::Logout)]);

    let _told = registry.log_out(id(2), at(5)).unwrap();
    assert_eq!(strikes(&registry.review(id(2), QUIET, at(6))), [(id(2), Manner::Terminate, Step::Hangup)]);
    assert_eq!(farewells(&registry.leader_exited(id(3), true, at(5))), [id(3)], "a lost leader is no way around it");
    assert_eq!(strikes(&registry.review(id(3), QUIET, at(6))), [(id(3), Manner::Terminate, Step::Hangup)]);
    assert_eq!(ends(&registry.review(id(3), DEAD, at(7))), [(id(3), EndReason::LeaderExited)]);
    assert_eq!(registry.find(id(5)).unwrap().state, State::Active, "another login of the user's");
}

#[test]
fn a_nested_logout_ends_what_it_left_and_not_the_login_around_it() {
    let mut su = nested(2, 1);
    su.opening.limits.at_logout = AtLogout::Terminate;
    let mut registry = registry([birth(1), su]);
    assert_eq!(farewells(&registry.close(id(2), at(5))), [id(2)]);
    assert_eq!(strikes(&registry.review(id(2), QUIET, at(6))), [(id(2), Manner::Remains, Step::Hangup)]);
    assert_eq!(registry.find(id(1)).unwrap().state, State::Active);
}

#[test]
fn who_closed_a_session_may_open_the_next_while_what_is_left_ends() {
    let terminate = Limits { at_logout: AtLogout::Terminate, ..limits() };
    let mut registry = registry([with_limits(1, terminate)]);
    let again = |n: u8| Birth { leader: birth(1).leader, ..birth(n) };
    assert_eq!(registry.open(again(2), at(4)), Err(NotOpened::LeaderTaken));
    let _closed = registry.close(id(1), at(5));
    assert!(registry.open(again(2), at(6)).is_ok());
    assert_eq!(ends(&registry.review(id(1), DEAD, at(7))), [(id(1), EndReason::Logout)]);
    assert_eq!(registry.led_by(birth(1).leader).map(|session| session.id), Some(id(2)));
}

#[test]
fn a_look_that_comes_late_warns_once() {
    let mut registry = registry([birth(1)]);
    let warned = registry.review(id(1), QUIET, at(IDLE - 5));
    assert_eq!(warned.iter().filter(|action| matches!(action, Action::Warn { .. })).count(), 1);
    assert_eq!(registry.next_deadline(), Some(at(IDLE).boot));
}

#[test]
fn what_the_daemon_tells_is_kept_where_it_could_be_taken_for_activity() {
    let talking = Limits { activity: ActivityKind::InputOutput, ..limits() };
    let mut registry = registry([birth(1), with_limits(2, talking)]);
    assert_eq!(registry.note_told(id(1), at(5).wall), []);
    assert_eq!(registry.note_told(id(2), at(5).wall), [Action::Persist(id(2))]);
    assert_eq!(registry.find(id(2)).and_then(|session| session.told), Some(at(5).wall));
}

#[test]
fn nested_sessions_have_no_idle_timer_and_end_with_their_parent() {
    let mut registry = registry([birth(1), nested(2, 1), nested(3, 2)]);
    assert_eq!(deadlines(registry.find(id(2)).unwrap()).idle, None);
    let ending = registry.revoke(id(1), "root", None, at(5)).unwrap();
    assert_eq!(farewells(&ending), [id(1), id(2), id(3)]);
    let mut other = super::tests::registry([birth(1), nested(2, 1)]);
    assert_eq!(farewells(&other.close(id(1), at(5))), [id(2)]);
    assert_eq!(ends(&other.review(id(2), DEAD, at(6))), [(id(2), EndReason::Logout)]);
}

#[test]
fn what_idle_does_not_govern_lives_until_its_lifetime() {
    let limits = Limits { without_tty: WithoutTty::Ignore, ..limits() };
    let mut registry = registry([with_limits(1, limits)]);
    let no_tty = Seen { basis: Basis::None, ..QUIET };
    let _ = registry.review(id(1), no_tty, at(IDLE - WARN));
    assert_eq!(registry.next_deadline(), Some(at(LIFETIME - WARN).boot));
    let _ = registry.review(id(1), QUIET, at(LIFETIME - WARN));
    assert_eq!(deadlines(registry.find(id(1)).unwrap()).idle, Some(at(IDLE).boot), "a tty came");
}

#[test]
fn a_session_without_limits_has_no_deadline() {
    let registry = registry([with_limits(1, Limits { idle: None, lifetime: None, ..limits() })]);
    assert_eq!(registry.next_deadline(), None);
}

#[test]
fn a_user_extends_as_often_as_the_rule_grants_and_root_always() {
    let mut registry = registry([with_limits(1, Limits { user_extend: 1, ..limits() })]);
    assert!(registry.extend(id(1), true, at(100)).is_ok());
    assert_eq!(registry.extend(id(1), true, at(200)), Err(NotExtended::UsedUp(1)));
    assert!(registry.extend(id(1), false, at(300)).is_ok());
    assert_eq!(registry.next_deadline(), Some(at(300 + IDLE - WARN).boot));
    let _ = registry.revoke(id(1), "root", None, at(301)).unwrap();
    assert_eq!(registry.extend(id(1), false, at(302)), Err(NotExtended::Ending));
    assert_eq!(registry.extend(id(9), false, at(302)), Err(NotExtended::NoSuchSession));
}

#[test]
fn one_too_many_is_refused_or_takes_the_place_of_the_longest_idle() {
    let refuse = Limits { max_sessions: Some(2), ..limits() };
    let mut full = registry([birth(1), birth(2)]);
    assert_eq!(full.open(with_limits(3, refuse.clone()), at(5)), Err(NotOpened::TooMany(2)));
    let _ = full.review(id(1), typed(50), at(60));
    let supersede = Limits { at_max: AtMax::Supersede, ..refuse };
    let actions = full.open(with_limits(3, supersede), at(60)).unwrap();
    assert_eq!(farewells(&actions), [id(2)]);
    assert_eq!(ends(&full.review(id(2), DEAD, at(61))), [(id(2), EndReason::Superseded)]);
}

#[test]
fn who_was_let_in_while_nobody_counted_is_taken_on_and_who_left_is_recorded() {
    let refuse = Limits { max_sessions: Some(1), ..limits() };
    let mut registry = registry([birth(1)]);
    let actions = registry.adopt(with_limits(2, refuse.clone()), at(5)).unwrap();
    assert_eq!(actions, [Action::Persist(id(2)), Action::AnnounceOpened(id(2))]);
    let supersede = Limits { at_max: AtMax::Supersede, ..refuse };
    let closed = at(7).wall;
    let actions = registry.record(with_limits(3, supersede.clone()), Some(closed), at(9)).unwrap();
    assert_eq!((ends(&actions), registry.len()), (vec![(id(3), EndReason::Logout)], 2), "it takes nobody's place");
    assert!(actions.iter().any(|action| matches!(action, Action::Archive(ended) if ended.closed.wall == closed)));
    let actions = registry.record(with_limits(4, supersede), None, at(9)).unwrap();
    assert_eq!(ends(&actions), [(id(4), EndReason::LeaderExited)]);
    let terminate = Limits { at_logout: AtLogout::Terminate, ..limits() };
    let actions = registry.record(with_limits(5, terminate), Some(closed), at(9)).unwrap();
    assert_eq!(ends(&actions), [(id(5), EndReason::Logout)], "nobody knows any more what it left");
}

#[test]
fn a_restart_finds_every_session_and_a_reboot_closes_them() {
    let mut before = registry([birth(1), birth(2)]);
    let _ = before.revoke(id(2), "root", None, at(5)).unwrap();
    let mut after = Registry::default();
    for session in before.iter() {
        assert!(after.load(session.clone(), BOOT, at(50)).is_empty());
        assert!(after.load(session.clone(), BOOT, at(50)).is_empty(), "none twice");
    }
    assert_eq!((after.len(), after.due(at(50).boot)), (2, vec![id(2)]), "the end goes on where it was");
    let mut rebooted = Registry::default();
    let ended: Vec<_> = before.iter().flat_map(|s| ends(&rebooted.load(s.clone(), "another", at(0)))).collect();
    assert_eq!(ended, [(id(1), EndReason::Reboot), (id(2), EndReason::Revoked)]);
}

#[test]
fn an_id_or_a_leader_opens_one_session() {
    let mut registry = registry([birth(1)]);
    assert_eq!(registry.open(birth(1), at(1)), Err(NotOpened::IdTaken));
    let same_leader = Birth { leader: birth(1).leader, ..birth(2) };
    assert_eq!(registry.open(same_leader, at(1)), Err(NotOpened::LeaderTaken));
}

#[test]
fn the_lifetime_counts_from_authentication_which_the_module_cannot_make_later_or_much_earlier() {
    let opened_with = |authenticated| {
        let mut birth = birth(1);
        birth.opening.authenticated_at = Some(authenticated);
        registry([birth]).find(id(1)).unwrap().authenticated.boot
    };
    let opened = at(0);
    assert_eq!(opened_with(at(9_999).wall), opened.boot);
    assert_eq!(
        opened_with(opened.wall.saturating_sub(Duration::from_secs(30))),
        BootTime::new(Duration::from_secs(970))
    );
    assert_eq!(opened_with(WallTime::default()), BootTime::new(Duration::from_secs(700)), "at most a receipt's life");
}

#[test]
fn who_left_while_no_daemon_looked_was_not_ended_by_a_limit() {
    let mut registry = registry([birth(1), nested(2, 1)]);
    let actions = registry.review(id(1), DEAD, at(LIFETIME + 1));
    assert_eq!(ends(&actions), [(id(1), EndReason::LeaderExited)]);
    assert_eq!(registry.find(id(1)), None);
    assert!(matches!(registry.find(id(2)).unwrap().state, State::Closing(_)), "what is nested in it ends");
}
