//! Which flows are under way: one a user, ten a minute, two minutes to live. Pure: the time is passed in, and what a flow is about is
//! somebody else's to know.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use authflow_core::time::BootTime;
use authflow_host::process::ProcessId;

/// How long the answers may take.
const LIFE: Duration = Duration::from_secs(120);

/// How many flows one user may begin within [`PACE`].
const MOST: usize = 10;
const PACE: Duration = Duration::from_secs(60);

/// Whose flow it is, as the bus and the kernel say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) uid: u32,
    /// The process. Another one of the same user has flows of its own.
    pub(crate) process: ProcessId,
}

/// Why no flow begins.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NotBegun {
    /// As many as may be began a moment ago.
    #[error("{MOST} flows within a minute are all a user may begin")]
    TooMany,
    /// One of the user's is being looked up or judged.
    #[error("another flow of the user is being judged")]
    Busy,
}

/// All users' flows. `C` is what one is about.
#[derive(Debug)]
pub(super) struct UnderWay<C> {
    users: HashMap<u32, User<C>>,
}

#[derive(Debug)]
struct User<C> {
    begun: VecDeque<BootTime>,
    stage: Stage<C>,
}

#[derive(Debug)]
enum Stage<C> {
    /// No flow.
    Idle,
    /// The rule of one is being looked up, on a thread of its own.
    Beginning,
    /// One waits for its answers.
    Asked { flow: String, process: ProcessId, until: BootTime, case: C },
    /// The answers to one are being judged, on a thread of its own.
    Judging,
}

impl<C> Default for UnderWay<C> {
    fn default() -> Self {
        Self { users: HashMap::new() }
    }
}

impl<C> UnderWay<C> {
    /// Begins a flow, in place of one of the same user that still waits: whoever broke off must not keep himself out for two minutes.
    /// It has to go on with [`Self::ask`] or [`Self::end`].
    ///
    /// # Errors
    /// The user began too many, or has one that is being worked on.
    pub(super) fn begin(&mut self, uid: u32, now: BootTime) -> Result<(), NotBegun> {
        self.forget(now);
        let user = self.users.entry(uid).or_insert_with(|| User { begun: VecDeque::new(), stage: Stage::Idle });
        match user.stage {
            Stage::Beginning | Stage::Judging => return Err(NotBegun::Busy),
            Stage::Idle | Stage::Asked { .. } => {}
        }
        if user.begun.len() >= MOST {
            return Err(NotBegun::TooMany);
        }
        user.begun.push_back(now);
        user.stage = Stage::Beginning;
        Ok(())
    }

    /// The owner is being asked; the answers are waited for.
    pub(super) fn ask(&mut self, owner: Owner, flow: String, case: C, now: BootTime) {
        if let Some(user) = self.users.get_mut(&owner.uid)
            && matches!(user.stage, Stage::Beginning)
        {
            user.stage = Stage::Asked { flow, process: owner.process, until: now.saturating_add(LIFE), case };
        }
    }

    /// The answers are there: what the flow is about. It passes once, to the process that began it, in time; anything else leaves it
    /// alone. It has to go on with [`Self::end`].
    pub(super) fn take(&mut self, owner: Owner, flow: &str, now: BootTime) -> Option<C> {
        let user = self.users.get_mut(&owner.uid)?;
        let is_meant = match &user.stage {
            Stage::Asked { flow: asked, process, until, .. } => {
                asked == flow && *process == owner.process && now < *until
            }
            Stage::Idle | Stage::Beginning | Stage::Judging => false,
        };
        if !is_meant {
            return None;
        }
        match std::mem::replace(&mut user.stage, Stage::Judging) {
            Stage::Asked { case, .. } => Some(case),
            Stage::Idle | Stage::Beginning | Stage::Judging => None,
        }
    }

    /// The work is over, whatever came of it. A flow that waits for answers goes on waiting.
    pub(super) fn end(&mut self, uid: u32) {
        if let Some(user) = self.users.get_mut(&uid)
            && matches!(user.stage, Stage::Beginning | Stage::Judging)
        {
            user.stage = Stage::Idle;
        }
    }

