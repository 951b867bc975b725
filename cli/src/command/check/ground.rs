//! What findings are looked for on: a configuration and the machine, or the image, that it is for.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use authflow_core::{config::Config, rule::Rule};
use authflow_host::{
    config::Files,
    file::Trust,
    gone::{self, Found},
};
use serde::Deserialize;
use toml::Spanned;

use super::finding::Place;
use crate::{context::Context, pam_stack::Stacks};

/// A configuration and the machine that it is for.
pub(super) struct Ground<'a> {
    /// The machine.
    pub context: &'a Context,
    /// What is in force, or may come to be.
    pub config: &'a Config,
    /// Its PAM files.
    pub stacks: Stacks,
    /// The root of the machine.
    pub root: &'a Path,
    /// Whose files count.
    pub trust: Trust,
    rules: BTreeMap<String, Place>,
}

impl<'a> Ground<'a> {
    /// `files` are those that `config` stands in.
    pub(super) fn new(context: &'a Context, config: &'a Config, files: Option<&Files>) -> Self {
        let root = context.paths.root();
        let rules = files.map(rules).unwrap_or_default();
        Self { context, config, stacks: Stacks::under(root), root, trust: context.trust(), rules }
    }

    /// Whether systemd runs the machine, or will run what is an image yet.
    pub(super) fn has_systemd(&self) -> bool {
        if self.context.is_image() {
            self.root.join("usr/lib/systemd/systemd").exists()
        } else {
            Path::new("/run/systemd/system").is_dir()
        }
    }

    /// What the name services tell of that name, as far as the configuration tells whether they answer.
    pub(super) fn look_for(&self, name: &str) -> Found {
        gone::look_for(&self.context.paths, self.config.accounts.control.as_deref(), name)
    }

    /// Where that rule stands.
    pub(super) fn place_of(&self, rule: &Rule) -> Place {
        self.place_of_rule(&rule.name)
    }

    /// The main file.
    pub(super) fn place_of_config(&self) -> Place {
        Place::file(self.context.paths.config())
    }

    /// Where the rule of that name stands; where that is not known, the main file.
    pub(super) fn place_of_rule(&self, name: &str) -> Place {
        self.rules.get(name).cloned().unwrap_or_else(|| self.place_of_config())
    }
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    rule: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: Spanned<String>,
}

/// Where each rule is named.
fn rules(files: &Files) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for file in files.texts() {
        let Ok(names) = toml::from_str::<Names>(file.text) else { continue };
        for rule in names.rule {
            let before = file.text.get(..rule.name.span().start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            places.insert(rule.name.into_inner(), Place::line(&PathBuf::from(file.name), line));
        }
    }
    places
}
