//! What sshd must be told for a code to be asked, as a drop-in of sshd_config. Pure; running sshd is another file's job.

use super::{
    service::Service,
    who::{Who, header},
};

/// The folder of drop-ins that Debian's sshd_config includes first of all.
pub(super) const FOLDER: &str = "etc/ssh/sshd_config.d";

/// Early in the order of names, since sshd takes the first value that it reads.
pub(super) const FILE: &str = "10-authflow.conf";

/// Key and code, or password and code.
pub(super) const METHODS: &str = "publickey,keyboard-interactive:pam keyboard-interactive:pam";

/// The drop-in.
pub(super) fn text(who: &Who) -> String {
    let methods = format!("KbdInteractiveAuthentication yes\nAuthenticationMethods {METHODS}\n");
    let indented = || methods.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let body = match who {
        Who::Users(users) => {
            let names: Vec<&str> = users.iter().map(String::as_str).collect();
            format!("Match User {}\n{}", names.join(","), indented())
        }
        Who::Everybody => methods,
        Who::EverybodyButRoot => format!("{methods}Match User root\n    AuthenticationMethods any\n"),
    };
    let service = Service::Sshd;
    format!(
        "{}# Written by that command, which replaces it as long as nobody else changes it. `authflow setup remove {service}` takes it out.\n{body}",
        header(service, who)
    )
}

/// Whether the drop-in stands as setup wrote it.
pub(super) fn is_unchanged(there: &str) -> bool {
    super::who::of_header(Service::Sshd, there).is_some_and(|who| text(&who) == there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_named_is_asked_otherwise() {
        let who = Who::Users(["alice", "bob"].map(str::to_owned).into());
        let text = text(&who);
        assert!(text.contains("\nMatch User alice,bob\n    KbdInteractiveAuthentication yes\n    AuthenticationMethods publickey,"));
        assert!(is_unchanged(&text) && !is_unchanged(&format!("{text}X11Forwarding no\n")));
        assert!(is_unchanged(&super::text(&Who::EverybodyButRoot)));
    }
}
