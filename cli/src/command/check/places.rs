//! Services that tell PAM neither a remote host nor a terminal: all who use one are one source, and none of this machine.

use std::{collections::BTreeSet, fs};

use authflow_core::{
    console, name,
    rule::{Network, Rule},
    throttle::Source,
};
use authflow_host::records::Records;

use super::{Ground, Place, catalogue::Defect, finding::Finding};

/// What such services make of the rules and of the locks.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let local = ground.config.rules.iter().filter_map(|rule| local_alone(ground, rule));
    local.chain(seen(ground).iter().map(|service| untold(ground, service))).collect()
}

/// A rule for this machine alone that names services which authflow knows nothing of.
fn local_alone(ground: &Ground<'_>, rule: &Rule) -> Option<Finding> {
    let is_local = rule.from.contains(&Network::Local) && !rule.from.contains(&Network::Unknown);
    let is_unknown = |service: &&String| *service != "*" && !console::is_known(service);
    let services: Vec<&str> = rule.services.iter().filter(is_unknown).map(String::as_str).collect();
    (is_local && !services.is_empty()).then(|| {
        Finding::new(
            Defect::RuleLocalUntold,
            ground.place_of(rule),
            format!("rule {:?} is for this machine, and for {}", rule.name, services.join(", ")),
            "have another rule for it, or add \"unknown\" to from if nobody comes by it from elsewhere",
        )
    })
}

/// The services that were seen to tell no place, by what users' states count. Those of screens and terminals are meant to be so.
fn seen(ground: &Ground<'_>) -> BTreeSet<String> {
    let context = ground.context;
    if context.require_root("states").is_err() {
        return BTreeSet::new();
    }
    let records = Records::trusting(context.paths.clone(), ground.trust);
    // A folder or a state that cannot be read is told of elsewhere.
    let files = fs::read_dir(context.paths.state()).into_iter().flatten().flatten();
    let users = files.filter_map(|file| name::user_of(file.file_name().to_str()?));
    let states = users.filter_map(|user| records.state(&user).ok());
    let sources = states.flat_map(|state| state.throttle.sources.into_keys());
    let services = sources.filter_map(|source| match source {
        Source::Service(service) => Some(service.to_string()),
        Source::Local(_) | Source::Network(_) | Source::Unknown => None,
    });
    services.filter(|service| ground.config.governs(service) && !console::is_known(service)).collect()
}

fn untold(ground: &Ground<'_>, service: &str) -> Finding {
    Finding::new(
        Defect::ServiceTellsNoPlace,
        Place::file(&ground.root.join("etc/pam.d").join(service)),
        format!("logins by {service} have come from no remote host and no terminal"),
        "have the service set PAM_RHOST, if it can; else the machine's firewall or the service itself has to slow guesses down",
    )
}

#[cfg(test)]
mod tests {
    use authflow_core::{state::State, throttle::Tally};

    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    #[test]
    fn a_rule_for_this_machine_alone_is_told_where_a_service_of_it_may_be_anybodys() {
        let from = |services: &str, from: &str| {
            found(&format!("{}from=[{from}]\n", TWO_FACTORS.replace("'sshd'", services)), &[], findings)
        };
        assert_eq!(from("'smtp','login'", "'local'"), ["rule-local-untold etc/authflow/authflow.toml"]);
        for (services, networks) in [
            ("'login','su','gdm-password','*'", "'local'"),
            ("'smtp'", "'local','unknown'"),
            ("'smtp'", "'10.0.0.0/8'"),
        ] {
            assert_eq!(from(services, networks), Vec::<String>::new(), "{services} {networks}");
        }
    }

    #[test]
    fn a_service_that_was_seen_to_tell_no_place_is_told() {
        let told = |source: &str, rules: &str| {
            found(rules, &[("var/lib/authflow/state/readme.lock", "")], |ground| {
                let records = Records::trusting(ground.context.paths.clone(), ground.trust);
                let failed =
                    |state: &mut State| state.throttle.sources.insert(source.parse().unwrap(), Tally::default());
                let _ = records.update_state("alice", failed).unwrap();
                findings(ground)
            })
        };
        let mail = TWO_FACTORS.replace("'sshd'", "'smtp','login'");
        assert_eq!(told("service:smtp", &mail), ["service-tells-no-place etc/pam.d/smtp"]);
        for other in ["service:imap", "service:login", "local", "local:1000", "192.0.2.1"] {
            assert_eq!(told(other, &mail), Vec::<String>::new(), "{other}");
        }
    }
}
