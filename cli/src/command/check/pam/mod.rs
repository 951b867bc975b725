//! The PAM stacks of the services that rules are about, and of those that call us without one.
//!
//! # Layout
//!
//! - `lines`: which lines of ours there are, and what their controls say
//! - `order`: what stands before our lines
//! - `left_out`: what our success leaves out
//! - `options`: what our lines are told
//! - `directory`: passwords that are proved before us
//! - `password`: changing passwords
//! - `files`: what libpam cannot read, whose the files are, and the module

mod directory;
mod files;
mod left_out;
mod lines;
mod options;
mod order;
mod password;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use authflow_core::{config::Config, factor::Factor, rule::Rule};

use super::{
    Ground, Place,
    catalogue::Defect,
    finding::Finding,
    service::{is_fragment, is_locker},
};
use crate::pam_stack::{Line, Stack};

/// One service: its stack, and what rules say about it.
struct Service<'a> {
    name: &'a str,
    stack: &'a Stack,
    config: &'a Config,
    /// Whether systemd runs the machine.
    has_systemd: bool,
}

impl<'a> Service<'a> {
    /// The rules about it.
    fn rules(&self) -> impl Iterator<Item = &'a Rule> {
        let name = self.name;
        self.config.rules.iter().filter(move |rule| rule.governs(name))
    }

    fn is_governed(&self) -> bool {
        self.rules().next().is_some()
    }

    /// Whether a rule asks anything there.
    fn is_asked(&self) -> bool {
        let factors = self.rules().flat_map(|rule| &rule.methods).flat_map(|method| method.factors().iter());
        factors.into_iter().any(|factor| matches!(factor, Factor::Password | Factor::Totp | Factor::Session))
    }

    /// Whether a rule decides there, and not the stack alone.
    fn is_decided(&self) -> bool {
        self.rules().flat_map(|rule| &rule.methods).any(|method| !method.is_stack())
    }

    /// Whether `"*"` alone reaches it.
    fn is_named(&self) -> bool {
        self.rules().any(|rule| rule.names(self.name)) || self.config.is_sshd(self.name)
    }
}

/// Everything about the stacks.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let config = ground.config;
    let named = config.rules.iter().flat_map(|rule| &rule.services).filter(|name| *name != "*").cloned();
    let there = ground.stacks.names().into_iter().filter(|name| !is_fragment(name));
    let stacks: BTreeMap<String, Stack> =
        named.chain(there).filter_map(|name| ground.stacks.of(&name).map(|stack| (name, stack))).collect();
    let mut found = missing(ground, &stacks);
    let has_systemd = ground.has_systemd();
    found.extend(siblings(ground, &stacks));
    for (name, stack) in &stacks {
        let service = Service { name, stack, config, has_systemd };
        if means_us(stack) {
            found.extend(of_service(&service));
            found.extend(files::findings(ground, stack, service.is_governed()));
        } else if service.is_governed() {
            // What libpam cannot read may be where we are called.
            found.extend(files::broken(stack));
        }
    }
    let mut found = told_once(found, &stacks);
    if stacks.values().any(Stack::calls_us) {
        found.extend(files::folder(ground));
        found.extend(files::module(ground));
    }
    found.extend(password::passwd(ground));
    found
}

/// Whether we are called, or were meant to be.
fn means_us(stack: &Stack) -> bool {
    stack.calls_us() || stack.lines.iter().any(Line::is_almost_ours)
}

/// Without what is said of a stack as a whole and just so of one that it includes, as su-l includes su: the mend there is one for both.
fn told_once(found: Vec<Finding>, stacks: &BTreeMap<String, Stack>) -> Vec<Finding> {
    let is_of = |finding: &Finding, file: &Path| finding.place == Place::file(file);
    let is_told_within = |finding: &Finding| {
        let includes = stacks.values().find(|stack| is_of(finding, &stack.file)).map(|stack| &stack.files);
        let inner = includes.into_iter().flatten().filter(|file| !is_of(finding, file));
        inner.into_iter().any(|file| found.iter().any(|other| other.defect == finding.defect && is_of(other, file)))
    };
    let repeated: Vec<bool> = found.iter().map(is_told_within).collect();
    found.into_iter().zip(repeated).filter(|(_, is_repeated)| !is_repeated).map(|(finding, _)| finding).collect()
}

fn of_service(service: &Service<'_>) -> Vec<Finding> {
    let mut found = lines::findings(service);
    found.extend(options::findings(service));
    // Where no rule governs our lines do nothing.
    if service.is_governed() {
        found.extend(order::findings(service));
        found.extend(left_out::findings(service));
        found.extend(directory::findings(service.stack));
        found.extend(password::findings(service));
    }
    found
}

