//! Findings and the catalogue, for people.

use std::fmt::Write;

use super::{
    catalogue::{Defect, Severity},
    finding::Finding,
};
use crate::output::{Output, text::clean};

/// All findings, a blank line between them, and how many of each kind.
pub(super) fn findings(findings: &[Finding], output: Output) -> String {
    let mut text = String::new();
    for finding in findings {
        let severity = match finding.defect.severity() {
            Severity::Error => output.alarming("error"),
            severity @ (Severity::Warning | Severity::Note) => output.bold(severity.as_str()),
        };
        let _ = writeln!(
            text,
            "{}: {severity}: {} [{}]\n    so:  {}\n    fix: {}\n",
            clean(&finding.place.to_string()),
            clean(&finding.what),
            finding.defect.id(),
            finding.consequence(),
            clean(&finding.fix)
        );
    }
    text + &summary(findings)
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity: Severity| {
        let number = findings.iter().filter(|finding| finding.defect.severity() == severity).count();
        let plural = if number == 1 { "" } else { "s" };
        (number > 0).then(|| format!("{number} {}{plural}", severity.as_str()))
    };
    let counts: Vec<_> = [Severity::Error, Severity::Warning, Severity::Note].into_iter().filter_map(count).collect();
    if counts.is_empty() { "nothing is wrong\n".to_owned() } else { counts.join(", ") + "\n" }
}

/// Every defect that there is, a line each.
pub(super) fn catalogue() -> String {
    let longest = Defect::ALL.iter().map(|defect| defect.id().len()).max().unwrap_or(0);
    let line =
        |defect: &Defect| format!("{:longest$}  {:7}  {}\n", defect.id(), defect.severity().as_str(), defect.summary());
    Defect::ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::command::check::finding::Place;

    #[test]
    fn a_finding_leads_with_its_place_and_nothing_from_a_file_reaches_the_terminal() {
        let finding = Finding::new(Defect::LineTwice, Place::line(Path::new("/etc/x"), 3), "x\u{1b}[2J", "change it");
        let text = findings(&[finding], Output::plain());
        assert!(text.starts_with("/etc/x:3: warning: x?[2J [line-twice]\n    so:  "), "{text}");
        assert!(text.ends_with("    fix: change it\n\n1 warning\n"), "{text}");
        assert_eq!(findings(&[], Output::plain()), "nothing is wrong\n");
    }
}
