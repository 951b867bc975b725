//! What `Vouch` answers: the caller's own session, as far as step-up goes by it, as `a{ss}`. How long ago something was proved is counted
//! on the boot clock, so that a wall clock set back makes no proof fresh again. Words alone: reading values of any type would make the
//! module larger by a thirtieth.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
    time::Duration,
};

use authflow_core::{factor::Factor, session::SessionId, vouch::OwnSession};

use crate::dict::{self, BadDict};

/// Before the name of a factor: how many microseconds ago it was proved.
const PROVED: &str = "ProvedUSec.";

/// The dictionary that says what `session` says.
#[must_use]
pub fn to_dict(session: &OwnSession) -> HashMap<String, String> {
    let mut dict = HashMap::from([
        ("Id".to_owned(), session.id.to_string()),
        ("Uid".to_owned(), session.uid.to_string()),
        ("Class".to_owned(), session.class.as_str().to_owned()),
        ("IsActive".to_owned(), session.is_active.to_string()),
    ]);
    dict.extend(session.audit_id.map(|audit_id| ("AuditId".to_owned(), audit_id.to_string())));
    let proved = session.proved.iter();
    dict.extend(proved.map(|(factor, age)| (format!("{PROVED}{factor}"), dict::micros(*age).to_string())));
    dict
}

/// The session that `dict` says. Nothing is defaulted but a missing audit id: what is not said does not vouch.
///
/// # Errors
/// A key is missing, or a value is no word of its kind.
pub fn from_dict(dict: &HashMap<String, String>) -> Result<OwnSession, BadDict> {
    let required = |key| dict.get(key).ok_or(BadDict::Missing(key));
    Ok(OwnSession {
        id: word::<SessionId>("Id", required("Id")?)?,
        uid: word("Uid", required("Uid")?)?,
        class: word("Class", required("Class")?)?,
        is_active: word("IsActive", required("IsActive")?)?,
        audit_id: dict.get("AuditId").map(|text| word("AuditId", text)).transpose()?,
        proved: proved(dict)?,
    })
}

fn word<T: FromStr<Err: std::fmt::Display>>(key: &'static str, text: &str) -> Result<T, BadDict> {
    text.parse().map_err(|why: T::Err| BadDict::Word(key, why.to_string()))
}

/// How long ago each factor was proved. One that this version does not know is none that a rule asks for.
fn proved(dict: &HashMap<String, String>) -> Result<BTreeMap<Factor, Duration>, BadDict> {
    let known = dict.iter().filter_map(|(key, age)| Some((key.strip_prefix(PROVED)?.parse().ok()?, age)));
    known.map(|(factor, age)| Ok((factor, Duration::from_micros(word("ProvedUSec", age)?)))).collect()
}

#[cfg(test)]
mod tests {
    use authflow_core::session::Class;

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

    #[test]
    fn a_session_arrives_as_it_was_sent() {
        for session in [session(), OwnSession { audit_id: None, is_active: false, ..session() }] {
            assert_eq!(from_dict(&to_dict(&session)), Ok(session));
        }
    }

    #[test]
    fn what_is_not_said_does_not_vouch() {
        for key in ["Id", "Uid", "Class", "IsActive"] {
            let mut dict = to_dict(&session());
            dict.remove(key);
            assert_eq!(from_dict(&dict), Err(BadDict::Missing(key)));
        }
        let mut dict = to_dict(&session());
        dict.retain(|key, _| !key.starts_with(PROVED));
        assert!(from_dict(&dict).unwrap().proved.is_empty());
    }

    #[test]
    fn what_is_said_in_other_words_does_not_vouch() {
        for (key, word) in [("Uid", "-1"), ("IsActive", "perhaps"), ("AuditId", "x"), ("ProvedUSec.totp", "")] {
            let mut dict = to_dict(&session());
            dict.insert(key.to_owned(), word.to_owned());
            assert!(matches!(from_dict(&dict), Err(BadDict::Word(..))), "{key}");
        }
    }
}
