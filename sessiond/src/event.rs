//! The names of the lines that the daemon may log.

authflow_core::events! {
    /// A user who waited for an administrator's word is in order again.
    AccountFoundInOrder = "account-found-in-order",
    /// An account could not be looked up.
    AccountUnknown = "account-unknown",
    /// The accounts of live sessions are followed; the first look is over.
    AccountsFollowed = "accounts-followed",
    /// The accounts could not be looked up.
    AccountsNotLookedUp = "accounts-not-looked-up",
    /// The account files cannot be watched.
    AccountsUnwatched = "accounts-unwatched",
    /// A login that was opened without the daemon is tracked now.
    Adopted = "adopted",
    /// The connection to the bus is gone; the daemon ends, to be started anew.
    BusGone = "bus-gone",
    /// A session is over.
    Closed = "closed",
    /// Another configuration than before is in force.
    ConfigInForce = "config-in-force",
    /// The live configuration is broken, and the last good one is in force.
    ConfigLastGood = "config-last-good",
    /// Neither the live configuration nor a last good one can be used.
    ConfigUnusable = "config-unusable",
    /// A user's sessions end, and all that the user runs.
    Deactivated = "deactivated",
    /// A user should lose what is open, but for so many at once; an administrator decides.
    DeactivationWaits = "deactivation-waits",
    /// A part of the daemon panicked; it ends, to be started anew.
    Defect = "defect",
    /// logind's word about a desktop could not be had.
    DesktopUnknown = "desktop-unknown",
    /// logind's signals cannot be heard.
    DesktopsUnwatched = "desktops-unwatched",
    /// Login programs must take the bus.
    DoorShut = "door-shut",
    /// A session is being ended.
    Ending = "ending",
    /// A session's idle deadline was pushed.
    Extended = "extended",
    /// A user has added an authenticator.
    FactorAdded = "factor-added",
    /// A user has removed an authenticator.
    FactorRemoved = "factor-removed",
    /// A user's change of an authenticator was refused.
    FactorUnchanged = "factor-unchanged",
    /// A flow for a process that is not root was denied.
    FlowDenied = "flow-denied",
    /// A flow for a process that is not root was granted.
    FlowGranted = "flow-granted",
    /// A flow for a process that is not root was not begun.
    FlowNotBegun = "flow-not-begun",
    /// Old history could not be deleted.
    HistoryNotExpired = "history-not-expired",
    /// A command keeps a session from idling.
    Inhibited = "inhibited",
    /// A desktop's screen was locked at a limit.
    Locked = "locked",
    /// Lines found no room at syslog and were dropped.
    LogLinesLost = "log-lines-lost",
    /// A login that was opened without the daemon was over before it came back.
    Missed = "missed",
    /// News for live sessions cannot be watched.
    NewsUnwatched = "news-unwatched",
    /// The daemon could not begin.
    NoRuntime = "no-runtime",
    /// Live sessions have no spare copies.
    NoSpareCopies = "no-spare-copies",
    /// A live session has no spare copy.
    NoSpareCopy = "no-spare-copy",
    /// A login that was opened without the daemon cannot be tracked.
    NotAdopted = "not-adopted",
    /// A user could not be marked as disabled.
    NotDisabled = "not-disabled",
    /// A login that nothing else holds together has got no scope.
    NotHeldTogether = "not-held-together",
    /// What would be started again for a deactivated user is not known.
    NotKnownWhatStartsAgain = "not-known-what-starts-again",
    /// A desktop's screen could not be locked.
    NotLocked = "not-locked",
    /// A proof renewed no session.
    NotRenewed = "not-renewed",
    /// What a deactivated user runs goes on, since another user has the same uid.
    NotSwept = "not-swept",
    /// A caller that is not root asked to open a session.
    OpenRefused = "open-refused",
    /// A session is tracked.
    Opened = "opened",
    /// What a login left for the daemon could not be removed.
    PendingNotRemoved = "pending-not-removed",
    /// What a login left for the daemon cannot be read.
    PendingUnreadable = "pending-unreadable",
    /// Logins that are opened without the daemon are not heard of.
    PendingUnwatched = "pending-unwatched",
    /// A process cannot be watched yet; it is tried again.
    ProcessNotHeld = "process-not-held",
    /// A process does not let the kernel tell of it; it is treated by what else is known.
    ProcessUnreadable = "process-unreadable",
    /// A disabled user may log in again.
    Reactivated = "reactivated",
    /// Both limits of a session started anew.
    Renewed = "renewed",
    /// systemd's stopping of logins cannot be heard.
    ScopesUnwatched = "scopes-unwatched",
    /// A session's object could not be put on the bus.
    SessionNotServed = "session-not-served",
    /// A session was found again by its spare copy.
    SessionRebuilt = "session-rebuilt",
    /// A stored session cannot be read, and is forgotten.
    SessionUnreadable = "session-unreadable",
    /// A spare copy could not be removed.
    SpareCopyNotRemoved = "spare-copy-not-removed",
    /// A spare copy cannot be read.
    SpareCopyUnreadable = "spare-copy-unreadable",
    /// The daemon is ready.
    Started = "started",
    /// What the machine would start for a deactivated user again.
    StartsAgain = "starts-again",
    /// The folder for the daemon's state cannot be made.
    StateFolder = "state-folder",
    /// The daemon ends as it was told to. Sessions go on.
    Stopped = "stopped",
    /// The store is broken.
    StoreBroken = "store-broken",
    /// Sessions are kept in memory alone.
    StoreDegraded = "store-degraded",
    /// Somebody has removed, moved or replaced the store's file; a new one is begun.
    StoreGone = "store-gone",
    /// The store takes sessions again.
    StoreRecovered = "store-recovered",
    /// A broken store was moved out of the way.
    StoreSetAside = "store-set-aside",
    /// Processes of a session that ends got a signal.
    Struck = "struck",
    /// The uids that a user may hand out to containers are not known.
    SubordinateUidsUnknown = "subordinate-uids-unknown",
    /// A process outside of sessions was ended.
    Swept = "swept",
    /// All that a user ran outside of sessions is over.
    SweptAll = "swept-all",
    /// systemd's timer for a session could not be set.
    TimerNotSet = "timer-not-set",
    /// systemd's timer for a session could not be removed.
    TimerNotStopped = "timer-not-stopped",
    /// systemd does not tell which timers there are.
    TimersUnknown = "timers-unknown",
    /// A user's sessions were told what happened to the account.
    Told = "told",
    /// A terminal was used in the future, as its stamp says: its owner forged it, or a clock was set.
    TtyStampInTheFuture = "tty-stamp-in-the-future",
    /// A user's manager was stopped.
    UserManagerStopped = "user-manager-stopped",
    /// A session was told that it is about to end.
    Warned = "warned",
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn the_catalogue_has_every_event_and_no_other() {
        let catalogue = include_str!("../../docs/events.md");
        let (_, section) = catalogue.split_once("\n## The daemon\n").unwrap();
        let rows = section.split("\n## ").next().unwrap().lines().filter_map(|line| line.strip_prefix("| `"));
        let written: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(written, Event::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>());
    }
}
