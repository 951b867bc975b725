//! What findings are looked for on: a configuration and the machine, or the image, that it is for.

use std::{collections::BTreeMap, path::Path};

use authflow_core::{
    config::{Config, Text, key_offset},
    rule::Rule,
};
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
    /// The files that the configuration stands in, where they are known.
    pub files: Option<&'a Files>,
    rules: BTreeMap<String, Place>,
}

impl<'a> Ground<'a> {
    /// `files` are those that `config` stands in.
    pub(super) fn new(context: &'a Context, config: &'a Config, files: Option<&'a Files>) -> Self {
        let root = context.paths.root();
        let rules = files.map(rules).unwrap_or_default();
        Self { context, config, stacks: Stacks::under(root), root, trust: context.trust(), rules, files }
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

    /// Where the value of that key stands, in that rule or in the files' own tables. `None` where nobody wrote it.
    pub(super) fn place_of_key(&self, rule: Option<&str>, key: &str) -> Option<Place> {
        self.files?.texts().find_map(|file| Some(place_at(file, key_offset(file.text, rule, key)?)))
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
            let place = place_at(file, rule.name.span().start);
            places.insert(rule.name.into_inner(), place);
        }
    }
    places
}

/// The line of what begins at that byte.
fn place_at(file: Text<'_>, offset: usize) -> Place {
    let before = file.text.get(..offset).unwrap_or_default();
    Place::line(Path::new(file.name), before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use authflow_host::config;

    use super::*;

    #[test]
    fn a_key_is_found_in_its_table_or_in_its_rule_whichever_file_has_it() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = root.path().join("etc/authflow").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let rule = |name: &str| format!("[[rule]]\nname = '{name}'\nservice = ['x']\nmethods = [['totp']]\n");
        write("authflow.toml", &format!("throttle = {{ lock = '2d' }}\n[session]\nidle = '9m'\n{}", rule("one")));
        write("authflow.toml.d/more.toml", &format!("{}session.idle = '5m'\n", rule("two")));
        let context = Context::new(false, Some(root.path().to_owned()));
        let files = config::read_live(&context.paths, context.trust()).unwrap();
        let config = files.parse().unwrap();
        let ground = Ground::new(&context, &config, Some(&files));
        let told = |rule, key| {
            let place = ground.place_of_key(rule, key)?.to_string();
            Some(place.rsplit('/').next().unwrap().to_owned())
        };
        assert_eq!(told(None, "throttle.lock").unwrap(), "authflow.toml:1");
        assert_eq!(told(None, "session.idle").unwrap(), "authflow.toml:3");
        assert_eq!(told(Some("one"), "methods").unwrap(), "authflow.toml:7");
        assert_eq!(told(Some("two"), "session.idle").unwrap(), "more.toml:5");
        assert_eq!((told(Some("one"), "session.idle"), told(None, "totp.skew")), (None, None));
    }
}
