//! Presets: what a published standard asks of a configuration, and which values are weaker than that. A preset tightens what nobody wrote,
//! and refuses what somebody wrote too loosely without saying why. It never loosens anything.

mod demand;
mod rule;
mod standards;
#[cfg(test)]
mod tests;
mod values;

use std::{fmt, str::FromStr};

pub use demand::{Clause, Demand};

use self::values::Values;
use super::Config;

/// A standard whose demands a configuration can be held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preset {
    /// NIST SP 800-63B-4, assurance level 2.
    NistAal2,
    /// PCI DSS 4.
    PciDss4,
    /// DISA's STIG for RHEL 9.
    StigRhel9,
    /// The CIS Benchmark.
    Cis,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::NistAal2, Self::PciDss4, Self::StigRhel9, Self::Cis];

    /// The word that stands for it in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NistAal2 => "nist-aal2",
            Self::PciDss4 => "pci-dss-4",
            Self::StigRhel9 => "stig-rhel9",
            Self::Cis => "cis",
        }
    }

    /// The text that its clauses stand in.
    #[must_use]
    pub const fn standard(self) -> &'static str {
        match self {
            Self::NistAal2 => "NIST SP 800-63B-4",
            Self::PciDss4 => "PCI DSS 4.0.1",
            Self::StigRhel9 => "DISA STIG for RHEL 9",
            Self::Cis => "CIS Debian Linux 12 Benchmark 1.1.0",
        }
    }

    /// What it asks, in the order of the configuration file. Numbers never change under a preset's name: an update must not refuse a
    /// configuration that is in force.
    #[must_use]
    pub const fn clauses(self) -> &'static [Clause] {
        match self {
            Self::NistAal2 => &standards::NIST_AAL2,
            Self::PciDss4 => &standards::PCI_DSS_4,
            Self::StigRhel9 => &standards::STIG_RHEL_9,
            Self::Cis => &standards::CIS,
        }
    }

    /// Makes every value that is looser than its clause as strong as that.
    pub(super) fn tighten(self, defaults: &mut Config) {
        let mut values = Values::of(defaults, &defaults.session);
        for clause in self.clauses() {
            clause.demand.tighten(&mut values);
        }
        values.put_into(defaults);
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no preset.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no preset: expected nist-aal2, pci-dss-4, stig-rhel9 or cis")]
pub struct UnknownPreset(String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == word).ok_or_else(|| UnknownPreset(word.to_owned()))
    }
}

/// A value that is weaker than a preset asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weaker {
    /// The key; what is before its dot is the table, in the file or in the rule.
    pub key: &'static str,
    /// The rule that it stands in. `None`: a table of the file's own.
    pub rule: Option<String>,
    /// What stands there.
    pub value: String,
    /// What would do.
    pub required: String,
    /// The preset that asks for it.
    pub preset: Preset,
    /// Where its standard says so.
    pub clause: &'static str,
    /// Why it is so all the same, if somebody has written that down: `weaker_than_preset`.
    pub reason: Option<String>,
}

impl Weaker {
    /// The table whose `weaker_than_preset` would be its reason, unless it stands in a rule.
    #[must_use]
    pub fn table(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(table, _key)| table)
    }
}

/// What the preset asks, and what stands there.
impl fmt::Display for Weaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, required, preset, clause, .. } = self;
        write!(f, "{value} is weaker than {preset} asks: {required} ({} {clause})", preset.standard())
    }
}

/// Every value of `config` that is weaker than `preset` asks, whatever its own preset is: those of a table first, then those of rules.
///
/// A rule answers for what it says itself. What it takes over from `[session]` is told of, and given a reason, there.
#[must_use]
pub fn weaker_than(preset: Preset, config: &Config) -> Vec<Weaker> {
    let mut found = Vec::new();
    let values = Values::of(config, &config.session);
    for clause in preset.clauses() {
        if let Some(weaker) = clause.weaker(preset, &values) {
            let reason = config.reasons.of_table(weaker.table()).cloned();
            found.push(Weaker { reason, ..weaker });
        }
    }
    for rule in &config.rules {
        rule::add_weaker(&mut found, preset, (config, rule));
    }
    found
}
