//! An image is checked before it is ever booted: what it lacks is told with its place, and the exit code is for a build to go by.

use serde_json::Value;

use crate::image::Image;

const MAIN: &str = "etc/authflow/authflow.toml";
const RULE: &str = "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"stack\"]]\n";

fn ids(out: &str) -> Vec<String> {
    let found: Vec<Value> = serde_json::from_str(out).unwrap();
    found.iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_image_without_rules_is_clean() {
    let image = Image::new();
    image.write(MAIN, "");
    let said = image.run(&["check"], "");
    assert_eq!((said.code, said.out.as_str()), (0, "nothing is wrong\n"), "{}", said.error);
}

#[test]
fn what_an_image_lacks_is_told_with_its_place() {
    let image = Image::new();
    image.write(MAIN, RULE);
    let said = image.run(&["check", "--json"], "");
    assert_eq!(said.code, 1);
    assert_eq!(ids(&said.out), ["bus-policy-missing", "rule-without-stack", "common-passwords-missing"]);
    let found: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&found[1]["file"], &found[1]["line"]), (&image.path(MAIN).to_str().unwrap().into(), &2.into()));
    let text = image.run(&["check"], "").out;
    assert!(text.contains("authflow.toml:2: warning: rule \"ssh\" names the service \"sshd\""), "{text}");
    assert_eq!(image.run(&["check", "--preset", "nonsense"], "").code, 2);
}
