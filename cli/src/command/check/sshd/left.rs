//! sshd's drop-in of `authflow setup` without what it goes with: it has sshd ask for what then no module of ours asks.

use super::Place;
use crate::command::{
    check::{Ground, catalogue::Defect, finding::Finding},
    setup,
};

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
