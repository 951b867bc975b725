//! sshd: its own word on its settings (`sshd -T`), its files for the places and for whom a `Match` is.
//!
//! # Layout
//!
//! - `file`: sshd_config
//! - `ask`: sshd's own word
//! - `whom`: whom a `Match` is for
//! - `people`: who is looked at
//! - `view`: the settings as they are for somebody
//! - `judge`: what they make of the rules
//! - `root`: root's way in
//! - `keys`: others' way in by a key
//! - `left`: what setup put there and nothing goes with any more

mod ask;
pub(in crate::command) mod file;
mod judge;
mod keys;
mod left;
mod people;
mod root;
mod view;
pub(in crate::command) mod whom;

use std::{cell::Cell, collections::BTreeSet, path::Path};

use authflow_core::rule::Rule;

use self::{
    ask::Silence,
    file::{File, Match},
    judge::Meeting,
    people::People,
    view::View,
    whom::Somebody,
};
use super::{Ground, Place, catalogue::Defect, finding::Finding, owner};

/// How often sshd is asked at most: each time it is run anew, and a rule may name a thousand users.
const MOST_QUESTIONS: usize = 200;

/// What is wrong with sshd, where a rule is about it, or a setup was.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let mut found = missing_services(ground);
    found.extend(left::on_the_way(ground));
    if !ground.config.sshd_services.iter().chain([&"sshd".to_owned()]).any(|service| ground.config.governs(service)) {
        found.extend(left::findings(ground, "sshd"));
        return found;
    }
    let Some(file) = file::read(ground.root) else { return found };
    found.extend(file.files.iter().filter_map(|file| writable(ground, file)));
    let main = Place::file(&ground.root.join("etc/ssh/sshd_config"));
    let said = if ground.context.is_image() { Err(Silence::NotHere) } else { ask::ask(None) };
    let text = match &said {
        Ok(text) => Some(text.as_str()),
        Err(Silence::Refused(why)) => {
            let written = file.global.get("authenticationmethods");
            let methods = written.map_or_else(|| main.clone(), |setting| setting.place.clone());
            found.push(ask::refused(why, methods));
            None
        }
        Err(Silence::NotHere) => None,
    };
    let view = View::global(text, &file.global, main.clone());
    let service = view.value("pamservicename");
    found.extend(left::findings(ground, service));
    found.extend(unknown_service(ground, service, view.place("pamservicename")));
    let rules: Vec<&Rule> = ground.config.rules.iter().filter(|rule| rule.governs(service)).collect();
    if rules.is_empty() {
        return found;
    }
    found.extend(judge::without_pam(&view));
    if view.is_on("usepam") {
        let people = People::new(ground, (service, &rules), &file);
        let questions = Cell::new(if text.is_some() { MOST_QUESTIONS } else { 0 });
        let sshd = Sshd { ground, file: &file, view: &view, questions };
        found.extend(judge::for_everybody(&view, &rules));
        found.extend(sshd.of_people(&rules, &people));
        let of_root: Vec<View> = people.roots(&file.matches).iter().map(|root| sshd.view_of(root)).collect();
        found.extend(root::findings(ground, &of_root, &rules));
        // What is read here of the lists of who may come is not all that counts.
        if text.is_some() {
            found.extend(keys::findings(&sshd, &people, &rules));
        }
    }
    found
}

/// sshd takes its settings from whoever can write them.
fn writable(ground: &Ground<'_>, file: &Path) -> Option<Finding> {
    let why = owner::why_writable(file, ground.trust)?;
    Some(Finding::new(Defect::SshdConfigWritable, Place::file(file), why, owner::closing(file, 0o644)))
}

/// sshd's settings, for whoever comes.
struct Sshd<'a> {
    ground: &'a Ground<'a>,
    file: &'a File,
    /// What holds for everybody.
    view: &'a View,
    /// How often sshd may yet be asked.
    questions: Cell<usize>,
}

