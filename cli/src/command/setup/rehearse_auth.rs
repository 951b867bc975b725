//! The auth phase of the new stacks, run by real `su` as far as our module's own first question. Judges what comes of it, against the stack as
//! it stands where that tells more.

use std::path::Path;

use authflow_host::accounts::{self, Account};

use super::{
    knock::{Ending, Knock, LET_IN},
    plan::{Places, Step},
    preflight::Folder,
    programs, rehearse,
};
use crate::error::Error;

/// The service as which the stacks are run, whosever they are: su asks whoever is not root, and needs nothing of systemd's.
pub(super) const SERVICE: &str = "su";

/// What becomes of a setup by the trial of one stack.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Our module asks.
    Fine,
    /// It tells nothing against it, nor for it.
    Untold(String),
    /// This machine has nothing that could try it.
    Untried(String),
    /// It must not go live.
    Refused(String),
}

/// Runs every stack in which setup puts its lines. Gives what could not be tried here, and why.
pub(super) fn run(
    folder: &Folder,
    (places, config): (&Places, &Path),
    (user, steps): (&str, &[Step]),
) -> Result<Vec<String>, Error> {
    let mut untold = Vec::new();
    let su = places.stack(SERVICE);
    let words = format!("config={} one_prompt", config.display());
    for step in steps.iter().filter(|step| step.is_stack()) {
        let (Some(before), Some(after)) = (&step.before, &step.after) else { continue };
        if !after.lines().any(is_our_auth) {
            continue;
        }
        let Some(as_whom) = knocker(user)? else {
            untold.push(untried("there is nobody to try it as"));
            break;
        };
        let knock = Knock { folder, su: &su, as_whom: &as_whom, user };
        let new = knock.at(&rehearse::with_words(&up_to_ours(after), &words))?;
        let old = || knock.at(&without_account(&rehearse::with_words(before, &words)));
        match judge(new, old, (user, &as_whom.name))? {
            Verdict::Fine => {}
            Verdict::Untold(why) => untold.push(format!("{}: {why}", step.path.display())),
            // For the same reason as the one before, as a rule.
            Verdict::Untried(why) if untold.contains(&untried(&why)) => {}
            Verdict::Untried(why) => untold.push(untried(&why)),
            Verdict::Refused(why) => {
                let path = step.path.display();
                return Err(Error::Failed(format!(
                    "{path} with authflow's lines {why}, so nothing was changed; {}",
                    log()
                )));
            }
        }
    }
    Ok(untold)
}

fn untried(why: &str) -> String {
    format!("auth of the new stacks is not tried before they go live: {why}")
}

/// The account that runs su: the user's own, or for root, whom su asks nothing, one that may do nothing.
fn knocker(user: &str) -> Result<Option<Account>, Error> {
    let failed = |error| Error::failed(user, &error);
    let own = accounts::by_name(user).map_err(failed)?;
    if own.as_ref().is_some_and(|account| account.uid == 0) {
        return Ok(accounts::by_name("nobody").map_err(failed)?.filter(|nobody| nobody.uid != 0));
    }
    Ok(own)
}

fn is_our_auth(row: &str) -> bool {
    rehearse::is_ours(row) && row.trim_start().starts_with("auth")
}

/// The stack with an end behind our auth line: what stands there is for whom our module leaves to others, and here it leaves nobody.
fn up_to_ours(stack: &str) -> String {
    let row = |row: &str| {
        let end = if is_our_auth(row) { "\nauth requisite pam_deny.so" } else { "" };
        format!("{row}{end}")
    };
    without_account(&stack.split('\n').map(row).collect::<Vec<_>>().join("\n"))
}

/// The stack with an account phase that tells that auth let in, and lets nobody in: no session is opened, and whoever found a way into the
/// trial is no further.
fn without_account(stack: &str) -> String {
    format!("account requisite pam_echo.so {LET_IN}\naccount requisite pam_deny.so\n{stack}")
}

