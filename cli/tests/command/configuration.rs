//! The configuration is checked with file, line and column, shown with its origins, and applied only if it is right.

use crate::image::Image;

const MAIN: &str = "etc/authflow/authflow.toml";
const RULE: &str =
    "[session]\nidle = \"10m\"\n[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\", \"totp\"]]\n";

#[test]
fn an_error_is_named_with_file_line_and_column() {
    let image = Image::new();
    image.write(MAIN, "[session]\nidel = \"10m\"\n");
    let said = image.run(&["config", "check"], "");
    assert_eq!(said.code, 1);
    assert!(said.out.contains("authflow.toml:2:1: unknown field `idel`"), "{}", said.out);
    let json: serde_json::Value = serde_json::from_str(&image.run(&["config", "check", "--json"], "").out).unwrap();
    assert_eq!((&json[0]["id"], &json[0]["severity"]), (&"config-broken".into(), &"error".into()), "{json}");
    assert!(json[0]["file"].as_str().unwrap().ends_with(MAIN) && json[0]["line"] == 2, "{json}");
}

#[test]
fn a_new_file_is_checked_before_it_is_live() {
    let image = Image::new();
    image.write(MAIN, &format!("{RULE}enroll = {{ mode = \"required\" }}\n"));
    image.write("new.toml", "[session]\nidle = \"0s\"\n");
    let said = image.run(&["config", "check", image.path("new.toml").to_str().unwrap()], "");
    assert_eq!(said.code, 1);
    assert!(said.out.contains("new.toml:2:8: idle: \"0s\" is zero"), "{}", said.out);
    assert_eq!(image.run(&["config", "check"], "").code, 0);
}

#[test]
fn a_new_version_of_a_drop_in_is_checked_before_it_is_live() {
    let image = Image::new();
    image.write(MAIN, "");
    std::fs::create_dir(image.path("etc/authflow/authflow.toml.d")).unwrap();
    let rule = "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\"]]\n";
    image.write("etc/authflow/authflow.toml.d/10-ssh.toml", rule);
    image.write("new.toml", rule);
    let new = image.path("new.toml");
    let check = |name: &str| image.run(&["config", "check", "--drop-in", name, new.to_str().unwrap()], "");
    assert_eq!(check("10-ssh.toml").code, 0, "{}", check("10-ssh.toml").out);
    let twice = check("20-ssh.toml");
    assert!(twice.code == 1 && twice.out.contains("ssh"), "{}", twice.out);
    assert_eq!((check("../10-ssh.toml").code, check("10-ssh").code), (2, 2));
    image.write("new.toml", "[[rule\n");
    assert!(check("10-ssh.toml").out.contains("new.toml:1:"), "{}", check("10-ssh.toml").out);
}

#[test]
fn what_is_probably_not_meant_is_warned_of_and_passes() {
    let image = Image::new();
    image.write(MAIN, &RULE.replace("\"totp\"]]", "\"totp\"], [\"password\"]]"));
    let said = image.run(&["config", "check"], "");
    assert_eq!(said.code, 0, "{}", said.error);
    assert!(said.out.contains("weaker"), "{}", said.out);
}

#[test]
fn values_are_shown_with_their_origin() {
    let image = Image::new();
    image.write(MAIN, RULE);
    let shown = image.run(&["config", "show", "--json"], "").json();
    let settings = shown["settings"].as_array().unwrap();
    let find = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap().clone();
    assert_eq!(find("session.idle")["value"], 600);
    assert!(find("session.idle")["origin"].as_str().unwrap().ends_with("authflow.toml"));
    assert_eq!(find("session.lifetime")["origin"], "default");
    assert_eq!(shown["rules"][0]["name"], "ssh");
    let text = image.run(&["config", "show"], "").out;
    assert!(text.contains("idle = \"10m\""), "{text}");
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let image = Image::new();
    image.write(MAIN, RULE);
    let shown = |image: &Image| {
        let shown = image.run(&["config", "show", "--json"], "").json();
        let settings = shown["settings"].as_array().unwrap();
        settings.iter().map(|setting| (setting["key"].clone(), setting["value"].clone())).collect::<Vec<_>>()
    };
    let before = shown(&image);
    assert!(before.contains(&("accounts.control".into(), serde_json::Value::Null)), "a word would be a user's name");
    let text = image.run(&["config", "show"], "").out;
    image.write(MAIN, &text);
    assert_eq!(shown(&image), before, "{text}");
    assert_eq!(image.run(&["config", "show"], "").out.matches("[[rule]]").count(), 1);
}