/// Services that rules name, and that do not come to us.
fn missing(ground: &Ground<'_>, stacks: &BTreeMap<String, Stack>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    // Two rules about one service are no two defects of it.
    let mut told: BTreeSet<(Defect, &String)> = BTreeSet::new();
    for rule in &ground.config.rules {
        let (there, absent): (Vec<&String>, Vec<&String>) = named(rule).partition(|name| stacks.contains_key(*name));
        // One configuration may be for many machines, of which each has some of the services.
        let defect = if there.is_empty() { Defect::RuleWithoutStack } else { Defect::RuleServiceAbsent };
        let absent = absent.into_iter().filter(|name| told.insert((defect, *name))).collect::<Vec<_>>();
        found.extend(absent_services(&absent).map(|names| {
            let what = format!("rule {:?} names {names}", rule.name);
            let fix = "correct the name, or leave it if the service is not installed";
            Finding::new(defect, ground.place_of(rule), what, fix)
        }));
        let there: Vec<&String> =
            there.into_iter().filter(|name| told.insert((Defect::RuleNotCalled, *name))).collect();
        found.extend(there.into_iter().filter_map(|name| not_called(rule, name, stacks.get(name)?)));
    }
    found
}

/// The same program by another PAM service, which no rule is about.
fn siblings(ground: &Ground<'_>, stacks: &BTreeMap<String, Stack>) -> Vec<Finding> {
    const SIBLINGS: [[&str; 3]; 4] =
        [["sudo", "sudo-i", "sudo -i"], ["sudo-i", "sudo", "sudo"], ["su", "su-l", "su -"], ["su-l", "su", "su"]];
    let finding = |[name, sibling, command]: [&str; 3]| {
        let rule = ground.config.rules.iter().find(|rule| rule.governs(name))?;
        let is_left = stacks.contains_key(sibling) && !ground.config.governs(sibling);
        is_left.then(|| {
            let what = format!(
                "rule {:?} is about {name}, and no rule is about {sibling}, as which `{command}` asks",
                rule.name
            );
            let fix = format!("name {sibling:?} in the rule as well, with our lines in /etc/pam.d/{sibling}");
            Finding::new(Defect::RuleSiblingLeft, ground.place_of(rule), what, fix)
        })
    };
    SIBLINGS.into_iter().filter_map(finding).collect()
}

/// These services in words, if there are any: they stand in one line.
fn absent_services(names: &[&String]) -> Option<String> {
    match names {
        [] => None,
        [name] => Some(format!("the service {name:?}, and there is no /etc/pam.d/{name}")),
        names => {
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            Some(format!("the services {}, and /etc/pam.d has none of them", names.join(", ")))
        }
    }
}

/// The services that need a stack for that rule; `authflow renew` asks by one without.
fn named(rule: &Rule) -> impl Iterator<Item = &String> {
    rule.services.iter().filter(|name| !["*", "authflow"].contains(&name.as_str()))
}

fn not_called(rule: &Rule, name: &str, stack: &Stack) -> Option<Finding> {
    (!means_us(stack) && !stack.lacks_a_file()).then(|| {
        Finding::new(
            Defect::RuleNotCalled,
            Place::file(&stack.file),
            format!("rule {:?} is about {name}, and pam_authflow.so is not in its stack", rule.name),
            "put our lines into it: authflow setup does so for sshd, login, su and sudo, and \
             /usr/share/authflow/examples/pam.d has them for others",
        )
    })
}

/// Where a line of a stack stands.
fn place(line: &Line) -> Place {
    Place::line(&line.file, line.number)
}

