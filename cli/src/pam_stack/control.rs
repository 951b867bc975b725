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

/// What `control` says of that answer, by libpam's name for it: `success`, `auth_err`.
pub(crate) fn action(control: &str, answer: &str) -> Action {
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
    let pairs = || control.trim_matches(['[', ']']).split_whitespace().filter_map(|pair| pair.split_once('='));
    let of = |name: &str| pairs().find(|(value, _)| *value == name).map(|(_, word)| named(word));
    // What is said of nothing, libpam takes for bad.
    of(answer).or_else(|| of("default")).unwrap_or(Action::Bad)
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
}
