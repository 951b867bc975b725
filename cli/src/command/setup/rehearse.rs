//! The new stacks run through libpam before they go live: under a service name of their own, with rules of their own, account and session
//! for a user of those who will be protected. It needs nobody's secrets, so it does not show that answers are taken; it shows that the
//! module is found and loaded, that its files are trusted, that the modules around it go on, and that the daemon opens a session.

use std::path::{Path, PathBuf};

use super::{
    pam_edit::MARK,
    plan::{Places, Step},
    programs, texts,
};
use crate::{error::Error, pam_stack::OURS};

/// The service that nobody logs in by.
const SERVICE: &str = "authflow-setup-trial";

/// Runs every stack that `steps` change for that user. `false`: this machine has no program that could.
pub(super) fn run(folder: &Path, places: &Places, (user, steps): (&str, &[Step])) -> Result<bool, Error> {
    if !programs::has_systemd() {
        return Ok(false);
    }
    let config = folder.join("authflow.toml");
    texts::replace(&config, Some(&rules()))?;
    for step in steps.iter().filter(|step| step.is_stack()) {
        let Some(after) = &step.after else { continue };
        let trial = Trial::new(places, &with_config(after, &config))?;
        let (service, whom) = (format!("--property=PAMName={SERVICE}"), format!("--property=User={user}"));
        let unit = format!("--unit={SERVICE}");
        let tried =
            programs::run(&["systemd-run", "--quiet", "--wait", "--collect", &unit, &service, &whom, "/bin/true"]);
        drop(trial);
        if tried.is_err() {
            return Err(Error::Failed(format!(
                "{} with authflow's lines opens no session for {user}, so nothing was changed; the log says why: journalctl -u {SERVICE} \
                 -t authflow-sessiond --since -1min",
                step.path.display()
            )));
        }
    }
    Ok(true)
}

/// A rule about the trial alone, so that nothing of the machine's own is looked at or counted.
fn rules() -> String {
    format!("[[rule]]\nname = \"{SERVICE}\"\nservice = [\"{SERVICE}\"]\nmethods = [[\"password\", \"totp\"]]\n")
}

/// The stack, with our lines told of those rules.
fn with_config(stack: &str, config: &Path) -> String {
    let row = |row: &str| {
        if row.trim_end().ends_with(MARK) && row.contains(OURS) {
            row.replace(OURS, &format!("{OURS} config={}", config.display()))
        } else {
            row.to_owned()
        }
    };
    stack.split('\n').map(row).collect::<Vec<_>>().join("\n")
}

/// The trial's stack, gone with its value.
struct Trial(PathBuf);

impl Trial {
    fn new(places: &Places, text: &str) -> Result<Self, Error> {
        let trial = Self(places.stack(SERVICE));
        texts::replace(&trial.0, Some(text))?;
        Ok(trial)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _left_behind = texts::replace(&self.0, None);
    }
}

/// Takes away what a rehearsal that was killed left behind.
pub(super) fn tidy_up(places: &Places) -> Result<(), Error> {
    texts::replace(&places.stack(SERVICE), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_are_told_of_the_rules_of_the_trial() {
        let stack = format!("auth required {OURS}\nauth required {OURS} breakglass  {MARK}\n@include x  {MARK}\n");
        let told = with_config(&stack, Path::new("/c"));
        assert_eq!(
            told,
            format!("auth required {OURS}\nauth required {OURS} config=/c breakglass  {MARK}\n@include x  {MARK}\n")
        );
    }
}
