use super::*;
use crate::pam_stack::Line;

const TAKES: Takes = Takes::Passwords;
const STACK: &str = "@include common-auth\naccount required pam_unix.so\nsession required pam_loginuid.so\n";

fn places() -> Places {
    let config = "/etc/authflow/authflow.toml";
    Places { root: "/".into(), config: config.into(), drop_ins: format!("{config}.d").into() }
}

fn included(name: &str) -> Vec<Line> {
    let module = |phase: &str| Line {
        file: PathBuf::from(name),
        number: 1,
        phase: phase.into(),
        control: "required".into(),
        module: "pam_unix.so".into(),
        path: "pam_unix.so".into(),
        arguments: Vec::new(),
        substacks: Vec::new(),
    };
    name.strip_prefix("common-").map(|phase| vec![module(phase)]).unwrap_or_default()
}

fn machine(services: &[Service]) -> Texts {
    let places = places();
    let stack = |path: PathBuf| (path.clone(), path.starts_with("/etc/pam.d").then(|| STACK.to_owned()));
    paths(&places, services).map(stack).collect()
}

fn people(names: &[&str]) -> Who {
    Who::Users(names.iter().map(|name| (*name).to_owned()).collect())
}

fn carry_out(there: &mut Texts, steps: &[Step]) {
    for step in steps {
        assert_eq!(there.get(&step.path).cloned().flatten(), step.before, "{}", step.path.display());
        there.insert(step.path.clone(), step.after.clone());
    }
}

fn names(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.path.file_name().unwrap().to_str().unwrap()).collect()
}

#[test]
fn lines_come_first_and_sshd_between_two_texts_of_rules() {
    let services = [Service::Sshd, Service::Sudo];
    let mut there = machine(&services);
    let steps = protect(&places(), &there, (&services, &people(&["alice"]), TAKES), &included).unwrap();
    let rules = "50-setup-sshd.toml";
    assert_eq!(names(&steps), ["sshd", "sudo", "sudo-i", rules, "10-authflow.conf", rules, "50-setup-sudo.toml"]);
    carry_out(&mut there, &steps);
    let again = protect(&places(), &there, (&services, &people(&["alice"]), TAKES), &included).unwrap();
    assert_eq!(again, [], "a second time there is nothing to do");
    let to_bob = protect(&places(), &there, (&[Service::Sshd], &people(&["bob"]), TAKES), &included).unwrap();
    assert_eq!(names(&to_bob), [rules, "10-authflow.conf", rules]);
    let left = left_out(&places(), &there, (&services, &people(&["bob"])));
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].starts_with("sshd: this takes the protection of alice away"), "{left:?}");
    assert!(left_out(&places(), &there, (&services, &people(&["alice", "bob"]))).is_empty());
    carry_out(&mut there, &to_bob);
    let out = take_out(&places(), &there, (&services, TAKES)).unwrap();
    carry_out(&mut there, &out);
    assert_eq!(there, machine(&services), "and out again, to the byte");
}

#[test]
fn root_is_left_as_before_by_sshd_alone_and_an_older_setups_rules_for_su_are_replaced() {
    let services = [Service::Sshd, Service::Su];
    let mut there = machine(&services);
    let request = (&services[..], &Who::EverybodyButRoot, TAKES);
    let made = protect(&places(), &there, request, &included).unwrap();
    carry_out(&mut there, &made);
    let of = |there: &Texts, service| {
        rules::unchanged(service, there[&places().rules(service)].as_deref().unwrap()).unwrap()
    };
    assert_eq!(of(&there, Service::Sshd), Who::EverybodyButRoot);
    assert_eq!(of(&there, Service::Su), Who::Everybody);
    let su = there[&places().rules(Service::Su)].clone().unwrap();
    assert!(!su.contains("root"), "{su}");
    assert_eq!(protect(&places(), &there, request, &included).unwrap(), [], "a second time there is nothing to do");
    assert!(left_out(&places(), &there, (&services, &Who::EverybodyButRoot)).is_empty());

    let older = rules::text(Service::Su, &Who::EverybodyButRoot, &Standard::default());
    there.insert(places().rules(Service::Su), Some(older));
    assert_eq!(protect(&places(), &there, (&[Service::Sshd], request.1, TAKES), &included).unwrap(), []);
    let anew = protect(&places(), &there, request, &included).unwrap();
    assert_eq!(names(&anew), ["50-setup-su.toml"]);
    let mut removed = there.clone();
    let out = take_out(&places(), &removed, (&services, TAKES)).unwrap();
    carry_out(&mut removed, &out);
    assert_eq!(removed, machine(&services), "and out again, to the byte");
    carry_out(&mut there, &anew);
    assert_eq!(of(&there, Service::Su), Who::Everybody);
}

