//! The stream of a login program at the door, as zbus takes one. zbus's own looks its peer's groups up by name service at each connection,
//! and a directory that is away would keep every login waiting for what nobody asks.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use tokio::net::{
    UnixStream,
    unix::{OwnedReadHalf, OwnedWriteHalf},
};
use zbus::{
    connection::socket::{ReadHalf, Socket, Split, WriteHalf},
    export::async_trait::async_trait,
    fdo::ConnectionCredentials,
};

/// How much a peer may say in all: a login is opened and closed in some thousand bytes, and zbus keeps whatever comes.
const MOST: usize = 256 * 1024;

/// A stream without descriptors: none are sent at the door.
pub(super) struct PeerSocket {
    stream: UnixStream,
    uid: u32,
}

impl PeerSocket {
    /// The stream to a peer that the kernel says has that uid.
    pub(super) const fn new(stream: UnixStream, uid: u32) -> Self {
        Self { stream, uid }
    }
}

impl Socket for PeerSocket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (reading, writing) = self.stream.into_split();
        Split::new(Reader { reading, uid: self.uid, left: MOST }, Writer(writing))
    }
}

/// What the peer says.
#[derive(Debug)]
pub(super) struct Reader {
    reading: OwnedReadHalf,
    uid: u32,
    /// How much more it may say.
    left: usize,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        // A message that will be too long is not waited for.
        if buffer.len() > self.left {
            return Err(io::Error::other("the peer says too much"));
        }
        loop {
            self.reading.readable().await?;
            match self.reading.try_read(buffer) {
                Err(again) if again.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    let read = read?;
                    self.left = self.left.saturating_sub(read);
                    return Ok((read, Vec::new()));
                }
            }
        }
    }

    async fn peer_credentials(&mut self) -> io::Result<ConnectionCredentials> {
        Ok(ConnectionCredentials::default().set_unix_user_id(self.uid))
    }
}

/// What it is told.
#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, bytes: &[u8], _none: &[BorrowedFd<'_>]) -> io::Result<usize> {
        loop {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Err(again) if again.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(rustix::net::shutdown(self.0.as_ref(), rustix::net::Shutdown::Both)?)
    }
}
