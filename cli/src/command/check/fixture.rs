//! Machines in a folder, for the tests of this command.

use std::fs;

use authflow_core::config::{Config, Text};

use super::{Finding, Ground};
use crate::context::Context;

/// The rule that most tests are about.
pub(super) const TWO_FACTORS: &str = "[[rule]]\nname='two'\nservice=['sshd']\nmethods=[['password','totp']]\n";

/// The configuration that this text is.
pub(super) fn config(text: &str) -> Config {
    Config::parse(Text { name: "authflow.toml", text }, &[]).unwrap()
}

/// What `judge` finds on a machine with these files, under these rules: `ID FILE:LINE`, in order.
pub(super) fn found(rules: &str, files: &[(&str, &str)], judge: impl Fn(&Ground<'_>) -> Vec<Finding>) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = root.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let context = Context::new(false, Some(root.path().to_owned()));
    let config = config(rules);
    let found = judge(&Ground::new(&context, &config, None));
    told(super::finding::in_order(found), &format!("{}/", root.path().display()))
}

/// Each as `ID FILE:LINE`, without that front of the file's name.
pub(super) fn told(found: Vec<Finding>, front: &str) -> Vec<String> {
    found.iter().map(|finding| format!("{} {}", finding.defect.id(), finding.place).replace(front, "")).collect()
}
