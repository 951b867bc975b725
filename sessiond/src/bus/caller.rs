//! Who calls: uid and pid as the bus vouches for them, never from an argument. A unique name is never used twice, so what was asked once
//! stays true. Also how much one user may ask at a time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authflow_bus::Error;
use authflow_core::time::{BootTime, Clock};
use authflow_host::{clock::SystemClock, paths::Paths};
use zbus::{Connection, fdo::DBusProxy, message::Header, names::BusName};

use crate::payer;

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The unique name on the bus.
    pub(crate) name: String,
    /// The uid.
    pub(crate) uid: u32,
    /// The pid.
    pub(crate) pid: u32,
    /// Whose budget its calls are taken from: the uid's, or that of the user whose container it is.
    pub(super) payer: u32,
}

/// Callers that were asked about, and the users' budgets.
#[derive(Debug)]
pub(crate) struct Callers {
    paths: Paths,
    known: Mutex<HashMap<String, Caller>>,
    budgets: Mutex<HashMap<u32, Budget>>,
    /// Held by whoever but root has something done beside the loop.
    turn: tokio::sync::Mutex<()>,
}

/// How many callers are remembered before all are asked about anew.
const REMEMBERED: usize = 512;

impl Callers {
    /// Nobody is known yet.
    #[must_use]
    pub(crate) fn new(paths: Paths) -> Self {
        Self { paths, known: Mutex::default(), budgets: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Who sent this, if they may still ask. Root is never refused: a login must not wait for a flood.
    ///
    /// # Errors
    /// The bus does not know, or the user asks too much.
    pub(crate) async fn identify(&self, header: &Header<'_>, connection: &Connection) -> Result<Caller, Error> {
        let caller = self.look_up(header, connection).await?;
        if caller.uid != 0 && !self.budgets().entry(caller.payer).or_default().spend(SystemClock.now().boot) {
            return Err(too_many());
        }
        Ok(caller)
    }

    /// Does what `caller` asked for, and charges its user for the time: with thousands of processes a look at them all is dear, and the
    /// loop is everybody's.
    ///
    /// # Errors
    /// The user's other calls took too much since this one came: many may wait for polkit at the same time.
    pub(crate) fn charge<T>(&self, caller: &Caller, work: impl FnOnce() -> T) -> Result<T, Error> {
        self.refuse_who_is_in_debt(caller)?;
        let began = SystemClock.now().boot;
        let done = work();
        self.charge_for(caller, SystemClock.now().boot.saturating_since(began));
        Ok(done)
    }

    /// As [`Callers::charge`], for what is waited for. One at a time of all but root: of a hundred calls that come at once the first is
    /// charged before the second is looked at.
    ///
    /// # Errors
    /// The user's other calls took too much since this one came.
    pub(crate) async fn charge_waiting<T>(&self, caller: &Caller, work: impl Future<Output = T>) -> Result<T, Error> {
        if caller.uid == 0 {
            return Ok(work.await);
        }
        let _turn = self.turn.lock().await;
        self.refuse_who_is_in_debt(caller)?;
        let began = SystemClock.now().boot;
        let done = work.await;
        self.charge_for(caller, SystemClock.now().boot.saturating_since(began));
        Ok(done)
    }

    /// Charges the caller's user for something that took so long.
    pub(crate) fn charge_for(&self, caller: &Caller, took: Duration) {
        if caller.uid != 0 {
            self.budgets().entry(caller.payer).or_default().charge(took);
        }
    }

    fn refuse_who_is_in_debt(&self, caller: &Caller) -> Result<(), Error> {
        let is_in_debt = caller.uid != 0 && self.budgets().entry(caller.payer).or_default().is_in_debt();
        if is_in_debt { Err(too_many()) } else { Ok(()) }
    }

    async fn look_up(&self, header: &Header<'_>, connection: &Connection) -> Result<Caller, Error> {
        let unknown = || Error::NotAuthorized("the bus does not say who calls".to_owned());
        let name = header.sender().ok_or_else(unknown)?.to_owned();
        if let Some(caller) = self.known().get(name.as_str()) {
            return Ok(caller.clone());
        }
        let bus = DBusProxy::new(connection).await?;
        let credentials = bus
            .get_connection_credentials(BusName::from(name.clone()))
            .await
            .map_err(|error| Error::NotAuthorized(error.to_string()))?;
        let (Some(uid), Some(pid)) = (credentials.unix_user_id(), credentials.process_id()) else {
            return Err(unknown());
        };
        // Whoever hands a connection on and leaves would have a budget for each uid of a range.
        let gone = || Error::NotAuthorized("the caller's process is gone".to_owned());
        let payer = payer::of(&self.paths, pid, uid).ok_or_else(gone)?;
        let caller = Caller { name: name.to_string(), uid, pid, payer };
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(caller.name.clone(), caller.clone());
        Ok(caller)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Caller>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budgets(&self) -> MutexGuard<'_, HashMap<u32, Budget>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many() -> Error {
    Error::RateLimited("too many calls; try again in a moment".to_owned())
}

/// What a user may still ask: a bucket that fills again.
#[derive(Debug)]
struct Budget {
    /// Negative after a call that took longer than was left.
    tokens: i64,
    filled: BootTime,
}

/// A burst that a person's commands never need.
const FULL: i64 = 200;

/// One call a tick comes back.
const TICK: Duration = Duration::from_millis(20);

/// What a call may take. One that takes longer counts as several, so that a user has a quarter of the loop's time at most.
const USUAL: Duration = Duration::from_millis(5);

impl Default for Budget {
    fn default() -> Self {
        Self { tokens: FULL, filled: BootTime::default() }
    }
}

impl Budget {
    /// Takes one call; tells whether there was one.
    fn spend(&mut self, now: BootTime) -> bool {
        let ticks = now.saturating_since(self.filled).as_millis() / TICK.as_millis();
        if ticks > 0 {
            self.tokens = self.tokens.saturating_add(i64::try_from(ticks).unwrap_or(FULL)).min(FULL);
            self.filled = now;
        }
        let had_one = self.tokens > 0;
        self.tokens -= i64::from(had_one);
        had_one
    }

    const fn is_in_debt(&self) -> bool {
        self.tokens < 0
    }

    /// Takes the calls that one which took so long stands for, beyond itself.
    fn charge(&mut self, took: Duration) {
        let calls = took.as_millis() / USUAL.as_millis();
        self.tokens = self.tokens.saturating_sub(i64::try_from(calls).unwrap_or(FULL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_a_flood_does_not_and_time_mends_it() {
        let at = |millis: u64| BootTime::new(Duration::from_millis(1000 + millis));
        let mut budget = Budget::default();
        let passed = (0..1000).filter(|_| budget.spend(at(0))).count();
        assert_eq!(i64::try_from(passed).unwrap(), FULL);
        assert!(!budget.spend(at(19)));
        assert!(budget.spend(at(40)) && budget.spend(at(40)) && !budget.spend(at(40)));
        assert!(budget.spend(at(60_000)));
    }

    #[test]
    fn calls_that_take_long_leave_three_quarters_of_the_time_to_others() {
        let at = |millis: u64| BootTime::new(Duration::from_millis(millis));
        let (mut budget, took) = (Budget::default(), 100);
        let (mut now, mut spent) = (0, 0);
        while now < 100_000 {
            if budget.spend(at(now)) {
                budget.charge(Duration::from_millis(took));
                (now, spent) = (now + took, spent + took);
            } else {
                now += 20;
            }
        }
        assert!(spent <= 26_000, "{spent} ms of {now} ms");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn of_dear_calls_that_come_at_once_only_the_first_is_done() {
        let callers = Callers::new(Paths::default());
        let caller = |uid| Caller { name: ":1.1".to_owned(), uid, pid: 7, payer: uid };
        let (alice, bob, root) = (caller(1000), caller(1001), caller(0));
        let dear = async {
            // Whoever may do something meanwhile does it now.
            tokio::task::yield_now().await;
            callers.charge_for(&alice, Duration::from_secs(60));
        };
        let (first, second, bobs, roots) = tokio::join!(
            callers.charge_waiting(&alice, dear),
            callers.charge_waiting(&alice, async {}),
            callers.charge_waiting(&bob, async {}),
            callers.charge_waiting(&root, async {}),
        );
        assert!(first.is_ok() && bobs.is_ok() && roots.is_ok());
        assert!(matches!(second, Err(Error::RateLimited(_))), "{second:?}");
        assert!(matches!(callers.charge(&alice, || ()), Err(Error::RateLimited(_))));
    }
}
