//! What must hold under every order of events, with the daemon killed and started again between any two, and the wall clock set to
//! anything: each session ends once, for its first cause, no deadline is missed, and what is kept is what is known.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::policy::{AtLimit, AtLogout};

/// Something that may happen to sessions 0 to 3.
#[derive(Clone, Copy, Debug)]
enum Event {
    Open(u8),
    OpenNested(u8),
    OpenDesktop(u8, AtLimit),
    OpenLeavingNothing(u8),
    Close(u8),
    LogOut(u8),
    Exit(u8, bool),
    Revoke(u8),
    Deactivate(u8),
    Extend(u8),
    Renew(u8),
    Inhibit(u8, u8),
    Release(u8, u8),
    Unlock(u8),
    Wake { typed: bool, alive: bool },
    Look(u8, bool),
    SetClock(u64),
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let n = 0_u8..4;
    let at_limit = prop_oneof![Just(AtLimit::Lock), Just(AtLimit::Terminate), Just(AtLimit::Hangup)];
    prop_oneof![
        n.clone().prop_map(Event::Open),
        n.clone().prop_map(Event::OpenNested),
        (n.clone(), at_limit).prop_map(|(n, at)| Event::OpenDesktop(n, at)),
        n.clone().prop_map(Event::OpenLeavingNothing),
        n.clone().prop_map(Event::Close),
        n.clone().prop_map(Event::LogOut),
        (n.clone(), any::<bool>()).prop_map(|(n, members)| Event::Exit(n, members)),
        n.clone().prop_map(Event::Revoke),
        n.clone().prop_map(Event::Deactivate),
        n.clone().prop_map(Event::Extend),
        n.clone().prop_map(Event::Renew),
        (n.clone(), 0_u8..3).prop_map(|(n, holder)| Event::Inhibit(n, holder)),
        (n.clone(), 0_u8..3).prop_map(|(n, holder)| Event::Release(n, holder)),
        n.clone().prop_map(Event::Unlock),
        (any::<bool>(), any::<bool>()).prop_map(|(typed, alive)| Event::Wake { typed, alive }),
        (n, any::<bool>()).prop_map(|(n, alive)| Event::Look(n, alive)),
        (0_u64..200_000).prop_map(Event::SetClock),
        Just(Event::Restart),
    ]
}

/// Runs events against a registry, and checks what must always hold.
#[derive(Default)]
struct World {
    registry: Registry,
    /// What a daemon that starts now would find: each session as it was last told to keep it.
    kept: BTreeMap<SessionId, String>,
    opened: u8,
    /// The live session behind each number.
    live: [Option<SessionId>; 4],
    /// What logind tells a look at that session.
    bases: BTreeMap<SessionId, Basis>,
    first_causes: BTreeMap<SessionId, EndReason>,
    ended: BTreeMap<SessionId, EndReason>,
}

impl World {
    fn happen(&mut self, event: Event, now: Now) {
        let before: Vec<_> = self.registry.iter().cloned().collect();
        let target = |n: u8| self.live[usize::from(n)].unwrap_or(id(255));
        let process = |n: u8| (u32::from(n), 7);
        let actions = match event {
            Event::Open(n) => self.open(n, birth(0), now),
            Event::OpenNested(n) => self.open(n, nested(0, 0), now),
            Event::OpenDesktop(n, at_lifetime) => self.open(
                n,
                with_limits(0, Limits { at_lifetime, inhibit_max: Duration::from_secs(600), ..limits() }),
                now,
            ),
            Event::OpenLeavingNothing(n) => {
                self.open(n, with_limits(0, Limits { at_logout: AtLogout::Terminate, ..limits() }), now)
            }
            Event::Close(n) => self.registry.close(target(n), now),
            Event::LogOut(n) => self.registry.log_out(target(n), now).unwrap_or_default(),
            Event::Exit(n, members) => self.registry.leader_exited(target(n), members, now),
            Event::Revoke(n) => self.registry.revoke(target(n), "root", None, now).unwrap_or_default(),
            Event::Deactivate(n) => self.registry.deactivate(target(n), None, None, now).unwrap_or_default(),
            Event::Extend(n) => self.registry.extend(target(n), false, now).unwrap_or_default(),
            Event::Renew(n) => {
                let renewal =
                    Renewal { uid: 1000, factors: [Factor::Password, Factor::Totp].into_iter().collect(), at: now };
                self.registry.renew(target(n), &renewal).unwrap_or_default()
            }
            Event::Inhibit(n, holder) => {
                let (pid, start_time) = process(holder);
                let holder = Holder { pid, start_time, why: "make".into() };
                self.registry.inhibit(target(n), holder).map(|(_, actions)| actions).unwrap_or_default()
            }
            Event::Release(n, holder) => self.registry.release(target(n), process(holder), now),
            Event::Unlock(n) => self.registry.unlocked(target(n), now),
            Event::Look(n, alive) => {
                let id = target(n);
                self.look(id, Seen { is_alive: alive, ..QUIET }, now)
            }
            Event::Wake { typed, alive } => self.wake(typed, alive, now),
            Event::SetClock(_) => Vec::new(),
            Event::Restart => self.restart(now),
        };
        self.keep(&actions);
        self.check(&before, &actions);
    }

