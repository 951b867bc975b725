//! What a module's answer does to its stack, as the line's control says it.

/// What libpam does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// As if the module had not been called.
    Ignore,
    /// The stack fails in the end.
    Bad,
    /// It fails at once.
    Die,
    /// It counts, and the stack goes on.
    Ok,
    /// It counts, and the stack ends.
    Done,
    /// What has been so far is forgotten.
    Reset,
    /// So many modules are left out.
    Jump(usize),
}

impl Action {
    /// Whether the stack as a whole fails.
    pub(crate) const fn refuses(self) -> bool {
        match self {
            Self::Bad | Self::Die => true,
            Self::Ignore | Self::Ok | Self::Done | Self::Reset | Self::Jump(_) => false,
        }
    }
}

/// libpam's names for what a module answers, and for whatever else.
const ANSWERS: [&str; 33] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
    "default",
];

const WORDS: [&str; 4] = ["required", "requisite", "sufficient", "optional"];

/// The part of `control` that libpam does not understand, if any. It then takes whatever the module answers for a failure.
pub(crate) fn fault(control: &str) -> Option<String> {
    let control = bare(control);
    if word(control).is_some() {
        return None;
    }
    pairs(control).err()
}

/// What `control` says of that answer, by libpam's name for it: `success`, `auth_err`.
pub(crate) fn action(control: &str, answer: &str) -> Action {
    let control = bare(control);
    let (counted, failed) = match word(control) {
        Some("required") => (Action::Ok, Action::Bad),
        Some("requisite") => (Action::Ok, Action::Die),
        Some("sufficient") => (Action::Done, Action::Ignore),
        Some(_) => (Action::Ok, Action::Ignore),
        None => return in_brackets(control, answer),
    };
    match answer {
        "success" | "new_authtok_reqd" => counted,
        "ignore" => Action::Ignore,
        _ => failed,
    }
}

/// All that `control` does by one answer or another.
pub(crate) fn actions(control: &str) -> Vec<Action> {
    ANSWERS.iter().map(|answer| action(control, answer)).collect()
}

/// Whether it is one of libpam's words, and no pairs.
pub(crate) fn is_word(control: &str) -> bool {
    word(bare(control)).is_some()
}

/// Whether libpam reads it as that word, which need not be one for a module.
pub(crate) fn is_written_as(control: &str, word: &str) -> bool {
    bare(control).eq_ignore_ascii_case(word)
}

/// Without the brackets, which only hold blanks together: libpam reads a word in them, and pairs without them.
fn bare(control: &str) -> &str {
    let Some(inner) = control.strip_prefix('[') else { return control };
    inner.strip_suffix(']').unwrap_or(inner)
}

fn word(control: &str) -> Option<&'static str> {
    WORDS.into_iter().find(|word| control.eq_ignore_ascii_case(word))
}

fn in_brackets(control: &str, answer: &str) -> Action {
    // What libpam cannot read it takes for bad, all of it.
    let pairs = pairs(control).unwrap_or_default();
    // Of two that say the same the last counts; but a second `default` finds nothing left to say.
    let said = pairs.iter().rfind(|(value, _)| *value == answer);
    let said = said.or_else(|| pairs.iter().find(|(value, _)| *value == "default"));
    // What is said of nothing, libpam takes for bad.
    said.map_or(Action::Bad, |(_, action)| *action)
}

/// `answer=action`, with blanks around each or without: libpam needs none between two pairs either. Else the word that it cannot read.
fn pairs(control: &str) -> Result<Vec<(&'static str, Action)>, String> {
    let mut pairs = Vec::new();
    let mut rest = control.trim_start();
    while !rest.is_empty() {
        let fault = |at: &str| word_around(control, control.len().saturating_sub(at.len()));
        let (answer, after) = leading_answer(rest).ok_or_else(|| fault(rest))?;
        let after = after.trim_start().strip_prefix('=').ok_or_else(|| fault(rest))?.trim_start();
        let (action, after) =
            leading_action(after).ok_or_else(|| fault(if after.is_empty() { rest } else { after }))?;
        pairs.push((answer, action));
        rest = after.trim_start();
    }
    Ok(pairs)
}

