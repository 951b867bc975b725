//! The life of a session, first as people would tell it, then under every order of events.

mod step_up;

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    factor::{Factor, Factors},
    policy::{AtMax, Limits, WithoutTty},
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

/// Something that may happen to sessions 0 to 3.
#[derive(Clone, Copy, Debug)]
enum Event {
    Open(u8),
    OpenNested(u8),
    Close(u8),
    Exit(u8, bool),
    Revoke(u8),
    Extend(u8),
    Renew(u8),
    Wake { typed: bool, alive: bool },
    Look(u8, bool),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let n = 0_u8..4;
    prop_oneof![
        n.clone().prop_map(Event::Open),
        n.clone().prop_map(Event::OpenNested),
        n.clone().prop_map(Event::Close),
        (n.clone(), any::<bool>()).prop_map(|(n, members)| Event::Exit(n, members)),
        n.clone().prop_map(Event::Revoke),
        n.clone().prop_map(Event::Extend),
        n.clone().prop_map(Event::Renew),
        (any::<bool>(), any::<bool>()).prop_map(|(typed, alive)| Event::Wake { typed, alive }),
        (n, any::<bool>()).prop_map(|(n, alive)| Event::Look(n, alive)),
        Just(Event::Restart),
    ]
}

/// Runs events against a registry, and checks what must always hold.
#[derive(Default)]
struct World {
    registry: Registry,
    opened: u8,
    /// The live session behind each number.
    live: [Option<SessionId>; 4],
    first_causes: BTreeMap<SessionId, EndReason>,
    ended: BTreeMap<SessionId, EndReason>,
}

impl World {
    fn happen(&mut self, event: Event, now: Now) {
        let before: Vec<_> = self.registry.iter().cloned().collect();
        let target = |n: u8| self.live[usize::from(n)].unwrap_or(id(255));
        let actions = match event {
            Event::Open(n) | Event::OpenNested(n) => self.open(n, matches!(event, Event::OpenNested(_)), now),
            Event::Close(n) => self.registry.close(target(n), now),
            Event::Exit(n, members) => self.registry.leader_exited(target(n), members, now),
            Event::Revoke(n) => self.registry.revoke(target(n), "root", None, now).unwrap_or_default(),
            Event::Extend(n) => self.registry.extend(target(n), false, now).unwrap_or_default(),
            Event::Renew(n) => {
                let renewal =
                    Renewal { uid: 1000, factors: [Factor::Password, Factor::Totp].into_iter().collect(), at: now };
                self.registry.renew(target(n), &renewal).unwrap_or_default()
            }
            Event::Look(n, alive) => {
                let id = target(n);
                self.look(id, Seen { is_alive: alive, ..QUIET }, now)
            }
            Event::Wake { typed, alive } => self.wake(typed, alive, now),
            Event::Restart => self.restart(now),
        };
        self.check(&before, &actions);
    }

    fn open(&mut self, n: u8, is_nested: bool, now: Now) -> Vec<Action> {
        self.opened += 1;
        let number = self.opened;
        let mut birth = Birth { opened: now, ..birth(number) };
        if is_nested {
            birth.opening.class = Class::Nested;
            birth.parent = self.live.iter().flatten().next().copied();
        }
        self.live[usize::from(n)] = Some(birth.id);
        self.registry.open(birth, now).unwrap()
    }

    fn wake(&mut self, typed: bool, alive: bool, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        for id in self.registry.due(now.boot) {
            let active_at = typed.then_some(now.boot);
            actions.extend(self.look(id, Seen { active_at, is_alive: alive, ..QUIET }, now));
        }
        assert!(self.registry.next_deadline().is_none_or(|next| next > now.boot), "no deadline is missed");
        actions
    }

    fn look(&mut self, id: SessionId, seen: Seen, now: Now) -> Vec<Action> {
        let actions = self.registry.review(id, seen, now);
        assert!(!self.registry.due(now.boot).contains(&id), "review moves the deadline past now");
        if let Some(session) = self.registry.find(id) {
            let lifetime = session.authenticated.boot.saturating_add(Duration::from_secs(LIFETIME));
            let is_closing = matches!(session.state, State::Closing(_));
            assert!(is_closing || now.boot < lifetime, "activity never outlives the lifetime");
        }
        let again = self.registry.review(id, Seen { active_at: None, is_alive: true, ..seen }, now);
        assert!(ends(&again).is_empty() && strikes(&again).is_empty(), "twice does nothing new: {again:?}");
        actions
    }

    fn restart(&mut self, now: Now) -> Vec<Action> {
        let mut registry = Registry::default();
        let actions = self.registry.iter().flat_map(|session| registry.load(session.clone(), BOOT, now)).collect();
        self.registry = registry;
        actions
    }

    fn check(&mut self, before: &[Session], actions: &[Action]) {
        for session in self.registry.iter() {
            if let State::Closing(closing) = &session.state {
                let first = self.first_causes.entry(session.id).or_insert(closing.reason);
                assert_eq!(*first, closing.reason, "the first cause is never overwritten");
            }
        }
        for (id, reason) in ends(actions) {
            assert_eq!(self.ended.insert(id, reason), None, "{id:?} ended twice");
            let first = self.first_causes.get(&id).copied().unwrap_or(reason);
            assert_eq!(first, reason, "the first cause wins");
            assert!(self.registry.find(id).is_none());
        }
        for session in before {
            let is_there = self.registry.find(session.id).is_some();
            assert_ne!(is_there, self.ended.contains_key(&session.id), "a session is there or has ended");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn under_every_order_of_events_a_session_ends_once_for_its_first_cause(
        events in prop::collection::vec((event(), 0_u64..1200), 1..60)
    ) {
        let (mut world, mut seconds) = (World::default(), 0);
        for (event, gap) in events {
            seconds += gap;
            world.happen(event, at(seconds));
        }
        // In the end everybody leaves.
        for _ in 0..10 {
            seconds += LIFETIME;
            world.happen(Event::Wake { typed: true, alive: true }, at(seconds));
            world.happen(Event::Wake { typed: true, alive: false }, at(seconds + 10));
        }
        prop_assert!(world.registry.is_empty(), "nothing outlives its lifetime");
        prop_assert_eq!(world.ended.len(), usize::from(world.opened));
    }
}
