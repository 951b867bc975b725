//! The module's exchange with the daemon, call by call.

use authflow_bus::{MANAGER_INTERFACE, NAME, PATH, opening};
use authflow_core::{
    config::DEFAULT_BUS_ADDRESS,
    factor::Factors,
    policy::Limits,
    session::{Class, Opening},
};
use zbus::{Connection, OwnedObjectPath, connection::Builder};

/// Where the module finds the daemon first.
pub const DOOR: &str = "unix:path=/run/authflow/door";
/// And where everybody else does.
pub const BUS: &str = DEFAULT_BUS_ADDRESS;

/// A new connection each time, as in a login.
async fn connect(address: &str) -> Connection {
    Builder::address(address).build().await.expect("the daemon's door, or the bus")
}

/// A bare round trip over the bus.
pub async fn ping() {
    let peer = Some("org.freedesktop.DBus.Peer");
    connect(BUS).await.call_method(Some(NAME), PATH, peer, "Ping", &()).await.expect("an answer");
}

/// Opens a session that this process leads, there; its id.
pub async fn open(address: &str) -> String {
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
    let (connection, interface) = (connect(address).await, Some(MANAGER_INTERFACE));
    let reply = connection.call_method(Some(NAME), PATH, interface, "OpenSession", &opening::to_dict(&opening)).await;
    let (id, _path): (String, OwnedObjectPath) = reply.expect("a session").body().deserialize().expect("its id");
    id
}

/// Closes it.
pub async fn close(id: &str) {
    let (connection, interface) = (connect(BUS).await, Some(MANAGER_INTERFACE));
    connection.call_method(Some(NAME), PATH, interface, "CloseSession", &id).await.expect("it was open");
}
