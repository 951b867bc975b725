//! What sshd would make of its new drop-in, tried with a copy of its configuration: it asks those who are protected for a code wherever they
//! come from, it goes on as before with everybody else, and what the administrator has written for some is not overridden unsaid.

use std::{
    fs,
    path::{Path, PathBuf},
};

use authflow_host::accounts;

use super::{
    plan::{Places, Step},
    programs,
    service::Service,
    sshd, texts,
    whence::{self, Origin},
    who::Who,
};
use crate::{
    command::check::sshd::file::{self, File},
    error::Error,
};

/// sshd's configuration as it is and as it would be, and from where it is tried.
struct Trial {
    before: PathBuf,
    after: PathBuf,
    origins: Vec<Origin>,
}

/// That sshd would ask for a code, and that nothing changes for whoever is not named. Gives what is to be said of it before it goes live.
pub(super) fn run(folder: &Path, places: &Places, (who, steps): (&Who, &[Step])) -> Result<Vec<String>, Error> {
    if let Some(with) = programs::titles_of_sshds().iter().find_map(|title| sshd::started_with(title)) {
        return Err(Error::Failed(format!(
            "an sshd runs that was started with `{with}`, which goes before {}: setup could not tell what it asks. Write that into the \
             configuration and start it without, or protect sshd by hand",
            places.sshd_config().display()
        )));
    }
    let file = file::read(&places.root).unwrap_or_default();
    if matches!(who, Who::Everybody | Who::EverybodyButRoot) {
        nobody_is_overridden(&file, places, who)?;
    }
    let before = places.sshd_config();
    let trial = Trial { after: copy(folder, places, (&before, steps))?, before, origins: whence::places(&file)? };
    trial.goes_on_with_others(who)?;
    trial.asks_whom_it_is_about(who)
}

/// Makes a copy of the configuration, with its drop-ins as they will be.
fn copy(folder: &Path, places: &Places, (main_path, steps): (&Path, &[Step])) -> Result<PathBuf, Error> {
    let main =
        fs::read_to_string(main_path).map_err(|error| Error::failed(&main_path.display().to_string(), &error))?;
    let tried = folder.join("sshd_config.d");
    let Some(copy) = sshd::with_drop_ins_of(&main, &tried) else {
        return Err(Error::Failed(format!(
            "{} does not read /{}: put `Include /{}/*.conf` on its first line",
            main_path.display(),
            sshd::FOLDER,
            sshd::FOLDER
        )));
    };
    let failed = |error: std::io::Error| Error::failed("cannot try sshd's configuration", &error);
    fs::create_dir_all(&tried).map_err(failed)?;
    let there = places.root.join(sshd::FOLDER);
    let entries = fs::read_dir(&there).map_err(|error| Error::failed(&there.display().to_string(), &error))?;
    // Folders are no drop-ins, and neither are links that lead nowhere.
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file()) {
        let text = fs::read(&path).map_err(failed)?;
        fs::write(tried.join(path.file_name().unwrap_or_default()), text).map_err(failed)?;
    }
    for step in steps.iter().filter(|step| step.is_sshd_config()) {
        texts::replace(&tried.join(sshd::FILE), step.after.as_deref())?;
    }
    let candidate = folder.join("sshd_config");
    fs::write(&candidate, copy).map_err(failed)?;
    Ok(candidate)
}

impl Trial {
    /// That sshd goes on as before with whoever is not protected.
    fn goes_on_with_others(&self, who: &Who) -> Result<(), Error> {
        for user in ["root", "nobody"].into_iter().filter(|user| !who.includes(user)) {
            for origin in &self.origins {
                if self.settings_of(user, origin)?.is_changed() {
                    return Err(Error::Failed(format!(
                        "sshd would treat {user}{origin} otherwise than before, which setup did not mean"
                    )));
                }
            }
        }
        Ok(())
    }

