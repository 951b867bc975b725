//! Talking with the person at the terminal: hidden lines, plain lines, yes or no. What is typed at a hidden prompt shows
//! nowhere, and the terminal echoes again afterwards, whatever ends the prompt.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::fd::AsFd,
};

use authflow_core::secret::Secret;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal, raise},
        signalfd::{SfdFlags, SignalFd},
        termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
    },
};
use zeroize::Zeroizing;

/// The longest line that is taken, its newline not counted.
pub(crate) const LONGEST: usize = 4096;

/// The terminal that this process belongs to, whatever its standard input and output are.
#[derive(Debug)]
pub(crate) struct Terminal(File);

impl Terminal {
    /// Opens it. Fails where there is none, as under cron or a provisioning tool.
    pub(crate) fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self)
    }

    /// Asks for one line that is not shown.
    pub(crate) fn ask_hidden(&self, prompt: &str) -> io::Result<Secret> {
        let signals = HeldSignals::new()?;
        let silence = Silence::new(&self.0)?;
        self.say(prompt)?;
        let line = read_line(&self.0, &signals);
        drop(silence);
        self.say("\n")?;
        line.map(Secret::new)
    }

    /// Asks for one line.
    pub(crate) fn ask(&self, prompt: &str) -> io::Result<Secret> {
        let signals = HeldSignals::new()?;
        self.say(prompt)?;
        read_line(&self.0, &signals).map(Secret::new)
    }

    /// Asks a question that only `y` or `yes` says yes to.
    pub(crate) fn confirm(&self, question: &str) -> io::Result<bool> {
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.expose().trim_ascii().to_ascii_lowercase().as_slice(), b"y" | b"yes"))
    }

    /// Shows `text`.
    pub(crate) fn say(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())
    }
}

/// One line of standard input, without its newline. Unbuffered: what `std` buffers is never wiped.
pub(crate) fn line_of_stdin() -> io::Result<Secret> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    take_line(|buffer| (&stdin).read(buffer)).map(Secret::new)
}

/// Echo is off as long as this lives.
struct Silence<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn new(tty: &'a File) -> io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL);
        // FLUSH: what was typed before the prompt was typed in the open, and is no answer to it.
        tcsetattr(tty, SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.tty, SetArg::TCSAFLUSH, &self.before);
    }
}

/// The signals that would end or stop this process wait as long as this lives, readable from a descriptor.
struct HeldSignals {
    held: SigSet,
    arrived: SignalFd,
}

impl HeldSignals {
    fn new() -> io::Result<Self> {
        let held: SigSet =
            [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP].into_iter().collect();
        held.thread_block()?;
        let arrived = SignalFd::with_flags(&held, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { held, arrived })
    }

    /// Waits until `tty` has a line; an error once a signal came first. The signal then takes its usual effect when
    /// this is dropped, after the terminal has been put right.
    fn wait_for(&self, tty: &File) -> io::Result<()> {
        loop {
            let mut ready =
                [PollFd::new(tty.as_fd(), PollFlags::POLLIN), PollFd::new(self.arrived.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [line, signal] = ready;
            if signal.any() == Some(true) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if line.any() == Some(true) {
                return Ok(());
            }
        }
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        let taken = self.arrived.read_signal().ok().flatten();
        let _ = self.held.thread_unblock();
        let number = taken.and_then(|info| i32::try_from(info.ssi_signo).ok());
        if let Some(signal) = number.and_then(|number| Signal::try_from(number).ok()) {
            let _ = raise(signal);
        }
    }
}

fn read_line(tty: &File, signals: &HeldSignals) -> io::Result<Vec<u8>> {
    take_line(|buffer| {
        signals.wait_for(tty)?;
        let mut tty = tty;
        tty.read(buffer)
    })
}

/// Collects one line from `read`. The buffer never grows: growing would leave copies behind.
fn take_line(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut buffer = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut filled = 0;
    loop {
        let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the line is longer than {LONGEST} bytes")));
        };
        let count = read(room)?;
        let end = room.iter().take(count).position(|byte| *byte == b'\n').map(|place| filled + place);
        filled += count;
        if let Some(end) = end.or((count == 0).then_some(filled)) {
            return Ok(buffer.get(..end).unwrap_or_default().to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::pty::openpty;

    use super::*;

    fn line(mut input: &[u8]) -> io::Result<Vec<u8>> {
        take_line(|buffer| input.read(buffer))
    }

    fn echoes(tty: &File) -> bool {
        tcgetattr(tty).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    #[test]
    fn one_line_is_taken_without_its_newline() {
        assert_eq!(line(b"secret\n").unwrap(), b"secret");
        assert_eq!(line(b"secret").unwrap(), b"secret");
        assert_eq!(line(b"first\nsecond\n").unwrap(), b"first");
        assert_eq!(line(b" \r\n").unwrap(), b" \r");
        assert_eq!(line(b"").unwrap(), b"");
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_refused_not_cut() {
        let longest = vec![b'x'; LONGEST];
        assert_eq!(line(&[&longest[..], b"\n"].concat()).unwrap(), longest);
        assert_eq!(line(&longest).unwrap(), longest);
        assert_eq!(line(&[b'x'; LONGEST + 1]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_hidden_line_is_not_echoed_and_echo_comes_back() {
        let pty = openpty(None, None).unwrap();
        let (mut keyboard, tty) = (File::from(pty.master), File::from(pty.slave));
        let terminal = Terminal(tty.try_clone().unwrap());
        let typist = std::thread::spawn(move || {
            let mut prompt = [0; 6];
            keyboard.read_exact(&mut prompt).unwrap();
            keyboard.write_all(b"open sesame\n").unwrap();
            let mut shown = [0; 2];
            keyboard.read_exact(&mut shown).unwrap();
            (keyboard, prompt, shown)
        });
        let answer = terminal.ask_hidden("Word: ").unwrap();
        assert_eq!(answer.expose(), b"open sesame");
        // The keyboard's end stays open: without it the terminal is gone.
        let (_keyboard, prompt, shown) = typist.join().unwrap();
        assert_eq!((&prompt, &shown), (b"Word: ", b"\r\n"));
        assert!(echoes(&tty));
    }

    #[test]
    fn echo_comes_back_after_an_error() {
        let pty = openpty(None, None).unwrap();
        let (_keyboard, tty) = (pty.master, File::from(pty.slave));
        let silence = Silence::new(&tty).unwrap();
        assert!(!echoes(&tty));
        drop(silence);
        assert!(echoes(&tty));
    }
}
