//! What the bus carries back.

use std::collections::HashMap;

use authflow_bus::{Error, session_path};
use authflow_core::session::SessionId;
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

/// There is none, or the caller may not know of it.
pub(super) fn no_such() -> Error {
    Error::NoSuchSession("there is no such session".to_owned())
}

/// The object of a session.
pub(super) fn path_of(id: SessionId) -> Result<OwnedObjectPath, Error> {
    OwnedObjectPath::try_from(session_path(&id.to_string())).map_err(|why| Error::InvalidArgument(why.to_string()))
}

/// What a session shows, as the bus carries it.
///
/// # Errors
/// There is no memory for it.
pub(super) fn owned(info: &authflow_bus::SessionInfo) -> Result<HashMap<String, OwnedVariant>, Error> {
    owned_dict(info.to_dict())
}

/// A dictionary that owns what it says.
///
/// # Errors
/// There is no memory for it.
pub(super) fn owned_dict(dict: HashMap<&str, Variant<'_>>) -> Result<HashMap<String, OwnedVariant>, Error> {
    dict.into_iter()
        .map(|(key, value)| {
            Ok((key.to_owned(), value.try_into_owned().map_err(|why| Error::Degraded(why.to_string()))?))
        })
        .collect()
}
