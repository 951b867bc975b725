//! Step-up: whether the session that a process is in vouches for its owner, so that the factor `session` is proved without a question.
//! The one place where a flow meets a session. Pure; nothing here is a tty's name or an environment variable.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    factor::Factor,
    rule::{Remote, Rule},
    session::{Class, Session, SessionId, State},
    time::BootTime,
};

/// What the daemon says of the session that a process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub uid: u32,
    /// What kind it is.
    pub class: Class,
    /// Whether it lives and is not being ended.
    pub is_active: bool,
    /// The kernel's audit session id, if it is this session's alone.
    pub audit_id: Option<u32>,
    /// What its owner has proved, and how long ago last, by the clock that nobody sets.
    pub proved: BTreeMap<Factor, Duration>,
}

impl OwnSession {
    /// What `session` can be asked for now.
    #[must_use]
    pub fn of(session: &Session, now: BootTime) -> Self {
        Self {
            id: session.id,
            uid: session.opening.uid,
            class: session.opening.class,
            is_active: session.state == State::Active,
            audit_id: session.audit_id,
            proved: session.proved.iter().map(|(factor, at)| (*factor, now.saturating_since(*at))).collect(),
        }
    }
}

/// The process that asks, and whom it wants to be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The uid of `PAM_USER`.
    pub user: u32,
    /// The real uid of the process: who started sudo or su.
    pub real_uid: u32,
    /// The kernel's audit session id of the process, if it is set.
    pub audit_id: Option<u32>,
    /// Where the application says that the user is.
    pub remote: Remote,
}

impl Asker {
    /// Whether any session could vouch: for whoever runs the process, here. The audit session id that it must have.
    ///
    /// # Errors
    /// Why none could.
    pub const fn check(&self) -> Result<u32, NotVouched> {
        let &Self { user, real_uid, audit_id, remote } = self;
        match remote {
            Remote::Console | Remote::Local => {}
            Remote::Address(_) | Remote::Untold | Remote::Unknown => return Err(NotVouched::Remote),
        }
        if user == 0 || real_uid == 0 {
            return Err(NotVouched::Root);
        }
        if real_uid != user {
            return Err(NotVouched::OtherUser { user, real_uid });
        }
        match audit_id {
            Some(audit_id) => Ok(audit_id),
            None => Err(NotVouched::NoAuditId),
        }
    }
}

/// Why a session does not vouch. The full method is asked then; only the debug log tells why.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotVouched {
    /// No method of the rule takes the factor `session`.
    #[error("the rule takes no session's word")]
    NotAsked,
    /// The user comes from elsewhere, and has no session here yet.
    #[error("the user comes from elsewhere")]
    Remote,
    /// Every service runs as root, so its uid does not tell who asks.
    #[error("nothing vouches for root")]
    Root,
    /// Whoever runs the process is another user than the one to be authenticated: `su`, sudo with `targetpw`.
    #[error("uid {real_uid} asks for uid {user}")]
    OtherUser {
        /// The uid of `PAM_USER`.
        user: u32,
        /// Who runs the process.
        real_uid: u32,
    },
    /// The session is another user's.
    #[error("the session is uid {0}'s")]
    OthersSession(u32),
    /// It is no login.
    #[error("the session is no login but {}", .0.as_str())]
    Class(Class),
    /// It is at its end, or its leader is gone.
    #[error("the session is at its end")]
    Ending,
    /// The kernel has the process in no session.
    #[error("the kernel has the process in no audit session")]
    NoAuditId,
    /// The kernel has the process in another session.
    #[error("the kernel has the process in audit session {0}, which is not this session's")]
    AuditId(u32),
    /// Its owner has not proved that there.
    #[error("no {0} was proved in the session")]
    Unproved(Factor),
    /// A recovery or bypass code stood in for an authenticator, which the rule does not take.
    #[error("a recovery or bypass code stood in for the authenticator")]
    StandIn,
    /// That was too long ago.
    #[error("{factor} was proved {} s ago, at most {} s are allowed", age.as_secs(), within.as_secs())]
    Age {
        /// What.
        factor: Factor,
        /// How long ago.
        age: Duration,
        /// What the rule allows.
        within: Duration,
    },
}

