//! `authflow setup confirm`: keeps what was set up. Only a login that was opened by it, after it went live, shows that it lets people in;
//! the daemon is asked which login this is, so that no old terminal can say so.

use authflow_core::time::WallTime;
use serde::Serialize;

use super::{
    arm::disarm,
    held::Held,
    ledger::{End, Ledger, Setup},
    rules,
    service::Service,
    status::going_back,
    who::Who,
};
use crate::{context::Context, error::Error, journal, output::text::clean, session::Session};

#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {}

#[derive(Serialize)]
struct Confirmed {
    changed: bool,
    setup: Option<String>,
}

impl Confirm {
    pub(super) fn run(self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        let lock = ledger.lock(super::PATIENCE)?.ok_or_else(super::busy)?;
        // Before the connection to the daemon: its threads must not be the ones that a Ctrl-C ends us by.
        let held = Held::new()?;
        let Some(pending) = super::pending(ledger)? else {
            let said = Confirmed { changed: false, setup: None };
            return Ok(context.output.either(&said, || "nothing waits for a confirmation\n".to_owned())?);
        };
        let setup = ledger.setup(&pending.name)?;
        if pending.is_going_back {
            return Err(Error::Failed(format!(
                "the setup of {} is being taken back, and not all of it was: `authflow setup rollback` takes back the rest",
                pending.name
            )));
        }
        let Some(live) = &pending.live else {
            return Err(Error::Failed(format!(
                "the setup of {} was stopped on the way: `authflow setup rollback` takes back what there is of it",
                pending.name
            )));
        };
        let daemon = context.daemon()?;
        let (own, sessions) = (daemon.own_session(), daemon.sessions()?);
        let own = match own {
            Ok(own) => Some(own),
            Err(Error::InNoSession) => None,
            Err(error) => return Err(error),
        };
        let fate = going_back(&context.local(), pending.until);
        missing(&setup, live.by_wall_clock()?, own.as_ref(), &sessions)
            .map_err(|why| Error::Failed(format!("not confirmed, and {fate}: {why}")))?;
        if held.is_asked_to_stop() {
            return Err(Error::Failed(format!("stopped as you asked, and not confirmed: it {fate}")));
        }
        // Before the end of the waiting: whoever is killed between the two confirms once more, and none of it is left out.
        super::refresh(context);
        ledger.settle(&setup.name, End::Confirmed)?;
        disarm();
        journal::note(context, journal::Event::SetupConfirmed, &[("setup", &setup.name), ("what", &setup.words())]);
        drop(lock);
        let said = Confirmed { changed: true, setup: Some(setup.name.clone()) };
        Ok(context.output.either(&said, || {
            format!(
                "{} stays. `authflow setup rollback` still takes it back, `authflow setup remove` takes it out\n",
                clean(&setup.words())
            )
        })?)
    }
}

/// What is yet to be shown, if anything: that this very login is a new one by what was set up, and that each service has let somebody in.
fn missing(setup: &Setup, live_since: WallTime, own: Option<&Session>, live: &[Session]) -> Result<(), String> {
    let proves = |session: &Session| proves(setup, live_since, session);
    let Some(own) = own else {
        return Err("this terminal is in no login that authflow knows: log in anew, and confirm there".to_owned());
    };
    if !around(own, live).iter().any(|session| proves(session)) {
        return Err(format!(
            "this login (by {}, at {}) is not a new one in which what was set up asked for a code and got it (root and NOPASSWD are not asked, \
             nor is who has a ticket of sudo's; who put enrolment off gave none): leave this terminal open, log in anew as one of those who \
             are protected, and confirm there",
            own.service, own.opened_at
        ));
    }
    let is_shown =
        |names: &[&str]| live.iter().any(|session| proves(session) && names.contains(&session.service.as_str()));
    match setup.services.iter().find(|service| !is_shown(service.pam_services())) {
        None => Ok(()),
        Some(service) => Err(format!(
            "nobody was asked by {service} since and gave a code: open one by it that asks, keep it open, and confirm again (for sudo: `sudo -k \
             authflow setup confirm`, where sudoers does not say NOPASSWD)"
        )),
    }
}

/// Whether that login shows that a stack lets people in. Not one that was opened without a question: su by root, sudo under NOPASSWD or by
/// a ticket run no auth phase, and would look the same behind a stack that lets nobody in. Nor one that put enrolment off: it shows nothing
/// of whether a code is taken.
fn proves(setup: &Setup, live_since: WallTime, session: &Session) -> bool {
    // The rules for those who are left as before have other names.
    let is_its = |service: &&Service| {
        service.pam_services().contains(&session.service.as_str()) && session.rule == rules::rule_name(**service)
    };
    let Some(service) = setup.services.iter().find(is_its) else { return false };
    // A code that stands in is told beside `totp`. At sudo the word of a login counts that gave one.
    let gave_a_code = session.factors.iter().any(|factor| ["totp", "session"].contains(&factor.as_str()));
    gave_a_code
        && session.opened_at > live_since
        && session.authenticated_at > live_since
        && is_about(setup.who.as_ref().map(|who| who.at(*service)), session)
}

/// The session and those that it is in.
fn around<'a>(own: &'a Session, live: &'a [Session]) -> Vec<&'a Session> {
    let mut chain = vec![own];
    while let Some(parent) = chain.last().and_then(|session| session.parent.as_ref()) {
        let parent = live.iter().find(|session| session.id == *parent);
        // A parent that is its own grandchild would be a lie; the list is not longer than all sessions.
        match parent.filter(|_| chain.len() <= live.len()) {
            Some(parent) => chain.push(parent),
            None => break,
        }
    }
    chain
}