#[test]
fn a_right_file_is_applied_and_is_the_last_good_one_from_then_on() {
    let image = Image::new();
    image.write(MAIN, RULE);
    let new = RULE.replace("10m", "20m");
    image.write("new.toml", &new);
    let apply = || image.run(&["config", "apply", image.path("new.toml").to_str().unwrap(), "--json"], "");
    assert_eq!(apply().json()["changed"], true);
    assert_eq!(std::fs::read_to_string(image.path(MAIN)).unwrap(), new);
    assert_eq!(std::fs::read_to_string(image.path("etc/authflow/authflow.toml.last-good")).unwrap(), new);
    assert_eq!(apply().json()["changed"], false);
}

#[test]
fn a_wrong_file_is_not_applied() {
    let image = Image::new();
    image.write(MAIN, RULE);
    image.write("new.toml", "[session\n");
    let said = image.run(&["config", "apply", image.path("new.toml").to_str().unwrap()], "");
    assert_eq!(said.code, 1);
    assert!(said.error.contains("new.toml:1:9: "), "{}", said.error);
    assert_eq!(std::fs::read_to_string(image.path(MAIN)).unwrap(), RULE);
}

#[test]
fn a_value_weaker_than_the_preset_is_refused_everywhere_and_shown_with_its_reason() {
    let image = Image::new();
    image.write(MAIN, RULE);
    let weak = format!("preset = \"pci-dss-4\"\n{}", RULE.replace("10m", "20m"));
    image.write("new.toml", &weak);
    let new = image.path("new.toml");
    let new = new.to_str().unwrap();
    let refused = "new.toml:3:8: idle: \"20m\" is weaker than pci-dss-4 asks: at most \"15m\" (PCI DSS 4.0.1 8.2.8)";
    let said = image.run(&["config", "check", new], "");
    assert!(said.code == 1 && said.out.contains(refused), "{}", said.out);
    let said = image.run(&["config", "apply", new], "");
    assert!(said.code == 1 && said.error.contains(refused), "{}", said.error);
    assert_eq!(std::fs::read_to_string(image.path(MAIN)).unwrap(), RULE, "nothing changed");

    image.write("new.toml", &weak.replace("\"20m\"\n", "\"20m\"\nweaker_than_preset = \"long builds\"\n"));
    assert_eq!(image.run(&["config", "apply", new], "").code, 0);
    let text = image.run(&["config", "show"], "").out;
    assert!(text.contains("preset = \"pci-dss-4\"") && text.contains("weaker_than_preset = \"long builds\""), "{text}");
    assert!(text.lines().any(|line| line.starts_with("lock = \"30m\"") && line.ends_with("# pci-dss-4")), "{text}");
}

#[test]
fn a_standard_is_shown_clause_by_clause_beside_what_is_in_force() {
    let image = Image::new();
    image.write(MAIN, &RULE.replace("[\"password\", \"totp\"]", "[\"publickey\"]"));
    let shown = image.run(&["config", "show", "--preset", "nist-aal2", "--json"], "").json();
    let clause = |key: &str| {
        let clauses = shown["clauses"].as_array().unwrap();
        clauses.iter().find(|clause| clause["key"] == key).unwrap().clone()
    };
    assert_eq!((&shown["preset"], &shown["chosen"]), (&"nist-aal2".into(), &false.into()));
    assert_eq!(clause("session.lifetime")["clause"], "2.2.3, should");
    assert_eq!((&clause("session.idle")["value"], &clause("session.idle")["met"]), (&"\"10m\"".into(), &true.into()));
    assert_eq!(clause("methods")["met"], false);
    assert_eq!(shown["weaker"].as_array().unwrap().len(), 2, "{}", shown["weaker"]);
    let text = image.run(&["config", "show", "--preset", "nist-aal2"], "").out;
    assert!(text.contains("weaker: rule \"ssh\": methods = publickey: no reason given"), "{text}");
    assert_eq!(image.run(&["config", "show", "--preset", "iso"], "").code, 2);
}
