//! The rules of one service, as a drop-in of the configuration. Between nothing and the rules there is a text that asks for no more than
//! the machine did before: sshd can be told to ask for key *and* code only after that one is in force, and the rules only after
//! sshd was told. So nobody is kept out at any moment in between, whatever stops setup there.

use super::{
    passwords::Takes,
    service::Service,
    standard::{Purpose, Standard, without_reasons},
    who::{Who, header, of_header},
};

/// How those enrol who have no authenticator yet, where everybody is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enrolling {
    /// As a stranger to all this would want it.
    PutOff,
    /// As some standards ask.
    AtOnce,
}

impl Enrolling {
    const ALL: [Self; 2] = [Self::PutOff, Self::AtOnce];

    const fn lines(self) -> &'static str {
        match self {
            Self::PutOff => {
                "# Who has no authenticator yet enrols in the login, or puts it off for a week.\nenroll = { mode = \"grace\", for = \"7d\" }\n"
            }
            Self::AtOnce => {
                "# Who has no authenticator yet enrols in the login: the preset lets nobody put it off.\nenroll = { mode = \"required\" }\n"
            }
        }
    }
}

/// The drop-in's name in authflow.toml.d.
pub(super) fn file_name(service: Service) -> String {
    format!("50-setup-{service}.toml")
}

/// Who is to prove two factors at that service, as strongly as the standard asks; where that would lock people out, with the reason.
pub(super) fn text(service: Service, who: &Who, standard: &Standard) -> String {
    let put_off = plain(service, who, Enrolling::PutOff);
    let text = if standard.forbids_delay(&put_off) { plain(service, who, Enrolling::AtOnce) } else { put_off };
    standard.with_reasons(text)
}

/// What the standard makes of that drop-in, in words: nobody is to find out from an auditor.
pub(super) fn told(service: Service, text: &str, standard: &Standard) -> Vec<String> {
    let mut told = standard.told(text);
    if let Some(preset) = standard.preset()
        && text.contains(Enrolling::AtOnce.lines())
    {
        told.push(format!(
            "under {preset} nobody puts enrolment off: who has no authenticator yet enrols in the first login by {service}"
        ));
    }
    told
}

/// The same before any standard is looked at.
fn plain(service: Service, who: &Who, enrolling: Enrolling) -> String {
    let head = format!(
        "{}# Written by that command, which replaces it as long as nobody else changes it. `authflow setup remove {service}` takes it out.\n",
        header(service, who)
    );
    let kept = match who {
        Who::Users(_) | Who::Everybody => String::new(),
        // Of another service than sshd only older setups wrote this, and a file of theirs is known by these words.
        Who::EverybodyButRoot => {
            "\n# sshd lets root in by key alone (PermitRootLogin), so that there is no code to ask for.\n".to_owned()
                + &left(service, Purpose::LeaveRoot, "user = [\"root\"]\n")
        }
    };
    let enroll = match who {
        Who::Users(_) => "",
        Who::Everybody | Who::EverybodyButRoot => enrolling.lines(),
    };
    let main = rule(service, Purpose::Protect, &users(who), service.methods()) + enroll;
    head + &kept + "\n" + &main + &others(service, who)
}

/// The same, but that whoever is not in both `before` and `after` is asked what the machine asks anyhow: a key, or a password. Where sshd
/// takes no password but for our drop-in, one alone is not let in on the way either.
pub(super) fn easing(
    service: Service,
    (before, after): (Option<&Who>, Option<&Who>),
    takes: Takes,
    standard: &Standard,
) -> String {
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
    let kept =
        both.filter(|_| !is_nobody).map(|who| rule(service, Purpose::Protect, &users(&who), service.methods()) + "\n");
    let eased = match (before, after) {
        (Some(Who::Users(one)), Some(Who::Users(other))) => Who::Users(one.union(other).cloned().collect()),
        (Some(Who::Users(users)), None) | (None, Some(Who::Users(users))) => Who::Users(users.clone()),
        _ => Who::Everybody,
    };
    let methods = match takes {
        Takes::Passwords => "methods = [[\"publickey\"], [\"password\"]]\n",
        Takes::KeysAlone => "methods = [[\"publickey\"], [\"password\", \"totp\"]]\n",
    };
    let eased_rule = rule(service, Purpose::OnTheWay, &users(&eased), methods);
    standard.with_reasons(head + &kept.unwrap_or_default() + &eased_rule + &others(service, &eased))
}

/// Whether a drop-in is what a setup or a removal leaves that is stopped on its way.
pub(super) fn is_on_the_way(service: Service, there: &str) -> bool {
    there.starts_with(&on_the_way(service))
}

fn on_the_way(service: Service) -> String {
    format!("# authflow setup {service}: on the way, for a moment\n")
}

/// Whom the drop-in protects, if it stands as setup wrote it, whichever standard was chosen then.
pub(super) fn unchanged(service: Service, there: &str) -> Option<Who> {
    let bare = without_reasons(there);
    let is_ours = |who: &Who| Enrolling::ALL.iter().any(|enrolling| plain(service, who, *enrolling) == bare);
    of_header(service, there).filter(is_ours)
}

/// The name of the rule that protects.
pub(super) fn rule_name(service: Service) -> String {
    format!("setup-{service}")
}

fn rule(service: Service, purpose: Purpose, who: &str, methods: &str) -> String {
    let services: Vec<String> = service.pam_services().iter().map(|name| format!("\"{name}\"")).collect();
    let (name, ending) = (rule_name(service), purpose.ending());
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
fn left(service: Service, purpose: Purpose, who: &str) -> String {
    rule(service, purpose, who, "methods = [[\"stack\"]]\n")
        + "session = { idle = \"none\", lifetime = \"none\", without_tty = \"ignore\" }\n"
}

fn others(service: Service, who: &Who) -> String {
    match who {
        Who::Users(_) => {
            "\n# Everybody else as before, and without limits.\n".to_owned() + &left(service, Purpose::LeaveOthers, "")
        }
        Who::Everybody | Who::EverybodyButRoot => String::new(),
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
