//! Which configuration is in force, as evidence of what sessions were granted when. The daemon itself lives by the limits that come with
//! each login; it reads this off its loop, at its start, when it is told to, and after a login.

use std::time::Duration;

use authflow_core::{config::Config, policy::Limits};
use authflow_host::{config, file::Trust, paths::Paths};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// A configuration that is in force.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InForce {
    /// SHA-256 of its text, drop-ins included; empty where there is none.
    pub(crate) digest: String,
    /// `live`, `last-good` or `none`.
    pub(crate) origin: &'static str,
    /// What its rules grant, in the order in which they are tried.
    pub(crate) rules: Vec<Granted>,
    /// How long history is to be kept; `None` where no configuration says so.
    pub(crate) keep: Option<Duration>,
}

/// What one rule grants.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Granted {
    name: String,
    limits: Limits,
}

impl InForce {
    /// Looks which is in force now.
    #[must_use]
    pub(crate) fn look(paths: &Paths) -> Self {
        let live = config::read_live(paths, Trust::root()).ok();
        if let Some(found) = live.and_then(|files| Some(Self::new("live", &files.text(), files.parse().ok()?))) {
            return found;
        }
        let last_good = config::read_last_good(paths, Trust::root()).ok();
        let last_good = last_good.map(|(text, config)| Self::new("last-good", &text, config));
        last_good.unwrap_or(Self { origin: "none", ..Self::default() })
    }

    fn new(origin: &'static str, text: &str, config: Config) -> Self {
        let digest = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let keep = Some(config.history_keep);
        let rules = config.rules.into_iter();
        let rules = rules.map(|rule| Granted { name: rule.name, limits: rule.session.limits }).collect();
        Self { digest, origin, rules, keep }
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::config::Text;

    use super::*;

    #[test]
    fn a_configuration_is_known_by_its_text_and_tells_what_its_rules_grant() {
        let text = "[[rule]]\nname = 'ssh'\nservice = ['sshd']\nmethods = [['totp']]\n";
        let config = Config::parse(Text { name: "x", text }, &[]).unwrap();
        let found = InForce::new("live", text, config.clone());
        assert_eq!(found.rules, [Granted { name: "ssh".into(), limits: Limits::default() }]);
        assert_eq!((found.digest.len(), found.origin), (64, "live"));
        assert_ne!(found.digest, InForce::new("live", "# other\n", config).digest);
    }

    #[test]
    fn no_configuration_is_told_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let found = InForce::look(&Paths::new(folder.path()));
        assert_eq!((found.origin, found.digest.as_str(), found.rules.len()), ("none", "", 0));
    }
}
