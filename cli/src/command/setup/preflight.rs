//! What must be true of the machine before anything goes live: the configuration can be used as it will be, the users are there, and what
//! `authflow check` finds is known. Reads; changes nothing but a folder to try in.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use authflow_core::config::Config;
use authflow_host::{accounts::Account, config};

use super::{held::Held, plan::Step, rules, service::Service, texts, who::is_plain};
use crate::{command::check, context::Context, error::Error};

/// The configuration as it will be, if it may be so.
pub(super) fn config(context: &Context, services: &[Service], steps: &[Step]) -> Result<Config, Error> {
    let unusable = |error: &dyn std::error::Error| Error::failed("the configuration cannot be used as it is", error);
    let live = config::read_live(&context.paths, context.trust()).map_err(|error| unusable(&error))?;
    // What of setup's own is weaker than a preset that was chosen since is written anew; the whole is judged as it will be.
    let live = live.parse_unjudged().map_err(|error| unusable(&error))?;
    for service in services {
        if let Some(name) = other_rule(&live, *service) {
            return Err(Error::Failed(format!(
                "the rule {name:?} of the configuration is about {service} already: setup would stand in its way. Put the lines into \
                 the PAM stack by hand (see the examples), or take the rule out"
            )));
        }
    }
    // A file that changes twice ends as its last change says.
    let changed: Vec<(PathBuf, Option<String>)> = steps
        .iter()
        .filter(|step| step.path.starts_with(context.paths.config_drop_ins()))
        .map(|step| (step.path.clone(), step.after.clone()))
        .collect();
    config::check_drop_ins(&context.paths, context.trust(), &changed).map_err(|error| unusable(&error))
}

/// A rule that is not setup's own and governs the service already.
fn other_rule(config: &Config, service: Service) -> Option<String> {
    let own = rules::rule_name(service);
    let governs = |name: &String| name == "*" || service.pam_services().contains(&name.as_str());
    let other = config.rules.iter().find(|rule| !rule.name.starts_with(&own) && rule.services.iter().any(governs));
    other.map(|rule| rule.name.clone())
}

/// The accounts that a setup names.
pub(super) fn accounts(context: &Context, users: &[String]) -> Result<Vec<Account>, Error> {
    let account = |user: &String| {
        let account = context.account(user)?;
        if is_plain(&account.name) {
            Ok(account)
        } else {
            Err(Error::Usage(format!(
                "{user:?}: setup writes only names of letters, digits, '.', '_' and '-' into files"
            )))
        }
    };
    users.iter().map(account).collect()
}

/// Defects by their id and file, since lines move when others are put in front of them; each in words.
pub(super) type Defects = BTreeMap<(check::Defect, Option<String>), String>;

/// What `authflow check` calls errors and warnings.
pub(super) fn defects(context: &Context) -> Defects {
    let found = check::findings(context).into_iter();
    let told = found.filter(|finding| finding.defect.severity() != check::Severity::Note);
    told.map(|finding| ((finding.defect, finding.place.file.clone()), finding.on_one_line())).collect()
}

/// A folder of root's alone to try things in. It is gone with its value; signals that would leave it behind wait as long.
pub(super) struct Folder {
    path: PathBuf,
    held: Held,
}

impl Folder {
    pub(super) fn new(context: &Context) -> Result<Self, Error> {
        let held = Held::new()?;
        let home = context.paths.setup();
        texts::private_folder(&home)?;
        let folder = home.join("tried");
        let failed = |error: std::io::Error| Error::failed(&folder.display().to_string(), &error);
        // What a setup that was killed left behind.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        texts::private_folder(&folder)?;
        Ok(Self { path: folder, held })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// That nobody wants it to stop, to be asked before it is gone.
    pub(super) fn go_on(&self) -> Result<(), Error> {
        if self.held.is_asked_to_stop() {
            return Err(Error::Failed("stopped as you asked: nothing was changed".to_owned()));
        }
        Ok(())
    }
}

/// It can be read where somebody wants it to stop.
impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.path);
    }
}