/// Whether that phase is one that the program behind the service runs.
fn runs(service: &Service<'_>, phase: &str) -> bool {
    let has_lines = service.stack.phase(phase).next().is_some();
    // What asks and does nothing else, as some lockers do, has no lines of the other phases.
    has_lines || !is_locker(service.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found, told};

    /// What `judge` finds in that stack of sshd, in order; the files that it includes may be there.
    pub(super) fn judged(
        rules: &str,
        stack: &str,
        included: &[(&str, &str)],
        judge: impl Fn(&Service<'_>) -> Vec<Finding>,
    ) -> Vec<String> {
        judged_of("sshd", rules, &[&[("etc/pam.d/sshd", stack)], included].concat(), judge)
    }

    /// The same for any service.
    pub(super) fn judged_of(
        name: &str,
        rules: &str,
        files: &[(&str, &str)],
        judge: impl Fn(&Service<'_>) -> Vec<Finding>,
    ) -> Vec<String> {
        found(rules, files, |ground| {
            let stack = ground.stacks.of(name).unwrap();
            judge(&Service { name, stack: &stack, config: ground.config, has_systemd: ground.has_systemd() })
        })
    }

    #[test]
    fn the_shipped_stacks_are_found_right_under_rules_for_them() {
        let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/pam.d");
        let common = [
            (
                "common-auth",
                "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
            ),
            (
                "common-account",
                "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
            ),
            ("common-session", "session required pam_unix.so\nsession optional pam_systemd.so\n"),
            ("common-session-noninteractive", "session required pam_unix.so\n"),
            ("common-password", "password [success=1 default=ignore] pam_unix.so obscure\n"),
        ];
        for (service, example) in [
            ("sshd", "sshd"),
            ("sshd", "sshd-directory"),
            ("sshd", "sshd-directory-ask"),
            ("login", "login"),
            ("su", "su"),
            ("sudo", "sudo"),
            ("vlock", "vlock"),
            ("passwd", "passwd"),
        ] {
            let stack = std::fs::read_to_string(examples.join(format!("{example}.example"))).unwrap();
            let own = [(service, stack.as_str())];
            let files: Vec<_> =
                own.iter().chain(&common).map(|(name, text)| (format!("etc/pam.d/{name}"), *text)).collect();
            let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
            let rule = TWO_FACTORS.replace("sshd", service);
            let stack_rule = rule.replace("'password','totp'", "'stack'");
            for rules in [rule.as_str(), &stack_rule, ""] {
                let of = judged_of(service, rules, &files, of_service);
                assert_eq!(of, Vec::<String>::new(), "{example} under {rules:?}");
            }
        }
    }

    #[test]
    fn a_service_that_does_not_come_to_us_is_told() {
        let files = [("etc/pam.d/sshd", "auth required pam_unix.so\n")];
        let of_rule = |rules: &str, files: &[(&str, &str)]| found(rules, files, findings);
        assert_eq!(of_rule(TWO_FACTORS, &files), ["rule-not-called etc/pam.d/sshd"]);
        assert_eq!(of_rule(TWO_FACTORS, &[]), ["rule-without-stack etc/authflow/authflow.toml"]);
        let some = TWO_FACTORS.replace("'sshd'", "'sshd','swaylock'");
        let both = ["rule-not-called etc/pam.d/sshd", "rule-service-absent etc/authflow/authflow.toml"];
        assert_eq!(of_rule(&some, &files), both);
        let authflow = TWO_FACTORS.replace("sshd", "authflow");
        assert_eq!(of_rule(&authflow, &[]), Vec::<String>::new(), "`authflow renew` needs none");
        assert_eq!(of_rule("", &files), Vec::<String>::new());
        assert_eq!(of_rule(&TWO_FACTORS.replace("sshd", "*"), &files), Vec::<String>::new());
        assert_eq!(told(Vec::new(), ""), Vec::<String>::new());
        let all = TWO_FACTORS.replace("sshd", "*");
        let gone = [("etc/pam.d/sshd", "@include comon-auth\n")];
        for rules in [TWO_FACTORS, &all] {
            assert_eq!(of_rule(rules, &gone), ["include-missing etc/pam.d/sshd:1"], "we may have been there");
        }
        let slip = [("etc/pam.d/sshd", "auth required pam_authflo.so\naccount required pam_unix.so\n")];
        let expected = ["module-misspelt etc/pam.d/sshd:1"];
        assert_eq!(of_rule(TWO_FACTORS, &[slip[0], ("usr/lib/security/pam_unix.so", "")]), expected);
    }

    #[test]
    fn services_that_are_absent_are_named_together() {
        let rules = TWO_FACTORS.replace("'sshd'", "'sshd','kdm','gdm'");
        let context = crate::context::Context::new(false, Some("/nonexistent".into()));
        let config = crate::command::check::fixture::config(&rules);
        let told = findings(&Ground::new(&context, &config, None));
        assert_eq!(told.len(), 1);
        assert!(told[0].what.ends_with("the services \"sshd\", \"kdm\", \"gdm\", and /etc/pam.d has none of them"));
    }

    #[test]
    fn the_same_program_by_a_name_that_no_rule_is_about_is_told() {
        let lines = "auth required pam_authflow.so\n";
        let files = [("etc/pam.d/su", lines), ("etc/pam.d/su-l", lines), ("etc/pam.d/sudo", lines)];
        let is_told = |services: &str| {
            let told = found(&TWO_FACTORS.replace("'sshd'", services), &files, findings);
            told.contains(&"rule-sibling-left etc/authflow/authflow.toml".to_owned())
        };
        assert!(is_told("'su'") && is_told("'su-l'"));
        assert!(!is_told("'su','su-l'") && !is_told("'*'"));
        assert!(!is_told("'sudo'"), "there is no sudo-i here");
        let stack = "'su']\nmethods=[['password']]\n[[rule]]\nname='l'\nservice=['su-l'";
        assert!(!is_told(stack), "another rule is about it");
    }

    #[test]
    fn what_two_rules_or_two_stacks_share_is_told_once() {
        let unix = "auth required pam_unix.so\n";
        let rule = TWO_FACTORS.replace("'sshd'", "'su','su-l','gone'");
        let twice = format!("{rule}user=['alice']\n{}", rule.replace("'two'", "'rest'"));
        let files = [("etc/pam.d/su", unix), ("etc/pam.d/su-l", "@include su\n")];
        let expected = ["rule-not-called etc/pam.d/su", "rule-service-absent etc/authflow/authflow.toml"];
        assert_eq!(found(&twice, &files, findings), expected);
        let lines = "auth required pam_authflow.so\nsession required pam_authflow.so\naccount required pam_unix.so\n";
        let files = [("etc/pam.d/su", lines), ("etc/pam.d/su-l", "@include su\n")];
        let told = found(&TWO_FACTORS.replace("'sshd'", "'su','su-l'"), &files, findings);
        assert_eq!(told, ["module-missing this machine", "account-line-missing etc/pam.d/su"]);
    }
}
