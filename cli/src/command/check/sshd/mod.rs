//! sshd: its own word on its settings (`sshd -T`), its files for the places and for what `Match` changes.
//!
//! # Layout
//!
//! - `file`: sshd_config
//! - `whom`: whom a `Match` is for
//! - `view`: the settings as they are for somebody
//! - `judge`: what they make of the rules

mod file;
mod judge;
mod view;
mod whom;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use authflow_core::rule::{Network, Rule};
use authflow_host::accounts;

use self::{file::File, judge::Meeting, view::View, whom::Somebody};
use super::{Ground, Place, catalogue::Defect, finding::Finding};

const SSHD: &str = "/usr/sbin/sshd";

/// What is wrong with sshd, where a rule is about it.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let mut found = missing_services(ground);
    if !ground.config.sshd_services.iter().chain([&"sshd".to_owned()]).any(|service| ground.config.governs(service)) {
        return found;
    }
    let Some(file) = file::read(ground.root) else { return found };
    let main = Place::file(&ground.root.join("etc/ssh/sshd_config"));
    let said = if ground.context.is_image() { Err(Silence::NotHere) } else { ask() };
    let text = match &said {
        Ok(text) => Some(text.as_str()),
        Err(Silence::Refused(why)) => {
            let written = file.global.get("authenticationmethods");
            let methods = written.map_or_else(|| main.clone(), |setting| setting.place.clone());
            found.push(refused(why, methods));
            None
        }
        Err(Silence::NotHere) => None,
    };
    let view = View::global(text, &file.global, main.clone());
    let service = view.value("pamservicename");
    found.extend(unknown_service(ground, service, view.place("pamservicename")));
    let rules: Vec<&Rule> = ground.config.rules.iter().filter(|rule| rule.governs(service)).collect();
    if rules.is_empty() {
        return found;
    }
    found.extend(judge::without_pam(&view));
    if view.is_on("usepam") {
        found.extend(judge::for_everybody(&view, &rules));
        found.extend(meetings(ground, &rules, &view, &file).iter().flat_map(judge::meeting));
        found.extend(of_some(ground, &rules, &view, &file));
    }
    found
}

/// Each rule with the settings of those whom it is for.
fn meetings<'a>(ground: &Ground<'_>, rules: &[&'a Rule], view: &View, file: &File) -> Vec<Meeting<'a>> {
    let stack = ground.stacks.of(view.value("pamservicename"));
    let one_prompt = stack.is_some_and(|stack| stack.ours("auth").any(|line| line.says("one_prompt")));
    let mut meetings = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        // Whoever an earlier rule takes, wherever they come from, does not come to this one.
        let is_taken = |somebody: &Somebody| {
            rules.iter().take(number).any(|rule| rule.from.is_empty() && rule.is_of(&somebody.user, &somebody.groups))
        };
        for somebody in whom(ground, rule, file).into_iter().filter(|somebody| !is_taken(somebody)) {
            let all = file.matches.iter().filter(|found| whom::is_for(&found.criteria, &somebody));
            let view = view.for_whom_all(all);
            meetings.push(Meeting { rule, place: ground.place_of(rule), view, one_prompt });
        }
    }
    meetings
}

/// Some whom a rule is for: those whom it names, or somebody who has no name anywhere.
fn whom(ground: &Ground<'_>, rule: &Rule, file: &File) -> Vec<Somebody> {
    let address = rule.from.iter().find_map(|from| match from {
        Network::Net(network) => Some(network.network()),
        Network::Unknown | Network::Local => None,
    });
    if rule.users.is_empty() {
        return vec![Somebody { user: "somebody".to_owned(), groups: rule.groups.clone(), address }];
    }
    let named: Vec<&str> = file.matches.iter().flat_map(|found| whom::groups(&found.criteria)).collect();
    let of_account = |user: &String| {
        let account = accounts::by_name(user).ok().flatten().filter(|_| !ground.context.is_image());
        account.and_then(|account| account.groups_among(named.iter().copied()).ok()).unwrap_or_default()
    };
    let groups = |user: &String| rule.groups.iter().cloned().chain(of_account(user)).collect();
    rule.users.iter().map(|user| Somebody { user: user.clone(), groups: groups(user), address }).collect()
}

/// What each `Match` changes that no rule can do with. What it does not touch is told elsewhere.
fn of_some(ground: &Ground<'_>, rules: &[&Rule], view: &View, file: &File) -> Vec<Finding> {
    let place = rules.first().map_or_else(Place::none, |rule| ground.place_of(rule));
    let mut found = Vec::new();
    for within in &file.matches {
        let touches = |found: &Finding| within.settings.values().any(|setting| setting.place == found.place);
        found.extend(judge::for_some(&view.within(within), rules, &place).into_iter().filter(touches));
    }
    found
}

/// Why sshd has not told its settings.
enum Silence {
    /// It is not installed, or not of this machine.
    NotHere,
    /// It said something else.
    Refused(String),
}

fn ask() -> Result<String, Silence> {
    if !Path::new(SSHD).exists() {
        return Err(Silence::NotHere);
    }
    let output = Command::new(SSHD).arg("-T").env_clear().stdin(Stdio::null()).output();
    let output = output.map_err(|error| Silence::Refused(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Silence::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// What sshd said instead: an error with a line of its file, or that it cannot tell here and now. `methods` is where
/// AuthenticationMethods is written: of that alone it says no line.
fn refused(why: &str, methods: Place) -> Finding {
    let of_methods = |line: &&str| line.contains("AuthenticationMethods cannot be satisfied");
    let placed = why.lines().find_map(|line| error_at(line).map(|place| (place, line)));
    match placed.or_else(|| why.lines().find(of_methods).map(|line| (methods, line))) {
        Some((place, line)) => {
            Finding::new(Defect::SshdConfigBroken, place, line, "correct it; sshd -t says whether it is right")
        }
        None => Finding::new(
            Defect::SshdNotAsked,
            Place::none(),
            format!("sshd -T says: {}", why.lines().next().unwrap_or("nothing")),
            "run it as root, and while sshd runs (\"systemctl start ssh\" where its socket has not started it yet)",
        ),
    }
}

/// `FILE: line N: ..` or `FILE line N: ..`
fn error_at(line: &str) -> Option<Place> {
    let (file, rest) = line.split_once(" line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let file = file.trim_end_matches(':');
    file.starts_with('/').then_some(())?;
    Some(Place::line(Path::new(file), digits.parse().ok()?))
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
        assert_eq!(with("AuthenticationMethods publickey\n"), ["sshd-methods-unmet etc/ssh/sshd_config:5"]);
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
    fn services_that_are_not_what_sshd_goes_by_are_told() {
        let rules = format!("sshd_services=['ssh2']\n{TWO_FACTORS}");
        assert_eq!(
            told(&rules, GOOD),
            ["sshd-service-unknown etc/ssh/sshd_config", "sshd-service-missing etc/authflow/authflow.toml"]
        );
    }

    #[test]
    fn an_error_of_sshds_is_read_with_its_place() {
        for text in ["/etc/ssh/sshd_config: line 12: Bad configuration option: Foo", "/etc/ssh/sshd_config line 12: x"]
        {
            assert_eq!(error_at(text).unwrap().to_string(), "/etc/ssh/sshd_config:12");
            assert_eq!(refused(text, Place::none()).defect, Defect::SshdConfigBroken);
        }
        assert_eq!(refused("sshd: no hostkeys available -- exiting.", Place::none()).defect, Defect::SshdNotAsked);
    }
}