#[test]
fn a_removal_goes_on_from_wherever_it_was_stopped() {
    let services = [Service::Sshd];
    let mut there = machine(&services);
    let request = (&services[..], &people(&["alice"]), TAKES);
    let made = protect(&places(), &there, request, &included).unwrap();
    carry_out(&mut there, &made);
    let steps = take_out(&places(), &there, (&services, TAKES)).unwrap();
    for made in 1..steps.len() {
        let mut stopped = there.clone();
        carry_out(&mut stopped, &steps[..made]);
        if made < 3 {
            let refused = protect(&places(), &stopped, request, &included);
            assert!(matches!(refused, Err(Refusal::OnTheWay { .. })), "{refused:?}");
        }
        assert_eq!(take_out(&places(), &stopped, (&services, TAKES)).unwrap(), steps[made..], "{made} made");
    }
}

#[test]
fn what_somebody_else_changed_is_not_replaced() {
    let mut there = machine(&[Service::Sshd]);
    let request = (&[Service::Sshd][..], &people(&["alice"]), TAKES);
    let steps = protect(&places(), &there, request, &included).unwrap();
    carry_out(&mut there, &steps);
    for path in [places().rules(Service::Sshd), places().sshd()] {
        let mut edited = there.clone();
        edited.insert(path.clone(), Some("# mine\n".to_owned()));
        assert_eq!(protect(&places(), &edited, request, &included), Err(Refusal::Edited(path.clone())));
        assert_eq!(take_out(&places(), &edited, (request.0, TAKES)), Err(Refusal::Edited(path)));
    }
}

#[test]
fn a_service_that_is_not_installed_is_refused_but_sudo_i_may_be_absent() {
    let request = (&[Service::Sudo][..], &people(&["alice"]), TAKES);
    let mut there = machine(&[Service::Sudo]);
    there.insert(places().stack("sudo-i"), None);
    assert_eq!(names(&protect(&places(), &there, request, &included).unwrap()), ["sudo", "50-setup-sudo.toml"]);
    there.insert(places().stack("sudo"), None);
    let refused = protect(&places(), &there, request, &included);
    assert!(matches!(refused, Err(Refusal::NoStack { .. })), "{refused:?}");
}

#[test]
fn a_preset_that_is_chosen_or_left_later_has_the_rules_of_every_service_written_anew_by_one_setup() {
    let mut there = machine(&Service::ALL);
    let (alice, bob) = (people(&["alice"]), people(&["bob"]));
    for (services, who) in [([Service::Sshd], &alice), ([Service::Sudo], &bob)] {
        let made = protect(&places(), &there, (&services, who, TAKES), &included).unwrap();
        carry_out(&mut there, &made);
    }
    let again = |there: &Texts| protect(&places(), there, (&[Service::Sshd], &alice, TAKES), &included).unwrap();
    assert_eq!(again(&there), []);
    let without = there.clone();
    for preset in ["pci-dss-4", "nist-aal2", "stig-rhel9", "cis"] {
        there.insert(places().config, Some(format!("preset = \"{preset}\"\n")));
        let anew = again(&there);
        let is_first = preset == "pci-dss-4";
        assert!(!is_first || names(&anew) == ["50-setup-sshd.toml", "50-setup-sudo.toml"], "{anew:?}");
        carry_out(&mut there, &anew);
        assert_eq!(again(&there), [], "{preset}: a second time there is nothing to do");
        assert!(
            under_preset(&places(), &there, &anew).iter().all(|words| words.starts_with(&format!("under {preset} ")))
        );
        let mut removed = there.clone();
        let out = take_out(&places(), &removed, (&[Service::Sshd, Service::Sudo], TAKES)).unwrap();
        carry_out(&mut removed, &out);
        removed.remove(&places().config);
        assert_eq!(removed, machine(&Service::ALL), "{preset}: and out again, to the byte");
    }
    there.insert(places().config, Some(String::new()));
    let anew = again(&there);
    carry_out(&mut there, &anew);
    there.remove(&places().config);
    assert_eq!(there, without);
}
