//! What `OpenSession` takes: the facts of an opening as `a{sv}`.

use std::collections::HashMap;

use authflow_core::{
    factor::{Factor, Factors},
    policy::Limits,
    session::{Class, Opening, SessionId},
    time::WallTime,
};
use zbus::{OwnedVariant, Variant};

pub use crate::dict::BadDict;
use crate::dict::{self, Dict};

/// The dictionary that says what `opening` says.
#[must_use]
pub fn to_dict(opening: &Opening) -> HashMap<&'static str, Variant<'_>> {
    let limits = &opening.limits;
    let factors: Vec<&str> = opening.factors.iter().map(Factor::as_str).collect();
    let mut dict = HashMap::from([
        ("User", Variant::from(opening.user.as_str())),
        ("Uid", opening.uid.into()),
        ("Target", opening.target.as_str().into()),
        ("TargetUid", opening.target_uid.into()),
        ("Service", opening.service.as_str().into()),
        ("Class", opening.class.as_str().into()),
        ("Factors", factors.into()),
        ("AAL", u32::from(opening.aal).into()),
        ("Rule", opening.rule.as_str().into()),
        ("IdleLimitUSec", dict::limit(limits.idle).into()),
        ("LifetimeLimitUSec", dict::limit(limits.lifetime).into()),
        ("WarnUSec", dict::micros(limits.warn).into()),
        ("GraceUSec", dict::micros(limits.grace).into()),
        ("AtIdle", limits.at_idle.as_str().into()),
        ("AtLifetime", limits.at_lifetime.as_str().into()),
        ("AtLogout", limits.at_logout.as_str().into()),
        ("Activity", limits.activity.as_str().into()),
        ("WithoutTTY", limits.without_tty.to_string().into()),
        ("AtMax", limits.at_max.as_str().into()),
        ("UserExtend", limits.user_extend.into()),
        ("InhibitMaxUSec", dict::micros(limits.inhibit_max).into()),
    ]);
    dict.extend(limits.max_sessions.map(|number| ("MaxSessions", number.into())));
    dict.extend(opening.tty.as_deref().map(|tty| ("TTY", tty.into())));
    dict.extend(opening.remote_host.as_deref().map(|host| ("RemoteHost", host.into())));
    dict.extend(opening.authenticated_at.map(|at| ("AuthenticatedAt", at.as_micros().into())));
    dict.extend(opening.flow.as_deref().map(|flow| ("Flow", flow.into())));
    dict.extend(opening.vouched_by.map(|id| ("VouchedBy", id.to_string().into())));
    dict
}

/// The opening that `dict` says. Unknown keys are ignored and missing ones defaulted, but for `User`, `Uid` and `Service`.
///
/// # Errors
/// One of those three is missing, or a value is of another type or no known word.
pub fn from_dict(dict: &HashMap<String, OwnedVariant>) -> Result<Opening, BadDict> {
    let dict = Dict(dict);
    let user: String = dict.required::<&str>("User")?.to_owned();
    let uid = dict.required("Uid")?;
    Ok(Opening {
        target: dict.text("Target")?.unwrap_or_else(|| user.clone()),
        target_uid: dict.optional("TargetUid")?.unwrap_or(uid),
        service: dict.required::<&str>("Service")?.to_owned(),
        tty: dict.text("TTY")?,
        remote_host: dict.text("RemoteHost")?,
        class: dict.word::<Class>("Class")?.unwrap_or_default(),
        factors: factors(&dict)?,
        aal: dict.optional::<u32>("AAL")?.and_then(|aal| u8::try_from(aal).ok()).unwrap_or(0),
        rule: dict.text("Rule")?.unwrap_or_default(),
        limits: limits(&dict)?,
        authenticated_at: dict.optional("AuthenticatedAt")?.map(WallTime::from_micros),
        flow: dict.text("Flow")?,
        vouched_by: dict.word("VouchedBy")?,
        user,
        uid,
    })
}

/// The id that the module has chosen for the session. Who gives up waiting for the answer writes the login down under the same.
///
/// # Errors
/// It is none.
pub fn id(dict: &HashMap<String, OwnedVariant>) -> Result<Option<SessionId>, BadDict> {
    Dict(dict).word("Id")
}

