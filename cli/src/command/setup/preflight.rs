//! What must be true before anything goes live: the users can get in by the new rules, somebody of them can become root, sshd would do as it
//! is told and does nothing else for others, and the daemon is there to say who logged in. Reads; changes nothing but a folder to try in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use authflow_core::{
    config::Config,
    factor::{Factor, Factors},
};
use authflow_host::{accounts::Account, config, process, shadow};

use super::{
    plan::{Places, Step},
    programs, rules,
    service::Service,
    sshd, texts,
    who::{Who, is_plain},
};
use crate::{
    command::{
        check,
        test::{Outcome, foresee},
    },
    context::Context,
    error::Error,
    pam_stack,
};

/// Modules that verify nobody's password.
const BYSTANDERS: [&str; 16] = [
    "pam_access.so",
    "pam_cap.so",
    "pam_env.so",
    "pam_faildelay.so",
    "pam_faillock.so",
    "pam_group.so",
    "pam_issue.so",
    "pam_keyinit.so",
    "pam_listfile.so",
    "pam_nologin.so",
    "pam_rootok.so",
    "pam_securetty.so",
    "pam_selinux.so",
    "pam_shells.so",
    "pam_time.so",
    "pam_wheel.so",
];

/// The configuration as it will be, if it may be so.
pub(super) fn config(context: &Context, services: &[Service], steps: &[Step]) -> Result<Config, Error> {
    let unusable = |error: &dyn std::error::Error| Error::failed("the configuration cannot be used as it is", error);
    let live = config::read_live(&context.paths, context.trust()).map_err(|error| unusable(&error))?;
    let live = live.parse().map_err(|error| unusable(&error))?;
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

/// That the users get in, and that one of them can confirm.
pub(super) fn ways_in(context: &Context, config: &Config, services: &[Service], who: &Who) -> Result<(), Error> {
    let people = match who {
        Who::Users(users) => users.clone(),
        Who::Everybody | Who::EverybodyButRoot => caller(context, who),
    };
    for user in &people {
        for service in services {
            way_in(context, config, *service, user)?;
        }
    }
    if matches!(who, Who::Everybody | Who::EverybodyButRoot) {
        only_local_passwords(context, services)?;
    }
    // Others than the ones named keep the way that they have.
    if people.is_empty() || people.iter().any(|user| can_become_root(context, user)) {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "none of them ({}) can become root by sudo or su, so nobody who logged in by the new way could confirm it: name a user who can",
        people.into_iter().collect::<Vec<_>>().join(", ")
    )))
}

