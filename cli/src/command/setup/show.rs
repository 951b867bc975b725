//! What setup shows: the changes as a diff, the plan in a few lines, and what to do once it is live.

use std::path::Path;

use authflow_core::{config::Config, time::WallTime};
use serde::Serialize;

use super::{ledger::Setup, pam_edit, plan::Step, programs, rules, service::Service, who::Who};
use crate::{
    context::Context,
    error::Error,
    output::{text::clean, time::words},
    pam_stack::role::FAILLOCK,
};

/// What a setup did, for programs.
#[derive(Serialize)]
pub(super) struct Shown {
    pub changed: bool,
    pub setup: Option<String>,
    pub until: Option<String>,
    pub files: Vec<String>,
    /// Where it was only asked what would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

impl Shown {
    /// Nothing, since all is so already.
    pub(super) const fn nothing() -> Self {
        Self { changed: false, setup: None, until: None, files: Vec::new(), diff: None }
    }

    /// What would change.
    pub(super) fn planned(steps: &[Step]) -> Self {
        Self { files: files(steps), diff: Some(diff(steps)), ..Self::nothing() }
    }

    /// What was done, and when it goes back by itself.
    pub(super) fn of(context: &Context, setup: &Setup, until: Option<WallTime>) -> Self {
        Self {
            changed: true,
            setup: Some(setup.name.clone()),
            until: until.map(|until| context.local().rfc3339(until)),
            files: files(&setup.steps),
            diff: None,
        }
    }
}

impl Setup {
    /// What it is about, in a few words.
    pub(super) fn words(&self) -> String {
        let services: Vec<&str> = self.services.iter().map(|service| service.as_str()).collect();
        let services = services.join(", ");
        match &self.who {
            None => format!("{services} without authflow"),
            Some(Who::Everybody) => format!("{services} for everybody"),
            Some(Who::EverybodyButRoot) => format!("{services} for everybody but root"),
            Some(Who::Users(users)) => {
                format!("{services} for {}", users.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Each file once, from what stood there to what will.
fn changes(steps: &[Step]) -> Vec<Step> {
    let mut changes: Vec<Step> = Vec::new();
    for step in steps {
        match changes.iter_mut().find(|change| change.path == step.path) {
            Some(change) => change.after.clone_from(&step.after),
            None => changes.push(step.clone()),
        }
    }
    changes
}

fn files(steps: &[Step]) -> Vec<String> {
    changes(steps).iter().map(|step| step.path.display().to_string()).collect()
}

/// A unified diff of every file.
pub(super) fn diff(steps: &[Step]) -> String {
    changes(steps).iter().map(diff_of).collect()
}

fn diff_of(change: &Step) -> String {
    let path = change.path.display().to_string();
    let path = path.trim_start_matches('/');
    let (before, after) = (change.before.as_deref().unwrap_or_default(), change.after.as_deref().unwrap_or_default());
    let name = |side: &str, text: &Option<String>| {
        if text.is_some() { format!("{side}/{path}") } else { "/dev/null".to_owned() }
    };
    let diff = similar::TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(&name("a", &change.before), &name("b", &change.after)).to_string();
    text.lines().map(|line| clean(&line.replace('\t', "        ")) + "\n").collect()
}

/// Shows a person what is about to change; a program has asked for JSON alone.
pub(super) fn before_asking(context: &Context, steps: &[Step]) -> Result<(), Error> {
    if context.output.json { Ok(()) } else { Ok(context.output.text(&plan(steps))?) }
}

/// What changes, a line a file.
fn plan(steps: &[Step]) -> String {
    let line = |change: &Step| {
        let deed = match (&change.before, &change.after) {
            (None, _) => "new     ",
            (_, None) => "gone    ",
            _ => "changed ",
        };
        format!("{deed}{}\n", clean(&change.path.display().to_string()))
    };
    changes(steps).iter().map(line).collect()
}

/// The limits that come with it, in words: nobody is to be surprised by a session that ends.
pub(super) fn limits(config: &Config, services: &[Service]) -> Vec<String> {
    let limits_of = |service: &Service| {
        let own = rules::rule_name(*service);
        config.rules.iter().find(|rule| rule.name == own).map(|rule| rule.session.limits.clone())
    };
    let line = |service: &Service| {
        let limits = limits_of(service)?;
        let idle = limits.idle.map(|idle| format!("after {} without activity", words(idle)));
        let lifetime = limits.lifetime.map(|lifetime| format!("{} after the login at the latest", words(lifetime)));
        let ends: Vec<String> = idle.into_iter().chain(lifetime).collect();
        (!ends.is_empty()).then(|| {
            format!(
                "{service}: sessions of whoever is protected end {} ([session] in authflow.toml)",
                ends.join(" and ")
            )
        })
    };
    services.iter().flat_map(|service| line(service).into_iter().chain(of_others(config, *service))).collect()
}

/// The one limit that reaches whoever is left as before.
fn of_others(config: &Config, service: Service) -> Option<String> {
    let front = format!("{}-", rules::rule_name(service));
    let left = config.rules.iter().find(|rule| rule.name.starts_with(&front))?;
    let most = left.session.limits.max_sessions?;
    Some(format!(
        "{service}: whoever is left as before has {most} sessions at most at a time, too (max_sessions of [session] in authflow.toml)"
    ))
}

/// Where failures were counted by pam_faillock and will be by us, in words: whoever reads its tallies is not to wonder.
pub(super) fn counted_by_us(steps: &[Step]) -> Vec<String> {
    let refuses = |text: &str| text.lines().any(|row| row.contains(FAILLOCK) && row.ends_with(pam_edit::MARK));
    let is_new =
        |step: &&Step| step.after.as_deref().is_some_and(refuses) && !step.before.as_deref().is_some_and(refuses);
    let words = |step: &Step| {
        format!(
            "{}: whoever pam_faillock has locked stays out there; what fails where authflow asks is counted by [throttle] in authflow.toml",
            step.path.display()
        )
    };
    steps.iter().filter(is_new).map(words).collect()
}

/// What is live, and what to do now.
pub(super) fn live(context: &Context, setup: &Setup, until: WallTime) -> String {
    let until = context.local().ahead(until);
    let reboot = if programs::has_systemd() {
        "also after a reboot"
    } else {
        "but NOT after a reboot, since systemd does not run here"
    };
    format!(
        "{} is live.\n\nNow, leaving this terminal open, from another one:\n\n{}\nWithout that everything is put back at {until}, {reboot}; \
         `authflow setup rollback` does so at once.\n",
        clean(&setup.words()),
        steps_to_confirm(&setup.services, setup.who.as_ref(), Path::new("/usr/bin/sudo").exists())
    )
}

/// How it is confirmed: a line for each service that has to let somebody in, one inside of the other, and the command.
fn steps_to_confirm(services: &[Service], who: Option<&Who>, has_sudo: bool) -> String {
    let (whom, is_root) = match who {
        Some(Who::Users(users)) => {
            let names: Vec<&str> = users.iter().map(String::as_str).collect();
            (names.join(" or "), names == ["root"])
        }
        Some(Who::EverybodyButRoot) => ("somebody (not root) who has a code".to_owned(), false),
        Some(Who::Everybody) | None => ("somebody who has a code".to_owned(), false),
    };
    let (with_sudo, with_su) = (services.contains(&Service::Sudo), services.contains(&Service::Su));
    // su to root is a way to become root by itself; inside of it sudo would ask nothing.
    let su_to_root = with_su && who.is_some_and(|who| who.includes("root"));
    let way = |service: &Service| match service {
        Service::Sshd => Some(format!("ssh here anew as {whom}")),
        Service::Login => Some(format!("log in at a console as {whom}, and stay logged in")),
        Service::Su if su_to_root && with_sudo => Some("become root by su, and stay so".to_owned()),
        Service::Su if !su_to_root => Some(format!("su to {whom}")),
        Service::Su | Service::Sudo => None,
    };
    let mut lines: Vec<String> = services.iter().filter_map(way).collect();
    let command = match () {
        () if with_sudo => "sudo -k authflow setup confirm",
        () if is_root && !su_to_root => "authflow setup confirm",
        () if su_to_root || !has_sudo => "su -c 'authflow setup confirm'",
        () => "sudo authflow setup confirm",
    };
    lines.push(match (with_sudo, su_to_root || lines.is_empty()) {
        (true, true) => format!("as {whom}, in a shell that is not root's, run: {command}"),
        (false, true) if services == [Service::Su] => format!("in a shell that is not root's, run: {command}"),
        _ => format!("run there: {command}"),
    });
    lines.iter().map(|line| format!("    {}\n", clean(line))).collect()
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::{super::standard::Standard, *};

    fn steps(services: &[Service], users: &[&str]) -> String {
        let who = Who::Users(users.iter().map(|user| (*user).to_owned()).collect());
        let steps = steps_to_confirm(services, Some(&who), true);
        steps.lines().map(str::trim).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn the_limits_that_come_with_it_are_told() {
        let told_of = |who: &Who, main: &str| {
            let rules = rules::text(Service::Sshd, who, &Standard::default());
            let drop_in = Text { name: "drop-in", text: &rules };
            limits(
                &Config::parse(Text { name: "main", text: main }, &[drop_in]).unwrap(),
                &[Service::Sshd, Service::Su],
            )
        };
        let told = |main: &str| told_of(&Who::Everybody, main);
        assert_eq!(
            told(""),
            [
                "sshd: sessions of whoever is protected end after 15 min without activity and 12 h after the login at the latest \
              ([session] in authflow.toml)"
            ]
        );
        assert_eq!(told("[session]\nidle = \"none\"\nlifetime = \"none\"\n"), [""; 0]);
        let bounded = "[session]\nmax_sessions = 10\nidle = \"none\"\nlifetime = \"none\"\n";
        assert_eq!(told(bounded), [""; 0], "nobody is left as before");
        let others = "sshd: whoever is left as before has 10 sessions at most at a time, too (max_sessions of [session] in authflow.toml)";
        assert_eq!(told_of(&Who::EverybodyButRoot, bounded), [others]);
    }

    #[test]
    fn every_service_that_was_set_up_is_gone_through_to_confirm() {
        use Service::{Login, Sshd, Su, Sudo};
        for (services, users, expected) in [
            (&[Sshd][..], &["alice"][..], "ssh here anew as alice | run there: sudo authflow setup confirm"),
            (&[Sshd], &["root"], "ssh here anew as root | run there: authflow setup confirm"),
            (
                &[Sshd, Sudo],
                &["alice", "bob"],
                "ssh here anew as alice or bob | run there: sudo -k authflow setup confirm",
            ),
            (&[Sudo], &["alice"], "as alice, in a shell that is not root's, run: sudo -k authflow setup confirm"),
            (&[Su], &["root"], "in a shell that is not root's, run: su -c 'authflow setup confirm'"),
            (&[Su], &["alice"], "su to alice | run there: sudo authflow setup confirm"),
            (
                &[Sshd, Su],
                &["alice", "root"],
                "ssh here anew as alice or root | run there: su -c 'authflow setup confirm'",
            ),
            (
                &[Login, Su, Sudo],
                &["alice", "root"],
                "log in at a console as alice or root, and stay logged in | become root by su, and stay so | \
                 as alice or root, in a shell that is not root's, run: sudo -k authflow setup confirm",
            ),
        ] {
            assert_eq!(steps(services, users), expected);
        }
        let all = steps_to_confirm(&[Sshd], Some(&Who::EverybodyButRoot), false);
        assert!(all.contains("somebody (not root) who has a code"), "{all}");
        assert!(all.contains("run there: su -c 'authflow setup confirm'"), "{all}");
    }
}
