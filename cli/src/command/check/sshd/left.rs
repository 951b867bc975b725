//! What a setup or a removal of sshd left behind: a drop-in of sshd's without what it goes with, which has sshd ask for what then no module of
//! ours asks, and the rules that stand for a moment between two steps.

use super::Place;
use crate::command::{
    check::{Ground, catalogue::Defect, finding::Finding},
    setup,
};

/// Rules that ask for less, which were to stand for a moment. Where a setup waits, it is taken back by itself.
pub(super) fn on_the_way(ground: &Ground<'_>) -> Option<Finding> {
    let path = setup::rules_on_the_way(ground.context)?;
    (!setup::waits(ground.context)).then(|| {
        Finding::new(
            Defect::SetupOnTheWay,
            Place::line(&path, 1),
            "these rules stand between two steps of a setup or a removal that was stopped, and nothing takes them away by itself",
            "authflow setup remove sshd takes out the rest, and authflow setup sshd protects anew",
        )
    })
}

/// The drop-in where no rule is about sshd, or its stack never asks us. `service` is sshd's.
pub(super) fn findings(ground: &Ground<'_>, service: &str) -> Option<Finding> {
    let path = setup::sshd_drop_in(ground.root);
    let is_there = path.is_file();
    let asks = ground.stacks.of(service).is_some_and(|stack| stack.ours("auth").next().is_some());
    let lacks = match (ground.config.governs(service), asks) {
        (true, true) => return None,
        (false, _) => format!("no rule is about {service}"),
        (true, false) => format!("/etc/pam.d/{service} has no auth line of ours"),
    };
    is_there.then(|| {
        Finding::new(
            Defect::SshdDropInLeft,
            Place::file(&path),
            format!("setup's drop-in is there, and {lacks}"),
            "authflow setup remove sshd takes it out, authflow setup sshd puts in what it goes with",
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::command::check::{
        fixture::{TWO_FACTORS, found},
        sshd,
    };

    const ON_THE_WAY: (&str, &str) =
        ("etc/authflow/authflow.toml.d/50-setup-sshd.toml", "# authflow setup sshd: on the way, for a moment\n");

    #[test]
    fn rules_that_were_to_stand_for_a_moment_are_told_unless_a_setup_waits() {
        let told = |files: &[(&str, &str)]| found(TWO_FACTORS, files, sshd::findings);
        assert_eq!(told(&[ON_THE_WAY]), [format!("setup-on-the-way {}:1", ON_THE_WAY.0)]);
        let edited = (ON_THE_WAY.0, "# authflow setup sshd --user alice\n");
        assert_eq!(told(&[edited]), Vec::<String>::new());
        let pending = r#"{"name":"x","until":{"secs":1,"nanos":0},"live":null}"#;
        assert_eq!(told(&[ON_THE_WAY, ("var/lib/authflow/setup/pending", pending)]), Vec::<String>::new());
    }
}