impl Sshd<'_> {
    /// The settings for somebody: as sshd itself says, or where it cannot be asked as they are read here.
    fn view_of(&self, somebody: &Somebody) -> View {
        let view = self.view_as_read(somebody);
        let left = self.questions.get().checked_sub(1).filter(|_| ask::can_be_asked_for(somebody));
        let Some(left) = left else { return view };
        self.questions.set(left);
        match ask::ask(Some(somebody)) {
            Ok(said) => view.in_words_of_sshd(&said, self.file.matches.iter()),
            Err(_) => view,
        }
    }

    /// The settings for somebody as they are read here.
    fn view_as_read(&self, somebody: &Somebody) -> View {
        let all = self.file.matches.iter().filter(|found| whom::is_for(&found.criteria, somebody));
        self.view.for_whom_all(all)
    }

    /// Each rule with the settings of those whom it is for, and each `Match` with those of whom it is for. The same thing once.
    fn of_people(&self, rules: &[&Rule], people: &People<'_>) -> Vec<Finding> {
        let stack = self.ground.stacks.of(self.view.value("pamservicename"));
        let one_prompt = stack.is_some_and(|stack| stack.ours("auth").any(|line| line.says("one_prompt")));
        let judged = |rule: &Rule, view: View| {
            let owned = people.owned(self.ground, rule);
            judge::meeting(&Meeting { rule, place: self.ground.place_of(rule), view, one_prompt, owned })
        };
        let numbered = rules.iter().enumerate();
        let whom: Vec<(&Rule, Somebody)> = numbered
            .flat_map(|(number, rule)| people.of_rule(number, rule).into_iter().map(|somebody| (*rule, somebody)))
            .collect();
        let mut found: Vec<Finding> =
            whom.iter().flat_map(|(rule, somebody)| judged(rule, self.view_of(somebody))).collect();
        let whom: Vec<Somebody> = whom.into_iter().map(|(_, somebody)| somebody).collect();
        let place = rules.first().map_or_else(Place::none, |rule| self.ground.place_of(rule));
        for within in &self.file.matches {
            let some = people.of_match(within, &whom);
            let view = self.view.within(within);
            // Whose rule it is cannot be told where nobody could be made up.
            let general =
                if some.is_empty() { judge::for_some(&view, rules, &place) } else { judge::anybodys(&view, rules) };
            found.extend(general.into_iter().filter(|finding| touches(within, finding)));
            for (somebody, rule) in some {
                let told = judged(rule, self.view_of(&somebody).told_of(within));
                let is_new = |one: &Finding| !found.iter().any(|other| is_same(one, other));
                let told: Vec<Finding> = told.into_iter().filter(is_new).map(|one| placed(within, one)).collect();
                found.extend(told);
            }
        }
        once(found)
    }
}

/// What a `Match` does without saying it itself is told with the line that it begins in.
fn placed(within: &Match, mut finding: Finding) -> Finding {
    if !touches(within, &finding) {
        finding.place = within.place.clone();
    }
    finding
}

fn touches(within: &Match, finding: &Finding) -> bool {
    within.settings.values().any(|setting| setting.place == finding.place)
}

fn is_same(one: &Finding, other: &Finding) -> bool {
    one.defect == other.defect && one.place == other.place
}

/// Two rules that meet the same setting are told once.
fn once(found: Vec<Finding>) -> Vec<Finding> {
    let mut told: BTreeSet<(Defect, Place)> = BTreeSet::new();
    found.into_iter().filter(|finding| told.insert((finding.defect, finding.place.clone()))).collect()
}

/// sshd's own service, of which the configuration does not know that it is sshd's.
fn unknown_service(ground: &Ground<'_>, service: &str, place: Place) -> Option<Finding> {
    let config = ground.config;
    (config.governs(service) && !config.is_sshd(service)).then(|| {
        let what = format!("sshd's PAM service is {service:?}, and sshd_services has {:?}", config.sshd_services);
        Finding::new(
            Defect::SshdServiceUnknown,
            place,
            what,
            format!("write sshd_services = [{service:?}] into authflow.toml"),
        )
    })
}

