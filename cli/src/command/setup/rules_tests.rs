use authflow_core::{
    config::{Config, Text, Warning, preset::Preset},
    rule::{Remote, Request},
};

use super::*;

fn people(names: &[&str]) -> Who {
    Who::Users(names.iter().map(|name| (*name).to_owned()).collect())
}

/// What that user has to prove at that service: the methods of the rule that matches.
fn methods(text: &str, service: &str, user: &str) -> String {
    let config = Config::parse(Text { name: "main", text: "" }, &[Text { name: "drop-in", text }]).unwrap();
    let remote = Remote::from_rhost(Some("192.0.2.7"));
    let rule = config.rule_for(&Request { service, user, groups: &[], remote }).map(|rule| &rule.methods);
    let words = |method: &authflow_core::rule::Method| {
        method.factors().iter().map(|factor| factor.as_str()).collect::<Vec<_>>().join("+")
    };
    rule.map_or("none".to_owned(), |methods| methods.iter().map(words).collect::<Vec<_>>().join(" "))
}

const BOTH: &str = "totp+publickey password+totp";
const EASED: &str = "publickey password";

#[test]
fn whoever_is_named_proves_two_factors_and_others_are_left_alone() {
    let no_standard = Standard::default();
    let text = text(Service::Sshd, &people(&["alice", "bob"]), &no_standard);
    assert_eq!(methods(&text, "sshd", "alice"), BOTH);
    assert_eq!(methods(&text, "sshd", "carol"), "stack");
    assert_eq!(methods(&text, "sudo", "alice"), "none");
    for service in Service::ALL {
        for who in [people(&["alice"]), Who::Everybody, Who::EverybodyButRoot] {
            let text = super::text(service, &who, &no_standard);
            for name in service.pam_services() {
                assert!(methods(&text, name, "alice").contains("totp"), "{text}");
            }
            assert_eq!(unchanged(service, &text), Some(who));
            assert_eq!(unchanged(service, &text.replace("totp", "password")), None);
        }
    }
    assert_eq!(methods(&super::text(Service::Sshd, &Who::EverybodyButRoot, &no_standard), "sshd", "root"), "stack");
}

#[test]
fn on_the_way_nobody_is_asked_for_more_than_before_and_nobody_protected_for_less() {
    let (alice, both) = (people(&["alice"]), people(&["alice", "bob"]));
    let cases = [
        (None, Some(&alice), [EASED, "stack", "stack"]),
        (Some(&alice), None, [EASED, "stack", "stack"]),
        (Some(&alice), Some(&both), [BOTH, EASED, "stack"]),
        (Some(&both), Some(&alice), [BOTH, EASED, "stack"]),
        (None, Some(&Who::Everybody), [EASED; 3]),
        (Some(&alice), Some(&Who::Everybody), [BOTH, EASED, EASED]),
        (Some(&Who::Everybody), Some(&alice), [BOTH, EASED, EASED]),
    ];
    for (before, after, expected) in cases {
        let text = easing(Service::Sshd, (before, after), Takes::Passwords, &Standard::default());
        assert!(is_on_the_way(Service::Sshd, &text) && unchanged(Service::Sshd, &text).is_none());
        let got = ["alice", "bob", "carol"].map(|user| methods(&text, "sshd", user));
        assert_eq!(got, expected, "{before:?} {after:?}\n{text}");

        // Nor is a password let in alone where there are keys alone.
        let text = easing(Service::Sshd, (before, after), Takes::KeysAlone, &Standard::default());
        let got = ["alice", "bob", "carol"].map(|user| methods(&text, "sshd", user));
        let expected = expected.map(|methods| if methods == EASED { "publickey password+totp" } else { methods });
        assert_eq!(got, expected, "{before:?} {after:?}\n{text}");
    }
}

const STANDARDS: [Option<Preset>; 5] =
    [None, Some(Preset::NistAal2), Some(Preset::PciDss4), Some(Preset::StigRhel9), Some(Preset::Cis)];

fn main_file(preset: Option<Preset>) -> String {
    preset.map(|preset| format!("preset = \"{preset}\"\n")).unwrap_or_default()
}

fn standard(preset: Option<Preset>) -> Standard {
    Standard::of(Some(&main_file(preset)))
}

/// That this drop-in is taken beside that file, and that nothing in it gives a reason for what is not weaker. Gives the rules that do.
#[track_caller]
fn exactly_excused(main: &str, text: &str) -> Vec<String> {
    let config = Config::parse(Text { name: "main", text: main }, &[Text { name: "drop-in", text }]);
    let config = config.unwrap_or_else(|error| panic!("{main}: {error}\n{text}"));
    let idle = config.warnings().into_iter().filter(|warning| matches!(warning, Warning::NothingWeaker { .. }));
    assert_eq!(idle.collect::<Vec<_>>(), [], "{main}\n{text}");
    config.reasons.rules.into_iter().map(|(rule, _)| rule).collect()
}

fn everybody_and_some() -> [Who; 3] {
    [people(&["alice", "bob"]), Who::Everybody, Who::EverybodyButRoot]
}