/// Errors by their id and file, since lines move when others are put in front of them; each in words.
pub(super) type Defects = BTreeMap<(&'static str, Option<String>), String>;

/// What `authflow check` calls errors.
pub(super) fn defects(context: &Context) -> Defects {
    let found = check::findings(context);
    let errors = found.iter().filter(|finding| finding.defect.severity() == check::Severity::Error);
    errors.map(|error| ((error.defect.id(), error.place.file.clone()), error.on_one_line())).collect()
}

/// One of those who are protected, to try a stack with; root where nobody is named.
pub(super) fn somebody(context: &Context, who: &Who) -> String {
    let named = match who {
        Who::Users(users) => users.first().cloned(),
        Who::Everybody | Who::EverybodyButRoot => caller(context, who).pop_first(),
    };
    named.unwrap_or_else(|| "root".to_owned())
}

/// Whoever sits here: the user that logged in, whatever sudo or su has made of it.
fn caller(context: &Context, who: &Who) -> BTreeSet<String> {
    let uid = process::login_uid(std::process::id());
    let account = uid.and_then(|uid| authflow_host::accounts::by_uid(uid).ok().flatten());
    let name = account.map_or_else(|| context.caller_name().ok(), |account| Some(account.name));
    name.filter(|name| who.includes(name)).into_iter().collect()
}

fn way_in(context: &Context, config: &Config, service: Service, user: &str) -> Result<(), Error> {
    let key: Option<Factors> = (service == Service::Sshd).then(|| [Factor::Publickey].into_iter().collect());
    let mut why_not = None;
    for proved in [Some(Factors::default()), key].into_iter().flatten() {
        match foresee(context, config, (user, service.as_str()), proved)? {
            (Outcome::Asked, _) => return Ok(()),
            (Outcome::NotGoverned | Outcome::LeftToTheStack, _) => {
                why_not = Some("the rule that matches is another one".to_owned());
            }
            (Outcome::Denied, reason) => why_not = reason.or(why_not),
        }
    }
    let why_not = why_not.unwrap_or_default();
    let advice = if why_not.contains("authenticator") {
        format!("; give {user} one first: authflow factor add totp --user {user}")
    } else {
        String::new()
    };
    Err(Error::Failed(format!("{user} would be kept out of {service}: {why_not}{advice}")))
}

/// Where everybody is protected, everybody's password must be one that authflow can verify.
fn only_local_passwords(context: &Context, services: &[Service]) -> Result<(), Error> {
    const LOCAL: [&str; 4] = ["pam_unix.so", "pam_deny.so", "pam_permit.so", pam_stack::OURS];
    for service in services {
        let lines = pam_stack::lines(context.paths.root(), service.as_str());
        let is_foreign = |line: &&pam_stack::Line| {
            line.phase == "auth"
                && !LOCAL.contains(&line.module.as_str())
                && !BYSTANDERS.contains(&line.module.as_str())
        };
        if let Some(line) = lines.iter().find(is_foreign) {
            return Err(Error::Failed(format!(
                "{}:{}: {} verifies passwords there, and authflow knows only the machine's own: with --user take people whose passwords \
                 are here, or put the lines in by hand as sshd-directory.example has them",
                line.file.display(),
                line.number,
                line.module
            )));
        }
    }
    Ok(())
}

/// By sudo's own word, or by root's password.
fn can_become_root(context: &Context, user: &str) -> bool {
    let is_root = context.account(user).is_ok_and(|account| account.uid == 0);
    let own = std::env::current_exe().unwrap_or_else(|_unknown| PathBuf::from("/usr/bin/authflow"));
    let own = own.display().to_string();
    let by_sudo = || programs::agrees(&["sudo", "-n", "-l", "-U", user, &own, "setup", "confirm"]);
    let by_su = || shadow::by_name("root").ok().flatten().is_some_and(|entry| entry.has_password());
    is_root || by_sudo() || by_su()
}

/// That sshd would ask for a code, and that nothing changes for whoever is not named. Tried with a copy of its configuration.
pub(super) fn sshd_would(folder: &Path, places: &Places, (who, steps): (&Who, &[Step])) -> Result<(), Error> {
    let main_path = places.root.join("etc/ssh/sshd_config");
    let main =
        fs::read_to_string(&main_path).map_err(|error| Error::failed(&main_path.display().to_string(), &error))?;
    let tried = folder.join("sshd_config.d");
    let Some(copy) = sshd::with_drop_ins_of(&main, &tried) else {
        return Err(Error::Failed(format!(
            "{} does not read /{}: put `Include /{}/*.conf` on its first line",
            main_path.display(),
            sshd::FOLDER,
            sshd::FOLDER
        )));
    };
    let failed = |error: std::io::Error| Error::failed("cannot try sshd's configuration", &error);
    fs::create_dir_all(&tried).map_err(failed)?;
    for entry in fs::read_dir(places.root.join(sshd::FOLDER)).map_err(failed)?.filter_map(Result::ok) {
        let text = fs::read(entry.path()).map_err(failed)?;
        fs::write(tried.join(entry.file_name()), text).map_err(failed)?;
    }
    for step in steps.iter().filter(|step| step.is_sshd_config()) {
        texts::replace(&tried.join(sshd::FILE), step.after.as_deref())?;
    }
    let candidate = folder.join("sshd_config");
    fs::write(&candidate, copy).map_err(failed)?;
    for user in named(who) {
        programs::sshd_settings(&candidate, &user)?.asks(&user).map_err(Error::Failed)?;
    }
    untouched(&main_path, &candidate, who)
}

/// That sshd goes on as before with whoever is not protected.
fn untouched(before: &Path, after: &Path, who: &Who) -> Result<(), Error> {
    let changes = |user: &str| -> Result<bool, Error> {
        Ok(programs::sshd_settings(before, user)? != programs::sshd_settings(after, user)?)
    };
    for user in ["root", "nobody"].into_iter().filter(|user| !who.includes(user)) {
        if changes(user)? {
            return Err(Error::Failed(format!(
                "sshd would treat {user} otherwise than before, which setup did not mean"
            )));
        }
    }
    Ok(())
}

fn named(who: &Who) -> Vec<String> {
    match who {
        Who::Users(users) => users.iter().cloned().collect(),
        Who::Everybody | Who::EverybodyButRoot => vec!["nobody".to_owned()],
    }
}

/// Whom "everybody" is: root is left out where sshd lets root in by key alone, and so could not ask root for a code.
pub(super) fn everybody(services: &[Service], places: &Places) -> Result<Who, Error> {
    if !services.contains(&Service::Sshd) {
        return Ok(Who::Everybody);
    }
    let settings = programs::sshd_settings(&places.root.join("etc/ssh/sshd_config"), "root")?;
    Ok(match settings.value("permitrootlogin") {
        Some("yes" | "no") => Who::Everybody,
        Some(_) | None => Who::EverybodyButRoot,
    })
}

/// A folder of root's alone to try things in. It is gone with its value.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(context: &Context) -> Result<Self, Error> {
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
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}
