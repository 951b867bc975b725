//! What our lines are told.

use authflow_core::{factor::Factor, rule::Rule};
use authflow_host::paths::Paths;

use super::{Service, place};
use crate::{
    command::check::{catalogue::Defect, finding::Finding, service::has_a_single_field},
    pam_stack::{Line, OURS},
};

/// The options that the module knows. It refuses everything where it is told another.
const KNOWN: [&str; 8] =
    ["debug", "use_first_pass", "try_first_pass", "use_authtok", "proved=password", "ask", "one_prompt", "breakglass"];

/// What is wrong with the options of our lines.
pub(super) fn findings(service: &Service<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for line in service.stack.lines.iter().filter(|line| line.module == OURS) {
        found.extend(unknown(line));
        found.extend(other_config(line));
        found.extend(breakglass(service, line));
    }
    if service.is_governed() {
        found.extend(undecided(service));
    }
    found.extend(one_prompt(service));
    found
}

fn unknown(line: &Line) -> Option<Finding> {
    let is_known = |word: &str| KNOWN.contains(&word) || word.starts_with("config=/");
    let word = line.arguments.iter().find(|word| !is_known(word))?;
    Some(Finding::new(
        Defect::OptionUnknown,
        place(line),
        format!("{OURS} is told {word:?}, which it does not know"),
        format!("take it out; known are config=/PATH, {}", KNOWN.join(", ")),
    ))
}

fn other_config(line: &Line) -> Option<Finding> {
    let path = line.arguments.iter().find_map(|word| word.strip_prefix("config="))?;
    if std::path::Path::new(path) == Paths::default().config() {
        return None;
    }
    let what = format!("this line reads {path}");
    Some(Finding::new(Defect::OtherConfig, place(line), what, format!("look at it with authflow config check {path}")))
}

/// On a line of the service's own: one that many include, as the profile's, is for the console among them.
fn breakglass(service: &Service<'_>, line: &Line) -> Option<Finding> {
    let is_own = line.file.file_name().is_some_and(|name| name == service.name);
    let is_console = ["login", "gdm-password", "lightdm", "sddm"].contains(&service.name);
    (line.says("breakglass") && is_own && !is_console).then(|| {
        Finding::new(
            Defect::BreakglassRemote,
            place(line),
            format!("breakglass on a line of {}", service.name),
            "take it out here; it belongs into /etc/pam.d/login",
        )
    })
}

/// Questions that nobody judges.
fn undecided(service: &Service<'_>) -> Option<Finding> {
    let lines: Vec<&Line> = service.stack.ours("auth").collect();
    let asking = lines.iter().rposition(|line| line.says("ask"))?;
    if lines.iter().skip(asking + 1).any(|line| line.says("proved=password")) {
        return None;
    }
    Some(Finding::new(
        Defect::AskWithoutProved,
        place(lines.get(asking)?),
        "a line with ask, and no line with proved=password behind it",
        format!(
            "put \"auth [success=ok user_unknown=ignore ignore=ignore default=die] {OURS} proved=password\" behind the module that verifies the password"
        ),
    ))
}

fn one_prompt(service: &Service<'_>) -> Option<Finding> {
    let line = service.stack.ours("auth").next().filter(|line| !line.says("one_prompt"))?;
    let asks_both = |rule: &Rule| {
        rule.methods
            .iter()
            .any(|method| [Factor::Password, Factor::Totp].iter().all(|one| method.factors().contains(*one)))
    };
    let rule = service.rules().find(|rule| asks_both(rule)).filter(|_| has_a_single_field(service.name))?;
    Some(Finding::new(
        Defect::OnePromptMissing,
        place(line),
        format!("{} has a single field, and rule {:?} asks for password and code", service.name, rule.name),
        format!("write one_prompt behind {OURS}: the password, and the code right behind it, are then typed into it"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::{
        fixture::TWO_FACTORS,
        pam::tests::{judged, judged_of},
    };

    #[test]
    fn the_known_options_are_the_modules() {
        let module = include_str!("../../../../../pam_module/src/args.rs");
        let told = module.split("known are config=PATH, ").nth(1).and_then(|rest| rest.split("\"\n").next()).unwrap();
        let words: Vec<_> =
            told.split(|c: char| c == ',' || c.is_whitespace() || c == '\\').filter(|word| !word.is_empty()).collect();
        assert_eq!(words, KNOWN);
    }

    #[test]
    fn options_that_do_not_do_what_is_meant_are_told() {
        let told =
            |options: &str| judged(TWO_FACTORS, &format!("auth required pam_authflow.so {options}\n"), &[], findings);
        assert_eq!(
            told(&KNOWN.join(" ")),
            ["ask-without-proved etc/pam.d/sshd:1", "breakglass-remote etc/pam.d/sshd:1"]
        );
        let profile = [("etc/pam.d/common-auth", "auth required pam_authflow.so breakglass\n")];
        assert_eq!(judged(TWO_FACTORS, "@include common-auth\n", &profile, findings), Vec::<String>::new());
        assert_eq!(told("nullok"), ["option-unknown etc/pam.d/sshd:1"]);
        assert_eq!(told("config=x.toml"), ["option-unknown etc/pam.d/sshd:1", "other-config etc/pam.d/sshd:1"]);
        assert_eq!(told("config=/srv/x.toml"), ["other-config etc/pam.d/sshd:1"]);
        assert_eq!(told("config=/etc/authflow/authflow.toml debug"), Vec::<String>::new());
        let both = "auth required pam_authflow.so ask\nauth required pam_x.so\nauth required pam_authflow.so proved=password\n";
        assert_eq!(judged(TWO_FACTORS, both, &[], findings), Vec::<String>::new());
    }

    #[test]
    fn a_client_with_a_single_field_needs_one_prompt() {
        let told = |rules: &str, line: &str| judged_of("swaylock", rules, &[("etc/pam.d/swaylock", line)], findings);
        let rules = TWO_FACTORS.replace("sshd", "swaylock");
        assert_eq!(told(&rules, "auth required pam_authflow.so\n"), ["one-prompt-missing etc/pam.d/swaylock:1"]);
        assert_eq!(told(&rules, "auth required pam_authflow.so one_prompt\n"), Vec::<String>::new());
        let password = rules.replace(",'totp'", "");
        assert_eq!(told(&password, "auth required pam_authflow.so\n"), Vec::<String>::new());
    }
}