    /// That those who are protected are asked for a code, wherever they come from. Gives, in words, which methods authflow's come in front of,
    /// and where a password becomes a way in.
    fn asks_whom_it_is_about(&self, who: &Who) -> Result<Vec<String>, Error> {
        let mut words = Vec::new();
        for user in named(who) {
            // sshd goes by the uid, whatever the name.
            let is_root = accounts::by_name(&user).is_ok_and(|account| account.is_some_and(|account| account.uid == 0));
            for origin in &self.origins {
                let both = self.settings_of(&user, origin)?;
                both.after.asks((&user, is_root), origin).map_err(Error::Failed)?;
                if let Some((before, after)) = both.overridden() {
                    words.push(format!(
                        "for {user}{origin} sshd has AuthenticationMethods {before} now; authflow's comes in front of it: {after}"
                    ));
                }
                if both.opens_to_passwords() {
                    words.push(format!(
                        "sshd takes no password of {user}{origin} now; with this a password and a code let in, without a key"
                    ));
                }
            }
        }
        words.dedup();
        Ok(words)
    }

    fn settings_of(&self, user: &str, origin: &Origin) -> Result<Both, Error> {
        Ok(Both {
            before: programs::sshd_settings(&self.before, user, origin)?,
            after: programs::sshd_settings(&self.after, user, origin)?,
        })
    }
}

/// What sshd does, and would do, for one login.
struct Both {
    before: sshd::Settings,
    after: sshd::Settings,
}

impl Both {
    fn is_changed(&self) -> bool {
        self.before != self.after
    }

    /// Methods that are written there, and what stands in their place.
    fn overridden(&self) -> Option<(&str, &str)> {
        let (before, after) = (self.before.value(METHODS)?, self.after.value(METHODS).unwrap_or("any"));
        (before != "any" && before != after).then_some((before, after))
    }

    /// Whether a password is worth something that was worth nothing before. By either way sshd would ask PAM for one.
    fn opens_to_passwords(&self) -> bool {
        let ways = ["passwordauthentication", "kbdinteractiveauthentication"];
        ways.iter().all(|way| self.before.value(way) == Some("no"))
    }
}

const METHODS: &str = "authenticationmethods";

/// That no `Match` of the administrator's says otherwise for some, where all are to be asked for a code: either it would be overridden
/// without a word, or it would win, and the rules would keep those out.
fn nobody_is_overridden(file: &File, places: &Places, who: &Who) -> Result<(), Error> {
    let ours = places.sshd().display().to_string();
    let is_roots = |criteria: &str| criteria.split_whitespace().map(str::to_ascii_lowercase).eq(["user", "root"]);
    for found in &file.matches {
        if *who == Who::EverybodyButRoot && is_roots(&found.criteria) {
            continue;
        }
        let methods = found.settings.get(METHODS).filter(|setting| !sshd::asks_for_both(&setting.value));
        let questions = found.settings.get("kbdinteractiveauthentication");
        let questions = questions.filter(|setting| !setting.value.eq_ignore_ascii_case("yes"));
        let told = [(methods, "AuthenticationMethods"), (questions, "KbdInteractiveAuthentication")];
        for (setting, name) in told {
            let Some(setting) = setting.filter(|setting| setting.place.file.as_deref() != Some(&ours)) else {
                continue;
            };
            return Err(Error::Failed(format!(
                "{}: `Match {}` has {name} {}, and with --everybody whoever that is for would be asked for a code all the same, or kept out: \
                 name the people with --user, or take that line out first",
                setting.place, found.criteria, setting.value
            )));
        }
    }
    Ok(())
}

/// Those who are protected; where that is everybody, somebody whom no `Match` names.
fn named(who: &Who) -> Vec<String> {
    match who {
        Who::Users(users) => users.iter().cloned().collect(),
        Who::Everybody | Who::EverybodyButRoot => vec!["somebody".to_owned()],
    }
}

