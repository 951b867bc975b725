//! That nobody is kept out by the new rules who is to get in by them, and that somebody of them can confirm: sshd lets them in, they have a
//! shell, and they can become root. Reads; changes nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use authflow_core::{
    config::Config,
    factor::{Factor, Factors},
};
use authflow_host::{process, shadow};

use super::{
    access::{self, Login},
    plan::Places,
    programs,
    service::Service,
    whence::Origin,
    who::Who,
};
use crate::{
    as_owner,
    command::test::{Foreseen, Outcome, foresee},
    context::Context,
    error::Error,
    homes::Homes,
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

/// What is asked about: the configuration as it will be, and this machine.
pub(super) struct Ahead<'a> {
    /// The command's.
    pub context: &'a Context,
    /// The configuration.
    pub config: &'a Config,
    /// Where the machine's files are.
    pub places: &'a Places,
}

/// That the users get in, and that one of them can confirm.
pub(super) fn ways_in(ahead: &Ahead<'_>, services: &[Service], who: &Who) -> Result<(), Error> {
    let context = ahead.context;
    let mut people = match who {
        Who::Users(users) => users.clone(),
        Who::Everybody | Who::EverybodyButRoot => caller(context, &Who::Everybody),
    };
    if matches!(who, Who::Users(_))
        && services.contains(&Service::Sudo)
        && people.iter().all(|user| is_root(context, user))
    {
        let why = "sudo asks root nothing, so nobody could confirm it: name those who use sudo";
        return Err(Error::Failed(why.to_owned()));
    }
    for user in &people {
        let is_asked =
            |service: &&Service| who.at(**service).includes(user) && is_asked(context, **service, (user.as_str(), who));
        for service in services.iter().filter(is_asked) {
            way_in(ahead, *service, user)?;
        }
    }
    if matches!(who, Who::Everybody | Who::EverybodyButRoot) {
        only_local_passwords(context, services)?;
    }
    // Who is left as before at one of them shows nothing of it.
    people.retain(|user| services.iter().all(|service| who.at(*service).includes(user)));
    // Others than the ones named keep the way that they have.
    if people.is_empty() {
        return Ok(());
    }
    let can_confirm: Vec<&String> = people.iter().filter(|user| can_become_root(context, user)).collect();
    if can_confirm.is_empty() {
        return Err(Error::Failed(format!(
            "none of them ({}) can become root by sudo or su, so nobody who logged in by the new way could confirm it: name a user who can",
            people.into_iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let mut why_not = Vec::new();
    for user in can_confirm {
        match obstacle(ahead, services, user)? {
            None => return Ok(()),
            Some(obstacle) => why_not.push(obstacle),
        }
    }
    Err(Error::Failed(format!("nobody who can become root could log in and confirm it: {}", why_not.join("; "))))
}

/// Whether that service asks that user. Whoever happens to run setup as root is not asked by sudo, nor anywhere else for a password that
/// root has not got.
fn is_asked(context: &Context, service: Service, (user, who): (&str, &Who)) -> bool {
    match (service, who) {
        (Service::Sshd, _) | (_, Who::Users(_)) => true,
        (Service::Sudo, _) => !is_root(context, user),
        (Service::Login | Service::Su, _) => !is_root(context, user) || root_has_a_password(),
    }
}

fn is_root(context: &Context, user: &str) -> bool {
    context.account(user).is_ok_and(|account| account.uid == 0)
}

/// Whether su can lead to root.
pub(super) fn root_has_a_password() -> bool {
    shadow::by_name("root").ok().flatten().is_some_and(|entry| entry.has_password())
}

/// Whether that user has no password for sshd's stack to ask for.
fn needs_a_key(ahead: &Ahead<'_>, user: &str) -> Result<bool, Error> {
    let by_password = foresee(ahead.context, ahead.config, (user, Service::Sshd.as_str()), Factors::default())?;
    Ok(by_password.outcome != Outcome::Asked)
}

/// Accounts of this machine that come to sshd by a key and have no password: programs, as a rule, which can give no code; so may be whoever
/// comes as root. In words, where everybody is to be asked for one; and whose homes did not tell.
pub(super) fn by_key_alone(ahead: &Ahead<'_>, services: &[Service], who: &Who) -> Result<Vec<String>, Error> {
    if matches!(who, Who::Users(_)) || !services.contains(&Service::Sshd) {
        return Ok(Vec::new());
    }
    let local = ahead.places.root.join("etc/passwd");
    let local = std::fs::read_to_string(&local).map_err(|error| Error::failed(&local.display().to_string(), &error))?;
    let homes = Homes::new();
    let mut names = Vec::new();
    for name in local.lines().filter_map(|line| line.split(':').next()).filter(|name| who.includes(name)) {
        let Ok(account) = ahead.context.account(name) else { continue };
        if access::without_shell(&account).is_some() || !needs_a_key(ahead, name)? {
            continue;
        }
        let settings = programs::sshd_settings(&ahead.places.sshd_config(), name, &Origin::here())?;
        if access::has_a_key(&settings, &account, |file| homes.have_something(&account, Path::new(file))) {
            names.push(name);
        }
    }
    let untold: Vec<String> = homes.untold().into_iter().collect();
    let mut words = Vec::new();
    if !names.is_empty() {
        words.push(format!(
            "who has a key and no password is asked for a code as well, which no program can give: {}. Name the people with --user where that is \
             not meant",
            names.join(", ")
        ));
    }
    if !untold.is_empty() {
        words.push(format!(
            "the homes of these did not tell in time whether they have a key, by which they would be asked for a code as well: {}",
            untold.join(", ")
        ));
    }
    Ok(words)
}

/// What keeps that user from logging in by these services, whatever the rules say.
fn obstacle(ahead: &Ahead<'_>, services: &[Service], user: &str) -> Result<Option<String>, Error> {
    let account = ahead.context.account(user)?;
    // sudo needs no shell of the caller's.
    if services.iter().any(|service| *service != Service::Sudo)
        && let Some(why) = access::without_shell(&account)
    {
        return Ok(Some(why));
    }
    if !services.contains(&Service::Sshd) {
        return Ok(None);
    }
    let settings = programs::sshd_settings(&ahead.places.sshd_config(), user, &Origin::here())?;
    let groups = programs::groups_of(user)?;
    let login = Login { account: &account, groups: &groups, needs_a_key: needs_a_key(ahead, user)? };
    let has_something = |file: &str| as_owner::has_something(&account, Path::new(file), as_owner::PATIENCE);
    Ok(access::kept_out(&settings, &login, |file| has_something(file).unwrap_or(false)))
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

fn way_in(ahead: &Ahead<'_>, service: Service, user: &str) -> Result<(), Error> {
    let key: Option<Factors> = (service == Service::Sshd).then(|| [Factor::Publickey].into_iter().collect());
    let (mut why_not, mut advice) = (String::new(), String::new());
    for proved in [Some(Factors::default()), key].into_iter().flatten() {
        let Foreseen { outcome, reason, lacks } =
            foresee(ahead.context, ahead.config, (user, service.as_str()), proved)?;
        match outcome {
            Outcome::Asked => return Ok(()),
            Outcome::NotGoverned | Outcome::LeftToTheStack => {
                "the rule that matches is another one".clone_into(&mut why_not);
            }
            Outcome::Denied => {
                why_not = reason.unwrap_or(why_not);
                advice = lacks.iter().map(|lack| first(user, *lack)).collect();
            }
        }
    }
    Err(Error::Failed(format!("{user} would be kept out of {service}: {why_not}{advice}")))
}

/// What to do for somebody who lacks that.
fn first(user: &str, lack: Factor) -> String {
    if lack == Factor::Password {
        format!("; give {user} a password first: passwd {user}, or authflow passwd --user {user}")
    } else {
        format!("; give {user} an authenticator first: authflow factor add totp --user {user}")
    }
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
    let own = std::env::current_exe().unwrap_or_else(|_unknown| PathBuf::from("/usr/bin/authflow"));
    let own = own.display().to_string();
    let by_sudo = || programs::agrees(&["sudo", "-n", "-l", "-U", user, &own, "setup", "confirm"]);
    is_root(context, user) || by_sudo() || root_has_a_password()
}
