//! The names of the lines that the command may log.

authflow_core::events! {
    /// A bypass code was withdrawn.
    BypassCancelled = "bypass-cancelled",
    /// A bypass code was issued.
    BypassIssued = "bypass-issued",
    /// A user was disabled.
    Disabled = "disabled",
    /// A disabled user may log in again.
    Enabled = "enabled",
    /// An authenticator was added.
    FactorAdded = "factor-added",
    /// An authenticator or the password was removed.
    FactorRemoved = "factor-removed",
    /// What went by a user's name was taken away.
    Forgotten = "forgotten",
    /// An initial password was set.
    InitialPasswordSet = "initial-password-set",
    /// A password was set.
    PasswordChanged = "password-changed",
    /// Recovery codes were made, and those from before are void.
    RecoveryCodesMade = "recovery-codes-made",
    /// A setup was confirmed in a new login, and stays.
    SetupConfirmed = "setup-confirmed",
    /// A setup is in force, and rolled back unless it is confirmed.
    SetupLive = "setup-live",
    /// A setup could not be rolled back by itself.
    SetupNotRolledBack = "setup-not-rolled-back",
    /// What setup had put in was taken out again.
    SetupRemoved = "setup-removed",
    /// A setup was rolled back.
    SetupRolledBack = "setup-rolled-back",
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn the_catalogue_has_every_event_and_no_other() {
        let catalogue = include_str!("../../docs/events.md");
        let (_, section) = catalogue.split_once("\n## The command\n").unwrap();
        let rows = section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
        let written: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(written, Event::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>());
    }
}