    fn open(&mut self, n: u8, like: Birth, now: Now) -> Vec<Action> {
        self.opened += 1;
        let number = self.opened;
        let parent = self.live.iter().flatten().next().copied();
        let is_desktop = !like.opening.limits.inhibit_max.is_zero();
        let birth = Birth {
            id: id(number),
            leader: Leader { pid: u32::from(number), start_time: 7 },
            opened: now,
            parent: parent.filter(|_| like.opening.class == Class::Nested),
            ..like
        };
        self.bases.insert(birth.id, if is_desktop { Basis::Hint } else { Basis::Tty });
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
        let seen = Seen { basis: self.bases.get(&id).copied().unwrap_or_default(), ..seen };
        let was_living = self.registry.find(id).is_some_and(|session| !matches!(session.state, State::Closing(_)));
        let actions = self.registry.review(id, seen, now);
        if was_living && !seen.is_alive {
            let over = ends(&actions).into_iter().find(|(over, _)| *over == id);
            let is_closing = self.registry.find(id).is_some_and(|session| matches!(session.state, State::Closing(_)));
            let is_left_alone = over.is_none() && !is_closing;
            assert!(is_left_alone || over == Some((id, EndReason::LeaderExited)), "no limit ends what is not there");
        }
        assert!(!self.registry.due(now.boot).contains(&id), "review moves the deadline past now");
        if let Some(session) = self.registry.find(id) {
            let lifetime = session.authenticated.boot.saturating_add(Duration::from_secs(LIFETIME));
            let is_closing = matches!(session.state, State::Closing(_));
            let is_locked = session.opening.limits.at_lifetime == AtLimit::Lock && session.locked_of >= Some(lifetime);
            assert!(is_closing || is_locked || now.boot < lifetime, "activity never outlives the lifetime");
        }
        let again = self.registry.review(id, Seen { active_at: None, is_alive: true, ..seen }, now);
        let does_something = |action: &Action| !matches!(action, Action::Persist(_));
        assert!(!again.iter().any(does_something), "twice does nothing new: {again:?}");
        actions
    }

    fn restart(&mut self, now: Now) -> Vec<Action> {
        let mut registry = Registry::default();
        let kept = self.kept.values().map(|text| serde_json::from_str(text).unwrap());
        let actions = kept.flat_map(|session| registry.load(session, BOOT, now)).collect();
        self.registry = registry;
        actions
    }

    /// As the daemon does: each action finds the session as the method left it.
    fn keep(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Persist(id) => {
                    if let Some(session) = self.registry.find(*id) {
                        self.kept.insert(*id, serde_json::to_string(session).unwrap());
                    }
                }
                Action::Archive(ended) => drop(self.kept.remove(&ended.session.id)),
                Action::Warn { .. }
                | Action::Lock(_)
                | Action::Farewell { .. }
                | Action::Strike { .. }
                | Action::AnnounceOpened(_)
                | Action::AnnounceEnding(_)
                | Action::AnnounceClosed(_) => {}
            }
        }
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
        for session in self.registry.iter().filter(|session| !matches!(session.state, State::Closing(_))) {
            let by = ends_by(session).unwrap_or(BootTime::new(Duration::MAX));
            let is_queued = self.registry.due(by).contains(&session.id);
            // With both of its limits behind a locked screen nothing is due until somebody is back.
            let is_locked = ends_by(session).is_none();
            assert_ne!(is_queued, is_locked, "it is looked at when it ends, at the latest: {by:?} {session:?}");
        }
        let known = self.registry.iter().map(|session| (session.id, serde_json::to_string(session).unwrap()));
        assert_eq!(known.collect::<BTreeMap<_, _>>(), self.kept, "what is kept is what is known");
    }
}

/// When the session's life is over as things stand, by its own facts and not by what the registry makes of them: the earlier of both limits,
/// but for those at which its screen is locked.
fn ends_by(session: &Session) -> Option<BootTime> {
    let granted = &session.opening.limits;
    let active = session.last_active.boot;
    let may_be_held = active.saturating_add(granted.inhibit_max);
    let held = if session.inhibition.holders.is_empty() { session.inhibition.until } else { Some(may_be_held) };
    let idle = active.max(held.unwrap_or(active)).saturating_add(Duration::from_secs(IDLE));
    let idle = (session.opening.class != Class::Nested).then_some((idle, granted.at_idle));
    let lifetime = session.authenticated.boot.saturating_add(Duration::from_secs(LIFETIME));
    let has_screen = session.basis == Basis::Hint && session.state == State::Active;
    let is_behind = |at, does| has_screen && does == AtLimit::Lock && session.locked_of >= Some(at);
    let limits = idle.into_iter().chain([(lifetime, granted.at_lifetime)]);
    limits.filter(|(at, does)| !is_behind(*at, *does)).map(|(at, _)| at).min()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn under_every_order_of_events_a_session_ends_once_for_its_first_cause(
        events in prop::collection::vec((event(), 0_u64..1200), 1..60)
    ) {
        let (mut world, mut seconds, mut clock) = (World::default(), 0, 100_000);
        for (event, gap) in events {
            seconds += gap;
            if let Event::SetClock(to) = event {
                clock = to;
            }
            world.happen(event, Now { wall: at(seconds + clock).wall, ..at(seconds) });
        }
        // In the end everybody leaves.
        for _ in 0..10 {
            seconds += LIFETIME;
            world.happen(Event::Wake { typed: true, alive: true }, at(seconds));
            world.happen(Event::Wake { typed: true, alive: false }, at(seconds + 10));
        }
        let locked: Vec<_> = world.registry.iter().map(|session| (session.id, session.state_word())).collect();
        prop_assert!(locked.iter().all(|(_, state)| *state == "locked"), "nothing else outlives its lifetime: {:?}", locked);
        let mut ended = world.ended.len();
        for (id, _) in locked {
            ended += ends(&world.registry.close(id, at(seconds))).len();
        }
        prop_assert_eq!(ended, usize::from(world.opened));
    }
}