fn judge(
    new: Ending,
    old: impl FnOnce() -> Result<Ending, Error>,
    (user, as_whom): (&str, &str),
) -> Result<Verdict, Error> {
    Ok(match new {
        Ending::Ours => Verdict::Fine,
        Ending::LetIn => Verdict::Refused(format!("lets {user} in without asking")),
        // Whatever hangs there now: nobody could confirm by it.
        Ending::Stuck => Verdict::Refused(format!(
            "came to no end for {user} before authflow asked ({})",
            rehearse::could_be_held_up(as_whom)
        )),
        Ending::NotTried(why) => Verdict::Untried(why),
        Ending::Refused(said) => match old()? {
            Ending::Refused(_) => Verdict::Untold(format!(
                "run as su it refuses {user} before authflow's lines as well ({said}), so that it is not known whether it comes to authflow's question"
            )),
            Ending::NotTried(why) => Verdict::Untried(why),
            Ending::Ours | Ending::Other(_) | Ending::LetIn | Ending::Stuck => {
                Verdict::Refused(format!("refuses {user} before authflow asks ({said})"))
            }
        },
        Ending::Other(question) => match old()? {
            // It stands in front of our line.
            Ending::Other(before) if before == question => Verdict::Untold(format!(
                "another module asks {user} first ({question}), so that it is not known whether it comes to authflow's question"
            )),
            Ending::NotTried(why) => Verdict::Untried(why),
            Ending::Ours | Ending::Other(_) | Ending::LetIn | Ending::Refused(_) | Ending::Stuck => {
                Verdict::Refused(format!("asks {user} something else than authflow does ({question})"))
            }
        },
    })
}

/// Where it is told why.
fn log() -> &'static str {
    if programs::has_systemd() {
        "the log may say why: journalctl -t su --since -1min"
    } else {
        "the log may say why: su's last lines in auth.log or secure"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::setup::pam_edit::MARK, pam_stack::OURS};

    fn refused(said: &str) -> Ending {
        Ending::Refused(said.to_owned())
    }

    fn other(question: &str) -> Ending {
        Ending::Other(question.to_owned())
    }

    fn judged(new: Ending, old: Ending) -> Verdict {
        judge(new, || Ok(old), ("alice", "alice")).unwrap()
    }

    #[test]
    fn what_lets_in_unasked_or_hangs_is_refused_whatever_it_does_today() {
        for old in [Ending::Ours, Ending::LetIn, Ending::Stuck, refused("no"), other("Password:")] {
            assert_eq!(judged(Ending::Ours, old.clone()), Verdict::Fine);
            assert_eq!(judged(Ending::LetIn, old.clone()), Verdict::Refused("lets alice in without asking".to_owned()));
            assert!(matches!(judged(Ending::Stuck, old.clone()), Verdict::Refused(_)));
            assert!(matches!(judged(Ending::NotTried("no su".to_owned()), old), Verdict::Untried(_)));
        }
    }

    #[test]
    fn who_could_have_stopped_a_trial_that_hangs_is_named() {
        let Verdict::Refused(why) = judge(Ending::Stuck, || Ok(Ending::Ours), ("root", "nobody")).unwrap() else {
            panic!("it is refused");
        };
        assert!(
            why.starts_with("came to no end for root before authflow asked (processes of nobody's can stop"),
            "{why}"
        );
        assert!(why.ends_with("end them, or try another user)"), "{why}");
    }

    #[test]
    fn a_refusal_is_held_against_the_new_stack_where_the_old_one_gives_none() {
        for old in [Ending::LetIn, Ending::Stuck, other("Password:")] {
            assert!(matches!(judged(refused("no"), old), Verdict::Refused(_)));
        }
        assert!(matches!(judged(refused("no"), refused("no")), Verdict::Untold(_)));
        assert!(matches!(judged(refused("no"), Ending::NotTried("x".to_owned())), Verdict::Untried(_)));
    }

    #[test]
    fn another_modules_question_is_known_from_the_old_stack_or_refused() {
        assert!(matches!(judged(other("Token:"), other("Token:")), Verdict::Untold(_)));
        for old in [Ending::LetIn, Ending::Stuck, refused("no"), other("Password:")] {
            assert!(matches!(judged(other("Token:"), old), Verdict::Refused(_)));
        }
    }

    #[test]
    fn the_trial_ends_behind_our_line_and_lets_nobody_in() {
        let stack = format!("#%PAM-1.0\nauth x {OURS}  {MARK}\n@include common-auth\naccount y {OURS}  {MARK}\n");
        let trial = up_to_ours(&stack);
        assert_eq!(
            trial,
            format!(
                "account requisite pam_echo.so {LET_IN}\naccount requisite pam_deny.so\n#%PAM-1.0\nauth x {OURS}  {MARK}\n\
                 auth requisite pam_deny.so\n@include common-auth\naccount y {OURS}  {MARK}\n"
            )
        );
    }
}