/// A factor that this version does not know was proved all the same; it is left out rather than the login refused.
fn factors(dict: &Dict<'_>) -> Result<Factors, BadDict> {
    Ok(dict.texts("Factors")?.iter().filter_map(|word| word.parse::<Factor>().ok()).collect())
}

fn limits(dict: &Dict<'_>) -> Result<Limits, BadDict> {
    let default = Limits::default();
    Ok(Limits {
        idle: dict.limit("IdleLimitUSec")?.unwrap_or(default.idle),
        lifetime: dict.limit("LifetimeLimitUSec")?.unwrap_or(default.lifetime),
        warn: dict.duration("WarnUSec")?.unwrap_or(default.warn),
        grace: dict.duration("GraceUSec")?.unwrap_or(default.grace),
        at_idle: dict.word("AtIdle")?.unwrap_or(default.at_idle),
        at_lifetime: dict.word("AtLifetime")?.unwrap_or(default.at_lifetime),
        at_logout: dict.word("AtLogout")?.unwrap_or(default.at_logout),
        activity: dict.word("Activity")?.unwrap_or(default.activity),
        without_tty: dict.word("WithoutTTY")?.unwrap_or(default.without_tty),
        max_sessions: dict.optional("MaxSessions")?,
        at_max: dict.word("AtMax")?.unwrap_or(default.at_max),
        user_extend: dict.optional("UserExtend")?.unwrap_or(default.user_extend),
        inhibit_max: dict.duration("InhibitMaxUSec")?.unwrap_or(default.inhibit_max),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use authflow_core::policy::{AtLimit, AtLogout, AtMax, WithoutTty};

    use super::*;

    fn opening() -> Opening {
        Opening {
            user: "alice".into(),
            uid: 1000,
            target: "root".into(),
            target_uid: 0,
            service: "sudo".into(),
            tty: Some("pts/1".into()),
            remote_host: Some("192.0.2.1".into()),
            class: Class::Nested,
            factors: [Factor::Password, Factor::Totp].into_iter().collect(),
            aal: 2,
            rule: "sudo".into(),
            limits: Limits {
                idle: None,
                lifetime: Some(Duration::from_secs(60)),
                at_idle: AtLimit::Terminate,
                at_logout: AtLogout::Terminate,
                without_tty: WithoutTty::Ignore,
                max_sessions: Some(3),
                at_max: AtMax::Supersede,
                inhibit_max: Duration::from_secs(3600),
                ..Limits::default()
            },
            authenticated_at: Some(WallTime::from_micros(7)),
            flow: Some("f".into()),
            vouched_by: Some(SessionId::new([7; 16])),
        }
    }

    fn owned(dict: HashMap<&'static str, Variant<'_>>) -> HashMap<String, OwnedVariant> {
        dict.into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect()
    }

    #[test]
    fn an_opening_arrives_as_it_was_sent() {
        assert_eq!(from_dict(&owned(to_dict(&opening()))), Ok(opening()));
    }

    #[test]
    fn an_old_module_is_understood_and_a_newer_one_too() {
        let mut dict = owned(HashMap::from([
            ("User", "alice".into()),
            ("Uid", 1000_u32.into()),
            ("Service", "login".into()),
            ("Novelty", 7_u32.into()),
        ]));
        let opening = from_dict(&dict).unwrap();
        assert_eq!((opening.target.as_str(), opening.target_uid), ("alice", 1000));
        assert_eq!(opening.limits, Limits::default());
        assert_eq!(id(&dict), Ok(None));
        dict.remove("Uid");
        assert_eq!(from_dict(&dict), Err(BadDict::Missing("Uid")));
    }

    #[test]
    fn a_value_of_another_type_or_word_is_an_error() {
        let mut dict = owned(to_dict(&opening()));
        dict.insert("Id".to_owned(), Variant::from("x").try_into_owned().unwrap());
        assert!(id(&dict).is_err());
        for (key, value) in [("Uid", Variant::from("x")), ("Class", "king".into()), ("Factors", 7_u32.into())] {
            let mut dict = owned(to_dict(&opening()));
            dict.insert(key.to_owned(), value.try_into_owned().unwrap());
            assert!(from_dict(&dict).is_err(), "{key}");
        }
    }
}