fn leading_answer(text: &str) -> Option<(&'static str, &str)> {
    ANSWERS.into_iter().find_map(|answer| Some((answer, text.strip_prefix(answer)?)))
}

fn leading_action(text: &str) -> Option<(Action, &str)> {
    let named = [
        ("ignore", Action::Ignore),
        ("ok", Action::Ok),
        ("done", Action::Done),
        ("bad", Action::Bad),
        ("die", Action::Die),
        ("reset", Action::Reset),
    ];
    if let Some(found) = named.into_iter().find_map(|(name, action)| Some((action, text.strip_prefix(name)?))) {
        return Some(found);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (count, after) = text.split_at(end);
    // A jump by nothing is an error to libpam.
    let count = count.parse().ok().filter(|count| *count > 0)?;
    Some((Action::Jump(count), after))
}

/// What stands at that place between blanks.
fn word_around(text: &str, place: usize) -> String {
    let (before, after) = text.split_at_checked(place).unwrap_or((text, ""));
    let begun = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let ended = after.split(char::is_whitespace).next().unwrap_or_default();
    format!("{begun}{ended}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_for_what_the_manual_says() {
        for (control, success, auth_err, ignore) in [
            ("required", Action::Ok, Action::Bad, Action::Ignore),
            ("REQUISITE", Action::Ok, Action::Die, Action::Ignore),
            ("sufficient", Action::Done, Action::Ignore, Action::Ignore),
            ("optional", Action::Ok, Action::Ignore, Action::Ignore),
            ("[success=2 default=die]", Action::Jump(2), Action::Die, Action::Die),
            ("[success=ok ignore=ignore]", Action::Ok, Action::Bad, Action::Ignore),
            ("[success=end default=0]", Action::Bad, Action::Bad, Action::Bad),
            ("[ success\t=  done default = 2 ]", Action::Done, Action::Jump(2), Action::Jump(2)),
            // Each of these was tried with libpam 1.5.2.
            ("[success=donedefault=ignore]", Action::Done, Action::Ignore, Action::Ignore),
            ("[success=01default=ignore]", Action::Jump(1), Action::Ignore, Action::Ignore),
            ("[default=done success=ignore]", Action::Ignore, Action::Done, Action::Done),
            ("success=done", Action::Done, Action::Bad, Action::Bad),
            ("[Sufficient]", Action::Done, Action::Ignore, Action::Ignore),
            ("[ sufficient ]", Action::Bad, Action::Bad, Action::Bad),
        ] {
            let all = (action(control, "success"), action(control, "auth_err"), action(control, "ignore"));
            assert_eq!(all, (success, auth_err, ignore), "{control}");
        }
    }

    #[test]
    fn what_libpam_does_not_understand_is_named_and_refuses_whatever_comes() {
        for (control, expected) in [
            ("required", None),
            ("Sufficient", None),
            ("[success=2 new_authtok_reqd=done default=bad]", None),
            ("[success = ok default = ignore]", None),
            ("requried", Some("requried")),
            ("[sucess=ok default=ignore]", Some("sucess=ok")),
            ("[success=okay default=ignore]", Some("success=okay")),
            ("[success=0 default=ignore]", Some("success=0")),
            ("[success default=ignore]", Some("success")),
            ("[SUCCESS=ok default=ignore]", Some("SUCCESS=ok")),
            ("[success=donedefault=ignore]", None),
            ("[required]", None),
            ("[ sufficient ]", Some("sufficient")),
            ("[default=ignore success=]", Some("success=")),
            ("[success =", Some("success")),
            ("[default=ignore success = okay]", Some("okay")),
        ] {
            assert_eq!(fault(control).as_deref(), expected, "{control}");
            assert_eq!(
                action(control, "auth_err").refuses(),
                expected.is_some() || control.contains("required") || control.contains("=bad"),
                "{control}"
            );
        }
    }
}
