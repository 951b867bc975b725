//! What the phases have in common: the login as PAM and sshd describe it, and the configuration that it is judged by.

use std::sync::Arc;

use authflow_core::{
    config::Config,
    console,
    factor::Factors,
    rule::{Remote, Request, Rule},
};
use authflow_host::{
    accounts::{self, Account},
    clock::SystemClock,
    config::{self, From},
    desk::Desk,
    file::Trust,
    matching::{self, Matched},
    paths::Paths,
    process,
    records::Records,
};

use crate::{
    args::Options,
    error::Error,
    event::Event,
    handle::{Facts, Handle, UserName},
    log::{Line, Priority},
    notes::KnownConfig,
    ssh,
};

/// Where our files are, and whose they must be.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where.
    pub paths: Paths,
    /// Whose.
    pub trust: Trust,
}

impl Default for Place {
    fn default() -> Self {
        Self { paths: Paths::default(), trust: Trust::root() }
    }
}

/// A login, and the configuration that it is judged by.
pub struct Login<'p, H> {
    /// PAM.
    pub pam: &'p mut H,
    /// What the application said.
    pub facts: Facts,
    /// The configuration.
    pub config: Arc<Config>,
    /// Where our files are.
    pub place: Place,
}

impl<'p, H: Handle> Login<'p, H> {
    /// Reads the configuration.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn load(pam: &'p mut H, options: &Options, place: &Place) -> Result<Self, Error> {
        let place = place_of(options, place);
        let loaded = config::load_trusting(&place.paths, place.trust)?;
        match &loaded.from {
            From::Live => {}
            From::LastGood { why } => pam.log(Priority::Error, &Line::new(Event::ConfigLastGood).with("why", why)),
        }
        let facts = pam.facts();
        Ok(Self { pam, facts, config: Arc::new(loaded.config), place })
    }

    /// Goes on with the configuration that an earlier phase on this handle has read, so that one login is judged by one; reads it where
    /// this phase is the first.
    ///
    /// # Errors
    /// There is none that can be used.
    pub fn go_on(pam: &'p mut H, options: &Options, place: &Place) -> Result<Self, Error> {
        let place = place_of(options, place);
        let known = pam.notes().config.filter(|known| known.path == *place.paths.config());
        let Some(KnownConfig { config, .. }) = known else { return Self::load(pam, options, &place) };
        let facts = pam.facts();
        Ok(Self { pam, facts, config, place })
    }

    /// The login, where a rule is about its service. Decided before the user is looked at, so it is the same for all names.
    #[must_use]
    pub fn if_governed(self) -> Option<Self> {
        if self.config.governs(&self.facts.service) { Some(self) } else { None }
    }

    /// The configuration, for the phases to come.
    pub fn known_config(&self) -> KnownConfig {
        KnownConfig { path: self.place.paths.config().to_owned(), config: Arc::clone(&self.config) }
    }

    /// Whether the service is sshd's.
    pub fn is_sshd(&self) -> bool {
        self.config.is_sshd(&self.facts.service)
    }

    /// What sshd has verified, where it is sshd that says so.
    pub fn proved_by_sshd(&self) -> Factors {
        let told = self.facts.auth_info.as_deref().filter(|_| self.is_sshd());
        told.map_or_else(Factors::none, ssh::proved)
    }

    /// Whether a flow can be what let this login in, as the session phase finds it. Where sshd tells nothing, or it is not sshd, it can.
    pub fn may_have_run_a_flow(&self) -> bool {
        self.facts.auth_info.as_deref().filter(|_| self.is_sshd()).is_none_or(ssh::tells_of_a_flow)
    }

    /// Where the user is.
    pub fn remote(&self) -> Remote {
        let connection = self.facts.connection.as_deref().filter(|_| self.is_sshd());
        let told = ssh::remote(self.facts.remote_host.as_deref(), connection);
        // What is run for others may be reached from anywhere.
        if told == Remote::Local && !self.is_called_by_the_user() {
            console::place(told, &self.facts.service, self.facts.tty.as_deref())
        } else {
            told
        }
    }

    /// Whether whoever wants in runs the application himself: by a login that he has here. A web server runs a helper that is setuid, too.
    fn is_called_by_the_user(&self) -> bool {
        let is_own = |user: &UserName| matches!(accounts::by_name(user.as_str()), Ok(Some(account)) if account.uid == process::real_uid());
        let is_own = || self.facts.user.as_ref().is_some_and(is_own);
        !self.facts.is_called_by_root && (console::is_called_here(&self.facts.service) || is_own())
    }

    /// `PAM_USER` as this phase finds it.
    ///
    /// # Errors
    /// It is no text, or nobody gives it.
    pub fn user(&mut self) -> Result<String, Error> {
        let user = self.pam.user()?;
        if user.is_text() { Ok(user.as_str().to_owned()) } else { Err(Error::NameIsNoText) }
    }

    /// The rule for the login of that account, if one matches.
    ///
    /// # Errors
    /// It hangs on a group that cannot be looked up.
    pub fn rule_for(&self, account: &Account) -> Result<Option<&Rule>, Error> {
        Ok(self.matched(account).told()?)
    }

    /// The same, as far as it can be told. By the account's own name, as in the flow: the given spelling may differ.
    pub fn matched(&self, account: &Account) -> Matched<'_> {
        let (service, user) = (self.facts.service.as_str(), account.name.as_str());
        let request = Request { service, user, groups: &[], remote: self.remote() };
        matching::matched(&self.config, account, request)
    }

    /// The users' records.
    pub fn records(&self) -> Records {
        Records::trusting(self.place.paths.clone(), self.place.trust)
    }

    /// The driver of flows.
    pub fn desk(&self) -> Desk<'_> {
        Desk::new(&self.config, self.records(), &SystemClock)
    }
}

fn place_of(options: &Options, place: &Place) -> Place {
    let paths = match &options.config {
        Some(config) => place.paths.clone().with_config(config),
        None => place.paths.clone(),
    };
    Place { paths, trust: place.trust }
}

/// The account of that name.
///
/// # Errors
/// There is none, or it cannot be looked up.
pub fn account_of(user: &str) -> Result<Account, Error> {
    accounts::by_name(user)?.ok_or(Error::NoAccount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Machine;

    #[test]
    fn a_helper_that_somebody_runs_for_others_is_not_here_and_what_one_runs_for_himself_is() {
        let machine = Machine::new("[[rule]]\nname = \"all\"\nservice = [\"*\"]\nmethods = [[\"password\"]]\n");
        let place = |service: &str, user: &str, (is_called_by_root, tty): (bool, Option<&str>)| {
            let mut pam = machine.login(service, &[]);
            pam.facts.user = Some(UserName::new(user.as_bytes()));
            pam.facts.is_called_by_root = is_called_by_root;
            pam.facts.tty = tty.map(str::to_owned);
            Login::load(&mut pam, &Options::default(), &machine.place).unwrap().remote()
        };
        let (himself, root) = ((false, None), (true, None));
        assert_eq!(place("a-locker", &machine.user, himself), Remote::Local);
        assert_eq!(place("su", "no-such-user", himself), Remote::Local);
        // Whoever runs the tests may be nobody.
        for somebody in ["no-such-user", "nobody"].into_iter().filter(|name| *name != machine.user) {
            assert_eq!(place("web-helper", somebody, himself), Remote::Untold, "{somebody}");
        }
        assert_eq!(place("smtp", &machine.user, root), Remote::Untold);
        assert_eq!(place("login", &machine.user, (true, Some("/dev/tty1"))), Remote::Console);
        assert_eq!(place("gdm-password", &machine.user, root), Remote::Local);
    }
}
