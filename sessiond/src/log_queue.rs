//! Lines on their way to syslog. A line is handed over at once where syslog has room: a daemon that is killed has told all that it did. The
//! kernel keeps about ten lines for a reader that is slow, and a revocation of twenty sessions writes forty: what finds no room waits here,
//! in order, for a thread that is there only as long as something waits.

use std::{
    collections::VecDeque,
    io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

use crate::{
    event::Event,
    log::{Line, Urgency},
};

/// So many lines wait for a syslog that hangs; later ones are lost, and counted.
const MOST: usize = 10_000;

/// How long a look for room takes at most: a syslog that was started anew has another socket.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

type Syslog = Logger<LoggerBackend, Formatter3164>;

/// The way to syslog.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    way: Mutex<Way>,
    emptied: Condvar,
}

struct Way {
    socket: PathBuf,
    /// The logger, and its socket once more, to wait for room without the lock.
    there: Option<(Syslog, UnixDatagram)>,
    waiting: VecDeque<Line>,
    is_drained: bool,
    lost: u64,
}

/// How a line fared.
enum Sent {
    Yes,
    NoRoom,
    /// There is no syslog.
    Lost,
}

impl Queue {
    /// The way to the syslog that listens at `socket`.
    #[must_use]
    pub(crate) fn to(socket: &Path) -> Self {
        let way = Way { socket: socket.to_owned(), there: None, waiting: VecDeque::new(), is_drained: false, lost: 0 };
        Self(Arc::new(Shared { way: Mutex::new(way), emptied: Condvar::new() }))
    }

    /// Hands a line over, or lets it wait. Never blocks.
    pub(crate) fn push(&self, line: &Line) {
        let mut way = self.0.way();
        if way.waiting.is_empty() {
            match way.send(line) {
                Sent::Yes => return way.tell_lost(),
                Sent::Lost => return,
                Sent::NoRoom => {}
            }
        }
        if way.waiting.len() >= MOST {
            way.lost = way.lost.saturating_add(1);
            return;
        }
        way.waiting.push_back(line.clone());
        if !way.is_drained {
            let shared = Arc::clone(&self.0);
            way.is_drained = std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.drain()).is_ok();
        }
    }

    /// Waits until nothing waits, at most so long: for the end of the daemon.
    pub(crate) fn flush(&self, at_most: Duration) {
        let way = self.0.way();
        let _late = self.0.emptied.wait_timeout_while(way, at_most, |way| !way.waiting.is_empty());
    }
}

impl Shared {
    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits, as room comes, and ends.
    fn drain(&self) {
        loop {
            let mut way = self.way();
            way.send_waiting();
            if way.waiting.is_empty() {
                way.is_drained = false;
                self.emptied.notify_all();
                return;
            }
            let socket = way.there.as_ref().and_then(|(_, socket)| socket.try_clone().ok());
            drop(way);
            let Some(socket) = socket else { continue };
            let _looked_at_again = poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&LOOK));
        }
    }
}

impl Way {
    fn send_waiting(&mut self) {
        while let Some(line) = self.waiting.pop_front() {
            if matches!(self.send(&line), Sent::NoRoom) {
                self.waiting.push_front(line);
                return;
            }
        }
        self.tell_lost();
    }

    fn tell_lost(&mut self) {
        if self.lost > 0 && matches!(self.send(&Line::warning(Event::LogLinesLost).with("lines", self.lost)), Sent::Yes)
        {
            self.lost = 0;
        }
    }

    /// The socket does not survive a restart of syslog: a line that fails gets a second try on a new one.
    fn send(&mut self, line: &Line) -> Sent {
        for _ in 0..2 {
            if self.there.is_none() {
                self.there = connect(&self.socket).ok();
            }
            let Some((logger, _)) = self.there.as_mut() else { break };
            match write(logger, line) {
                Ok(()) => return Sent::Yes,
                Err(syslog::Error::Write(why) | syslog::Error::Io(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                    return Sent::NoRoom;
                }
                Err(_) => self.there = None,
            }
        }
        self.lost = self.lost.saturating_add(1);
        Sent::Lost
    }
}

fn write(logger: &mut Syslog, line: &Line) -> syslog::Result<()> {
    match line.urgency() {
        Urgency::Debug => logger.debug(line.text()),
        Urgency::Info => logger.info(line.text()),
        Urgency::Warning => logger.warning(line.text()),
        Urgency::Error => logger.err(line.text()),
    }
}

/// The crate's own socket would wait for a reader: a syslog that hangs must not take the daemon with it.
fn connect(to: &Path) -> io::Result<(Syslog, UnixDatagram)> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    let again = socket.try_clone()?;
    let formatter = Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "authflow-sessiond".to_owned(),
        pid: std::process::id(),
    };
    Ok((Logger::new(LoggerBackend::Unix(socket), formatter), again))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(reader: &UnixDatagram) -> String {
        let mut bytes = [0; 1024];
        let length = reader.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).split(" event=").nth(1).unwrap().to_owned()
    }

    #[test]
    fn a_slow_reader_gets_every_line_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let reader = UnixDatagram::bind(&socket).unwrap();
        let queue = Queue::to(&socket);
        for number in 0..500 {
            queue.push(&Line::info(Event::Struck).with("number", number));
        }
        for number in 0..500 {
            assert_eq!(next(&reader), format!("struck number={number}"));
        }
        queue.flush(Duration::from_secs(60));
        assert!(!queue.0.way().is_drained);
    }

    #[test]
    fn lines_without_a_reader_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let queue = Queue::to(&socket);
        queue.push(&Line::info(Event::Started));
        queue.push(&Line::info(Event::Opened));
        let reader = UnixDatagram::bind(&socket).unwrap();
        queue.push(&Line::info(Event::Stopped));
        assert_eq!((next(&reader), next(&reader)), ("stopped".to_owned(), "log-lines-lost lines=2".to_owned()));
    }
}
