//! Step-up: asks the daemon about the session that this process is in, before the first question. Done without when the daemon is late
//! or away, as with any other doubt: then the user is asked in full.

use std::time::Duration;

use authflow_core::{
    rule::Rule,
    session::SessionId,
    vouch::{Asker, NotVouched, vouch},
};
use authflow_host::{
    accounts::{self, Account, AccountError},
    process,
};

use crate::{
    args::Options,
    daemon::{Daemon, DaemonError},
    error::Error,
    event::Event,
    handle::Handle,
    log::{Line, Priority},
    login::Login,
};

/// How long the daemon may take: a person waits for the first prompt.
const PATIENCE: Duration = Duration::from_millis(300);

/// A session that vouches for the factor `session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// Which session.
    pub session: SessionId,
    /// The rule that it vouches for: another might ask for more.
    pub rule: String,
}

/// The session that vouches for `user`, if one does. Asks nobody where no rule about the service could make use of it.
pub fn voucher<H: Handle>(login: &Login<'_, H>, user: &str, options: &Options) -> Option<Voucher> {
    let asks_sessions = |rule: &Rule| rule.from_session.is_some() && rule.governs(&login.facts.service);
    if !login.config.rules.iter().any(asks_sessions) {
        return None;
    }
    match find(login, user) {
        Ok(voucher) => voucher,
        Err(why) => {
            if options.debug {
                login.pam.log(Priority::Debug, &Line::new(Event::NotVouched).with("user", user).with("why", why));
            }
            None
        }
    }
}

/// Why nothing vouches.
#[derive(Debug, thiserror::Error)]
enum Doubt {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("{0}")]
    Rule(#[from] Error),
    #[error(transparent)]
    NotVouched(#[from] NotVouched),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
}

fn find<H: Handle>(login: &Login<'_, H>, user: &str) -> Result<Option<Voucher>, Doubt> {
    let Some(account) = accounts::by_name(user)? else { return Ok(None) };
    let Some(rule) = login.rule_for(&account)? else { return Ok(None) };
    if rule.from_session.is_none() {
        return Ok(None);
    }
    let session = ask(login, &account, rule)?;
    Ok(Some(Voucher { session, rule: rule.name.clone() }))
}

fn ask<H: Handle>(login: &Login<'_, H>, account: &Account, rule: &Rule) -> Result<SessionId, Doubt> {
    let asker = Asker {
        user: account.uid,
        real_uid: process::real_uid(),
        audit_id: process::audit_session(std::process::id()),
        remote: login.remote(),
    };
    // Most logins end here, and wait for nobody.
    let _audit_id = asker.check()?;
    let limit = login.config.bus_timeout.min(PATIENCE);
    let daemon = Daemon::new(login.config.bus_address.clone(), limit).behind(&login.place.paths.door());
    let session = daemon.own_session()?;
    vouch(rule, &asker, &session)?;
    Ok(session.id)
}

#[cfg(test)]
mod tests {
    use authflow_core::{policy::WhenUnavailable, session::Opening};
    use authflow_host::pending;
    use pam::constants::PamResultCode::PAM_SUCCESS;

    use super::*;
    use crate::{
        fake::{Machine, PASSWORD},
        phase::Phase,
        tracking,
    };

    const STEP_UP: &str = "[[rule]]\nname = \"r\"\nservice = [\"sudo\"]\nmethods = [[\"session\"], [\"password\"]]\n\
                           from_session = { proved = [\"totp\"], within = \"5m\" }\n";

    #[test]
    fn where_nobody_vouches_it_is_asked_in_full() {
        let machine = Machine::new(STEP_UP);
        let mut pam = machine.login("sudo", &[("Password: ", PASSWORD)]);
        assert_eq!(machine.run_with("debug", Phase::Authenticate, &mut pam), PAM_SUCCESS);
        let logged = pam.logged.borrow();
        assert!(logged.iter().any(|line| line.starts_with("event=not-vouched")), "{logged:?}");
        assert!(logged.iter().any(|line| line.contains("factors=password ")), "{logged:?}");
    }

    #[test]
    fn what_a_session_vouched_for_does_not_open_without_the_daemon() {
        let machine = Machine::new(STEP_UP);
        let mut pam = machine.login("sudo", &[]);
        let mut login = Login::load(&mut pam, &Options::default(), &machine.place).unwrap();
        let opening = |vouched_by| Opening {
            user: machine.user.clone(),
            uid: 1000,
            target: "root".into(),
            target_uid: 0,
            service: "sudo".into(),
            tty: None,
            remote_host: None,
            class: authflow_core::session::Class::Nested,
            factors: authflow_core::factor::Factors::none(),
            aal: 0,
            rule: "r".into(),
            limits: authflow_core::policy::Limits::default(),
            authenticated_at: None,
            flow: None,
            vouched_by,
        };
        let mut begin = |vouched_by| tracking::begin(&mut login, &opening(vouched_by), WhenUnavailable::Open);
        assert!(matches!(begin(Some(SessionId::new([1; 16]))), Err(Error::Daemon(_))));
        assert!(pending::list(&machine.place.paths, machine.place.trust).unwrap().is_empty());
        assert!(begin(None).unwrap().unwrap().is_pending);
    }
}
