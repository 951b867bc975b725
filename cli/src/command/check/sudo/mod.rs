//! Where sudo asks nobody: by its own ticket, which hides rules, by NOPASSWD, which a rule may end, and by settings that lead sudo to
//! another PAM service, or have it leave out what our lines there do.
//!
//! # Layout
//!
//! - `sudoers`: the files
//! - `around`: settings that lead around our lines
//! - `elsewhere`: sudoers that are in no file

mod around;
mod elsewhere;
mod sudoers;

use std::io;

use authflow_core::rule::{AccountMode, Rule};

use self::sudoers::{Setting, Settings};
use super::{Ground, catalogue::Defect, finding::Finding, finding::Place};

/// What `timestamp_timeout` is where nobody sets it, in the words of a finding.
const UNSET: &str = "some minutes";

/// What stands in sudoers that the rules for sudo do not know of. Nothing where sudo is not installed.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    if !ground.config.rules.iter().any(|rule| is_about_sudo(&rule)) {
        return Vec::new();
    }
    let mut found: Vec<Finding> = elsewhere::not_looked_at(ground).into_iter().collect();
    found.extend(of_files(ground));
    found
}

/// What stands in the machine's own files.
fn of_files(ground: &Ground<'_>) -> Vec<Finding> {
    let rules = || ground.config.rules.iter().filter(is_about_sudo);
    let stepping_up = rules().find(|rule| rule.from_session.is_some());
    match sudoers::read(ground.root) {
        Ok(settings) => {
            let tickets = stepping_up.map(|rule| tickets(&settings, &rule.name)).unwrap_or_default();
            let around = around::findings(ground, &settings);
            tickets.into_iter().chain(unasked(&settings, rules())).chain(around).collect()
        }
        Err((file, error)) if file == sudoers::main_file() && error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err((file, error)) if error.kind() == io::ErrorKind::PermissionDenied && !ground.context.is_root() => {
            vec![Finding::new(Defect::SudoersNotLookedAt, Place::file(&file), error.to_string(), "run it as root")]
        }
        Err((file, error)) => {
            vec![Finding::new(
                Defect::SudoersUnread,
                Place::file(&file),
                error.to_string(),
                "correct the line that includes it",
            )]
        }
    }
}

/// The tickets that these settings give: the last one for everybody decides, and each of those for somebody.
fn tickets(settings: &Settings, rule: &str) -> Vec<Finding> {
    let finding = |place: Place, length: &str| {
        let what = format!("sudo's own ticket ({length}) hides rule {rule:?}");
        let fix = match place.line {
            Some(_) => "write timestamp_timeout=0 there",
            None => "write \"Defaults timestamp_timeout=0\" into /etc/sudoers.d/authflow",
        };
        Finding::new(Defect::SudoTicketHides, place, what, fix)
    };
    let set: Vec<&Setting> = settings.of("timestamp_timeout").collect();
    let is_unset = !set.iter().any(|timeout| timeout.is_global);
    let unset = is_unset.then(|| finding(Place::file(sudoers::main_file()), UNSET));
    let given = set.into_iter().filter(|timeout| !gives_no_ticket(timeout)).map(|timeout| {
        let value = timeout.value.as_deref().unwrap_or_default();
        finding(Place::line(&timeout.file, timeout.line), &format!("timestamp_timeout={value}"))
    });
    unset.into_iter().chain(given).collect()
}

/// Whether sudo asks every time.
fn gives_no_ticket(timeout: &Setting) -> bool {
    timeout.value.as_ref().is_none_or(|minutes| minutes.parse::<f64>() == Ok(0.0))
}

fn is_about_sudo(rule: &&Rule) -> bool {
    ["sudo", "sudo-i"].iter().any(|name| rule.governs(name))
}

