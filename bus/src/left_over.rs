//! What runs on although its login is over, as `ListLeftovers` tells it.

use std::collections::HashMap;

use zbus::{OwnedVariant, Variant};

use crate::dict::{BadDict, Dict};

/// A process that no session holds any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// The pid.
    pub pid: u32,
    /// Whose it is: who logged in, also where it runs as another.
    pub uid: u32,
    /// The command line.
    pub command: String,
    /// The session that left it, where that is known; else empty.
    pub session: String,
    /// The unit of the user manager that it is in; else empty.
    pub unit: String,
}

impl LeftOver {
    /// The dictionary that says so.
    #[must_use]
    pub fn to_dict(&self) -> HashMap<&'static str, Variant<'_>> {
        HashMap::from([
            ("Pid", Variant::from(self.pid)),
            ("Uid", self.uid.into()),
            ("Command", self.command.as_str().into()),
            ("Session", self.session.as_str().into()),
            ("Unit", self.unit.as_str().into()),
        ])
    }

    /// What `dict` says.
    ///
    /// # Errors
    /// There is no pid or uid, or a value is of another type.
    pub fn from_dict(dict: &HashMap<String, OwnedVariant>) -> Result<Self, BadDict> {
        let dict = Dict(dict);
        let text = |key| dict.text(key).map(Option::unwrap_or_default);
        Ok(Self {
            pid: dict.required("Pid")?,
            uid: dict.required("Uid")?,
            command: text("Command")?,
            session: text("Session")?,
            unit: text("Unit")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_over_arrives_as_it_was_sent() {
        let sent = LeftOver {
            pid: 7,
            uid: 1000,
            command: "tmux".into(),
            unit: "run-u1.service".into(),
            session: String::new(),
        };
        let dict =
            sent.to_dict().into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect();
        assert_eq!(LeftOver::from_dict(&dict), Ok(sent));
        assert_eq!(LeftOver::from_dict(&HashMap::new()), Err(BadDict::Missing("Pid")));
    }
}
