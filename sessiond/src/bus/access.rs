//! Who may do what, by the uid that the bus vouches for. Pure.

/// What somebody wants to do to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// See it.
    See,
    /// Push its idle deadline.
    Extend,
    /// Lock its screen.
    Lock,
    /// End it.
    End,
}

/// Whether somebody may.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// They may: it is theirs, or they are root.
    Allow,
    /// They may if polkit says so.
    AskPolkit,
}

/// Whether `caller` may do that to a session of `owner`. Users have their own sessions; root has all.
pub(crate) const fn access(caller: u32, owner: u32, verb: Verb) -> Access {
    match verb {
        Verb::See | Verb::Extend | Verb::Lock | Verb::End if caller == 0 || caller == owner => Access::Allow,
        Verb::See | Verb::Extend | Verb::Lock | Verb::End => Access::AskPolkit,
    }
}

/// Whether `caller` may open sessions: only what runs as root is a login program.
#[must_use]
pub(crate) const fn may_open(caller: u32) -> bool {
    caller == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_their_own_and_root_has_all() {
        for verb in [Verb::See, Verb::Extend, Verb::Lock, Verb::End] {
            assert_eq!(access(1000, 1000, verb), Access::Allow);
            assert_eq!(access(0, 1000, verb), Access::Allow);
            assert_eq!(access(1001, 1000, verb), Access::AskPolkit);
            assert_eq!(access(1001, 0, verb), Access::AskPolkit);
        }
        assert!(may_open(0) && !may_open(1000));
    }
}