/// Commands that are free of questions: a rule that enforces refuses them unless something vouches, and no other rule is asked about them.
fn unasked<'a>(settings: &Settings, mut rules: impl Iterator<Item = &'a Rule> + Clone) -> Vec<Finding> {
    let enforcing = rules.clone().find(|rule| rule.account == AccountMode::Enforce);
    let deciding = rules.find(|rule| rule.methods.iter().any(|method| !method.is_stack()));
    let finding = |place: Place, word: &str| match (enforcing, deciding) {
        (Some(rule), _) => Some(Finding::new(
            Defect::SudoNopasswdEnds,
            place,
            format!("{word}, and rule {:?} says account = \"enforce\"", rule.name),
            format!("take {word} out, or give these users a rule of their own without account = \"enforce\""),
        )),
        (None, Some(rule)) => Some(Finding::new(
            Defect::SudoNopasswdUnasked,
            place,
            format!("{word}, and rule {:?} does not say account = \"enforce\"", rule.name),
            format!("take {word} out if these commands are to be asked for"),
        )),
        (None, None) => None,
    };
    let exempt = settings.of("exempt_group").filter_map(|set| {
        let group = set.value.as_deref().filter(|group| !group.is_empty())?;
        finding(Place::line(&set.file, set.line), &format!("exempt_group={group}"))
    });
    let free = settings.free.iter().filter_map(|free| finding(Place::line(&free.file, free.line), free.word));
    free.chain(exempt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::found;

    const STEP_UP: &str = "[[rule]]\nname='step-up'\nservice=['sudo']\nmethods=[['session'],['password']]\n\
                           from_session={proved=['password'],within='5m'}\n";
    const ENFORCED: &str = "[[rule]]\nname='all'\nservice=['sudo']\nmethods=[['password']]\naccount='enforce'\n";

    fn told(rules: &str, files: &[(&str, &str)]) -> Vec<String> {
        found(rules, files, findings)
    }

    #[test]
    fn a_ticket_that_hides_a_rule_is_told_with_its_place() {
        assert_eq!(told(STEP_UP, &[("etc/sudoers", "root ALL=(ALL) ALL\n")]), ["sudo-ticket-hides /etc/sudoers"]);
        let files = [
            ("etc/sudoers", "Defaults env_reset\n@includedir /etc/sudoers.d\n"),
            ("etc/sudoers.d/a", "# why\nDefaults !lecture, \\\n    timestamp_timeout = 5 # minutes\n"),
        ];
        assert_eq!(told(STEP_UP, &files), ["sudo-ticket-hides /etc/sudoers.d/a:2"]);
    }

    #[test]
    fn without_a_ticket_there_is_nothing_to_tell() {
        for none in [
            "Defaults timestamp_timeout=0\n",
            "Defaults\t!timestamp_timeout\n",
            "Defaults timestamp_timeout=5\nDefaults lecture, timestamp_timeout=0.0\n",
        ] {
            assert_eq!(told(STEP_UP, &[("etc/sudoers", none)]), Vec::<String>::new(), "{none}");
        }
        assert_eq!(told(STEP_UP, &[]), Vec::<String>::new(), "no sudo");
        let other = "[[rule]]\nname = 'a'\nservice = ['sudo']\nmethods = [['password']]\n";
        assert_eq!(told(other, &[("etc/sudoers", "")]), Vec::<String>::new(), "nothing to hide");
    }

    #[test]
    fn one_users_ticket_is_one_too_many() {
        let some = "Defaults timestamp_timeout=0\nDefaults:alice timestamp_timeout=-1\n#Defaults timestamp_timeout=9\n";
        assert_eq!(told(STEP_UP, &[("etc/sudoers", some)]), ["sudo-ticket-hides /etc/sudoers:2"]);
    }

    #[test]
    fn files_inside_of_files_are_read_and_a_circle_ends() {
        let files = [
            ("etc/sudoers", "@include more\n#includedir sudoers.d\n"),
            ("etc/more", "Defaults timestamp_timeout=7\n"),
            ("etc/sudoers.d/z", "Defaults timestamp_timeout=0\n"),
            ("etc/sudoers.d/zz~", "Defaults timestamp_timeout=8\n"),
            ("etc/sudoers.d/zz.old", "Defaults timestamp_timeout=8\n"),
        ];
        assert_eq!(told(STEP_UP, &files), Vec::<String>::new(), "the last one decides");
        let circle = [("etc/sudoers", "@include /etc/sudoers\n")];
        assert_eq!(told(STEP_UP, &circle), ["sudoers-unread /etc/sudoers"]);
    }

    #[test]
    fn what_is_free_of_questions_is_told_where_a_rule_ends_it() {
        let free =
            "# NOPASSWD: no\nDefaults:bob !authenticate\n%ops ALL=(ALL) NOPASSWD: ALL\nbob ALL=(ALL) ALL # NOPASSWD:\n";
        let files = [("etc/sudoers", free)];
        let blank = [("etc/sudoers", "bob ALL=(ALL) NOPASSWD : ALL\nUser_Alias NO_NOPASSWD = al\n")];
        assert_eq!(told(ENFORCED, &blank), ["sudo-nopasswd-ends /etc/sudoers:1"]);
        assert_eq!(told(ENFORCED, &files), ["sudo-nopasswd-ends /etc/sudoers:2", "sudo-nopasswd-ends /etc/sudoers:3"]);
        let auto = ENFORCED.replace("enforce", "auto");
        assert_eq!(
            told(&auto, &files),
            ["sudo-nopasswd-unasked /etc/sudoers:2", "sudo-nopasswd-unasked /etc/sudoers:3"]
        );
        assert_eq!(told(&auto.replace("'password'", "'stack'"), &files), Vec::<String>::new(), "the stack decides");
    }

    #[test]
    fn a_group_that_is_exempt_is_told_and_the_last_word_for_everybody_decides() {
        let told = |text: &str| told(ENFORCED, &[("etc/sudoers", text)]);
        assert_eq!(told("Defaults env_reset, exempt_group = bob\n"), ["sudo-nopasswd-ends /etc/sudoers:1"]);
        assert_eq!(told("Defaults:bob exempt_group=bob\n"), ["sudo-nopasswd-ends /etc/sudoers:1"]);
        for none in ["Defaults exempt_group=bob\nDefaults !exempt_group\n", "# Defaults exempt_group=bob\n"] {
            assert_eq!(told(none), Vec::<String>::new(), "{none}");
        }
    }

    #[test]
    fn a_directory_of_sudoers_is_not_looked_at_and_that_is_told() {
        let told = |rules: &str, line: &str| {
            told(rules, &[("etc/nsswitch.conf", &format!("passwd: files sss\n{line}\n")), ("etc/sudoers", "")])
        };
        let expected = ["sudoers-not-looked-at etc/nsswitch.conf:2"];
        for elsewhere in ["sudoers: files sss", "sudoers:\tldap # why", "SUDOERS: files [SUCCESS=return] sss"] {
            assert_eq!(told(ENFORCED, elsewhere), expected, "{elsewhere}");
        }
        for own in ["sudoers: files", "sudoers: files [NOTFOUND=return] # sss", "#sudoers: sss", "group: sss"] {
            assert_eq!(told(ENFORCED, own), Vec::<String>::new(), "{own}");
        }
        assert_eq!(told("", "sudoers: sss"), Vec::<String>::new(), "no rule is about sudo");
    }
}
