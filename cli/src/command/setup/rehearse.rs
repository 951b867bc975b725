//! The new stacks run through libpam before they go live, with rules of their own, for a user of those who will be protected: auth as far as
//! our own first question (`rehearse_auth`), and account and session under a service name of their own. Nobody's secrets are asked for: that
//! answers are taken is shown by the login that confirms. This shows that the module is found and loaded, that its files are trusted, that the
//! modules around it go on, and that the daemon opens a session.

use std::path::{Path, PathBuf};

use super::{
    pam_edit::MARK,
    plan::{Places, Step},
    preflight::Folder,
    programs, rehearse_auth, texts,
};
use crate::{error::Error, pam_stack::OURS, session::SETUP_TRIAL};

/// Runs every stack that `steps` change for that user. Gives what could not be tried here, and why.
pub(super) fn run(folder: &Folder, places: &Places, (user, steps): (&str, &[Step])) -> Result<Vec<String>, Error> {
    let config = folder.path().join("authflow.toml");
    texts::replace(&config, Some(&rules()))?;
    let mut untried = rehearse_auth::run(folder, (places, &config), (user, steps))?;
    if programs::has_systemd() {
        account_and_session(folder, (places, &config), (user, steps))?;
    } else {
        untried
            .push("without systemd account and session of the new stacks are not tried before they go live".to_owned());
    }
    Ok(untried)
}

fn account_and_session(
    folder: &Folder,
    (places, config): (&Places, &Path),
    (user, steps): (&str, &[Step]),
) -> Result<(), Error> {
    for step in steps.iter().filter(|step| step.is_stack()) {
        let Some(after) = &step.after else { continue };
        let trial = Trial::new(places, &with_words(after, &format!("config={}", config.display())))?;
        let (service, whom) = (format!("--property=PAMName={SETUP_TRIAL}"), format!("--property=User={user}"));
        let unit = format!("--unit={SETUP_TRIAL}");
        let tried =
            programs::ending(&["systemd-run", "--quiet", "--wait", "--collect", &unit, &service, &whom, "/bin/true"]);
        drop(trial);
        folder.go_on()?;
        let (code, said) = tried?;
        if let Some(why) = Ending::of(code).words(user, &said) {
            return Err(Error::Failed(format!("{} with authflow's lines {why}", step.path.display())));
        }
    }
    Ok(())
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A session was opened, and closed.
    Opened,
    /// The stack refused it.
    Refused,
    /// It took longer than any stack that is well.
    Stuck,
    /// It never came to the stack, or not to its end, with systemd's own code or none.
    NotTried(Option<i32>),
}

impl Ending {
    /// From the exit code of `systemd-run --wait`, in which systemd tells what it could not do (systemd.exec(5)).
    const fn of(code: Option<i32>) -> Self {
        match code {
            Some(0) => Self::Opened,
            Some(224) => Self::Refused,
            // The words of timeout(1).
            Some(124 | 137) => Self::Stuck,
            other => Self::NotTried(other),
        }
    }

    /// What is wrong, behind the name of the stack. `None`: nothing.
    fn words(self, user: &str, said: &str) -> Option<String> {
        let log = format!("journalctl -u {SETUP_TRIAL} -t authflow-sessiond --since -1min");
        match self {
            Self::Opened => None,
            Self::Refused => {
                Some(format!("opens no session for {user}, so nothing was changed; the log says why: {log}"))
            }
            Self::Stuck => Some(format!(
                "came to no end for {user}{}, so nothing was changed; the log may say where it hangs: {log}",
                // Of root's processes there is nobody to suspect.
                if user == "root" { String::new() } else { format!(" ({})", could_be_held_up(user)) }
            )),
            Self::NotTried(code) => {
                let code = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
                Some(format!(
                    "could not be tried, so nothing was changed: it is not the stack that said no, but systemd, which ended {code} (see \
                     \"Process Exit Codes\" in systemd.exec(5)): {said}; {log}"
                ))
            }
        }
    }
}

/// Whose doing it can be that a trial hangs: what runs by somebody's uid can be stopped by whatever else does.
pub(super) fn could_be_held_up(as_whom: &str) -> String {
    format!("processes of {as_whom}'s can stop what runs as {as_whom}: end them, or try another user")
}

/// A rule about the trial alone, so that nothing of the machine's own is looked at or counted.
fn rules() -> String {
    let services = format!("\"{SETUP_TRIAL}\", \"{}\"", rehearse_auth::SERVICE);
    format!("[[rule]]\nname = \"{SETUP_TRIAL}\"\nservice = [{services}]\nmethods = [[\"password\", \"totp\"]]\n")
}

/// The stack, with these words behind our module's name in our lines.
pub(super) fn with_words(stack: &str, words: &str) -> String {
    let row = |row: &str| {
        if is_ours(row) { row.replace(OURS, &format!("{OURS} {words}")) } else { row.to_owned() }
    };
    stack.split('\n').map(row).collect::<Vec<_>>().join("\n")
}

/// Whether setup put that row in, and it calls our module.
pub(super) fn is_ours(row: &str) -> bool {
    row.trim_end().ends_with(MARK) && row.contains(OURS)
}

/// The trial's stack, gone with its value.
struct Trial(PathBuf);

impl Trial {
    fn new(places: &Places, text: &str) -> Result<Self, Error> {
        let trial = Self(places.stack(SETUP_TRIAL));
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
    texts::replace(&places.stack(SETUP_TRIAL), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_cannot_do_is_not_taken_for_the_stacks_refusal() {
        let words = |code| Ending::of(code).words("alice", "it said nothing");
        assert_eq!(words(Some(0)), None);
        assert!(words(Some(224)).unwrap().starts_with("opens no session for alice"));
        let stuck = words(Some(124)).unwrap();
        assert!(
            stuck.starts_with("came to no end for alice (processes of alice's can stop what runs as alice"),
            "{stuck}"
        );
        for other in [Some(203), Some(202), Some(1), None] {
            let words = words(other).unwrap();
            assert!(words.starts_with("could not be tried") && !words.contains("opens no session"), "{words}");
        }
    }

    #[test]
    fn only_our_own_lines_are_told_of_the_rules_of_the_trial() {
        let stack = format!("auth required {OURS}\nauth required {OURS} breakglass  {MARK}\n@include x  {MARK}\n");
        let told = with_words(&stack, "config=/c");
        assert_eq!(
            told,
            format!("auth required {OURS}\nauth required {OURS} config=/c breakglass  {MARK}\n@include x  {MARK}\n")
        );
    }
}
