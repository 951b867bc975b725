//! Tells the service manager that the daemon is ready, where there is one (`sd_notify(3)`).

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixDatagram},
};

/// Says `READY=1` to whoever `NOTIFY_SOCKET` names. A manager that does not listen is none of our business.
pub(crate) fn tell() {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let name = name.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => std::str::from_utf8(name).map_err(std::io::Error::other).and_then(SocketAddr::from_pathname),
    };
    let _unheard = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address));
}
