//! Whose account may no more be used and whose sessions go on until an administrator decides, as `ListWaiting` tells it.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

use crate::dict::{BadDict, Dict};

/// A user who waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The uid.
    pub uid: u32,
    /// The name that the sessions were opened by: the account may be gone.
    pub user: String,
    /// Why the sessions would end.
    pub why: String,
}

impl Waiting {
    /// The dictionary that says so.
    #[must_use]
    pub fn to_dict(&self) -> HashMap<&'static str, Variant<'_>> {
        HashMap::from([
            ("Uid", Variant::from(self.uid)),
            ("User", self.user.as_str().into()),
            ("Why", self.why.as_str().into()),
        ])
    }

    /// What `dict` says.
    ///
    /// # Errors
    /// There is no uid, or a value is of another type.
    pub fn from_dict(dict: &HashMap<String, OwnedVariant>) -> Result<Self, BadDict> {
        let dict = Dict(dict);
        let text = |key| dict.text(key).map(Option::unwrap_or_default);
        Ok(Self { uid: dict.required("Uid")?, user: text("User")?, why: text("Why")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_arrives_as_it_was_sent() {
        let sent = Waiting { uid: 1000, user: "alice".into(), why: "the account has expired".into() };
        let dict =
            sent.to_dict().into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect();
        assert_eq!(Waiting::from_dict(&dict), Ok(sent));
        assert_eq!(Waiting::from_dict(&HashMap::new()), Err(BadDict::Missing("Uid")));
    }
}
