use std::os::unix::fs::PermissionsExt;

use super::*;

const ONE: &str = "[[rule]]\nname = 'one'\nservice = ['sshd']\nmethods = [['totp']]\n";
const TWO: &str = "[[rule]]\nname = 'two'\nservice = ['sudo']\nmethods = [['totp']]\n";

struct Machine {
    _folder: tempfile::TempDir,
    paths: Paths,
}

fn mine() -> Trust {
    Trust::of(nix::unistd::geteuid().as_raw())
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        fs::create_dir_all(paths.config_drop_ins()).unwrap();
        Self { _folder: folder, paths }
    }

    fn with(self, text: &str) -> Self {
        fs::write(self.paths.config(), text).unwrap();
        self
    }

    fn load(&self) -> Result<Loaded, LoadError> {
        load_trusting(&self.paths, mine())
    }

    fn rules(&self) -> Vec<String> {
        self.load().unwrap().config.rules.into_iter().map(|rule| rule.name).collect()
    }
}

#[test]
fn drop_ins_follow_in_the_order_of_their_names() {
    let machine = Machine::new().with("");
    fs::write(machine.paths.config_drop_ins().join("20.toml"), TWO).unwrap();
    fs::write(machine.paths.config_drop_ins().join("10.toml"), ONE).unwrap();
    fs::write(machine.paths.config_drop_ins().join("30.toml.dpkg-old"), "x").unwrap();
    fs::write(machine.paths.config_drop_ins().join(".40.toml"), "x").unwrap();
    assert_eq!(machine.rules(), ["one", "two"]);
}

#[test]
fn what_an_image_is_to_fall_back_to_names_no_place_of_its_builder() {
    let machine = Machine::new().with("");
    fs::write(machine.paths.config_drop_ins().join("10.toml"), TWO).unwrap();
    assert!(apply(&machine.paths, mine(), "new.toml", ONE.into()).unwrap());
    let (text, _config) = read_last_good(&machine.paths, mine()).unwrap();
    assert!(text.contains("\n# /etc/authflow/authflow.toml.d/10.toml\n"), "{text}");
    // As the machine itself will compare it.
    assert_eq!(read_live(&machine.paths, mine()).unwrap().text(), text);
}

#[test]
fn what_was_applied_stays_in_force_when_an_editor_slips() {
    let machine = Machine::new().with("");
    fs::write(machine.paths.config_drop_ins().join("10.toml"), TWO).unwrap();
    assert!(apply(&machine.paths, mine(), "new.toml", ONE.into()).unwrap());
    assert!(!apply(&machine.paths, mine(), "new.toml", ONE.into()).unwrap(), "a second time changes nothing");
    for broken in ["[[rule", "unknown = 1"] {
        fs::write(machine.paths.config(), broken).unwrap();
        let Loaded { config, from } = machine.load().unwrap();
        assert_eq!(config.rules.len(), 2, "drop-ins included");
        assert!(matches!(from, From::LastGood { why } if why.contains("authflow.toml:1:")));
    }
    fs::remove_file(machine.paths.config()).unwrap();
    assert_eq!(machine.rules(), ["one", "two"], "gone is broken, too");
}

#[test]
fn a_drop_in_can_be_tried_before_it_is_there_and_without_it_while_it_is() {
    let machine = Machine::new().with("");
    let place = |name: &str| machine.paths.config_drop_ins().join(name);
    fs::write(place("20.toml"), TWO).unwrap();
    let tried = |name: &str, text: Option<&str>| {
        let config = check_drop_ins(&machine.paths, mine(), &[(place(name), text.map(str::to_owned))]).unwrap();
        config.rules.into_iter().map(|rule| rule.name).collect::<Vec<_>>()
    };
    assert_eq!(tried("10.toml", Some(ONE)), ["one", "two"]);
    assert_eq!(tried("20.toml", Some(ONE)), ["one"]);
    assert_eq!(tried("20.toml", None), Vec::<String>::new());
    assert_eq!(machine.rules(), ["two"]);
}

