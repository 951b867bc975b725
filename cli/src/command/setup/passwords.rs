//! Whether sshd lets anybody in by a password alone while it is not told of authflow's drop-in. Where it does not, nobody may get in by one
//! for a moment because a setup or a removal is on its way, nor for good because it was stopped there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    plan::{self, Places, Texts},
    preflight::Folder,
    programs,
    service::Service,
    sshd,
    whence::{self, Origin},
    who::Who,
};
use crate::{
    command::check::sshd::file::{self, File},
    context::Context,
    error::Error,
};

/// Somebody whom no `Match` names.
const ANYBODY: &str = "nobody";

/// What sshd takes without authflow's drop-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// A password alone, from somebody or from somewhere.
    Passwords,
    /// Never a password alone.
    KeysAlone,
}

/// What sshd takes from whom it protects as the files stand, and from whom it is to protect.
pub(super) fn foresee(
    context: &Context,
    places: &Places,
    (there, services): (&Texts, &[Service]),
    who: Option<&Who>,
) -> Result<Takes, Error> {
    if !services.contains(&Service::Sshd) {
        return Ok(Takes::KeysAlone);
    }
    let before = plan::protected_at_sshd(places, there);
    let people: Vec<&Who> = before.iter().chain(who).collect();
    let folder = Folder::new(context)?;
    let takes = taken(folder.path(), places, &people);
    folder.go_on().map(|()| takes)
}

/// What sshd takes from those people, tried with a copy of its configuration in `folder`. Where it does not say, a code is the safe answer:
/// such an sshd could not be told of anything new either.
fn taken(folder: &Path, places: &Places, people: &[&Who]) -> Takes {
    let ours = places.sshd().display().to_string();
    let mut file = file::read(&places.root).unwrap_or_default();
    file.matches.retain(|found| found.place.file.as_deref() != Some(&ours));
    let Some(copy) = without_ours(folder, places) else { return Takes::KeysAlone };
    let users = people.iter().flat_map(|who| match who {
        Who::Users(users) => users.iter().map(String::as_str).collect(),
        Who::Everybody | Who::EverybodyButRoot => vec![ANYBODY],
    });
    let Ok(origins) = whence::places(&file) else { return Takes::KeysAlone };
    let takes = |user: &str, origin: &Origin| {
        programs::sshd_settings(&copy, user, origin).is_ok_and(|settings| settings.takes_a_password_alone())
    };
    let is_taken = users.into_iter().any(|user| origins.iter().any(|origin| takes(user, origin)));
    let is_about_all = people.iter().any(|who| !matches!(who, Who::Users(_)));
    if is_taken || (is_about_all && some_match_takes_passwords(&file)) { Takes::Passwords } else { Takes::KeysAlone }
}

/// Whether a `Match` lets some of all people in by a password.
fn some_match_takes_passwords(file: &File) -> bool {
    let is_yes = |keyword: &str, settings: &std::collections::BTreeMap<String, file::Setting>| {
        settings.get(keyword).is_some_and(|setting| setting.value.eq_ignore_ascii_case("yes"))
    };
    let keywords = ["passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication"];
    file.matches.iter().any(|found| keywords.iter().any(|keyword| is_yes(keyword, &found.settings)))
}

/// A copy of sshd's configuration in which authflow's drop-in is not. `None` if there is none to copy.
fn without_ours(folder: &Path, places: &Places) -> Option<PathBuf> {
    let main = fs::read_to_string(places.sshd_config()).ok()?;
    let (copy, tried) = (folder.join("sshd_config.without"), folder.join("sshd_config.d.without"));
    fs::create_dir_all(&tried).ok()?;
    let drop_ins = fs::read_dir(places.root.join(sshd::FOLDER)).into_iter().flatten().filter_map(Result::ok);
    for path in drop_ins.map(|entry| entry.path()).filter(|path| path.is_file() && *path != places.sshd()) {
        fs::copy(&path, tried.join(path.file_name()?)).ok()?;
    }
    // One that includes no drop-ins reads none of ours either.
    fs::write(&copy, sshd::with_drop_ins_of(&main, &tried).unwrap_or(main)).ok()?;
    Some(copy)
}

impl sshd::Settings {
    /// Whether one of the methods is a password without a key.
    fn takes_a_password_alone(&self) -> bool {
        let is_on = |keyword| self.value(keyword) == Some("yes");
        if !is_on("passwordauthentication") && !is_on("kbdinteractiveauthentication") {
            return false;
        }
        let methods = self.value("authenticationmethods").unwrap_or("any");
        let asks_nothing_else = |list: &str| {
            list.split(',').all(|one| one.starts_with("password") || one.starts_with("keyboard-interactive"))
        };
        methods.trim_matches('"').split_whitespace().any(|list| list == "any" || asks_nothing_else(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_alone_is_what_needs_no_key() {
        for (password, keyboard, methods, expected) in [
            ("yes", "no", "any", true),
            ("no", "yes", "any", true),
            ("no", "no", "any", false),
            ("yes", "yes", "publickey", false),
            ("yes", "yes", "publickey,password publickey,keyboard-interactive:pam", false),
            ("yes", "no", "publickey password", true),
            ("yes", "yes", "publickey,password keyboard-interactive:pam", true),
        ] {
            let said = format!(
                "passwordauthentication {password}\nkbdinteractiveauthentication {keyboard}\nauthenticationmethods {methods}\n"
            );
            assert_eq!(sshd::Settings::parse(&said).takes_a_password_alone(), expected, "{said}");
        }
    }
}
