//! Flows for processes that are not root, as screen lockers are: the same flow that the module runs by itself, for the caller's own user
//! alone. It yields no receipt: the caller learns whether it was granted, and the session that the caller's process is in is renewed.
//!
//! # Layout
//!
//! - [`under_way`]: one a user, ten a minute, two minutes to live
//! - [`permit`], [`own_factors`]: what users change of their own authenticators, once they have proved one
//! - [`work`]: what may take long, on threads beside the loop

mod own_factors;
mod permit;
mod under_way;
mod work;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authflow_bus::Error;
use authflow_core::{
    flow::{Denial, FlowId, Manner},
    secret::Secret,
    session::{Opening, Renewal, SessionId},
    time::{Clock, WallTime},
};
use authflow_host::{clock::SystemClock, paths::Paths, random};
use tokio::sync::Semaphore;

pub(crate) use self::{own_factors::Wish, under_way::Owner};
use self::{
    own_factors::{Seen, Unchanged},
    permit::{Permission, Permits},
    under_way::{NotBegun, UnderWay},
    work::{Case, Failure, Place, Proof, RENEWAL, Wanted},
};

use crate::{audit::Record, bounded::identify, daemon::Daemon, event::Event, log::Line};

/// How many flows are looked up or judged at a time. Each judgement takes a core and the memory of one hash.
const AT_ONCE: usize = 2;

/// How long a flow waits for its turn. Less than callers wait for their answer, so that nothing is judged that nobody hears of.
const PATIENCE: Duration = Duration::from_secs(5);

/// All flows that the daemon runs.
pub(crate) struct Flows {
    daemon: Arc<Daemon>,
    paths: Paths,
    // A std mutex and not tokio's: it is never held over an await.
    under_way: Mutex<UnderWay<Case>>,
    permits: Mutex<Permits>,
    turns: Arc<Semaphore>,
}

/// A flow whose answers are waited for.
pub(crate) struct Begun {
    /// Its id.
    pub(crate) flow: String,
    /// What to ask, in words of the bus.
    pub(crate) prompts: Vec<String>,
}

