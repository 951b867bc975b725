//! What the documents name against what there is.

use std::{collections::BTreeSet, fs, path::Path};

const API: &str = include_str!("../../docs/dbus-api.md");

#[test]
fn the_api_is_told_member_by_member() {
    for interface in ["Manager", "Session", "Flow"] {
        let name = format!("org.authflow.sessiond1.{interface}");
        let (_, section) = API.split_once(&format!("\n## {name}\n")).expect("a section for each interface");
        let section = section.split("\n## ").next().expect("the part before the next section");
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let first_cells = rows.filter_map(|row| row.split('|').nth(1));
        let told: BTreeSet<_> = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(name_of).collect();
        let xml = read(&format!("conf/dbus/interfaces/{name}.xml"));
        let members = xml.lines().filter_map(|line| {
            let tag = ["<method name=\"", "<signal name=\"", "<property name=\""];
            tag.iter().find_map(|tag| line.trim().strip_prefix(tag))?.split('"').next()
        });
        assert_eq!(told, members.map(str::to_owned).collect(), "{name}");
    }
}

#[test]
fn every_error_of_the_api_is_told() {
    let source = read("bus/src/error.rs");
    let variants = source.lines().filter_map(|line| line.trim().strip_suffix("(String),"));
    let mut count = 0;
    for variant in variants {
        assert!(API.contains(&format!("\n| `{variant}` |")), "{variant}");
        count += 1;
    }
    assert!(count > 5, "bus/src/error.rs is read as it is written");
}

/// Each with a machine on which it is found: what a test expects begins with its id, or is the id in brackets.
#[test]
fn every_finding_of_check_is_found_by_a_test_on_a_machine() {
    let entries = fs::read_dir(root().join("tests/tests")).expect("a folder").flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.is_file() && !path.ends_with("documents.rs"));
    let tests: String = files.map(|file| fs::read_to_string(file).expect("text")).collect();
    let document = read("docs/check.md");
    let ids: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(ids.len() > 90, "docs/check.md is read as it is written");
    let is_expected = |id: &&&str| {
        [format!("\"{id}\""), format!("\"{id} "), format!("[{id}]")].iter().any(|words| tests.contains(words))
    };
    let unfound: Vec<_> = ids.iter().filter(|id| !is_expected(id)).collect();
    assert_eq!(unfound, Vec::<&&str>::new());
}

#[test]
fn the_readme_says_where_the_packages_are() {
    assert!(read("README.md").contains("`make deb` builds (`target/packages/debs`)"));
    let makefile = read("Makefile");
    for line in ["CARGO_TARGET_DIR),target)", "PACKAGES := $(abspath $(TARGET_DIR))/packages", "$(PACKAGES)/debs/*.deb"]
    {
        assert!(makefile.contains(line), "{line}");
    }
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    for folder in ["", "docs"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder").flatten() {
            if entry.path().extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = fs::read_to_string(entry.path()).expect("text");
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { entry.path() } else { root().join(folder).join(file) };
                let is_outside = link.starts_with("https://");
                assert!(is_outside || target.exists(), "{}: {link}", entry.path().display());
                let has_anchor = || anchors(&fs::read_to_string(&target).expect("text")).contains(anchor);
                assert!(is_outside || anchor.is_empty() || has_anchor(), "{}: {link}", entry.path().display());
            }
        }
    }
}

/// As GitHub makes them from headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let plain = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    };
    headings.map(plain).collect()
}

/// The member's name in front of its arguments or its type.
fn name_of(cell: &str) -> String {
    cell.split(['(', ' ']).next().expect("there is always a first part").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is inside the workspace")
}