/// Whether the session is one of somebody who is protected: su and sudo have two users.
fn is_about(who: Option<&Who>, session: &Session) -> bool {
    who.is_some_and(|who| who.includes(&session.user) || who.includes(&session.target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, service: &str, user: &str, opened_at: u64) -> Session {
        Session {
            id: id.into(),
            service: service.into(),
            user: user.into(),
            target: user.into(),
            rule: format!("setup-{service}"),
            factors: vec!["password".into(), "totp".into()],
            opened_at: WallTime::from_micros(opened_at),
            authenticated_at: WallTime::from_micros(opened_at),
            ..Session::default()
        }
    }

    fn setup(services: &[Service], users: &[&str]) -> Setup {
        let who = Who::Users(users.iter().map(|user| (*user).to_owned()).collect());
        Setup { name: "x".into(), services: services.to_vec(), who: Some(who), steps: Vec::new() }
    }

    const LIVE: WallTime = WallTime::from_micros(100);

    fn judge(setup: &Setup, own: Option<&Session>, live: &[Session]) -> Result<(), String> {
        missing(setup, LIVE, own, live)
    }

    #[test]
    fn a_new_login_by_what_was_set_up_confirms() {
        let setup = setup(&[Service::Sshd], &["alice"]);
        let new = session("a", "sshd", "alice", 101);
        assert_eq!(judge(&setup, Some(&new), std::slice::from_ref(&new)), Ok(()));
        for other in [
            session("a", "sshd", "alice", 99),
            session("a", "sshd", "alice", 100),
            session("a", "login", "alice", 101),
            session("a", "sshd", "bob", 101),
        ] {
            assert!(judge(&setup, Some(&other), &[other.clone(), new.clone()]).is_err(), "{other:?}");
        }
        assert!(judge(&setup, None, &[new]).unwrap_err().contains("in no login"));
    }

    #[test]
    fn a_login_that_was_asked_nothing_by_the_new_rules_proves_nothing() {
        let setup = setup(&[Service::Su], &["alice"]);
        let asked = session("a", "su", "alice", 101);
        for other in [
            Session { factors: Vec::new(), ..asked.clone() },
            Session { factors: vec!["password".into()], ..asked.clone() },
            Session { factors: vec!["publickey".into()], ..asked.clone() },
            Session { rule: "setup-su-others".into(), ..asked.clone() },
            Session { rule: "setup-sudo".into(), ..asked.clone() },
            Session { rule: "mine".into(), ..asked.clone() },
            Session { authenticated_at: LIVE, ..asked.clone() },
        ] {
            let why = judge(&setup, Some(&other), std::slice::from_ref(&other)).unwrap_err();
            assert!(why.contains("log in anew"), "{other:?}: {why}");
        }
        assert_eq!(judge(&setup, Some(&asked), std::slice::from_ref(&asked)), Ok(()));
        let vouched = Session { factors: vec!["password".into(), "session".into()], ..asked };
        assert_eq!(judge(&setup, Some(&vouched), std::slice::from_ref(&vouched)), Ok(()));
    }

    #[test]
    fn sudo_inside_a_new_login_is_in_it() {
        let new = session("a", "sshd", "alice", 101);
        let sudo = Session { parent: Some("a".into()), ..session("b", "sudo", "alice", 102) };
        let live = [new, sudo.clone()];
        assert_eq!(judge(&setup(&[Service::Sshd], &["alice"]), Some(&sudo), &live), Ok(()));
        let old = [session("a", "sshd", "alice", 5), sudo.clone()];
        assert!(judge(&setup(&[Service::Sshd], &["alice"]), Some(&sudo), &old).is_err());
        let ring = [Session { parent: Some("b".into()), ..session("a", "sshd", "bob", 101) }, sudo.clone()];
        assert!(judge(&setup(&[Service::Sshd], &["alice"]), Some(&sudo), &ring).is_err());
    }

    #[test]
    fn each_service_must_have_let_somebody_in() {
        let both = setup(&[Service::Sshd, Service::Sudo], &["alice"]);
        let new = session("a", "sshd", "alice", 101);
        assert!(judge(&both, Some(&new), std::slice::from_ref(&new)).unwrap_err().contains("nobody was asked by sudo"));
        let sudo = Session { parent: Some("a".into()), ..session("b", "sudo", "alice", 102) };
        assert_eq!(judge(&both, Some(&sudo), &[new, sudo.clone()]), Ok(()));
        let su = Session { target: "root".into(), ..session("c", "su", "bob", 103) };
        assert_eq!(judge(&setup(&[Service::Su], &["root"]), Some(&su), std::slice::from_ref(&su)), Ok(()));
    }

    #[test]
    fn root_at_a_console_counts_though_sshd_cannot_ask_root() {
        let but_root = |services: &[Service]| Setup { who: Some(Who::EverybodyButRoot), ..setup(services, &[]) };
        let at_console = session("a", "login", "root", 101);
        let live = [at_console.clone(), session("b", "sshd", "alice", 102)];
        assert_eq!(judge(&but_root(&[Service::Sshd, Service::Login]), Some(&at_console), &live), Ok(()));
        let by_sshd = session("a", "sshd", "root", 101);
        assert!(judge(&but_root(&[Service::Sshd]), Some(&by_sshd), std::slice::from_ref(&by_sshd)).is_err());
    }
}
