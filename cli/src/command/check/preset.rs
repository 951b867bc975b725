//! Settings against a standard: the one that the configuration has chosen, or one that is only asked about.

use authflow_core::config::preset::{Preset, Weaker, weaker_than};

use super::{Ground, catalogue::Defect, finding::Finding};

/// What is weaker than `asked` has it, and than the configuration's own preset, which takes a reason for it.
pub(super) fn findings(ground: &Ground<'_>, asked: Option<Preset>) -> Vec<Finding> {
    let presets = ground.config.preset.into_iter().chain(asked.filter(|asked| Some(*asked) != ground.config.preset));
    presets.flat_map(|preset| weaker_than(preset, ground.config)).map(|weaker| finding(ground, &weaker)).collect()
}

fn finding(ground: &Ground<'_>, weaker: &Weaker) -> Finding {
    let Weaker { key, rule, value, required, preset, clause, reason } = weaker;
    let around = || rule.as_ref().map_or_else(|| ground.place_of_config(), |rule| ground.place_of_rule(rule));
    let place = ground.place_of_key(rule.as_deref(), key).unwrap_or_else(around);
    let of_rule = rule.as_ref().map_or_else(String::new, |rule| format!("rule {rule:?}: "));
    let what = format!("{of_rule}{key} = {value}, and {preset} asks for {required} ({clause})");
    match reason {
        Some(reason) => {
            let what = format!("{what}; the reason given: {reason}");
            Finding::new(Defect::PresetWeakerWithReason, place, what, "see whether the reason still holds")
        }
        None => Finding::new(Defect::PresetWeaker, place, what, format!("write what {preset} asks for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    #[test]
    fn what_is_weaker_is_told_and_a_reason_makes_it_a_note() {
        let told = |config: &str, asked| found(config, &[], |ground| findings(ground, asked));
        let slow = format!("[session]\nidle = '30m'\n{TWO_FACTORS}");
        assert_eq!(told(&slow, None), Vec::<String>::new(), "no standard, no clause");
        let asked = told(&slow, Some(Preset::PciDss4));
        assert!(asked.contains(&"preset-weaker etc/authflow/authflow.toml".to_owned()), "{asked:?}");
        let reason = slow.replace("idle", "weaker_than_preset = 'kiosk'\nidle");
        let chosen = told(&format!("preset = 'pci-dss-4'\n{reason}"), Some(Preset::PciDss4));
        assert_eq!(chosen, ["preset-weaker-with-reason etc/authflow/authflow.toml"]);
    }
}
