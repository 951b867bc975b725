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
    if WORDS.iter().any(|word| control.eq_ignore_ascii_case(word)) {
        return None;
    }
    let pairs = pairs(control);
    let is_wrong = |(answer, word): &(String, String)| {
        let is_known = ANSWERS.contains(&answer.as_str());
        !is_known || (word != "bad" && named(word) == Action::Bad)
    };
    let wrong = pairs.into_iter().find(is_wrong)?;
    Some(if wrong.1.is_empty() { wrong.0 } else { format!("{}={}", wrong.0, wrong.1) })
}

/// What `control` says of that answer, by libpam's name for it: `success`, `auth_err`.
pub(crate) fn action(control: &str, answer: &str) -> Action {
    if fault(control).is_some() {
        return Action::Bad;
    }
    let control = control.to_ascii_lowercase();
    let (counted, failed) = match control.as_str() {
        "required" => (Action::Ok, Action::Bad),
        "requisite" => (Action::Ok, Action::Die),
        "sufficient" => (Action::Done, Action::Ignore),
        "optional" => (Action::Ok, Action::Ignore),
        _ => return in_brackets(&control, answer),
    };
    match answer {
        "success" | "new_authtok_reqd" => counted,
        "ignore" => Action::Ignore,
        _ => failed,
    }
}

fn in_brackets(control: &str, answer: &str) -> Action {
    let pairs = pairs(control);
    // Of two that say the same the last counts; but a second `default` finds nothing left to say.
    let said = pairs.iter().rfind(|(value, _)| value == answer);
    let said = said.or_else(|| pairs.iter().find(|(value, _)| value == "default"));
    // What is said of nothing, libpam takes for bad.
    said.map_or(Action::Bad, |(_, word)| named(word))
}

/// `answer=action`, with blanks around the sign or without. What has no action has an empty one.
fn pairs(control: &str) -> Vec<(String, String)> {
    let spread = control.trim_matches(['[', ']']).replace('=', " = ");
    let words: Vec<&str> = spread.split_whitespace().collect();
    let mut pairs = Vec::new();
    let mut rest = words.as_slice();
    while let Some((answer, after)) = rest.split_first() {
        let (action, after) = match after {
            ["=", action, after @ ..] => (*action, after),
            ["="] => ("", &[][..]),
            _ => ("", after),
        };
        pairs.push(((*answer).to_owned(), action.to_owned()));
        rest = after;
    }
    pairs
}

fn named(word: &str) -> Action {
    match word {
        "ignore" => Action::Ignore,
        "die" => Action::Die,
        "ok" => Action::Ok,
        "done" => Action::Done,
        "reset" => Action::Reset,
        // A jump by nothing is an error to libpam, and so is a word that it does not know.
        _ => word.parse().ok().filter(|count| *count > 0).map_or(Action::Bad, Action::Jump),
    }
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
        ] {
            assert_eq!(fault(control).as_deref(), expected, "{control}");
            assert_eq!(
                action(control, "auth_err").refuses(),
                expected.is_some() || control == "required" || control.contains("=bad"),
                "{control}"
            );
        }
    }
}
