//! The names of the lines that the module may log.

authflow_core::events! {
    /// A phase has answered; with the option `debug` alone.
    Answered = "answered",
    /// Root at a real console was left to the other modules, since our own files are unusable.
    Breakglass = "breakglass",
    /// The live configuration is broken, and the last good one is in force.
    ConfigLastGood = "config-last-good",
    /// The daemon could not be reached, and the login goes on without it.
    DaemonAway = "daemon-away",
    /// A flow was granted.
    Granted = "granted",
    /// What the user is to be told could not be read, or not be noted as told.
    NewsUnread = "news-unread",
    /// New passwords could not be compared with the common ones.
    NoCommonPasswords = "no-common-passwords",
    /// libpam took no delay for a failure.
    NoDelay = "no-delay",
    /// The caller's session does not vouch, so everything is asked.
    NotVouched = "not-vouched",
    /// A defect: a phase panicked, and is refused. Written by `ffi`, which can allocate nothing then.
    Panic = "panic",
    /// A password was changed.
    PasswordChanged = "password-changed",
    /// The password could not be left to the modules behind.
    PasswordNotKept = "password-not-kept",
    /// `proved=password` counts for nothing in this login.
    PasswordNotProved = "password-not-proved",
    /// A phase refuses.
    Refused = "refused",
    /// Root at a console got a session beyond the limit.
    RootAtConsoleNotRefused = "root-at-console-not-refused",
    /// It cannot be told by which rule a session is opened that need prove nothing.
    RuleUntold = "rule-untold",
    /// A session was closed by its application.
    SessionClosed = "session-closed",
    /// A session was opened.
    SessionOpened = "session-opened",
    /// A session is neither known to the daemon nor written down for it.
    SessionUntracked = "session-untracked",
    /// The variable that names the session to people was not set.
    VariableNotSet = "variable-not-set",
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn the_catalogue_has_every_event_and_no_other() {
        let catalogue = include_str!("../../docs/events.md");
        let (_, section) = catalogue.split_once("\n## The module\n").unwrap();
        let rows = section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
        let written: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(written, Event::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>());
    }
}
