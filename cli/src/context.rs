//! What every command is run with: where the files are, what time it is, who calls, where results go.

use std::{path::PathBuf, time::Duration};

use authflow_core::{
    config::Config,
    time::{Clock, WallTime},
};
use authflow_host::{
    accounts::{self, Account},
    clock::SystemClock,
    config::{self, From, Unusable},
    file::Trust,
    gone::{self, Found},
    paths::Paths,
    records::Records,
};

use crate::{
    daemon::Daemon,
    error::Error,
    output::{Output, note, time::Local},
    subject::Subject,
    terminal::Terminal,
};

/// What every command is run with.
pub(crate) struct Context {
    /// Where results go.
    pub output: Output,
    /// Where the files are.
    pub paths: Paths,
    image: bool,
}

impl Context {
    /// `root` is that of an image; without it commands work on this machine.
    pub(crate) fn new(json: bool, root: Option<PathBuf>) -> Self {
        let image = root.is_some();
        Self { output: Output::new(json), paths: root.map_or_else(Paths::default, Paths::new), image }
    }

    /// Whether the files are those of an image, and not of this machine.
    pub(crate) const fn is_image(&self) -> bool {
        self.image
    }

    /// Whose files count: root's, or in an image those of whoever builds it.
    pub(crate) fn trust(&self) -> Trust {
        if self.image { Trust::of(self.caller()) } else { Trust::root() }
    }

    /// The caller's uid.
    pub(crate) fn caller(&self) -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    /// Whether root calls.
    pub(crate) fn is_root(&self) -> bool {
        self.caller() == 0
    }

    /// That root calls, or that it is only about an image.
    pub(crate) fn require_root(&self, what: &'static str) -> Result<(), Error> {
        if self.image || self.is_root() { Ok(()) } else { Err(Error::NeedsRoot(what)) }
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> WallTime {
        SystemClock.now().wall
    }

    /// The reader's time zone, now.
    pub(crate) fn local(&self) -> Local {
        Local::new(self.now())
    }

    /// The configuration in force. None at all is the default one, which governs nothing; a broken one is an error, unless
    /// a last good one is in force for it.
    pub(crate) fn config(&self) -> Result<Config, Error> {
        match config::load_trusting(&self.paths, self.trust()) {
            Ok(loaded) => {
                match loaded.from {
                    From::Live => {}
                    // What is in force is what root reads.
                    From::LastGood { why } if self.may_not_read_config() => {
                        note(&format!(
                            "the last good configuration is taken for the one in force, which you may not read: {why}"
                        ));
                    }
                    From::LastGood { why } => note(&format!("the last good configuration is in force, since {why}")),
                }
                Ok(loaded.config)
            }
            Err(error) => match *error.live {
                Unusable::File(file) if file.is_missing() => Ok(Config::default()),
                Unusable::File(file) if file.is_denied() && !self.is_root() => {
                    Err(Error::failed("you may not read the configuration", &file))
                }
                live @ (Unusable::File(_) | Unusable::Config(_)) => {
                    Err(Error::failed("the configuration cannot be used", &live))
                }
            },
        }
    }

    /// Whether the live configuration is for others than the caller.
    fn may_not_read_config(&self) -> bool {
        let live = config::read_live(&self.paths, self.trust());
        !self.is_root() && matches!(live, Err(Unusable::File(file)) if file.is_denied())
    }

    /// The daemon of this machine. A broken configuration does not keep an administrator from it: the default address is
    /// tried then.
    pub(crate) fn daemon(&self) -> Result<Daemon, Error> {
        if self.image {
            return Err(Error::Usage(
                "--root is about the files of an image, and sessions are not among them".to_owned(),
            ));
        }
        let config = self.config().unwrap_or_else(|error| {
            note(&error.to_string());
            Config::default()
        });
        Daemon::connect(&config)
    }

    /// The same for whoever has said already, or says next, what is wrong with the configuration.
    pub(crate) fn daemon_without_a_word(&self) -> Result<Daemon, Error> {
        let config = config::load_trusting(&self.paths, self.trust()).map(|loaded| loaded.config).unwrap_or_default();
        Daemon::connect(&config)
    }

    /// The same for a shell's prompt: without a word about the configuration, and no answer is waited for longer than `limit`.
    pub(crate) fn daemon_in_passing(&self, limit: Duration) -> Result<Daemon, Error> {
        let mut config =
            config::load_trusting(&self.paths, self.trust()).map(|loaded| loaded.config).unwrap_or_default();
        config.bus_timeout = config.bus_timeout.min(limit);
        Daemon::connect(&config)
    }

    /// The user of that name.
    pub(crate) fn account(&self, name: &str) -> Result<Account, Error> {
        let found = accounts::by_name(name).map_err(|error| Error::failed("the user data base", &error))?;
        found.ok_or_else(|| Error::NoUser(name.to_owned()))
    }

    /// What the name services tell of that name, for what is done only where there is no such account.
    pub(crate) fn look_for(&self, name: &str) -> Found {
        // Where no configuration can be used, nobody is known whom the directory must find.
        let config = config::load_trusting(&self.paths, self.trust()).ok().map(|loaded| loaded.config);
        let control = config.and_then(|config| config.accounts.control);
        gone::look_for(&self.paths, control.as_deref(), name)
    }

    /// Everybody's records.
    pub(crate) fn records(&self) -> Result<Records, Error> {
        self.require_root("users' records are root's: only root sees and changes them")?;
        Ok(Records::trusting(self.paths.clone(), self.trust()))
    }

    /// The user whom a command is about: the one named, else the caller. An image has accounts of its own, which its first
    /// boot may yet make, so any name will do there.
    pub(crate) fn subject(&self, user: Option<&str>) -> Result<Subject, Error> {
        let records = self.records()?;
        match (user, self.image) {
            (Some(user), true) => Ok(Subject::of_image(user.to_owned(), records)),
            (None, true) => Err(Error::Usage("--root needs --user: an image has no caller".to_owned())),
            (Some(user), false) => Ok(Subject::new(self.account(user)?, records)),
            (None, false) => Ok(Subject::new(self.caller_account()?, records)),
        }
    }

    /// The name of the account that calls.
    pub(crate) fn caller_name(&self) -> Result<String, Error> {
        Ok(self.caller_account()?.name)
    }

    fn caller_account(&self) -> Result<Account, Error> {
        let uid = nix::unistd::getuid().as_raw();
        let found = accounts::by_uid(uid).map_err(|error| Error::failed("the user data base", &error))?;
        found.ok_or_else(|| Error::NoUser(format!("uid {uid}")))
    }

    /// Asks the person at the terminal; anything but a yes changes nothing.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), Error> {
        let terminal =
            Terminal::open().map_err(|_no_tty| Error::NoTerminal("give --yes to go on without a question"))?;
        if terminal.confirm(&crate::output::text::clean(question))? { Ok(()) } else { Err(Error::Declined) }
    }
}
