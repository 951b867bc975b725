//! A session's object that is seen whole or not at all. zbus leaves a property that may not be read out of `GetAll`, so another's session
//! would look like one without properties, and not like none.

use std::{collections::HashMap, fmt::Write};

use async_trait::async_trait;
use authflow_bus::Error;
use zbus::{
    BoxDBusError, Connection, DBusError, ObjectServer, OwnedVariant, Variant, fdo,
    message::{Header, Message},
    names::{InterfaceName, MemberName},
    object_server::{DispatchResult, Interface, SignalEmitter},
};

use super::{reply::owned, session::SessionObject};

/// The error by the bus's own names, since zbus lets `GetAll` fail by no other: an object that may not be seen is none.
fn by_standard_name(error: &Error) -> fdo::Error {
    let text = error.description().unwrap_or_default().to_owned();
    match error {
        Error::NoSuchSession(_) => fdo::Error::UnknownObject(text),
        Error::RateLimited(_) => fdo::Error::LimitsExceeded(text),
        Error::ZBus(_)
        | Error::NoSuchUser(_)
        | Error::NotAuthorized(_)
        | Error::TooManySessions(_)
        | Error::InvalidArgument(_)
        | Error::NoSuchFlow(_)
        | Error::Denied(_)
        | Error::Degraded(_)
        | Error::NotSupported(_) => fdo::Error::Failed(text),
    }
}

/// A session's object as the bus knows it: all but `GetAll` is the object's own.
pub(super) struct Whole(pub(super) SessionObject);

#[async_trait]
impl Interface for Whole {
    fn name() -> InterfaceName<'static> {
        SessionObject::name()
    }

    async fn get(
        &self,
        property_name: &str,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> Option<Result<OwnedVariant, BoxDBusError>> {
        self.0.get(property_name, server, connection, header, emitter).await
    }

    async fn get_all(
        &self,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> fdo::Result<HashMap<String, OwnedVariant>> {
        let _not_by_itself = (server, emitter);
        // One look, one authorisation and one call that counts, where each getter would have its own.
        let shown = match self.0.shown((header.cloned(), connection)).await {
            Ok(info) => owned(&info),
            Err(error) => Err(error),
        };
        shown.map_err(|error| by_standard_name(&error))
    }

    async fn set_mut(
        &mut self,
        property_name: &str,
        value: &Variant<'_>,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> Option<Result<(), BoxDBusError>> {
        self.0.set_mut(property_name, value, server, connection, header, emitter).await
    }

    fn call<'call>(
        &'call self,
        server: &'call ObjectServer,
        connection: &'call Connection,
        message: &'call Message,
        name: MemberName<'call>,
    ) -> DispatchResult<'call> {
        self.0.call(server, connection, message, name)
    }

    fn call_mut<'call>(
        &'call mut self,
        server: &'call ObjectServer,
        connection: &'call Connection,
        message: &'call Message,
        name: MemberName<'call>,
    ) -> DispatchResult<'call> {
        self.0.call_mut(server, connection, message, name)
    }

    fn introspect_to_writer(&self, writer: &mut dyn Write, level: usize) {
        self.0.introspect_to_writer(writer, level);
    }
}
