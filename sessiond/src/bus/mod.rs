//! The daemon's face on the bus. Every method takes the same four steps: parse, authorise, call the daemon, reply.
//!
//! # Layout
//!
//! - [`manager`], [`session`], [`flow`]: the interfaces; [`whole`]: a session whose properties are one answer
//! - [`door`], [`peer_socket`]: the way in for root's login programs that no bus holds up, and [`guests`]: how many are there; [`login`]: what
//!   it and the manager do for them
//! - [`caller`], [`access`], [`polkit`], [`reach`]: who calls, and what that caller may
//! - [`deed`]: what is done to one session; [`reply`]: what goes back

mod access;
mod caller;
mod deed;
pub(crate) mod door;
mod flow;
mod guests;
mod login;
mod manager;
mod peer_socket;
mod polkit;
mod reach;
mod reply;
mod session;
mod whole;

use std::sync::Arc;

use authflow_bus::{MANAGER_INTERFACE, NAME, PATH, session_path};
use authflow_core::session::SessionId;
use zbus::{Connection, connection::Builder};

use crate::{daemon::Daemon, event::Event, flow::Flows, log::Line};
use caller::Callers;
use flow::FlowObject;
use manager::Manager;
use session::SessionObject;
use whole::Whole;

/// Serves the manager and the flows and takes the name, in this order: whoever sees the name can call.
///
/// # Errors
/// The bus cannot be reached, or the name is taken.
pub(crate) async fn serve(daemon: &Arc<Daemon>, flows: Flows, address: &str) -> zbus::Result<Connection> {
    let callers = Arc::new(Callers::new(daemon.paths.clone()));
    let manager = Manager::new(Arc::clone(daemon), Arc::clone(&callers));
    let flow = FlowObject::new(flows, callers);
    Builder::address(address).serve_at(PATH, manager).serve_at(PATH, flow).name(NAME).build().await
}

/// What is announced to everybody: ids only, since anybody may listen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Announcement {
    /// A session began.
    Opened,
    /// A session is about to end.
    Ending,
    /// A session is over.
    Closed,
}

/// Announces something. A bus that is away hears nothing, and nothing depends on it.
pub(crate) async fn announce(connection: &Connection, what: Announcement, id: SessionId) {
    let signal = match what {
        Announcement::Opened => "SessionOpened",
        Announcement::Ending => "SessionEnding",
        Announcement::Closed => "SessionClosed",
    };
    let _unheard = connection.emit_signal(None::<&str>, PATH, MANAGER_INTERFACE, signal, &id.to_string()).await;
}

/// Puts a session's object on the bus.
pub(crate) async fn serve_session(connection: &Connection, daemon: &Arc<Daemon>, id: SessionId) {
    let Ok(manager) = connection.object_server().interface::<_, Manager>(PATH).await else { return };
    let callers = manager.get().await.callers();
    let object = Whole(SessionObject::new(Arc::clone(daemon), callers, id));
    if let Err(error) = connection.object_server().at(session_path(&id.to_string()), object).await {
        daemon.log.write(&Line::error(Event::SessionNotServed).with("session", id).with("why", &error));
    }
}

/// Takes a session's object off the bus.
pub(crate) async fn withdraw_session(connection: &Connection, path: &str) {
    let _was_not_there = connection.object_server().remove::<Whole, _>(path).await;
}

/// Waits until the connection to the bus is gone.
pub(crate) async fn gone(connection: &Connection) {
    use zbus::export::futures_core::Stream;
    let mut stream = std::pin::pin!(zbus::MessageStream::from(connection));
    std::future::poll_fn(|context| {
        loop {
            match stream.as_mut().poll_next(context) {
                std::task::Poll::Ready(Some(Ok(_message))) => {}
                std::task::Poll::Ready(Some(Err(_)) | None) => return std::task::Poll::Ready(()),
                std::task::Poll::Pending => return std::task::Poll::Pending,
            }
        }
    })
    .await;
}
