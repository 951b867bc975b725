//! From what stands in the files and what is wanted to the changes, in an order in which every beginning of it leaves each user a way
//! in. Pure.
//!
//! Our lines in a stack do nothing before a rule names the service, so they come first. Then the rules are in force with the next
//! rename: for login, su and sudo that is all. sshd has to be told as well, and neither rules before sshd nor sshd before rules would
//! let in everybody who is let in before and after; so first come rules that ask for no more than the machine did (`rules::easing`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    pam_edit::{self, Included},
    passwords::Takes,
    rules,
    service::Service,
    sshd,
    standard::Standard,
    who::{Who, of_header},
};

/// What stands in the files that a setup may touch; `None` where there is no such file. Under the root that paths are relative to.
pub(super) type Texts = BTreeMap<PathBuf, Option<String>>;

/// One file, replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// The file.
    pub path: PathBuf,
    /// What stood there; `None`: there was no such file.
    pub before: Option<String>,
    /// What is to stand there.
    pub after: Option<String>,
}

impl Step {
    /// Whether sshd has to read its configuration anew behind it.
    pub(super) fn is_sshd_config(&self) -> bool {
        self.path.parent().is_some_and(|folder| folder.ends_with(sshd::FOLDER))
    }

    /// Whether it is about a PAM stack.
    pub(super) fn is_stack(&self) -> bool {
        self.path.parent().is_some_and(|folder| folder.ends_with("etc/pam.d"))
    }
}

/// Why a setup is not planned.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A service's stack is not there.
    #[error("there is no {}: is {service} installed?", path.display())]
    NoStack {
        /// The service.
        service: Service,
        /// Its file.
        path: PathBuf,
    },
    /// Our lines do not fit into it.
    #[error("{}: {why}", path.display())]
    Stack {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: super::pam_place::Refusal,
    },
    /// Somebody edited what setup wrote.
    #[error("{} was changed since setup wrote it, and is left to you: make the change there yourself, or move the file away and run this again", .0.display())]
    Edited(PathBuf),
    /// A removal was stopped before its end.
    #[error("{} is what a removal left that was stopped on its way: `authflow setup remove {service}` takes the rest out first", path.display())]
    OnTheWay {
        /// The service.
        service: Service,
        /// Its rules.
        path: PathBuf,
    },
}

/// The files under `root` that a setup of those services may touch.
pub(super) fn paths<'a>(places: &'a Places, services: &'a [Service]) -> impl Iterator<Item = PathBuf> + 'a {
    services.iter().flat_map(|service| {
        let stacks = service.pam_files().iter().map(|name| places.stack(name));
        let sshd = (*service == Service::Sshd).then(|| places.sshd());
        stacks.chain([places.rules(*service)]).chain(sshd)
    })
}

/// The files beside these that decide what is written: the configuration's own, and the rules of the other services. No one of them is in the
/// way where it cannot be read.
pub(super) fn paths_beside<'a>(places: &'a Places, services: &'a [Service]) -> impl Iterator<Item = PathBuf> + 'a {
    [places.config.clone()].into_iter().chain(others(services).map(|service| places.rules(service)))
}

fn others(services: &[Service]) -> impl Iterator<Item = Service> {
    Service::ALL.into_iter().filter(|service| !services.contains(service))
}

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// What they are under.
    pub root: PathBuf,
    /// The configuration's own file.
    pub config: PathBuf,
    /// The folder of the configuration's drop-ins.
    pub drop_ins: PathBuf,
}

impl Places {
    /// The stacks' folder.
    pub(super) fn stacks(&self) -> PathBuf {
        self.root.join("etc/pam.d")
    }

    /// The stack of that PAM service.
    pub(super) fn stack(&self, name: &str) -> PathBuf {
        self.stacks().join(name)
    }

    /// sshd's configuration.
    pub(super) fn sshd_config(&self) -> PathBuf {
        self.root.join("etc/ssh/sshd_config")
    }

    /// sshd's drop-in.
    pub(super) fn sshd(&self) -> PathBuf {
        super::sshd_drop_in(&self.root)
    }

    /// The rules of that service.
    pub(super) fn rules(&self, service: Service) -> PathBuf {
        self.drop_ins.join(rules::file_name(service))
    }
}

/// The changes that protect `who` at each of `services`. None where all is so already.
pub(super) fn protect(
    places: &Places,
    there: &Texts,
    (services, who, takes): (&[Service], &Who, Takes),
    included: Included<'_>,
) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for service in services {
        for name in service.pam_files() {
            let path = places.stack(name);
            let Some(before) = text(there, &path) else {
                if service.pam_files().first() == Some(name) {
                    return Err(Refusal::NoStack { service: *service, path });
                }
                continue;
            };
            let after = pam_edit::add(before, service.options(), included);
            let after = after.map_err(|why| Refusal::Stack { path: path.clone(), why })?;
            steps.push(Step { path, before: Some(before.to_owned()), after: Some(after) });
        }
    }
    let standard = standard(places, there);
    for service in services {
        let (path, after) = (places.rules(*service), rules::text(*service, who.at(*service), &standard));
        let before = text(there, &path);
        if before.is_some_and(|there| rules::is_on_the_way(*service, there)) {
            return Err(Refusal::OnTheWay { service: *service, path });
        }
        let protected = unchanged(before, &path, |there| rules::unchanged(*service, there))?;
        if *service == Service::Sshd {
            steps.extend(sshd_steps(places, there, (protected.as_ref(), Some(who)), takes)?);
        } else {
            steps.push(Step { path, before: before.map(str::to_owned), after: Some(after) });
        }
    }
    steps.extend(others(services).filter_map(|service| written_anew(service, (places, there), &standard)));
    steps.retain(|step| step.before != step.after);
    Ok(steps)
}

