//! `authflow setup`: puts authflow in front of logins, for somebody who fears to be locked out of a machine far away. Everything is shown
//! first, tried before it goes live, changed in an order in which every beginning leaves a way in, and rolled back by itself unless
//! somebody logs in by the new way and confirms.
//!
//! # Layout
//!
//! - `service`, `who`: what is protected, and whom
//! - `pam_edit`, `pam_place`, `rules`, `sshd`: the texts that it comes to; `standard`: what a preset makes of the rules; pure
//! - `plan`: the changes and their order; pure
//! - `texts`, `programs`: files read and replaced, programs run
//! - `preflight`, `ways_in`, `access`: what must be true before
//! - `sshd_trial`, `passwords`, `whence`, `rehearse`, `rehearse_auth`, `knock`: what is tried before
//! - `ledger`: what was done, on disk before it is done
//! - `apply`, `arm`, `held`, `rollback`: into force, and back; `by_hand`: what is told where it does not go back
//! - `anew`: what is told of rules from before a preset was chosen
//! - `confirm`, `remove`, `status`, `show`: the rest of the command

mod access;
pub(crate) mod anew;
mod apply;
mod arm;
mod by_hand;
mod confirm;
mod held;
mod knock;
mod ledger;
mod pam_edit;
mod pam_place;
mod passwords;
mod plan;
mod preflight;
mod programs;
mod rehearse;
mod rehearse_auth;
mod remove;
mod rollback;
mod rules;
mod service;
mod show;
mod sshd;
mod sshd_trial;
mod standard;
mod status;
mod texts;
mod ways_in;
mod whence;
mod who;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use authflow_host::{accounts::Account, config, file::read_trusted, local_accounts};
use clap::{ArgGroup, Subcommand};

use ledger::Ledger;
use passwords::Takes;
use plan::{Places, Step};
use service::Service;
use who::Who;

use crate::{
    context::Context,
    error::Error,
    journal,
    output::{note, text::clean, time::words},
    pam_stack,
};

/// How long another setup may take before this one gives up.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(group = ArgGroup::new("whom").required(true).args(["users", "everybody"]))]
pub(crate) struct Setup {
    /// What to protect
    #[arg(required = true, value_enum)]
    services: Vec<Service>,
    /// Whom to protect, again for more; everybody else goes on as before
    #[arg(long = "user", value_name = "USER")]
    users: Vec<String>,
    /// Protect everybody; who has no authenticator enrols in the login, or puts it off for a week if no preset says otherwise
    #[arg(long)]
    everybody: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Undo it all after so long, unless it is confirmed in a new login
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    rollback_after: Duration,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep what was set up: to be run in a login that was opened by it
    Confirm(confirm::Confirm),
    /// Put back what was there before the last setup
    Rollback(rollback::Rollback),
    /// What is set up, and what waits for its confirmation
    Status(status::Status),
    /// Take authflow out of the services again
    Remove(remove::Remove),
}

/// The shortest time that a person needs for a login elsewhere, and the longest that a half-open door is worth.
const TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(24 * 60 * 60);

