//! What a session shows: its properties, one by one on its object, and all at once in `ListSessions`.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

use crate::{
    NONE,
    dict::{BadDict, Dict},
};

/// A session's properties. Times are microseconds of wall clock; [`NONE`] is "no limit" and "never".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Who authenticated.
    pub user: String,
    /// That user's uid.
    pub uid: u32,
    /// Whom the session runs as.
    pub target: String,
    /// The target's uid.
    pub target_uid: u32,
    /// The PAM service.
    pub service: String,
    /// The ttys that its processes hold, as `pts/1`.
    pub ttys: Vec<String>,
    /// Where from; empty for this machine.
    pub remote_host: String,
    /// The leader's pid.
    pub leader: u32,
    /// `user`, `nested` or `background`.
    pub class: String,
    /// What was proved.
    pub factors: Vec<String>,
    /// The level that was reached.
    pub aal: u32,
    /// The rule that granted it.
    pub rule: String,
    /// `active`, `locked`, `orphaned` or `closing`.
    pub state: String,
    /// What idleness is measured by: `tty`, `hint`, `io`, `none`.
    pub activity_basis: String,
    /// When it was opened.
    pub opened_at: u64,
    /// When its user last authenticated.
    pub authenticated_at: u64,
    /// When it was last active.
    pub last_active_at: u64,
    /// When it ends if nothing happens.
    pub idle_deadline: u64,
    /// When it ends whatever happens.
    pub lifetime_deadline: u64,
    /// Longest inactivity.
    pub idle_limit_usec: u64,
    /// Longest time since authentication.
    pub lifetime_limit_usec: u64,
    /// What for commands keep it from idling, if any do.
    pub inhibited_by: Vec<String>,
    /// logind's name for it; empty without.
    pub logind_id: String,
    /// The session that it is nested in; empty without.
    pub parent: String,
}

impl SessionInfo {
    /// The properties by their D-Bus names.
    #[must_use]
    pub fn to_dict(&self) -> HashMap<&'static str, Variant<'_>> {
        HashMap::from([
            ("Id", Variant::from(self.id.as_str())),
            ("User", self.user.as_str().into()),
            ("Uid", self.uid.into()),
            ("Target", self.target.as_str().into()),
            ("TargetUid", self.target_uid.into()),
            ("Service", self.service.as_str().into()),
            ("TTYs", self.ttys.clone().into()),
            ("RemoteHost", self.remote_host.as_str().into()),
            ("Leader", self.leader.into()),
            ("Class", self.class.as_str().into()),
            ("Factors", self.factors.clone().into()),
            ("AAL", self.aal.into()),
            ("Rule", self.rule.as_str().into()),
            ("State", self.state.as_str().into()),
            ("ActivityBasis", self.activity_basis.as_str().into()),
            ("OpenedAt", self.opened_at.into()),
            ("AuthenticatedAt", self.authenticated_at.into()),
            ("LastActiveAt", self.last_active_at.into()),
            ("IdleDeadline", self.idle_deadline.into()),
            ("LifetimeDeadline", self.lifetime_deadline.into()),
            ("IdleLimitUSec", self.idle_limit_usec.into()),
            ("LifetimeLimitUSec", self.lifetime_limit_usec.into()),
            ("InhibitedBy", self.inhibited_by.clone().into()),
            ("LogindId", self.logind_id.as_str().into()),
            ("Parent", self.parent.as_str().into()),
        ])
    }

    /// The session that `dict` shows. A daemon of another version may leave keys out or add some.
    ///
    /// # Errors
    /// There is no id, or a value is of another type.
    pub fn from_dict(dict: &HashMap<String, OwnedVariant>) -> Result<Self, BadDict> {
        let dict = Dict(dict);
        let text = |key| dict.text(key).map(Option::unwrap_or_default);
        let number = |key| dict.optional::<u32>(key).map(Option::unwrap_or_default);
        let time = |key| dict.optional::<u64>(key).map(|time| time.unwrap_or(NONE));
        Ok(Self {
            id: dict.required::<&str>("Id")?.to_owned(),
            user: text("User")?,
            uid: number("Uid")?,
            target: text("Target")?,
            target_uid: number("TargetUid")?,
            service: text("Service")?,
            ttys: dict.texts("TTYs")?,
            remote_host: text("RemoteHost")?,
            leader: number("Leader")?,
            class: text("Class")?,
            factors: dict.texts("Factors")?,
            aal: number("AAL")?,
            rule: text("Rule")?,
            state: text("State")?,
            activity_basis: text("ActivityBasis")?,
            opened_at: time("OpenedAt")?,
            authenticated_at: time("AuthenticatedAt")?,
            last_active_at: time("LastActiveAt")?,
            idle_deadline: time("IdleDeadline")?,
            lifetime_deadline: time("LifetimeDeadline")?,
            idle_limit_usec: time("IdleLimitUSec")?,
            lifetime_limit_usec: time("LifetimeLimitUSec")?,
            inhibited_by: dict.texts("InhibitedBy")?,
            logind_id: text("LogindId")?,
            parent: text("Parent")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_arrives_as_it_was_sent() {
        let session = SessionInfo {
            id: "0123".into(),
            user: "alice".into(),
            uid: 1000,
            ttys: vec!["pts/1".into(), "pts/2".into()],
            factors: vec!["password".into()],
            idle_deadline: NONE,
            leader: 7,
            ..SessionInfo::default()
        };
        let dict = session.to_dict();
        let owned = dict.into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect();
        assert_eq!(SessionInfo::from_dict(&owned), Ok(session));
    }

    #[test]
    fn a_session_without_an_id_is_none() {
        assert_eq!(SessionInfo::from_dict(&HashMap::new()), Err(BadDict::Missing("Id")));
    }
}