/// Services that are said to be sshd's, and that no PAM file is for. The default is no word of anybody's.
fn missing_services(ground: &Ground<'_>) -> Vec<Finding> {
    let services = ground.config.sshd_services.iter().filter(|service| *service != "sshd");
    let missing = services.filter(|service| ground.stacks.of(service).is_none());
    let finding = |service: &String| {
        let what = format!("sshd_services has {service:?}, and there is no /etc/pam.d/{service}");
        let place = Place::file(ground.context.paths.config());
        Finding::new(Defect::SshdServiceMissing, place, what, "correct the name, or take it out")
    };
    missing.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    const MAIN: &str = "etc/ssh/sshd_config";
    const GOOD: &str = "UsePAM yes\nPasswordAuthentication no\nAuthenticationMethods keyboard-interactive:pam\n";

    fn told(rules: &str, config: &str) -> Vec<String> {
        found(rules, &[(MAIN, config)], findings)
    }

    #[test]
    fn a_setting_is_told_with_its_line_and_without_a_rule_nothing_is() {
        assert_eq!(told(TWO_FACTORS, GOOD), Vec::<String>::new());
        let no_questions = format!("{GOOD}KbdInteractiveAuthentication no\n");
        assert_eq!(told(TWO_FACTORS, &no_questions), ["sshd-without-questions etc/ssh/sshd_config:4"]);
        assert_eq!(told("", &no_questions), Vec::<String>::new());
        assert_eq!(found(TWO_FACTORS, &[], findings), Vec::<String>::new(), "no sshd");
    }

    #[test]
    fn what_a_match_changes_is_judged_for_whom_it_is() {
        let with = |lines: &str| told(TWO_FACTORS, &format!("{GOOD}Match User bob\n{lines}"));
        assert_eq!(with("X11Forwarding no\n"), Vec::<String>::new());
        assert_eq!(with("KbdInteractiveAuthentication no\n"), ["sshd-without-questions etc/ssh/sshd_config:5"]);
        let key_alone = ["sshd-methods-unmet etc/ssh/sshd_config:5", "sshd-key-unforeseen etc/ssh/sshd_config:5"];
        assert_eq!(with("AuthenticationMethods publickey\n"), key_alone);
        let robots = format!(
            "[[rule]]\nname='robots'\nservice=['sshd']\ngroup=['robots']\nmethods=[['publickey']]\n{TWO_FACTORS}"
        );
        let config = format!("{GOOD}Match Group robots\nAuthenticationMethods publickey\n");
        assert_eq!(told(&robots, &config), Vec::<String>::new(), "each rule is met by somebody's settings");
        assert_eq!(told(&robots, GOOD), ["sshd-methods-unmet etc/ssh/sshd_config:3"]);
        let away = robots.replace("methods=[['publickey']]", "from=['10.20.0.0/16']\nmethods=[['publickey']]");
        assert_eq!(told(&away, &config.replace("robots", "robots Address 10.20.0.0/16")), Vec::<String>::new());
        assert_eq!(told(&robots, &config.replace("robots", "robots Address 10.20.0.0/16")).len(), 1);
        // As `authflow setup sshd --user alice` leaves a Debian.
        let rest = "[[rule]]\nname='rest'\nservice=['sshd']\nmethods=[['stack']]\n";
        let alice = format!("{TWO_FACTORS}user=['alice']\n{rest}");
        let debian = "UsePAM yes\nKbdInteractiveAuthentication no\nMatch User alice\nKbdInteractiveAuthentication yes\n\
                      AuthenticationMethods keyboard-interactive:pam\n";
        assert_eq!(told(&alice, debian), Vec::<String>::new());
        let all_but_root = debian.replace("alice", "*,!root");
        let root = format!("{}user=['root']\n{TWO_FACTORS}", rest);
        assert_eq!(told(&root, &all_but_root), Vec::<String>::new());
    }

    #[test]
    fn a_match_is_judged_by_the_rule_of_those_whom_it_is_for() {
        let robots = "[[rule]]\nname='robots'\nservice=['sshd']\ngroup=['robots']\nfrom=['10.20.0.0/16']\nmethods=[['publickey']]\n";
        let rules = format!("{robots}{TWO_FACTORS}");
        let with = |criteria: &str| {
            let robots = "Match Group robots Address 10.20.0.0/16\nAuthenticationMethods publickey\n";
            told(
                &rules,
                &format!("{GOOD}{robots}Match {criteria}\nX11Forwarding no\nAuthenticationMethods publickey\n"),
            )
        };
        let here = ["sshd-methods-unmet etc/ssh/sshd_config:8", "sshd-key-unforeseen etc/ssh/sshd_config:8"];
        for criteria in [
            "User carol",
            "User c*",
            "Address 10.30.0.0/16",
            "Address *,!10.20.*",
            "Host *.example.org",
            "LocalPort 2222",
            "User carol Address 10.20.0.0/16",
            "Group ops",
        ] {
            assert_eq!(with(criteria), here, "{criteria}");
        }
        for criteria in ["Group robots Address 10.20.1.0/24", "RDomain vrf1"] {
            assert_eq!(with(criteria), Vec::<String>::new(), "{criteria}");
        }
        // What it leaves alone is told once, and what it lets through by leaving it out is told with its own line.
        let passwords =
            format!("{GOOD}Match Address 10.30.0.0/16\nPasswordAuthentication yes\nAuthenticationMethods any\n");
        assert_eq!(
            told(TWO_FACTORS, &passwords),
            ["sshd-key-unforeseen etc/ssh/sshd_config:6", "sshd-password-method etc/ssh/sshd_config:5"]
        );
        let keys = "UsePAM yes\nPasswordAuthentication no\nPubkeyAuthentication no\nMatch User carol\nPubkeyAuthentication yes\n";
        assert_eq!(told(TWO_FACTORS, keys), ["sshd-key-unforeseen etc/ssh/sshd_config:4"]);
    }

    #[test]
    fn setups_drop_in_is_told_where_nothing_goes_with_it() {
        const DROP_IN: (&str, &str) = ("etc/ssh/sshd_config.d/10-authflow.conf", "AuthenticationMethods publickey\n");
        let left = [format!("sshd-drop-in-left {}", DROP_IN.0)];
        let asking = ("etc/pam.d/sshd", "auth required pam_authflow.so\n");
        let not_asking = ("etc/pam.d/sshd", "auth required pam_unix.so\n");
        let main = (MAIN, GOOD);
        for (rules, files, expected) in [
            (TWO_FACTORS, vec![main, DROP_IN, asking], &[][..]),
            (TWO_FACTORS, vec![main, DROP_IN, not_asking], &left),
            ("", vec![main, DROP_IN, asking], &left),
            ("", vec![main, DROP_IN, not_asking], &left),
            ("", vec![main, not_asking], &[]),
        ] {
            assert_eq!(found(rules, &files, findings), expected, "{rules} {files:?}");
        }
    }

    #[test]
    fn services_that_are_not_what_sshd_goes_by_are_told() {
        let rules = format!("sshd_services=['ssh2']\n{TWO_FACTORS}");
        assert_eq!(
            told(&rules, GOOD),
            ["sshd-service-unknown etc/ssh/sshd_config", "sshd-service-missing etc/authflow/authflow.toml"]
        );
    }
}