impl Setup {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        if context.is_image() {
            return Err(Error::Usage("setup tries logins of the machine that runs, and an image has none".to_owned()));
        }
        context.require_root("setup changes what decides about logins")?;
        let ledger = Ledger::new(context.paths.setup(), context.trust());
        match self.command {
            Some(Command::Confirm(command)) => command.run(context, &ledger),
            Some(Command::Rollback(command)) => command.run(context, &ledger),
            Some(Command::Status(command)) => command.run(context, &ledger),
            Some(Command::Remove(command)) => command.run(context, &ledger),
            None => self.protect(context, &ledger),
        }
    }

    fn protect(mut self, context: &Context, ledger: &Ledger) -> Result<(), Error> {
        if !TIMES.contains(&self.rollback_after) {
            return Err(Error::Usage("--rollback-after: expected between 5s and 24h".to_owned()));
        }
        self.services.sort();
        self.services.dedup();
        let places = places(context);
        let lock = ledger.lock(PATIENCE)?.ok_or_else(busy)?;
        if !self.dry_run {
            finish_what_was_stopped(context, ledger)?;
        }
        let who = self.who(context, &places)?;
        let there = there(context, &places, &self.services)?;
        let takes = passwords::foresee(context, &places, (&there, &self.services), Some(&who))?;
        let steps = self.steps(&places, &there, (&who, takes))?;
        if steps.is_empty() {
            let said = show::Shown::nothing();
            return Ok(context.output.either(&said, || "all of it is so already: nothing to do\n".to_owned())?);
        }
        plan::left_out(&places, &there, (&self.services, &who)).iter().for_each(|words| note(&clean(words)));
        plan::under_preset(&places, &there, &steps).iter().for_each(|words| note(&clean(words)));
        show::counted_by_us(&steps).iter().for_each(|words| note(&clean(words)));
        if self.dry_run {
            context.output.either(&show::Shown::planned(&steps), || show::diff(&steps))?;
        }
        self.preflight(context, &places, (&who, &steps))?;
        if self.dry_run {
            note("it would go live: nothing that was tried speaks against it");
            return Ok(());
        }
        let lock = if self.yes {
            lock
        } else {
            // Whoever is asked may be gone for lunch: nobody else waits for the answer.
            drop(lock);
            show::before_asking(context, &steps)?;
            let reboot = if programs::has_systemd() {
                ""
            } else {
                " (no systemd here: a reboot before that leaves them changed)"
            };
            let after = words(self.rollback_after);
            context.confirm(&format!("change these, and back again in {after} unless confirmed{reboot}?"))?;
            lock_again(context, ledger, (&places, &self.services, &there))?
        };
        let setup = ledger.begin(context.now(), (&self.services, Some(&who)), steps)?;
        let (until, warnings) = apply::go_live(context, ledger, &setup, self.rollback_after)?;
        journal::note(context, journal::Event::SetupLive, &[("setup", &setup.name), ("what", &setup.words())]);
        reload_daemon(context);
        let said = show::Shown::of(context, &setup, Some(until));
        context.output.either(&said, || show::live(context, &setup, until))?;
        warnings.iter().for_each(|warning| note(&format!("to be known: {}", clean(warning))));
        drop(lock);
        Ok(())
    }

    fn who(&self, context: &Context, places: &Places) -> Result<Who, Error> {
        if self.everybody {
            let roots = local_accounts::names_of(&context.paths, 0)?;
            return sshd_trial::everybody(&self.services, places, &roots);
        }
        let accounts = preflight::accounts(context, &self.users)?;
        Ok(Who::Users(accounts.into_iter().map(|account| account.name).collect()))
    }

    fn steps(&self, places: &Places, there: &plan::Texts, (who, takes): (&Who, Takes)) -> Result<Vec<Step>, Error> {
        let included = |name: &str| pam_stack::lines(&places.root, name);
        let steps = plan::protect(places, there, (&self.services, who, takes), &included);
        steps.map_err(|refusal| Error::Failed(refusal.to_string()))
    }

    /// Everything that can be tried without a change.
    fn preflight(&self, context: &Context, places: &Places, (who, steps): (&Who, &[Step])) -> Result<(), Error> {
        let config = preflight::config(context, &self.services, steps)?;
        let ahead = ways_in::Ahead { context, config: &config, places };
        ways_in::ways_in(&ahead, &self.services, who)?;
        show::limits(&config, &self.services).iter().for_each(|words| note(&clean(words)));
        ways_in::by_key_alone(&ahead, &self.services, who)?.iter().for_each(|words| note(&clean(words)));
        let folder = preflight::Folder::new(context)?;
        if self.services.contains(&Service::Sshd) {
            sshd_trial::run(folder.path(), places, (who, steps))?.iter().for_each(|words| note(&clean(words)));
        }
        // It has to be there for the confirmation: it knows who logged in.
        let _there = context.daemon()?.sessions()?;
        folder.go_on()?;
        if self.dry_run {
            return Ok(());
        }
        rehearse::tidy_up(places)?;
        let user = ways_in::somebody(context, who);
        rehearse::run(&folder, places, (&user, steps))?.iter().for_each(|words| note(&clean(words)));
        Ok(())
    }
}

/// Where setup puts sshd's drop-in, on the machine with that root.
pub(crate) fn sshd_drop_in(root: &Path) -> PathBuf {
    root.join(sshd::FOLDER).join(sshd::FILE)
}

/// The file of that account's that sshd means by what is written for all (`%h`, `%u`, `%U`).
pub(in crate::command) fn key_file(written: &str, account: &Account) -> String {
    access::expand(written, account)
}

/// Whether sshd's lists of who may come keep that account out (`AllowUsers` and the like), by its own words, a line for each name.
pub(in crate::command) fn is_kept_out(lists: &str, account: &Account) -> bool {
    let groups = programs::groups_of(&account.name).unwrap_or_default();
    let login = access::Login { account, groups: &groups, needs_a_key: true };
    access::not_listed(&sshd::Settings::parse(lists), &login).is_some()
}

