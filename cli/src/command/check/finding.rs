//! A finding: a defect at a place, with what is to be done about it.

use std::path::Path;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::catalogue::Defect;

/// Where something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file, as the machine names it.
    pub file: Option<String>,
    /// Counted from 1.
    pub line: Option<usize>,
}

impl Place {
    /// In no file.
    pub(crate) const fn none() -> Self {
        Self { file: None, line: None }
    }

    /// A file as a whole.
    pub(crate) fn file(file: &Path) -> Self {
        Self { file: Some(file.display().to_string()), line: None }
    }

    /// A line of a file.
    pub(crate) fn line(file: &Path, line: usize) -> Self {
        Self { line: Some(line), ..Self::file(file) }
    }
}

/// `FILE:LINE`, as far as there is any.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}"),
            (Some(file), None) => f.write_str(file),
            (None, _) => f.write_str("this machine"),
        }
    }
}

/// A defect at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which.
    pub defect: Defect,
    /// Where.
    pub place: Place,
    /// What is there, in this case.
    pub what: String,
    /// What to do about it.
    pub fix: String,
    so: Option<&'static str>,
}

impl Finding {
    /// That defect at that place.
    pub(crate) fn new(defect: Defect, place: Place, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { defect, place, what: what.into(), fix: fix.into(), so: None }
    }

    /// The same where less comes of it than the catalogue says of the defect.
    pub(crate) const fn so(mut self, consequence: &'static str) -> Self {
        self.so = Some(consequence);
        self
    }

    /// What comes of it.
    pub(crate) fn consequence(&self) -> &'static str {
        self.so.unwrap_or_else(|| self.defect.consequence())
    }

    /// Everything on one line.
    pub(crate) fn on_one_line(&self) -> String {
        let place = self.place.file.as_ref().map_or_else(String::new, |_| format!("{}: ", self.place));
        format!("{place}{}: {}; {}", self.what, self.consequence(), self.fix)
    }

    /// Whether both tell the same of the same line, as when services share a file.
    fn is_told_by(&self, other: &Self) -> bool {
        // One line may hold several keys, and two standards ask different things of one.
        let is_of_a_key = matches!(self.defect, Defect::PresetWeaker | Defect::PresetWeakerWithReason);
        self.defect == other.defect
            && self.place == other.place
            && (self.what == other.what || self.place.line.is_some() && !is_of_a_key)
    }
}

/// Worst first, then by place; the same thing once. The order does not depend on how they were found.
pub(crate) fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    let key = |finding: &Finding| {
        (finding.defect.severity(), finding.place.clone(), finding.defect, finding.what.clone(), finding.fix.clone())
    };
    findings.sort_by_cached_key(key);
    findings.dedup_by(|finding, kept| finding.is_told_by(kept));
    findings
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 7)?;
        fields.serialize_field("id", self.defect.id())?;
        fields.serialize_field("severity", self.defect.severity().as_str())?;
        fields.serialize_field("file", &self.place.file)?;
        fields.serialize_field("line", &self.place.line)?;
        fields.serialize_field("what", &self.what)?;
        fields.serialize_field("consequence", self.consequence())?;
        fields.serialize_field("fix", &self.fix)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_by_severity_and_place_whatever_came_first() {
        let at = |defect, line| Finding::new(defect, Place::line(Path::new("/etc/x"), line), "it is", "change it");
        let found = vec![
            at(Defect::OtherConfig, 1),
            at(Defect::LineTwice, 9),
            at(Defect::LineSkipped, 7),
            at(Defect::LineSkipped, 2),
            at(Defect::LineSkipped, 7),
        ];
        let mut reversed = found.clone();
        reversed.reverse();
        let lines =
            |findings: Vec<Finding>| in_order(findings).iter().map(|found| found.place.line).collect::<Vec<_>>();
        assert_eq!(lines(found.clone()), [Some(2), Some(7), Some(9), Some(1)]);
        assert_eq!(lines(found), lines(reversed));
    }

    #[test]
    fn what_is_weaker_in_one_line_is_told_key_by_key() {
        let at =
            |what: &str| Finding::new(Defect::PresetWeaker, Place::line(Path::new("/etc/x"), 1), what, "change it");
        assert_eq!(in_order(vec![at("idle"), at("lifetime"), at("idle")]).len(), 2);
    }

    #[test]
    fn a_program_gets_every_part_by_its_name() {
        let finding = Finding::new(Defect::LineTwice, Place::file(Path::new("/etc/x")), "it is", "change it");
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!((&json["id"], &json["severity"]), (&"line-twice".into(), &"warning".into()));
        assert_eq!((&json["file"], &json["line"]), (&"/etc/x".into(), &serde_json::Value::Null));
        assert_eq!((&json["what"], &json["fix"]), (&"it is".into(), &"change it".into()));
        assert!(json["consequence"].as_str().unwrap().contains("asks again"));
    }
}