/// Whom "everybody" is: root is left out where sshd lets root in by key alone from anywhere, and so could not ask root for a code. `roots`
/// are the names of uid 0.
pub(super) fn everybody(services: &[Service], places: &Places, roots: &[String]) -> Result<Who, Error> {
    if !services.contains(&Service::Sshd) {
        return Ok(Who::Everybody);
    }
    for origin in whence::places(&file::read(&places.root).unwrap_or_default())? {
        let settings = programs::sshd_settings(&places.sshd_config(), "root", &origin)?;
        if !matches!(settings.value("permitrootlogin"), Some("yes" | "no")) {
            return but_root(roots);
        }
    }
    Ok(Who::Everybody)
}

/// Everybody but root, who is one name alone: of another one sshd says the same, and it would still be asked for a code.
fn but_root(roots: &[String]) -> Result<Who, Error> {
    match roots.iter().find(|name| *name != "root") {
        None => Ok(Who::EverybodyButRoot),
        Some(other) => Err(Error::Failed(format!(
            "{other} is root as well (uid 0), and sshd lets root in by no method with a code (PermitRootLogin), so that --everybody would keep \
             {other} out: name the people with --user"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_was_worth_nothing_before_is_told() {
        let opens = |before: &str| {
            let settings = |text: &str| sshd::Settings::parse(text);
            Both { before: settings(before), after: settings("kbdinteractiveauthentication yes\n") }
                .opens_to_passwords()
        };
        assert!(opens("passwordauthentication no\nkbdinteractiveauthentication no\n"));
        for way in [
            "passwordauthentication yes\nkbdinteractiveauthentication no\n",
            "passwordauthentication no\nkbdinteractiveauthentication yes\n",
        ] {
            assert!(!opens(way), "{way}");
        }
    }

    #[test]
    fn another_name_of_roots_is_not_kept_out() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(but_root(&names(&["root"])).unwrap(), Who::EverybodyButRoot);
        assert!(but_root(&names(&["root", "toor"])).unwrap_err().to_string().starts_with("toor is root as well"));
    }

    #[test]
    fn what_is_written_for_some_is_not_overridden_for_everybody() {
        let root = tempfile::tempdir().unwrap();
        let (config, drop_ins) = (root.path().join("authflow.toml"), root.path().join("rules"));
        let places = Places { root: root.path().to_owned(), config, drop_ins };
        fs::create_dir_all(places.sshd().parent().unwrap()).unwrap();
        let judge = |text: &str, who: &Who| {
            let main = format!("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n{text}");
            fs::write(places.sshd_config(), main).unwrap();
            nobody_is_overridden(&file::read(&places.root).unwrap(), &places, who).map_err(|error| error.to_string())
        };
        let robots = "Match Group robots\n  AuthenticationMethods publickey\n";
        for who in [Who::Everybody, Who::EverybodyButRoot] {
            let why = judge(robots, &who).unwrap_err();
            assert!(why.contains("sshd_config:4: `Match Group robots` has AuthenticationMethods publickey"), "{why}");
            assert!(judge("Match Address 10.0.0.0/8\nKbdInteractiveAuthentication no\n", &who).is_err());
            assert_eq!(
                judge(&robots.replace(" publickey", " publickey,keyboard-interactive:pam keyboard-interactive"), &who),
                Ok(())
            );
            assert_eq!(judge("Match Group sftp\n  ForceCommand internal-sftp\n", &who), Ok(()));
        }
        let roots = "Match User root\n  AuthenticationMethods publickey\n";
        assert_eq!(judge(roots, &Who::EverybodyButRoot), Ok(()));
        assert!(judge(roots, &Who::Everybody).is_err());
        fs::write(places.sshd(), sshd::text(&Who::Users(["alice".to_owned()].into()))).unwrap();
        assert_eq!(judge("", &Who::EverybodyButRoot), Ok(()), "our own");
    }
}
