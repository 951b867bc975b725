//! A socket that only root may connect to, at which login programs open and close their sessions. The bus is everybody's: whoever fills it
//! would keep all others out, or let them in with nobody watching. To its one peer it looks like a bus with one name on it.

use std::{collections::HashMap, fs, io, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use authflow_bus::{Error, PATH, vouch};
use authflow_host::{file, paths::Paths};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
};
use tokio::net::{UnixListener, UnixStream};
use zbus::{Connection, Guid, OwnedObjectPath, OwnedVariant, connection::Builder};

use super::{
    access::may_open,
    gone,
    guests::{Guests, user_behind},
    login,
    peer_socket::PeerSocket,
    reply::no_such,
};
use crate::{daemon::Daemon, event::Event, leader::Caught, log::Line, snapshot::Snapshot};

/// How long a peer may take to introduce itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may stay: longer than any exchange of its may take. The caller of su may stop it in the midst of one, as often as he likes.
const STAY: Duration = Duration::from_secs(60);

/// Before the next is let in, where the kernel lets none in: the descriptors may have run out.
const UNTIL_THERE_IS_ROOM: Duration = Duration::from_secs(1);

/// Opens the door. Whoever finds it shut takes the bus.
pub(crate) fn open(daemon: &Daemon) -> Option<UnixListener> {
    let told = |why: io::Error| daemon.log.write(&Line::error(Event::DoorShut).with("why", why));
    bind(&daemon.paths).map_err(told).ok()
}

fn bind(paths: &Paths) -> io::Result<UnixListener> {
    file::ensure_folder(&paths.run(), 0o755).map_err(io::Error::other)?;
    let door = paths.door();
    // The one of a daemon that was killed: we own the bus name, so it is nobody's now.
    match fs::remove_file(&door) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&door)?;
    // Until here our umask has kept others out; the peer's uid is looked at in any case.
    fs::set_permissions(&door, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Lets login programs in for as long as the daemon lives.
pub(crate) async fn serve(daemon: Arc<Daemon>, bus: Connection, door: Option<UnixListener>) {
    let Some(door) = door else { return };
    let guests = Guests::default();
    loop {
        match door.accept().await {
            Ok((stream, _nameless)) => {
                let Some((peer, uid)) = peer_of(&stream) else { continue };
                // Whoever is turned away takes the bus.
                let Some(guest) = guests.let_in(user_behind(peer.pid())) else { continue };
                let login = LoginProgram { daemon: Arc::clone(&daemon), bus: bus.clone(), peer };
                tokio::spawn(async move {
                    let_in(login, PeerSocket::new(stream, uid)).await;
                    drop(guest);
                });
            }
            Err(why) => {
                daemon.log.write(&Line::error(Event::DoorShut).with("why", why));
                tokio::time::sleep(UNTIL_THERE_IS_ROOM).await;
            }
        }
    }
}

/// Serves one peer until it leaves, or has stayed too long. One that goes no further has been told why, or is gone.
async fn let_in(login: LoginProgram, socket: PeerSocket) {
    let builder = Builder::socket(socket).server(Guid::generate()).p2p();
    let building = async { builder.serve_at("/org/freedesktop/DBus", Greeting).serve_at(PATH, login).build().await };
    if let Ok(Ok(connection)) = tokio::time::timeout(PATIENCE, building).await {
        let _left_or_shown_out = tokio::time::timeout(STAY, gone(&connection)).await;
    }
}

/// The process at the other end and its uid, if it is root's.
fn peer_of(stream: &UnixStream) -> Option<(Caught, u32)> {
    let told = stream.peer_cred().ok()?;
    let pid = told.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|_| may_open(told.uid()))?;
    let caught = Caught::by_pid(pid).ok()?;
    // Another has its pid only once it is gone, and its end of the socket with it: no login program hands that on.
    is_there(stream).then_some((caught, told.uid()))
}

/// Whether the other end of the socket is still open. One that wrote before it died is gone all the same, though there is something to read.
fn is_there(stream: &UnixStream) -> bool {
    let mut ends = [PollFd::new(stream, PollFlags::RDHUP)];
    let looked = retry_on_intr(|| poll(&mut ends, Some(&Timespec::default())));
    let [end] = ends;
    looked.is_ok() && !end.revents().intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR)
}

/// What a client expects of a bus before anything else.
struct Greeting;

#[zbus::interface(name = "org.freedesktop.DBus")]
impl Greeting {
    fn hello(&self) -> String {
        ":1.0".to_owned()
    }
}

/// The manager, as far as a login program needs it.
struct LoginProgram {
    daemon: Arc<Daemon>,
    bus: Connection,
    peer: Caught,
}

#[zbus::interface(name = "org.authflow.sessiond1.Manager")]
impl LoginProgram {
    async fn open_session(&self, facts: HashMap<String, OwnedVariant>) -> Result<(String, OwnedObjectPath), Error> {
        let chain = Snapshot::chain(self.peer.pid());
        let leader = self.peer.told_by(&chain).map_err(|why| Error::Degraded(why.to_string()))?;
        login::open(&self.daemon, &self.bus, (leader, &chain), &facts).await
    }

    fn close_session(&self, id: &str) -> Result<(), Error> {
        let session = id.parse().ok().and_then(|id| self.daemon.find(id)).ok_or_else(no_such)?;
        self.daemon.close(session.id);
        Ok(())
    }

    fn vouch(&self) -> Result<HashMap<String, String>, Error> {
        Ok(vouch::to_dict(&self.daemon.own_session(self.peer.pid()).ok_or_else(no_such)?))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_peer_that_wrote_before_it_died_is_gone() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = UnixStream::from_std(ours).unwrap();
        assert!(is_there(&ours), "it has yet to write");
        (&theirs).write_all(b"\0AUTH EXTERNAL 30\r\n").unwrap();
        assert!(is_there(&ours));
        drop(theirs);
        assert!(!is_there(&ours));
    }
}