/// Whether `session`, in which the process of `asker` is, vouches as `rule` wants it.
///
/// # Errors
/// Why it does not.
pub fn vouch(rule: &Rule, asker: &Asker, session: &OwnSession) -> Result<(), NotVouched> {
    let wanted = rule.from_session.as_ref().ok_or(NotVouched::NotAsked)?;
    let audit_id = asker.check()?;
    if session.uid != asker.user {
        return Err(NotVouched::OthersSession(session.uid));
    }
    if session.audit_id != Some(audit_id) {
        return Err(NotVouched::AuditId(audit_id));
    }
    match session.class {
        Class::User => {}
        // su and sudo prove what they prove for one command or shell; the login around them may be another's.
        class @ (Class::Nested | Class::Background) => return Err(NotVouched::Class(class)),
    }
    if !session.is_active {
        return Err(NotVouched::Ending);
    }
    wanted.proved.iter().try_for_each(|factor| {
        let (age, within) = (*session.proved.get(&factor).ok_or(NotVouched::Unproved(factor))?, wanted.within);
        if age > within {
            Err(NotVouched::Age { factor, age, within })
        } else if factor == Factor::Totp && !rule.recovery && had_stand_in(session, age) {
            Err(NotVouched::StandIn)
        } else {
            Ok(())
        }
    })
}