#[test]
fn a_new_version_of_a_drop_in_is_taken_in_the_place_of_the_old_one() {
    let machine = Machine::new().with("");
    fs::write(machine.paths.config_drop_ins().join("20.toml"), TWO).unwrap();
    let new = |name: &str, text: &str| {
        candidate_drop_in(&machine.paths, mine(), name, ("/tmp/new.toml", text.to_owned())).unwrap().parse()
    };
    let names = |config: Config| config.rules.into_iter().map(|rule| rule.name).collect::<Vec<_>>();
    assert_eq!(names(new("20.toml", TWO).unwrap()), ["two"]);
    assert_eq!(names(new("10.toml", ONE).unwrap()), ["one", "two"]);
    assert!(new("10.toml", TWO).unwrap_err().to_string().contains("two"));
    assert!(new("20.toml", "[[rule").unwrap_err().to_string().starts_with("/tmp/new.toml:1:"));
    assert!(is_drop_in("10-a.toml") && !is_drop_in(".a.toml") && !is_drop_in("a.toml~") && !is_drop_in("a/b.toml"));
}

#[test]
fn a_broken_drop_in_breaks_the_whole() {
    let machine = Machine::new().with(ONE);
    fs::write(machine.paths.config_drop_ins().join("10.toml"), "[session]\n").unwrap();
    let error = machine.load().unwrap_err().to_string();
    assert!(error.contains("10.toml:1:2"), "{error}");
}

#[test]
fn without_any_usable_configuration_there_is_an_error_and_no_empty_one() {
    assert!(Machine::new().load().is_err());
    let machine = Machine::new().with(ONE);
    fs::set_permissions(machine.paths.config(), fs::Permissions::from_mode(0o666)).unwrap();
    let error = machine.load().unwrap_err().to_string();
    assert!(error.contains("mode is 0666"), "{error}");
}

#[test]
fn a_last_good_file_that_would_not_parse_is_not_written() {
    let machine = Machine::new().with(ONE);
    let inline = "rule = [{ name = 'two', service = ['sudo'], methods = [['totp']] }]\n";
    fs::write(machine.paths.config_drop_ins().join("10.toml"), inline).unwrap();
    assert_eq!(machine.rules(), ["one", "two"]);
    let error = apply(&machine.paths, mine(), "new.toml", ONE.into()).unwrap_err().to_string();
    assert!(error.contains("authflow.toml.last-good:"), "{error}");
    assert!(!machine.paths.config_last_good().exists());
}

#[test]
fn what_does_not_parse_is_not_applied() {
    let machine = Machine::new().with(ONE);
    let error = apply(&machine.paths, mine(), "new.toml", "[session]\nidle = '0s'\n".into()).unwrap_err();
    assert!(error.to_string().starts_with("new.toml:2:8: "), "{error}");
    assert_eq!(machine.rules(), ["one"]);
    assert!(!machine.paths.config_last_good().exists());
}

#[test]
fn a_preset_judges_what_is_live_and_what_is_applied_and_not_what_was_judged_before() {
    let machine = Machine::new().with(ONE);
    let weak = format!("preset = 'cis'\n[session]\nidle = '30m'\n{ONE}");
    let error = apply(&machine.paths, mine(), "new.toml", weak.clone()).unwrap_err().to_string();
    assert!(error.starts_with("new.toml:3:8: idle: "), "{error}");
    fs::write(machine.paths.config(), &weak).unwrap();
    assert!(machine.load().is_err());
    fs::write(machine.paths.config_last_good(), &weak).unwrap();
    let Loaded { config, from } = machine.load().unwrap();
    assert!(matches!(from, From::LastGood { why } if why.contains("weaker than cis asks")));
    assert_eq!(config.session.limits.idle.map(|idle| idle.as_secs()), Some(1800));
}
