//! Settings of sudoers by which sudo gets around our lines in the stacks of sudo and sudo-i.

use super::{
    super::{Ground, Place, catalogue::Defect, finding::Finding},
    sudoers::{Setting, Settings},
};

/// What sets the PAM service of sudo, and that of `sudo -i`; each with the service that is meant by a rule.
const SERVICES: [(&str, &str); 2] = [("pam_service", "sudo"), ("pam_login_service", "sudo-i")];

/// What has sudo leave out a phase, and what our line there would do.
const PHASES: [(&str, &str, &str); 2] =
    [("pam_acct_mgmt", "account", "refuse who is disabled"), ("pam_session", "session", "make sessions known")];

/// Services that no rule governs, and phases that are left out.
pub(super) fn findings(ground: &Ground<'_>, settings: &Settings) -> Vec<Finding> {
    let elsewhere = SERVICES.iter().flat_map(|names| elsewhere(ground, settings, *names));
    let left_out = PHASES.iter().flat_map(|names| left_out(settings, *names));
    elsewhere.chain(left_out).collect()
}

fn elsewhere(ground: &Ground<'_>, settings: &Settings, (setting, meant): (&str, &str)) -> Vec<Finding> {
    let Some(rule) = ground.config.rules.iter().find(|rule| rule.governs(meant)) else { return Vec::new() };
    let is_ungoverned = |set: &&Setting| set.value.as_ref().is_some_and(|service| !ground.config.governs(service));
    let finding = |set: &Setting| {
        let service = set.value.as_deref().unwrap_or_default();
        let what =
            format!("{setting}={service}, and rule {:?} is about {meant}: no rule is about {service}", rule.name);
        let fix = format!("take {setting} out, or name {service:?} in the rule");
        Finding::new(Defect::RuleNotCalled, Place::line(&set.file, set.line), what, fix)
    };
    settings.of(setting).filter(is_ungoverned).map(finding).collect()
}

fn left_out(settings: &Settings, (setting, phase, purpose): (&str, &str, &str)) -> Vec<Finding> {
    let finding = |set: &Setting| {
        let what = format!("!{setting}: sudo leaves out {phase}, where our line would {purpose}");
        Finding::new(Defect::SudoLeavesOut, Place::line(&set.file, set.line), what, format!("take !{setting} out"))
    };
    settings.of(setting).filter(|set| set.value.is_none()).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use crate::command::check::{
        fixture::{TWO_FACTORS, found},
        sudo::findings,
    };

    #[test]
    fn what_leads_sudo_around_our_lines_is_told_with_its_line() {
        let rule = TWO_FACTORS.replace("'sshd'", "'sudo','sudo-i'");
        let told = |rules: &str, sudoers: &str| found(rules, &[("etc/sudoers", sudoers)], findings);
        for (line, expected) in [
            ("Defaults pam_service=other", "rule-not-called"),
            ("Defaults:bob lecture, pam_service = \"other\" # why", "rule-not-called"),
            ("Defaults pam_login_service=other", "rule-not-called"),
            ("Defaults !pam_acct_mgmt", "sudo-leaves-out"),
            ("Defaults env_reset, !pam_session", "sudo-leaves-out"),
        ] {
            assert_eq!(told(&rule, line), [format!("{expected} /etc/sudoers:1")], "{line}");
            assert_eq!(told(TWO_FACTORS, line), Vec::<String>::new(), "no rule is about sudo");
        }
        for right in [
            "Defaults pam_service=sudo-i, pam_session",
            "Defaults pam_service=other\nDefaults pam_service=sudo",
            "# Defaults !pam_session",
        ] {
            assert_eq!(told(&rule, right), Vec::<String>::new(), "{right}");
        }
        let of_sudo_alone = TWO_FACTORS.replace("'sshd'", "'sudo'");
        assert_eq!(
            told(&of_sudo_alone, "Defaults pam_login_service=other"),
            Vec::<String>::new(),
            "no rule is about sudo-i"
        );
    }
}
