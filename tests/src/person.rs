//! Somebody at a terminal of the machine: reads, types, waits. Every wait has a limit, and what was on the screen is in the
//! message of a wait that fails.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    process::{Child, ExitStatus},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    io::Errno,
    process::Signal,
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{
    bed::{Bed, inner},
    program::{bury, send},
    wait::{self, Deadline, PATIENCE},
};

/// Somebody at a terminal. With the value, the terminal is hung up and what ran on it killed.
#[derive(Debug)]
pub struct Person {
    terminal: Option<File>,
    nsenter: Child,
    screen: Vec<u8>,
    /// How much of the screen earlier waits have consumed.
    read: usize,
}

impl Person {
    /// Starts a command on a new terminal inside, as the leader of that terminal's session: what a getty or a terminal window
    /// does. The terminal is one of the machine's own, so that programs inside can name it.
    pub(crate) fn new<S: AsRef<OsStr>>(bed: &Bed, argv: impl IntoIterator<Item = S>) -> Self {
        let flags = OFlags::NOCTTY.union(OFlags::NONBLOCK).bits();
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(i32::try_from(flags).expect("flags fit"))
            .open(bed.path("/dev/pts/ptmx"))
            .expect("the machine has a terminal to give");
        unlockpt(&terminal).expect("a new terminal can be unlocked");
        // Wide, so that no shell wraps what is typed.
        let size = Winsize { ws_row: 50, ws_col: 400, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("a terminal has a size");
        let side = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("its other side");
        let clone = || side.try_clone().expect("a descriptor to spare");
        let words: Vec<_> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let argv =
            ["setsid", "--ctty", "--wait"].iter().map(OsStr::new).chain(words.iter().map(|word| word.as_os_str()));
        let mut command = bed.command(argv);
        let nsenter =
            command.stdin(clone()).stdout(clone()).stderr(side).spawn().expect("a command can be run on a terminal");
        Self { terminal: Some(terminal), nsenter, screen: Vec::new(), read: 0 }
    }

    /// Waits until `text` is on the screen, after what earlier waits saw, and returns what came before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Deadline::after(PATIENCE);
        loop {
            if let Some(before) = self.consume(text) {
                return before;
            }
            if !self.look(deadline.left()) {
                // The last words may have come together with the end.
                return self.consume(text).unwrap_or_else(|| panic!("{text:?} never came: {}", self.story()));
            }
        }
    }

    /// Types a line and presses Enter.
    pub fn type_line(&mut self, line: &str) {
        self.type_bytes(format!("{line}\r").as_bytes());
    }

    /// Types these bytes as they are.
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let deadline = Deadline::after(PATIENCE);
        let mut rest = bytes;
        while !rest.is_empty() && !deadline.left().is_zero() {
            match self.terminal.as_ref().map(|terminal| (&*terminal).write(rest)) {
                Some(Ok(written)) => rest = &rest[written..],
                // The other side does not read: it may be writing itself, so read first.
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.look(Duration::from_millis(20));
                }
                // Gone, which the next wait tells.
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Answers each prompt with its answer, as often as it comes, until the program has ended. For programs of which the test does
    /// not know what they will ask.
    #[track_caller]
    pub fn answer_all(&mut self, answers: &[(&str, &str)]) -> ExitStatus {
        let deadline = Deadline::after(PATIENCE);
        loop {
            match answers.iter().find(|(prompt, _)| self.consume(prompt).is_some()) {
                Some((_, answer)) => self.type_line(answer),
                None if self.look(deadline.left()) => {}
                None => return self.end(),
            }
        }
    }

    /// Runs a command line in the shell that the person is in and returns what it printed, without its end of line.
    #[track_caller]
    pub fn shell(&mut self, line: &str) -> String {
        // The echo of what is typed shows neither mark: `$((..))` and `%s` are not yet done there.
        self.type_line(&format!("printf '<%s>' begin-$((6*7)); {line}; printf '<%s>' end-$((6*7))"));
        self.expect("<begin-42>");
        self.expect("<end-42>").replace('\r', "").trim_end_matches('\n').to_owned()
    }

    /// Waits until the program on the terminal has ended.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Deadline::after(PATIENCE);
        while self.look(deadline.left()) {}
        if deadline.left().is_zero() {
            panic!("it never ended: {}", self.story());
        }
        wait::until("the program on a terminal", || self.nsenter.try_wait().expect("it can be waited for"))
    }

    /// Whether the program on the terminal still runs.
    pub fn is_there(&mut self) -> bool {
        matches!(self.nsenter.try_wait(), Ok(None))
    }

    /// Everything that was on the screen, as it came.
    #[must_use]
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    /// Whether `text` is on the screen by now, seen by an earlier wait or not.
    pub fn sees(&mut self, text: &str) -> bool {
        while self.look(Duration::ZERO) {}
        self.screen().contains(text)
    }

    /// Pulls the plug: the terminal is hung up.
    pub fn hang_up(&mut self) {
        self.terminal = None;
    }

    fn consume(&mut self, text: &str) -> Option<String> {
        let fresh = &self.screen[self.read..];
        let place = fresh.windows(text.len().max(1)).position(|window| window == text.as_bytes())?;
        let before = String::from_utf8_lossy(&fresh[..place]).into_owned();
        self.read += place + text.len();
        Some(before)
    }

    /// Reads once. `false` when nothing came in time, or nothing will come any more.
    fn look(&mut self, limit: Duration) -> bool {
        let Some(terminal) = &mut self.terminal else { return false };
        let limit = Timespec::try_from(limit).expect("a limit fits");
        let mut waited_for = [PollFd::new(terminal, PollFlags::IN)];
        match poll(&mut waited_for, Some(&limit)) {
            Ok(0) => return false,
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => panic!("cannot wait for a terminal: {error}"),
        }
        let mut buffer = [0; 4096];
        match terminal.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.screen.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            // EIO: nobody holds the other side any more.
            Err(_) => false,
        }
    }

    fn story(&self) -> String {
        format!("the screen showed\n----\n{}\n----", self.screen().replace('\r', ""))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.hang_up();
        if self.is_there() {
            if let Some(inner) = inner(self.nsenter.id()) {
                send(inner, Signal::KILL).ok();
            }
            bury(&mut self.nsenter);
        }
    }
}
