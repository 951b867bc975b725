//! The module's exchange with the daemon, call by call.

use authflow_bus::{MANAGER_INTERFACE, NAME, PATH, opening};
use authflow_core::{
    config::DEFAULT_BUS_ADDRESS,
    factor::Factors,
    policy::Limits,
    session::{Class, Opening},
};
use zbus::{Connection, OwnedObjectPath, connection::Builder};

/// A new connection each time, as in a login.
async fn connect() -> Connection {
    Builder::address(DEFAULT_BUS_ADDRESS).build().await.expect("the bus")
}

/// A bare round trip.
pub async fn ping() {
    let peer = Some("org.freedesktop.DBus.Peer");
    connect().await.call_method(Some(NAME), PATH, peer, "Ping", &()).await.expect("an answer");
}

/// Opens a session that this process leads; its id.
pub async fn open() -> String {
    let opening = Opening {
        user: "alice".into(),
        uid: 1000,
        target: "alice".into(),
        target_uid: 1000,
        service: "bench".into(),
        tty: None,
        remote_host: None,
        class: Class::User,
        factors: Factors::none(),
        aal: 0,
        rule: "bench".into(),
        limits: Limits::default(),
        authenticated_at: None,
        flow: None,
        vouched_by: None,
    };
    let (connection, interface) = (connect().await, Some(MANAGER_INTERFACE));
    let reply = connection.call_method(Some(NAME), PATH, interface, "OpenSession", &opening::to_dict(&opening)).await;
    let (id, _path): (String, OwnedObjectPath) = reply.expect("a session").body().deserialize().expect("its id");
    id
}

/// Closes it.
pub async fn close(id: &str) {
    let (connection, interface) = (connect().await, Some(MANAGER_INTERFACE));
    connection.call_method(Some(NAME), PATH, interface, "CloseSession", &id).await.expect("it was open");
}
