//! The session daemon, and what it takes to run: a unit, and the bus's leave.

use std::path::Path;

use authflow_core::policy::WhenUnavailable;
use authflow_host::records::Records;

use super::{Ground, Place, catalogue::Defect, finding::Finding};
use crate::{
    daemon::{Daemon, Health},
    error::Error,
};

/// The bus's leave, and where it may be.
pub(super) const POLICY: &str = "org.authflow.sessiond1.conf";
pub(super) const POLICY_FOLDERS: [&str; 2] = ["usr/share/dbus-1/system.d", "etc/dbus-1/system.d"];

/// The daemon's unit, and where systemd looks for it.
pub(super) const UNIT: &str = "authflow-sessiond.service";
pub(super) const UNIT_FOLDERS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// What is wrong with the daemon, where a rule makes sessions.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    if ground.config.rules.is_empty() {
        return Vec::new();
    }
    let policy = policy(ground);
    // Without the bus's leave nobody can be asked, and that is told.
    let can_be_asked = policy.is_none() && !ground.context.is_image();
    let mut found: Vec<Finding> = policy.into_iter().chain(unit(ground)).collect();
    if !can_be_asked {
        return found;
    }
    match Daemon::connect(ground.config).and_then(|daemon| Ok((daemon.health()?, daemon))) {
        Ok((health, daemon)) => {
            found.extend(sick(&health));
            found.extend(disabled_inside(ground, &daemon));
        }
        Err(error) => found.push(away(ground, &error)),
    }
    found
}

fn policy(ground: &Ground<'_>) -> Option<Finding> {
    let is_there = POLICY_FOLDERS.iter().any(|folder| ground.root.join(folder).join(POLICY).is_file());
    (!is_there).then(|| {
        let place = ground.root.join("usr/share/dbus-1/system.d").join(POLICY);
        Finding::new(
            Defect::BusPolicyMissing,
            Place::file(&place),
            "it is not there",
            "install the package that has it (authflow)",
        )
    })
}

fn unit(ground: &Ground<'_>) -> Option<Finding> {
    let runs_here = ground.context.is_image() || Path::new("/run/systemd/system").is_dir();
    let has_systemd = ground.root.join("usr/lib/systemd/systemd").exists();
    let is_there = UNIT_FOLDERS.iter().any(|folder| ground.root.join(folder).join(UNIT).exists());
    (runs_here && has_systemd && !is_there).then(|| {
        let place = ground.root.join("usr/lib/systemd/system").join(UNIT);
        Finding::new(
            Defect::UnitMissing,
            Place::file(&place),
            "it is not there",
            "install the package that has it (authflow)",
        )
    })
}

fn away(ground: &Ground<'_>, error: &Error) -> Finding {
    let denying = ground.config.rules.iter().find(|rule| rule.session.when_unavailable == WhenUnavailable::Deny);
    let fix = unmasking(ground.root).unwrap_or_else(|| {
        "systemctl start authflow-sessiond; journalctl -u authflow-sessiond says why it ended".to_owned()
    });
    match denying {
        Some(rule) => {
            let what = format!("{error}, and rule {:?} says when_unavailable = \"deny\"", rule.name);
            Finding::new(Defect::DaemonAwayDenies, Place::none(), what, fix)
        }
        None => Finding::new(Defect::DaemonAway, Place::none(), error.to_string(), fix),
    }
}

/// The commands that start a unit which was masked: nothing else starts it.
fn unmasking(root: &Path) -> Option<String> {
    let is_masked = |folder: &str| {
        std::fs::read_link(root.join(folder).join(UNIT)).is_ok_and(|target| target == Path::new("/dev/null"))
    };
    let masked = [("run/systemd/system", " --runtime"), ("etc/systemd/system", "")];
    let commands: Vec<String> = masked
        .iter()
        .filter(|(folder, _)| is_masked(folder))
        .map(|(_, how)| format!("systemctl unmask{how} authflow-sessiond"))
        .collect();
    let unmask = Some(commands.join(" && ")).filter(|commands| !commands.is_empty())?;
    Some(format!("it is masked: {unmask} && systemctl start authflow-sessiond"))
}

fn sick(health: &Health) -> Vec<Finding> {
    let ours = env!("CARGO_PKG_VERSION");
    let other = (health.version != ours).then(|| {
        let what = format!("the daemon that runs is {}, and this command is {ours}", health.version);
        Finding::new(
            Defect::DaemonOtherVersion,
            Place::none(),
            what,
            "systemctl restart authflow-sessiond (no session ends by it)",
        )
    });
    let degraded = health.is_degraded.then(|| {
        let fix = "make room on the disk of /var/lib/authflow, or see in the log what is wrong with sessions.db";
        Finding::new(Defect::DaemonDegraded, Place::none(), "the daemon keeps sessions in memory", fix)
    });
    other.into_iter().chain(degraded).collect()
}

/// Sessions of users who are to be kept out.
fn disabled_inside(ground: &Ground<'_>, daemon: &Daemon) -> Vec<Finding> {
    let records = Records::trusting(ground.context.paths.clone(), ground.trust);
    let sessions = daemon.sessions().unwrap_or_default();
    let is_disabled = |user: &str| records.is_disabled(user).unwrap_or(false);
    // Root is never kept from a console.
    let of_disabled = sessions.iter().filter(|session| session.uid != 0 && is_disabled(&session.user));
    let finding = |session: &crate::session::Session| {
        let mark = ground.context.paths.state().join(format!("{}.disabled", session.user));
        Finding::new(
            Defect::DisabledInSession,
            Place::file(&mark),
            format!("{} is disabled, and session {} is open", session.user, session.id),
            format!("authflow user disable {} ends it", session.user),
        )
    };
    of_disabled.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found, told};

    #[test]
    fn what_the_daemon_needs_to_run_is_told_where_it_is_missing() {
        let files = [("usr/lib/systemd/systemd", "")];
        assert_eq!(
            found(TWO_FACTORS, &files, findings),
            [
                "bus-policy-missing usr/share/dbus-1/system.d/org.authflow.sessiond1.conf",
                "unit-missing usr/lib/systemd/system/authflow-sessiond.service"
            ]
        );
        let policy = [("etc/dbus-1/system.d/org.authflow.sessiond1.conf", "")];
        assert_eq!(found(TWO_FACTORS, &policy, findings), Vec::<String>::new(), "no systemd");
        assert_eq!(found("", &files, findings), Vec::<String>::new(), "no rule");
    }

    #[test]
    fn a_unit_that_is_masked_is_unmasked_where_it_was() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(unmasking(root.path()), None);
        for (folder, expected) in [
            ("etc/systemd/system", "systemctl unmask authflow-sessiond"),
            (
                "run/systemd/system",
                "systemctl unmask --runtime authflow-sessiond && systemctl unmask authflow-sessiond",
            ),
        ] {
            let folder = root.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::os::unix::fs::symlink("/dev/null", folder.join(UNIT)).unwrap();
            let told = unmasking(root.path()).unwrap();
            assert_eq!(told, format!("it is masked: {expected} && systemctl start authflow-sessiond"));
        }
    }

    #[test]
    fn a_daemon_that_is_old_or_cannot_write_is_told() {
        let health = |version: &str, is_degraded| Health { version: version.to_owned(), is_degraded };
        assert!(sick(&health(env!("CARGO_PKG_VERSION"), false)).is_empty());
        let both = told(sick(&health("0.0.1", true)), "");
        assert_eq!(both, ["daemon-other-version this machine", "daemon-degraded this machine"]);
    }
}
