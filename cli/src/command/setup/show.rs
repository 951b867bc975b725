//! What setup shows: the changes as a diff, the plan in a few lines, and what to do once it is live.

use std::path::Path;

use authflow_core::{config::Config, time::WallTime};
use serde::Serialize;

use super::{ledger::Setup, pam_edit, plan::Step, programs, rules, service::Service, ways_in, who::Who};
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
        let Some(who) = &self.who else { return format!("{} without authflow", list(&self.services)) };
        let (first, rest): (Vec<Service>, Vec<Service>) = self
            .services
            .iter()
            .partition(|service| self.services.first().is_some_and(|of| who.at(*of) == who.at(**service)));
        let parts = [first, rest].into_iter().filter_map(|services| {
            let whom = who.at(*services.first()?);
            Some(format!("{} for {}", list(&services), people(whom)))
        });
        let about = parts.collect::<Vec<_>>().join(" and ");
        let anew: Vec<Service> = Service::ALL.into_iter().filter(|service| self.writes_anew(*service)).collect();
        if anew.is_empty() { about } else { format!("{about}, with the rules of {} written anew", list(&anew)) }
    }

    /// Whether the rules of a service are among the changes that the setup does not name: a preset is about all of them.
    fn writes_anew(&self, service: Service) -> bool {
        let name = rules::file_name(service);
        !self.services.contains(&service) && self.steps.iter().any(|step| step.path.ends_with(&name))
    }
}

fn list(services: &[Service]) -> String {
    services.iter().map(|service| service.as_str()).collect::<Vec<_>>().join(", ")
}

fn people(who: &Who) -> String {
    match who {
        Who::Everybody => "everybody".to_owned(),
        Who::EverybodyButRoot => "everybody but root".to_owned(),
        Who::Users(users) => users.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
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
        steps_to_confirm(&setup.services, setup.who.as_ref(), ways_to_root())
    )
}

/// How whoever confirms can become root.
#[derive(Clone, Copy)]
struct WaysToRoot {
    has_sudo: bool,
    has_password: bool,
}

fn ways_to_root() -> WaysToRoot {
    WaysToRoot { has_sudo: Path::new("/usr/bin/sudo").exists(), has_password: ways_in::root_has_a_password() }
}

/// How it is confirmed: a line for each service that has to let somebody in, one inside of the other, and the command.
fn steps_to_confirm(services: &[Service], who: Option<&Who>, ways: WaysToRoot) -> String {
    let whom_at = |service: Service| match who.map(|who| who.at(service)) {
        Some(Who::Users(users)) => users.iter().map(String::as_str).collect::<Vec<_>>().join(" or "),
        Some(Who::EverybodyButRoot) => "somebody (not root) who has a code".to_owned(),
        Some(Who::Everybody) | None => "somebody who has a code".to_owned(),
    };
    let is_root = matches!(who, Some(Who::Users(users)) if users.iter().eq(["root"]));
    let (with_sudo, with_su) = (services.contains(&Service::Sudo), services.contains(&Service::Su));
    // su to root is a way to become root by itself; inside of it sudo would ask nothing.
    let su_to_root = with_su && ways.has_password && who.is_some_and(|who| who.at(Service::Su).includes("root"));
    let way = |service: &Service| match service {
        Service::Sshd => Some(format!("ssh here anew as {}", whom_at(*service))),
        Service::Login => Some(format!("log in at a console as {}, and stay logged in", whom_at(*service))),
        Service::Su if su_to_root && with_sudo => Some("become root by su, and stay so".to_owned()),
        Service::Su if !su_to_root => Some(format!("su to {}", whom_at(*service))),
        Service::Su | Service::Sudo => None,
    };
    let mut lines: Vec<String> = services.iter().filter_map(way).collect();
    let command = match () {
        () if with_sudo => "sudo -k authflow setup confirm",
        () if is_root && !su_to_root => "authflow setup confirm",
        () if su_to_root || !ways.has_sudo => "su -c 'authflow setup confirm'",
        () => "sudo authflow setup confirm",
    };
    lines.push(match (with_sudo, su_to_root || lines.is_empty()) {
        (true, true) => format!("as {}, in a shell that is not root's, run: {command}", whom_at(Service::Sudo)),
        (false, true) if services == [Service::Su] => format!("in a shell that is not root's, run: {command}"),
        _ => format!("run there: {command}"),
    });
    lines.iter().map(|line| format!("    {}\n", clean(line))).collect()
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::{super::standard::Standard, *};

    const WAYS: WaysToRoot = WaysToRoot { has_sudo: true, has_password: true };

    fn steps(services: &[Service], users: &[&str]) -> String {
        let who = Who::Users(users.iter().map(|user| (*user).to_owned()).collect());
        let steps = steps_to_confirm(services, Some(&who), WAYS);
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
        let without_sudo = WaysToRoot { has_sudo: false, ..WAYS };
        let all = steps_to_confirm(&[Sshd], Some(&Who::EverybodyButRoot), without_sudo);
        assert!(all.contains("somebody (not root) who has a code"), "{all}");
        assert!(all.contains("run there: su -c 'authflow setup confirm'"), "{all}");
    }

    #[test]
    fn su_to_root_confirms_beside_a_key_of_roots_where_root_has_a_password() {
        let services = [Service::Sshd, Service::Su];
        let steps = |ways| steps_to_confirm(&services, Some(&Who::EverybodyButRoot), ways);
        let ssh = "    ssh here anew as somebody (not root) who has a code\n";
        assert_eq!(steps(WAYS), format!("{ssh}    run there: su -c 'authflow setup confirm'\n"));
        let to_others = "    su to somebody who has a code\n    run there: sudo authflow setup confirm\n";
        assert_eq!(steps(WaysToRoot { has_password: false, ..WAYS }), format!("{ssh}{to_others}"));
    }

    #[test]
    fn what_a_setup_is_about_is_told_service_by_service_where_they_differ() {
        use Service::{Login, Sshd, Su};
        let words = |services: &[Service], who: Option<Who>, steps: Vec<Step>| {
            Setup { name: "x".into(), services: services.to_vec(), who, steps }.words()
        };
        let but_root = || Some(Who::EverybodyButRoot);
        assert_eq!(words(&[Sshd], but_root(), Vec::new()), "sshd for everybody but root");
        let all = words(&[Sshd, Login, Su], but_root(), Vec::new());
        assert_eq!(all, "sshd for everybody but root and login, su for everybody");
        assert_eq!(words(&[Sshd, Su], Some(Who::Everybody), Vec::new()), "sshd, su for everybody");
        assert_eq!(words(&[Sshd, Su], None, Vec::new()), "sshd, su without authflow");
    }

    #[test]
    fn rules_of_other_services_that_a_setup_writes_anew_are_named() {
        let of =
            |service| Step { path: Path::new("/rules").join(rules::file_name(service)), before: None, after: None };
        let steps = vec![of(Service::Sshd), of(Service::Su), of(Service::Sudo)];
        let who = Some(Who::Users(["alice".to_owned()].into()));
        let setup = Setup { name: "x".into(), services: vec![Service::Sshd], who, steps };
        assert_eq!(setup.words(), "sshd for alice, with the rules of su, sudo written anew");
    }
}
