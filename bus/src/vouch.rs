//! What `Vouch` answers: the caller's own session, as far as step-up goes by it, as `a{sv}`. How long ago something was proved is counted
//! on the boot clock, so that a wall clock set back makes no proof fresh again.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use authflow_core::{
    factor::Factor,
    session::{Class, SessionId},
    vouch::OwnSession,
};
use zbus::{OwnedVariant, Variant};

use crate::dict::{self, BadDict, Dict};

/// The dictionary that says what `session` says.
#[must_use]
pub fn to_dict(session: &OwnSession) -> HashMap<&'static str, Variant<'static>> {
    let proved: HashMap<&'static str, u64> =
        session.proved.iter().map(|(factor, age)| (factor.as_str(), dict::micros(*age))).collect();
    let mut dict = HashMap::from([
        ("Id", Variant::from(session.id.to_string())),
        ("Uid", session.uid.into()),
        ("Class", session.class.as_str().into()),
        ("IsActive", session.is_active.into()),
        ("ProvedUSec", proved.into()),
    ]);
    dict.extend(session.audit_id.map(|audit_id| ("AuditId", audit_id.into())));
    dict
}

/// The session that `dict` says. Nothing is defaulted but a missing audit id: what is not said does not vouch.
///
/// # Errors
/// A key is missing, or a value is of another type or no known word.
pub fn from_dict(dict: &HashMap<String, OwnedVariant>) -> Result<OwnSession, BadDict> {
    let dict = Dict(dict);
    Ok(OwnSession {
        id: dict.word::<SessionId>("Id")?.ok_or(BadDict::Missing("Id"))?,
        uid: dict.required("Uid")?,
        class: dict.word::<Class>("Class")?.ok_or(BadDict::Missing("Class"))?,
        is_active: dict.required("IsActive")?,
        audit_id: dict.optional("AuditId")?,
        proved: proved(&dict)?,
    })
}

/// How long ago each factor was proved. One that this version does not know is none that a rule asks for.
fn proved(dict: &Dict<'_>) -> Result<BTreeMap<Factor, Duration>, BadDict> {
    let ages = dict.map::<u64>("ProvedUSec")?;
    let known = |(word, age): (String, u64)| Some((word.parse().ok()?, Duration::from_micros(age)));
    Ok(ages.into_iter().filter_map(known).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> OwnSession {
        OwnSession {
            id: SessionId::new([7; 16]),
            uid: 1000,
            class: Class::User,
            is_active: true,
            audit_id: Some(12),
            proved: [Factor::Password, Factor::Totp].map(|factor| (factor, Duration::from_millis(1500))).into(),
        }
    }

    fn owned(session: &OwnSession) -> HashMap<String, OwnedVariant> {
        to_dict(session).into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect()
    }

    #[test]
    fn a_session_arrives_as_it_was_sent() {
        for session in [session(), OwnSession { audit_id: None, is_active: false, ..session() }] {
            assert_eq!(from_dict(&owned(&session)), Ok(session));
        }
    }

    #[test]
    fn what_is_not_said_does_not_vouch() {
        for key in ["Id", "Uid", "Class", "IsActive"] {
            let mut dict = owned(&session());
            dict.remove(key);
            assert_eq!(from_dict(&dict), Err(BadDict::Missing(key)));
        }
        let mut dict = owned(&session());
        dict.remove("ProvedUSec");
        assert!(from_dict(&dict).unwrap().proved.is_empty());
    }
}
