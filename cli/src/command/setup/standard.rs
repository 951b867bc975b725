//! The standard that the configuration chose (`preset`), and setup's rules beside it. What can be as strong as it asks is; where a rule of
//! setup's has to be weaker it says why, for whoever audits the machine. Pure.
//!
//! What is weaker is core's to say, of these rules behind the configuration's own file: what they take over from its `[session]` is not
//! theirs to answer for.

use authflow_core::config::{
    Config, Text, key_offset,
    preset::{Preset, Weaker, weaker_than},
};

/// What a rule of setup's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It protects.
    Protect,
    /// It stands for a moment, between two steps.
    OnTheWay,
    /// It leaves root as before, whom sshd lets in by key alone.
    LeaveRoot,
    /// It leaves everybody else as before.
    LeaveOthers,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Protect, Self::OnTheWay, Self::LeaveRoot, Self::LeaveOthers];

    /// What the name of such a rule ends in.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Protect => "",
            Self::OnTheWay => "-on-the-way",
            Self::LeaveRoot => "-root",
            Self::LeaveOthers => "-others",
        }
    }

    /// Why such a rule is weaker than a standard asks. A file is known as setup's own by these words: where they are changed, the older
    /// ones have to be known, too.
    const fn reason(self) -> &'static str {
        match self {
            Self::Protect => {
                "a key and a code: two kinds of factor where the key has a passphrase, which the site has to demand since sshd cannot \
                 tell; the password as well would lock out whoever has none"
            }
            Self::OnTheWay => "for a moment during authflow setup, until sshd has read its new configuration",
            Self::LeaveRoot => {
                "sshd lets root in by key alone (PermitRootLogin), so that no code can be asked for: root logs in as before authflow, and \
                 without its limits"
            }
            Self::LeaveOthers => {
                "not protected yet: whoever authflow setup does not name logs in as before authflow, and without its limits"
            }
        }
    }

    fn of(rule: &str) -> Self {
        let has_ending = |purpose: &Self| *purpose != Self::Protect && rule.ends_with(purpose.ending());
        Self::ALL.into_iter().find(has_ending).unwrap_or(Self::Protect)
    }

    fn line(self) -> String {
        format!("weaker_than_preset = \"{}\"\n", self.reason())
    }
}

/// What setup's rules are held to.
#[derive(Clone, Debug, Default)]
pub(super) struct Standard {
    main: String,
    preset: Option<Preset>,
}

impl Standard {
    /// The one that this text of the configuration's own file chose. None where that cannot be used: nothing goes live then.
    pub(super) fn of(main: Option<&str>) -> Self {
        let main = main.unwrap_or_default();
        let config = Config::parse_unjudged(Text { name: "", text: main }, &[]);
        Self { main: main.to_owned(), preset: config.ok().and_then(|config| config.preset) }
    }

    /// Whether it asks that nobody puts enrolment off by the rules of that drop-in.
    pub(super) fn forbids_delay(&self, drop_in: &str) -> bool {
        self.weaker(drop_in).iter().any(|weaker| weaker.key == "enroll")
    }

    /// The drop-in, each of whose rules that are weaker says why.
    pub(super) fn with_reasons(&self, drop_in: String) -> String {
        by_rule(&self.weaker(&drop_in)).iter().fold(drop_in, |text, (rule, _keys)| {
            let name = format!("name = \"{rule}\"\n");
            text.replace(&name, &(name.clone() + &Purpose::of(rule).line()))
        })
    }

    /// What of that drop-in is weaker, or is so as it is because of the standard, in words.
    pub(super) fn told(&self, drop_in: &str) -> Vec<String> {
        let Some(preset) = self.preset else { return Vec::new() };
        let words = |(rule, keys): (&str, Vec<&str>)| {
            let (keys, reason) = (keys.join(", "), Purpose::of(rule).reason());
            format!("under {preset} the rule {rule:?} is weaker ({keys}), and says why: {reason}")
        };
        by_rule(&self.weaker(drop_in)).into_iter().map(words).collect()
    }

    /// The preset, where one is chosen.
    pub(super) const fn preset(&self) -> Option<Preset> {
        self.preset
    }

    /// What is weaker in the rules of that drop-in, with a reason or without.
    fn weaker(&self, drop_in: &str) -> Vec<Weaker> {
        let Some(preset) = self.preset else { return Vec::new() };
        let main = Text { name: "", text: &self.main };
        // Rules that do not fit beside those of the file are refused when the whole is tried.
        let Ok(config) = Config::parse_unjudged(main, &[Text { name: "", text: drop_in }]) else { return Vec::new() };
        let is_ours = |weaker: &Weaker| {
            weaker.rule.as_ref().is_some_and(|rule| key_offset(drop_in, Some(rule), "name").is_some())
        };
        weaker_than(preset, &config).into_iter().filter(is_ours).collect()
    }
}

/// The rules that are weaker, in their order, each with the keys in which it is.
fn by_rule(weaker: &[Weaker]) -> Vec<(&str, Vec<&str>)> {
    let mut rules: Vec<(&str, Vec<&str>)> = Vec::new();
    for Weaker { rule, key, .. } in weaker {
        let Some(rule) = rule else { continue };
        match rules.iter_mut().find(|(name, _)| name == rule) {
            Some((_, keys)) => keys.push(key),
            None => rules.push((rule, vec![key])),
        }
    }
    rules
}

/// The drop-in without setup's reasons, whichever standard they were written for. Another reason is somebody else's, and stays.
pub(super) fn without_reasons(drop_in: &str) -> String {
    let lines = Purpose::ALL.map(Purpose::line);
    drop_in.split_inclusive('\n').filter(|line| !lines.iter().any(|own| own == line)).collect()
}