#[test]
fn whichever_standard_is_chosen_the_rules_are_taken_and_say_why_where_they_are_weaker_and_nowhere_else() {
    for preset in STANDARDS {
        let main = main_file(preset);
        let asks_for_two_kinds = matches!(preset, Some(Preset::NistAal2 | Preset::PciDss4));
        for service in Service::ALL {
            for who in everybody_and_some() {
                let text = text(service, &who, &standard(preset));
                let excused = exactly_excused(&main, &text);
                let left = match who {
                    Who::Users(_) => Some("-others"),
                    Who::EverybodyButRoot => Some("-root"),
                    Who::Everybody => None,
                };
                let left = left.filter(|_| preset.is_some()).map(|ending| format!("setup-{service}{ending}"));
                let protecting = (asks_for_two_kinds && service == Service::Sshd).then(|| "setup-sshd".to_owned());
                let mut expected: Vec<String> = protecting.into_iter().chain(left).collect();
                expected.sort();
                let mut excused_in_order = excused;
                excused_in_order.sort();
                assert_eq!(excused_in_order, expected, "{preset:?} {service} {who}\n{text}");
                assert_eq!(text.contains("mode = \"required\""), {
                    asks_for_two_kinds && service == Service::Sshd && !matches!(who, Who::Users(_))
                });
                for name in service.pam_services() {
                    assert_eq!(
                        methods(&text, name, "alice"),
                        methods(&plain(service, &who, Enrolling::PutOff), name, "alice")
                    );
                }
                if preset.is_none() {
                    assert_eq!(text, plain(service, &who, Enrolling::PutOff));
                }
            }
        }
    }
}

#[test]
fn the_rules_on_the_way_are_taken_as_well_whichever_standard_is_chosen() {
    let ends = [None].into_iter().chain(everybody_and_some().map(Some)).collect::<Vec<_>>();
    for preset in STANDARDS {
        for (before, after) in ends.iter().flat_map(|before| ends.iter().map(move |after| (before, after))) {
            for takes in [Takes::Passwords, Takes::KeysAlone] {
                let text = easing(Service::Sshd, (before.as_ref(), after.as_ref()), takes, &standard(preset));
                let excused = exactly_excused(&main_file(preset), &text);
                assert!(is_on_the_way(Service::Sshd, &text) && unchanged(Service::Sshd, &text).is_none());
                let asks_for_two_kinds = matches!(preset, Some(Preset::NistAal2 | Preset::PciDss4));
                assert_eq!(excused.contains(&"setup-sshd-on-the-way".to_owned()), asks_for_two_kinds, "{text}");
            }
        }
    }
}

#[test]
fn a_drop_in_is_setups_own_whichever_standard_was_chosen_when_it_was_written() {
    for service in Service::ALL {
        for who in everybody_and_some() {
            for preset in STANDARDS {
                let there = text(service, &who, &standard(preset));
                assert_eq!(unchanged(service, &there).as_ref(), Some(&who), "{there}");
                let own = "weaker_than_preset = \"as our policy says\"\n";
                assert_eq!(unchanged(service, &there.replace("methods", &format!("{own}methods"))), None, "{there}");
            }
        }
    }
}

#[test]
fn what_session_excuses_already_or_makes_stronger_still_is_no_rules_to_excuse() {
    let lax =
        "preset = \"cis\"\n[session]\nidle = \"none\"\nwithout_tty = \"ignore\"\nweaker_than_preset = \"a kiosk\"\n";
    let sudo = text(Service::Sudo, &people(&["alice"]), &Standard::of(Some(lax)));
    assert_eq!(exactly_excused(lax, &sudo), [""; 0], "its limits are those of [session]");
    let strict = "preset = \"cis\"\n[session]\nidle = \"5m\"\n";
    let sudo = text(Service::Sudo, &people(&["alice"]), &Standard::of(Some(strict)));
    assert_eq!(exactly_excused(strict, &sudo), ["setup-sudo-others"]);
    // The reasons of the administrator's own rules are none of setup's.
    let own = "preset = \"pci-dss-4\"\n[[rule]]\nname = \"mine\"\nservice = [\"cockpit\"]\nmethods = [[\"password\", \"totp\"]]\n\
               enroll = { mode = \"optional\" }\nweaker_than_preset = \"until spring\"\n";
    let su = text(Service::Su, &Who::Everybody, &Standard::of(Some(own)));
    assert_eq!(su, plain(Service::Su, &Who::Everybody, Enrolling::PutOff));
    assert_eq!(
        text(Service::Su, &Who::Everybody, &Standard::of(Some("preset = \"cis\"\n[["))),
        su,
        "a broken file chose none"
    );
}

#[test]
fn what_a_standard_makes_of_the_rules_is_told() {
    let pci = standard(Some(Preset::PciDss4));
    let told = |service, who: &Who, standard: &Standard| super::told(service, &text(service, who, standard), standard);
    let some = told(Service::Sshd, &people(&["alice"]), &pci);
    assert_eq!(some.len(), 2, "{some:?}");
    let front = "under pci-dss-4 the rule \"setup-sshd\" is weaker (methods), and says why: a key and a code: two kinds of factor where";
    assert!(some[0].starts_with(front), "{some:?}");
    let others =
        "under pci-dss-4 the rule \"setup-sshd-others\" is weaker (session.idle, session.without_tty, methods), and";
    assert!(some[1].starts_with(others), "{some:?}");
    let all = told(Service::Sshd, &Who::Everybody, &pci);
    assert_eq!(
        all[1],
        "under pci-dss-4 nobody puts enrolment off: who has no authenticator yet enrols in the first login by sshd"
    );
    assert_eq!(told(Service::Sudo, &Who::Everybody, &pci), [""; 0]);
    assert_eq!(told(Service::Sshd, &people(&["alice"]), &standard(None)), [""; 0]);
}