/// The rules of another service, for whom they protect already, as the standard that is chosen by now has them: a configuration is used as a
/// whole or not at all.
fn written_anew(service: Service, (places, there): (&Places, &Texts), standard: &Standard) -> Option<Step> {
    let path = places.rules(service);
    let before = text(there, &path)?;
    let after = rules::text(service, &rules::unchanged(service, before)?, standard);
    Some(Step { path, before: Some(before.to_owned()), after: Some(after) })
}

/// The standard that is chosen, as the files stand.
fn standard(places: &Places, there: &Texts) -> Standard {
    Standard::of(text(there, &places.config))
}

/// What the chosen standard makes of the rules that are written, in words.
pub(super) fn under_preset(places: &Places, there: &Texts, steps: &[Step]) -> Vec<String> {
    let standard = standard(places, there);
    let told = |service: Service| {
        let path = places.rules(service);
        // A file that changes twice ends as its last change says.
        let text = steps.iter().rev().find(|step| step.path == path)?.after.as_ref()?;
        Some(rules::told(service, text, &standard))
    };
    Service::ALL.into_iter().filter_map(told).flatten().collect()
}

/// Who would not be protected any more, by service, in words.
pub(super) fn left_out(places: &Places, there: &Texts, (services, who): (&[Service], &Who)) -> Vec<String> {
    let words = |service: &Service| {
        let before = rules::unchanged(*service, text(there, &places.rules(*service))?)?;
        let left = before.left_out_by(who.at(*service))?;
        Some(format!("{service}: this takes the protection of {left} away; to keep it name all of them (--user)"))
    };
    services.iter().filter_map(words).collect()
}

/// The changes that take all of it out again. Whoever was protected is asked, at every moment on the way, what one of both ends asks.
pub(super) fn take_out(
    places: &Places,
    there: &Texts,
    (services, takes): (&[Service], Takes),
) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for service in services {
        let path = places.rules(*service);
        let before = text(there, &path);
        let protected = protected(*service, before, &path)?;
        if *service == Service::Sshd {
            steps.extend(sshd_steps(places, there, (protected.as_ref(), None), takes)?);
        } else {
            steps.push(Step { path, before: before.map(str::to_owned), after: None });
        }
    }
    for name in services.iter().flat_map(|service| service.pam_files()) {
        let path = places.stack(name);
        let Some(before) = text(there, &path) else { continue };
        steps.push(Step { path, before: Some(before.to_owned()), after: Some(pam_edit::remove(before)) });
    }
    steps.retain(|step| step.before != step.after);
    Ok(steps)
}

/// Whom the rules protect that are to be taken out. Nobody any more, where a removal was stopped on its way.
fn protected(service: Service, there: Option<&str>, path: &Path) -> Result<Option<Who>, Refusal> {
    match there {
        Some(there) if rules::is_on_the_way(service, there) => Ok(None),
        there => unchanged(there, path, |there| rules::unchanged(service, there)),
    }
}

/// Whom setup protects at sshd, as the files stand.
pub(super) fn protected_at_sshd(places: &Places, there: &Texts) -> Option<Who> {
    let rules = text(there, &places.rules(Service::Sshd)).and_then(|there| rules::unchanged(Service::Sshd, there));
    rules.or_else(|| of_header(Service::Sshd, text(there, &places.sshd())?))
}

/// From whom sshd protects to whom it shall, by way of rules that ask for no more than both ends.
fn sshd_steps(
    places: &Places,
    there: &Texts,
    (before, after): (Option<&Who>, Option<&Who>),
    takes: Takes,
) -> Result<Vec<Step>, Refusal> {
    let (rules_path, sshd_path) = (places.rules(Service::Sshd), places.sshd());
    let owned = |path: &Path| text(there, path).map(str::to_owned);
    let (rules_before, sshd_before) = (owned(&rules_path), owned(&sshd_path));
    unchanged(sshd_before.as_deref(), &sshd_path, |there| sshd::is_unchanged(there).then_some(()))?;
    let standard = standard(places, there);
    let rules_after = after.map(|who| rules::text(Service::Sshd, who, &standard));
    let sshd_after = after.map(sshd::text);
    if sshd_before == sshd_after {
        return Ok(vec![Step { path: rules_path, before: rules_before, after: rules_after }]);
    }
    // A removal goes on from where it was stopped.
    let on_the_way = rules_before.as_ref().filter(|there| rules::is_on_the_way(Service::Sshd, there)).cloned();
    let easing = Some(on_the_way.unwrap_or_else(|| rules::easing(Service::Sshd, (before, after), takes, &standard)));
    Ok(vec![
        Step { path: rules_path.clone(), before: rules_before, after: easing.clone() },
        Step { path: sshd_path, before: sshd_before, after: sshd_after },
        Step { path: rules_path, before: easing, after: rules_after },
    ])
}

fn text<'a>(there: &'a Texts, path: &Path) -> Option<&'a str> {
    there.get(path)?.as_deref()
}

fn unchanged<T>(there: Option<&str>, path: &Path, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
    there.map(|there| read(there).ok_or_else(|| Refusal::Edited(path.to_owned()))).transpose()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