/// The rules for sshd where they are what stands for a moment between two steps.
pub(crate) fn rules_on_the_way(context: &Context) -> Option<PathBuf> {
    let path = places(context).rules(Service::Sshd);
    let text = texts::read_anything(&path).ok().flatten()?;
    rules::is_on_the_way(Service::Sshd, texts::as_text(Some(&text))?).then_some(path)
}

/// Whether a setup waits for its confirmation. Where that cannot be seen, it may.
pub(crate) fn waits(context: &Context) -> bool {
    let pending = Ledger::new(context.paths.setup(), context.trust()).pending();
    pending.map_or(true, |pending| pending.is_some())
}

/// Where the files of this machine are.
fn places(context: &Context) -> Places {
    let (config, drop_ins) = (context.paths.config().to_owned(), context.paths.config_drop_ins());
    Places { root: context.paths.root().to_owned(), config, drop_ins }
}

/// What stands in the files that a setup of those services may touch, and in those that decide what it writes.
fn there(context: &Context, places: &Places, services: &[Service]) -> Result<plan::Texts, Error> {
    let mut there = texts::read(plan::paths(places, services), context.trust())?;
    there.extend(plan::paths_beside(places, services).map(|path| {
        let text = read_trusted(&path, context.trust()).ok();
        (path, text)
    }));
    Ok(there)
}

fn busy() -> Error {
    Error::Failed("another authflow setup is at work on this machine".to_owned())
}

/// The lock behind a question, during which anybody could set up something else: then what was shown is not what would be done.
fn lock_again(
    context: &Context,
    ledger: &Ledger,
    (places, services, there): (&Places, &[Service], &plan::Texts),
) -> Result<ledger::Lock, Error> {
    let lock = ledger.lock(PATIENCE)?.ok_or_else(busy)?;
    finish_what_was_stopped(context, ledger)?;
    if self::there(context, places, services)? == *there { Ok(lock) } else { Err(changed_meanwhile()) }
}

fn changed_meanwhile() -> Error {
    Error::Failed("somebody else set something up meanwhile, and nothing was done: run it again".to_owned())
}

/// The setup that waits, for whoever does nothing about a record that cannot be read.
fn pending(ledger: &Ledger) -> Result<Option<ledger::Pending>, Error> {
    ledger.pending().map_err(|error| {
        Error::Failed(format!("{error}: `authflow setup rollback` takes back the setup that this was about, if any"))
    })
}

/// A setup that was killed on the way is taken back before the next one begins; one that waits for its confirmation is in the way.
fn finish_what_was_stopped(context: &Context, ledger: &Ledger) -> Result<(), Error> {
    let Some(pending) = pending(ledger)? else { return Ok(()) };
    if pending.is_live() {
        return Err(Error::Failed(format!(
            "the setup of {} waits: `authflow setup confirm` in a new login keeps it, `authflow setup rollback` takes it back",
            pending.name
        )));
    }
    note(&format!("the setup of {} was stopped on the way: taking it back first", pending.name));
    rollback::take_back(context, ledger, &ledger.setup(&pending.name)?).map(drop)
}

/// Makes the configuration as it is now the one that stays in force when a later edit is wrong.
fn refresh(context: &Context) {
    if !anew::tell_if_refused(context) {
        let name = context.paths.config().display().to_string();
        let applied = std::fs::read_to_string(context.paths.config()).map_err(|error| error.to_string());
        let applied = applied.and_then(|text| {
            config::apply(&context.paths, context.trust(), &name, text).map_err(|error| error.to_string())
        });
        if let Err(error) = applied {
            note(&clean(&format!("the last good configuration is still the older one: {error}")));
        }
    }
    reload_daemon(context);
}

/// Whether the configuration as it stands is the last good one.
fn is_applied(context: &Context) -> bool {
    let last_good = config::read_last_good(&context.paths, context.trust()).map(|(text, _config)| text);
    let live = config::read_live(&context.paths, context.trust()).map(|files| files.text());
    last_good.is_ok_and(|last_good| live.is_ok_and(|live| live == last_good))
}

/// So that the evidence has the configuration at once; a daemon that is away notices it when it comes.
fn reload_daemon(context: &Context) {
    // At a boot the bus answers nobody before the roll-back is over, and logins would wait for the time-out.
    if programs::has_systemd() && !programs::agrees(&["systemctl", "is-active", "--quiet", "authflow-sessiond"]) {
        return;
    }
    let _noticed_later = context.daemon_without_a_word().and_then(|daemon| daemon.reload());
}