impl Flows {
    /// Flows that are judged by the files at `paths`.
    #[must_use]
    pub(crate) fn new(daemon: Arc<Daemon>, paths: Paths) -> Self {
        Self {
            daemon,
            paths,
            under_way: Mutex::default(),
            permits: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Begins a flow of the owner's user for a PAM service; `None` is for renewing the session that its process is in.
    ///
    /// # Errors
    /// The user began too many, nothing is asked there, or it cannot be found out.
    pub(crate) async fn begin(&self, owner: Owner, service: Option<&str>, manner: Manner) -> Result<Begun, Error> {
        let wanted = |place| Wanted { uid: owner.uid, place, manner, enrols: false };
        self.begin_wanted(owner, || Ok(wanted(self.place(owner, service)?))).await
    }

    /// Begins the flow that permits the owner's user to enrol an authenticator: in the session that its process is in, and in none by the
    /// rule for `authflow` itself.
    ///
    /// # Errors
    /// As [`Self::begin`], or it takes more than the user has.
    pub(crate) async fn begin_enrolment(&self, owner: Owner) -> Result<Begun, Error> {
        let manner = Manner::default();
        let wanted = |place| Wanted { uid: owner.uid, place, manner, enrols: true };
        let place = || self.place(owner, None).or_else(|_in_none| self.place(owner, Some(RENEWAL)));
        self.begin_wanted(owner, || Ok(wanted(place()?))).await
    }

    async fn begin_wanted(&self, owner: Owner, wanted: impl FnOnce() -> Result<Wanted, Error>) -> Result<Begun, Error> {
        let work = self.begin_work(owner.uid)?;
        let (paths, wanted) = (self.paths.clone(), wanted()?);
        let found = self.beside(move || work::look_up(&paths, wanted)).await?;
        let case = found.map_err(|failure| self.not_begun(owner, &failure))?;
        if let Some(why) = &case.last_good {
            self.daemon.log.write(&Line::error(Event::ConfigLastGood).with("why", why));
        }
        let id = FlowId::new(random::bytes().map_err(|why| Error::Degraded(why.to_string()))?);
        let begun = Begun {
            flow: id.to_string(),
            prompts: case.prompts.iter().map(|prompt| prompt.as_str().to_owned()).collect(),
        };
        self.under_way().ask(owner, begun.flow.clone(), case, SystemClock.now().boot);
        drop(work);
        Ok(begun)
    }

    /// Judges the answers to a flow's prompts. Tells which session was renewed, if one was.
    ///
    /// # Errors
    /// There is no such flow, it is denied, or it could not be judged.
    pub(crate) async fn answer(
        &self,
        (owner, connection): (Owner, &str),
        flow: &str,
        answers: Vec<Secret>,
    ) -> Result<Option<SessionId>, Error> {
        let case = self.under_way().take(owner, flow, SystemClock.now().boot).ok_or_else(no_such_flow)?;
        let _work = Work { flows: self, uid: owner.uid };
        if answers.len() != case.prompts.len() {
            return Err(Error::InvalidArgument(format!("expected {} answers", case.prompts.len())));
        }
        let about = |line: Line| about(line, owner, flow, &case);
        let (granted, denied) = (about(Line::info(Event::FlowGranted)), about(Line::warning(Event::FlowDenied)));
        let (user, service) = (case.user.clone(), case.service.clone());
        let record = |factors| Record::judged((flow, &user, &service), factors);
        let (paths, permission) = (self.paths.clone(), case.permission);
        let Proof { shown, rule, at } = match self.beside(move || work::judge(&paths, &case, answers)).await? {
            Ok(proof) => proof,
            Err(failure) => {
                self.daemon.log.write(&denied.with("reason", &failure));
                self.daemon.audit.tell(record(None));
                return Err(refusal(&failure, SystemClock.now().wall));
            }
        };
        self.daemon.log.write(&granted.with("factors", &shown.factors).with("rule", rule));
        self.daemon.audit.tell(record(Some(shown.factors.to_string())));
        let factors = shown.factors.clone();
        self.permits().give((owner, connection), (permission, shown), at.boot);
        match permission {
            // The password alone is not what a rule asks for.
            Permission::First => Ok(None),
            Permission::Nothing | Permission::Change => Ok(self.renew(owner, Renewal { uid: owner.uid, factors, at })),
        }
    }

    /// Adds an authenticator to the owner's user, whose process has just proved one. Tells whether the recovery codes were taken.
    ///
    /// # Errors
    /// Nothing was proved, or the authenticator will not do.
    pub(crate) async fn add_totp(&self, owner: (Owner, &str), wish: Wish) -> Result<bool, Error> {
        let name = wish.name.clone();
        let (paths, uid) = (self.paths.clone(), owner.0.uid);
        let add = move |permission, seen: &Seen| own_factors::add(&paths, uid, wish, (permission, seen));
        self.change(owner, (Event::FactorAdded, &name), add).await
    }

    /// Takes an authenticator of the owner's user away. Tells whether it was there.
    ///
    /// # Errors
    /// Nothing was proved, or it is not for users to take away.
    pub(crate) async fn remove_factor(&self, owner: (Owner, &str), name: &str) -> Result<bool, Error> {
        let (paths, which, uid) = (self.paths.clone(), name.to_owned(), owner.0.uid);
        let remove = move |permission, seen: &Seen| match permission {
            Permission::Change => own_factors::remove(&paths, uid, &which, seen),
            Permission::First | Permission::Nothing => Err(Unchanged::Last),
        };
        self.change(owner, (Event::FactorRemoved, name), remove).await
    }

    async fn change(
        &self,
        owner: (Owner, &str),
        (event, name): (Event, &str),
        work: impl FnOnce(Permission, &Seen) -> Result<(String, bool), Unchanged> + Send + 'static,
    ) -> Result<bool, Error> {
        let unproved = || Error::NotAuthorized("prove an authenticator first, in this very process".to_owned());
        let (permission, seen) = self.permits().take(owner, SystemClock.now().boot).ok_or_else(unproved)?;
        match self.beside(move || work(permission, &seen)).await? {
            Ok((user, told)) => {
                self.daemon.log.write(&Line::info(event).with("user", user).with("name", name));
                Ok(told)
            }
            Err(why) => {
                let line = Line::warning(Event::FactorUnchanged).with("uid", owner.0.uid).with("name", name);
                self.daemon.log.write(&line.with("reason", &why));
                Err(if why.is_callers() {
                    Error::InvalidArgument(why.to_string())
                } else {
                    Error::Degraded("it could not be done; the system's log says why".to_owned())
                })
            }
        }
    }

    fn permits(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the session that the owner's process is in, and no other.
    fn renew(&self, owner: Owner, renewal: Renewal) -> Option<SessionId> {
        // Another process may have got the pid by now.
        let id = self
            .daemon
            .session_of(owner.process.pid)
            .filter(|_| identify(owner.process.pid).is_ok_and(|now| now == owner.process))?;
        match self.daemon.renew(id, &renewal) {
            Ok(()) => Some(id),
            Err(why) => {
                self.daemon.log.write(&Line::info(Event::NotRenewed).with("session", id).with("why", why));
                None
            }
        }
    }

    fn place(&self, owner: Owner, service: Option<&str>) -> Result<Place, Error> {
        if let Some(service) = service {
            return Ok(Place::Service(service.to_owned()));
        }
        let in_none = || Error::NoSuchSession("the caller is in no session of its own".to_owned());
        let session = self.daemon.session_of(owner.process.pid).and_then(|id| self.daemon.find(id));
        let opening = session.map(|session| session.opening).filter(|opening| opening.uid == owner.uid);
        let opening = opening.ok_or_else(in_none)?;
        let Opening { service, remote_host, tty, .. } = opening;
        Ok(Place::Session { service, remote_host, tty })
    }

    fn begin_work(&self, uid: u32) -> Result<Work<'_>, Error> {
        self.under_way().begin(uid, SystemClock.now().boot).map_err(|refused| match refused {
            NotBegun::TooMany | NotBegun::Busy => Error::RateLimited(refused.to_string()),
        })?;
        Ok(Work { flows: self, uid })
    }

    /// Does what may take long on a thread of its own, when it is its turn.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let busy = || Error::RateLimited("too many flows are being judged; try again in a moment".to_owned());
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        // The turn goes along: were the caller gone, the work would go on all the same.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_panicked| Error::Degraded("the flow could not be run".to_owned()))
    }

    fn not_begun(&self, owner: Owner, failure: &Failure) -> Error {
        let line = Line::warning(Event::FlowNotBegun).with("uid", owner.uid).with("pid", owner.process.pid);
        self.daemon.log.write(&line.with("reason", failure));
        refusal(failure, SystemClock.now().wall)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay<Case>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user's flow is being worked on as long as this lives, whatever ends the work.
struct Work<'a> {
    flows: &'a Flows,
    uid: u32,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.flows.under_way().end(self.uid);
    }
}

fn about(line: Line, owner: Owner, flow: &str, case: &Case) -> Line {
    line.with("flow", flow).with("user", &case.user).with("service", &case.service).with("pid", owner.process.pid)
}

fn no_such_flow() -> Error {
    Error::NoSuchFlow("there is no such flow, or it waited too long".to_owned())
}

/// What the caller learns of a failure: a denial looks like any other, whatever was wrong. Only a lock is told: it is the caller's own.
fn refusal(failure: &Failure, now: WallTime) -> Error {
    match failure {
        Failure::NotGoverned(_) => Error::NotSupported(failure.to_string()),
        Failure::NoUser(_) => Error::NoSuchUser(failure.to_string()),
        Failure::NotByPassword(_) | Failure::NoCodeAsked => Error::NotAuthorized(failure.to_string()),
        Failure::Denied(Denial::Locked(until)) => Error::RateLimited(wait(*until, now)),
        _ if failure.is_breakage() => {
            Error::Degraded("the flow could not be run; the system's log says why".to_owned())
        }
        Failure::Denied(_)
        | Failure::Expired
        | Failure::OtherUser(_)
        | Failure::Config(_)
        | Failure::Account(_)
        | Failure::Shadow(_)
        | Failure::Desk(_) => Error::Denied("denied".to_owned()),
    }
}

fn wait(until: WallTime, now: WallTime) -> String {
    let left = until.saturating_since(now).as_secs().max(1);
    let left = if left < 120 { format!("{left} s") } else { format!("{} min", left.div_ceil(60)) };
    format!("too many failed attempts; try again in {left}")
}

#[cfg(test)]
mod tests {
    use authflow_host::desk::{DeskError, Refused};

    use super::*;

    #[test]
    fn a_denial_looks_like_any_other() {
        let told = |failure: Failure| refusal(&failure, WallTime::default()).to_string();
        let wrong = told(Denial::WrongPassword.into());
        for denial in [Denial::WrongCode, Denial::CodeUsed, Denial::NoCode, Denial::Disabled, Denial::NotEnrolled] {
            assert_eq!(told(denial.into()), wrong);
        }
        for failure in [Failure::Expired, Failure::OtherUser("bob".into()), DeskError::from(Refused).into()] {
            assert_eq!(told(failure), wrong);
        }
    }

    #[test]
    fn a_lock_is_told_with_its_end_and_a_breakage_is_no_denial() {
        let locked = Failure::from(Denial::Locked(WallTime::from_micros(40_000_000)));
        assert!(matches!(refusal(&locked, WallTime::default()), Error::RateLimited(text) if text.ends_with("in 40 s")));
        let broken = Failure::from(std::io::Error::other("no shadow file"));
        let told = refusal(&broken, WallTime::default());
        assert!(matches!(&told, Error::Degraded(text) if !text.contains("shadow")), "{told}");
    }
}