/// Whether a recovery or bypass code stood in for the code that was proved so long ago.
fn had_stand_in(session: &OwnSession, age: Duration) -> bool {
    [Factor::Recovery, Factor::Bypass]
        .iter()
        .any(|code| session.proved.get(code).is_some_and(|of_code| *of_code <= age))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Text};

    fn totp_within_five_minutes() -> Rule {
        let text = "[[rule]]\nname = 'sudo'\nservice = ['sudo']\nmethods = [['session'], ['password', 'totp']]\n\
                    from_session = { proved = ['totp'], within = '5m' }\n";
        Config::parse(Text { name: "authflow.toml", text }, &[]).unwrap().rules.remove(0)
    }

    const ALICE: Asker = Asker { user: 1000, real_uid: 1000, audit_id: Some(7), remote: Remote::Local };

    fn session() -> OwnSession {
        OwnSession {
            id: SessionId::new([1; 16]),
            uid: 1000,
            class: Class::User,
            is_active: true,
            audit_id: Some(7),
            proved: proved([(Factor::Password, 299_000), (Factor::Totp, 299_000)]),
        }
    }

    fn proved<const N: usize>(millis: [(Factor, u64); N]) -> BTreeMap<Factor, Duration> {
        millis.map(|(factor, millis)| (factor, Duration::from_millis(millis))).into()
    }

    fn refusal(asker: Asker, session: &OwnSession) -> NotVouched {
        vouch(&totp_within_five_minutes(), &asker, session).unwrap_err()
    }

    #[test]
    fn a_fresh_login_vouches_for_its_owner() {
        assert_eq!(vouch(&totp_within_five_minutes(), &ALICE, &session()), Ok(()));
    }

    #[test]
    fn a_session_vouches_for_nobody_but_its_owner() {
        let bob = Asker { user: 1001, real_uid: 1001, ..ALICE };
        assert_eq!(refusal(bob, &session()), NotVouched::OthersSession(1000));
        let su = Asker { user: 1001, ..ALICE };
        assert_eq!(refusal(su, &session()), NotVouched::OtherUser { user: 1001, real_uid: 1000 });
        let became_bob = Asker { real_uid: 1001, ..ALICE };
        assert_eq!(refusal(became_bob, &session()), NotVouched::OtherUser { user: 1000, real_uid: 1001 });
    }

    #[test]
    fn nothing_vouches_for_root_or_from_elsewhere() {
        for asker in [Asker { user: 0, ..ALICE }, Asker { real_uid: 0, ..ALICE }] {
            assert_eq!(refusal(asker, &session()), NotVouched::Root);
        }
        let roots = OwnSession { uid: 0, ..session() };
        assert_eq!(refusal(Asker { user: 0, real_uid: 0, ..ALICE }, &roots), NotVouched::Root);
        let remotes = [Remote::Unknown, Remote::Untold, Remote::Address("192.0.2.1".parse().unwrap())];
        for remote in remotes {
            assert_eq!(refusal(Asker { remote, ..ALICE }, &session()), NotVouched::Remote);
        }
    }

    #[test]
    fn the_kernel_must_have_the_process_in_that_very_session() {
        for audit_id in [Some(7), None] {
            let session = OwnSession { audit_id, ..session() };
            assert_eq!(refusal(Asker { audit_id: None, ..ALICE }, &session), NotVouched::NoAuditId);
        }
        for (asker, own) in [(8, Some(7)), (7, None)] {
            let refused = refusal(Asker { audit_id: Some(asker), ..ALICE }, &OwnSession { audit_id: own, ..session() });
            assert_eq!(refused, NotVouched::AuditId(asker));
        }
    }

    #[test]
    fn only_a_living_login_vouches() {
        for class in [Class::Nested, Class::Background] {
            assert_eq!(refusal(ALICE, &OwnSession { class, ..session() }), NotVouched::Class(class));
        }
        assert_eq!(refusal(ALICE, &OwnSession { is_active: false, ..session() }), NotVouched::Ending);
    }

    #[test]
    fn what_was_proved_too_long_ago_or_not_at_all_does_not_count() {
        let refused = |proved| refusal(ALICE, &OwnSession { proved, ..session() });
        let (age, within) = (Duration::from_millis(300_001), Duration::from_secs(300));
        let old = NotVouched::Age { factor: Factor::Totp, age, within };
        assert_eq!(
            refused(proved([(Factor::Password, 0), (Factor::Totp, 300_001)])),
            old,
            "a new password and an old code"
        );
        assert_eq!(refused(proved([(Factor::Session, 0), (Factor::Password, 0)])), NotVouched::Unproved(Factor::Totp));
        assert_eq!(refused(BTreeMap::new()), NotVouched::Unproved(Factor::Totp));
        let old_password = proved([(Factor::Password, 900_000), (Factor::Totp, 300_000)]);
        assert_eq!(
            vouch(&totp_within_five_minutes(), &ALICE, &OwnSession { proved: old_password, ..session() }),
            Ok(())
        );
    }

    #[test]
    fn a_recovery_code_vouches_where_the_rule_would_take_one() {
        let with_recovery =
            |millis| OwnSession { proved: proved([(Factor::Totp, 100), (Factor::Recovery, millis)]), ..session() };
        assert_eq!(vouch(&totp_within_five_minutes(), &ALICE, &with_recovery(100)), Ok(()));
        let strict = Rule { recovery: false, ..totp_within_five_minutes() };
        assert_eq!(vouch(&strict, &ALICE, &with_recovery(100)), Err(NotVouched::StandIn));
        assert_eq!(vouch(&strict, &ALICE, &with_recovery(9000)), Ok(()), "the authenticator is back");
    }

    #[test]
    fn a_rule_that_takes_no_session_is_vouched_for_by_none() {
        let rule = Rule { from_session: None, ..totp_within_five_minutes() };
        assert_eq!(vouch(&rule, &ALICE, &session()), Err(NotVouched::NotAsked));
    }

    proptest! {
        #[test]
        fn whoever_is_vouched_for_is_the_owner_of_a_login_of_that_process(
            user in 0_u32..3, real_uid in 0_u32..3, uid in 0_u32..3,
            asker in prop::option::of(0_u32..3), own in prop::option::of(0_u32..3),
            is_active in any::<bool>(), age in 0_u64..600,
            class in prop_oneof![Just(Class::User), Just(Class::Nested), Just(Class::Background)],
        ) {
            let proved = proved([(Factor::Totp, age * 1000)]);
            let session = OwnSession { uid, class, is_active, audit_id: own, proved, ..session() };
            let asker = Asker { user, real_uid, audit_id: asker, ..ALICE };
            let is_vouched_for = vouch(&totp_within_five_minutes(), &asker, &session).is_ok();
            let is_right = user != 0 && user == real_uid && user == uid && is_active && class == Class::User
                && asker.audit_id.is_some() && asker.audit_id == own && age <= 300;
            prop_assert_eq!(is_vouched_for, is_right);
        }
    }
}
