//! The rules of one service, as a drop-in of the configuration. Between nothing and the rules there is a text that asks for no more than
//! the machine did before: sshd can be told to ask for key *and* code only after that one is in force, and the rules only after
//! sshd was told. So nobody is kept out at any moment in between, whatever stops setup there.

use super::{
    passwords::Takes,
    service::Service,
    who::{Who, header, of_header},
};

/// The drop-in's name in authflow.toml.d.
pub(super) fn file_name(service: Service) -> String {
    format!("50-setup-{service}.toml")
}

/// Who is to prove two factors at that service.
pub(super) fn text(service: Service, who: &Who) -> String {
    let head = format!(
        "{}# Written by that command, which replaces it as long as nobody else changes it. `authflow setup remove {service}` takes it out.\n",
        header(service, who)
    );
    let kept = match who {
        Who::Users(_) | Who::Everybody => String::new(),
        Who::EverybodyButRoot => {
            "\n# sshd lets root in by key alone (PermitRootLogin), so that there is no code to ask for.\n".to_owned()
                + &left(service, "root", "user = [\"root\"]\n")
        }
    };
    let enroll = match who {
        Who::Users(_) => "",
        Who::Everybody | Who::EverybodyButRoot => {
            "# Who has no authenticator yet enrols in the login, or puts it off for a week.\nenroll = { mode = \"grace\", for = \"7d\" }\n"
        }
    };
    let main = rule(service, "", &users(who), service.methods()) + enroll;
    head + &kept + "\n" + &main + &others(service, who)
}

/// The same, but that whoever is not in both `before` and `after` is asked what the machine asks anyhow: a key, or a password. Where sshd
/// takes no password but for our drop-in, one alone is not let in on the way either.
pub(super) fn easing(service: Service, (before, after): (Option<&Who>, Option<&Who>), takes: Takes) -> String {
    let head = on_the_way(service) + "\n";
    let both = match (before, after) {
        (Some(Who::Users(before)), Some(Who::Users(after))) => {
            Some(Who::Users(before.intersection(after).cloned().collect()))
        }
        (Some(Who::Users(users)), Some(Who::Everybody | Who::EverybodyButRoot))
        | (Some(Who::Everybody | Who::EverybodyButRoot), Some(Who::Users(users))) => Some(Who::Users(users.clone())),
        (Some(Who::Everybody), Some(Who::Everybody)) => Some(Who::Everybody),
        (Some(Who::Everybody | Who::EverybodyButRoot), Some(_)) => Some(Who::EverybodyButRoot),
        (None, _) | (_, None) => None,
    };
    let is_nobody = matches!(&both, Some(Who::Users(users)) if users.is_empty());
    let kept = both.filter(|_| !is_nobody).map(|who| rule(service, "", &users(&who), service.methods()) + "\n");
    let eased = match (before, after) {
        (Some(Who::Users(one)), Some(Who::Users(other))) => Who::Users(one.union(other).cloned().collect()),
        (Some(Who::Users(users)), None) | (None, Some(Who::Users(users))) => Who::Users(users.clone()),
        _ => Who::Everybody,
    };
    let methods = match takes {
        Takes::Passwords => "methods = [[\"publickey\"], [\"password\"]]\n",
        Takes::KeysAlone => "methods = [[\"publickey\"], [\"password\", \"totp\"]]\n",
    };
    let eased_rule = rule(service, "-on-the-way", &users(&eased), methods);
    head + &kept.unwrap_or_default() + &eased_rule + &others(service, &eased)
}

/// Whether a drop-in is what a setup or a removal leaves that is stopped on its way.
pub(super) fn is_on_the_way(service: Service, there: &str) -> bool {
    there.starts_with(&on_the_way(service))
}

fn on_the_way(service: Service) -> String {
    format!("# authflow setup {service}: on the way, for a moment\n")
}

/// Whom the drop-in protects, if it stands as setup wrote it.
pub(super) fn unchanged(service: Service, there: &str) -> Option<Who> {
    of_header(service, there).filter(|who| text(service, who) == there)
}

/// The name of the rule that protects.
pub(super) fn rule_name(service: Service) -> String {
    format!("setup-{service}")
}

fn rule(service: Service, ending: &str, who: &str, methods: &str) -> String {
    let services: Vec<String> = service.pam_services().iter().map(|name| format!("\"{name}\"")).collect();
    let name = rule_name(service);
    format!("[[rule]]\nname = \"{name}{ending}\"\nservice = [{}]\n{who}{methods}", services.join(", "))
}

fn users(who: &Who) -> String {
    match who {
        Who::Users(users) => {
            let names: Vec<String> = users.iter().map(|user| format!("\"{user}\"")).collect();
            format!("user = [{}]\n", names.join(", "))
        }
        Who::Everybody | Who::EverybodyButRoot => String::new(),
    }
}

/// A rule that leaves it to the other modules of the stack, without limits.
fn left(service: Service, whom: &str, who: &str) -> String {
    let ending = format!("-{whom}");
    rule(service, &ending, who, "methods = [[\"stack\"]]\n")
        + "session = { idle = \"none\", lifetime = \"none\", without_tty = \"ignore\" }\n"
}

fn others(service: Service, who: &Who) -> String {
    match who {
        Who::Users(_) => {
            "\n# Everybody else as before, and without limits.\n".to_owned() + &left(service, "others", "")
        }
        Who::Everybody | Who::EverybodyButRoot => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::{
        config::{Config, Text},
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
        let text = text(Service::Sshd, &people(&["alice", "bob"]));
        assert_eq!(methods(&text, "sshd", "alice"), BOTH);
        assert_eq!(methods(&text, "sshd", "carol"), "stack");
        assert_eq!(methods(&text, "sudo", "alice"), "none");
        for service in Service::ALL {
            for who in [people(&["alice"]), Who::Everybody, Who::EverybodyButRoot] {
                let text = super::text(service, &who);
                for name in service.pam_services() {
                    assert!(methods(&text, name, "alice").contains("totp"), "{text}");
                }
                assert_eq!(unchanged(service, &text), Some(who));
                assert_eq!(unchanged(service, &text.replace("totp", "password")), None);
            }
        }
        assert_eq!(methods(&super::text(Service::Sshd, &Who::EverybodyButRoot), "sshd", "root"), "stack");
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
            let text = easing(Service::Sshd, (before, after), Takes::Passwords);
            assert!(is_on_the_way(Service::Sshd, &text) && unchanged(Service::Sshd, &text).is_none());
            let got = ["alice", "bob", "carol"].map(|user| methods(&text, "sshd", user));
            assert_eq!(got, expected, "{before:?} {after:?}\n{text}");

            // Nor is a password let in alone where there are keys alone.
            let text = easing(Service::Sshd, (before, after), Takes::KeysAlone);
            let got = ["alice", "bob", "carol"].map(|user| methods(&text, "sshd", user));
            let expected = expected.map(|methods| if methods == EASED { "publickey password+totp" } else { methods });
            assert_eq!(got, expected, "{before:?} {after:?}\n{text}");
        }
    }
}