    /// Forgets what is over, so that nothing grows with the users that ever came.
    fn forget(&mut self, now: BootTime) {
        self.users.retain(|_, user| {
            while user.begun.front().is_some_and(|begun| now.saturating_since(*begun) >= PACE) {
                user.begun.pop_front();
            }
            if matches!(user.stage, Stage::Asked { until, .. } if until <= now) {
                user.stage = Stage::Idle;
            }
            !(user.begun.is_empty() && matches!(user.stage, Stage::Idle))
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::new(Duration::from_secs(1000 + seconds))
    }

    fn owner(uid: u32, pid: u32) -> Owner {
        Owner { uid, process: ProcessId { pid, start_time: 7 } }
    }

    const ALICE: u32 = 1000;

    /// One flow of alice's process 1, asked at 0.
    fn asked() -> UnderWay<&'static str> {
        let mut flows = UnderWay::default();
        flows.begin(ALICE, at(0)).unwrap();
        flows.ask(owner(ALICE, 1), "f".to_owned(), "case", at(0));
        flows
    }

    #[test]
    fn a_flow_is_answered_once_and_by_the_process_that_began_it() {
        let mut flows = asked();
        let reused = Owner { uid: ALICE, process: ProcessId { pid: 1, start_time: 8 } };
        for (stranger, flow) in [(owner(1001, 1), "f"), (owner(ALICE, 2), "f"), (reused, "f"), (owner(ALICE, 1), "g")] {
            assert_eq!(flows.take(stranger, flow, at(1)), None, "{stranger:?} {flow}");
        }
        assert_eq!(flows.take(owner(ALICE, 1), "f", at(1)), Some("case"));
        assert_eq!(flows.take(owner(ALICE, 1), "f", at(1)), None);
    }

    #[test]
    fn a_flow_dies_after_two_minutes() {
        assert_eq!(asked().take(owner(ALICE, 1), "f", at(119)), Some("case"));
        assert_eq!(asked().take(owner(ALICE, 1), "f", at(120)), None);
    }

    #[test]
    fn a_flow_that_was_broken_off_makes_room_and_one_that_is_judged_does_not() {
        let mut flows = asked();
        flows.begin(ALICE, at(1)).unwrap();
        assert_eq!(flows.take(owner(ALICE, 1), "f", at(1)), None, "the first one is gone");
        assert_eq!(flows.begin(ALICE, at(1)), Err(NotBegun::Busy));
        flows.ask(owner(ALICE, 2), "g".to_owned(), "other", at(1));
        assert_eq!(flows.take(owner(ALICE, 2), "g", at(2)), Some("other"));
        assert_eq!(flows.begin(ALICE, at(2)), Err(NotBegun::Busy));
        assert_eq!(flows.begin(1001, at(2)), Ok(()), "others are none the wiser");
        flows.end(ALICE);
        assert_eq!(flows.begin(ALICE, at(2)), Ok(()));
    }

    #[test]
    fn the_eleventh_flow_within_a_minute_is_refused_and_time_mends_it() {
        let mut flows = UnderWay::<()>::default();
        for second in 0..10 {
            flows.begin(ALICE, at(second)).unwrap();
            flows.end(ALICE);
        }
        assert_eq!(flows.begin(ALICE, at(10)), Err(NotBegun::TooMany));
        assert_eq!(flows.begin(1001, at(10)), Ok(()));
        assert_eq!(flows.begin(ALICE, at(59)), Err(NotBegun::TooMany));
        assert_eq!(flows.begin(ALICE, at(60)), Ok(()));
        flows.end(ALICE);
        assert_eq!(flows.begin(ALICE, at(60)), Err(NotBegun::TooMany));
    }

    #[test]
    fn nothing_is_kept_of_who_is_done() {
        let mut flows = UnderWay::<()>::default();
        for uid in 0..1000 {
            flows.begin(uid, at(0)).unwrap();
            flows.end(uid);
        }
        flows.begin(ALICE, at(60)).unwrap();
        assert_eq!(flows.users.len(), 1);
    }

    proptest! {
        /// Whatever comes in whatever order: a case is handed out at most once for each begin, never late, never to another.
        #[test]
        fn no_order_of_events_hands_out_more_than_was_begun(events in prop::collection::vec((0_u8..4, 0_u32..2, 0_u64..40), 0..60)) {
            let mut flows = UnderWay::<u64>::default();
            let (mut now, mut begun, mut taken) = (0, 0, 0);
            for (event, uid, wait) in events {
                now += wait;
                match event {
                    0 => begun += u64::from(flows.begin(uid, at(now)).is_ok()),
                    1 => flows.ask(owner(uid, 1), "f".to_owned(), now, at(now)),
                    2 => if let Some(asked) = flows.take(owner(uid, 1), "f", at(now)) {
                        taken += 1;
                        prop_assert!(now - asked < 120);
                    },
                    _ => flows.end(uid),
                }
            }
            prop_assert!(taken <= begun);
        }
    }
}
