//! The whole terminal, for a view that is kept up to date. However it ends, short of `kill -9`, the terminal is as it was before: what
//! stood on it, its echo, its cursor.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    pin::pin,
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::output::Output;

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// How often times that are shown as "in 14 min" are drawn anew.
const TICK: Duration = Duration::from_secs(1);

/// What happened at the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A second went by, or the terminal has another size.
    Redraw,
    /// The person wants to leave, or somebody wants us gone.
    Leave,
}

/// The terminal, taken over as long as this lives.
pub(crate) struct Screen {
    keys: AsyncFd<OwnedFd>,
    before: Termios,
    output: Output,
    resized: Signal,
    ends: [Signal; 3],
}

impl Screen {
    /// Takes the terminal over. `None` where standard output is none. To be called within the runtime that waits for it.
    pub(crate) fn open(output: Output) -> io::Result<Option<Self>> {
        if !io::stdout().is_terminal() {
            return Ok(None);
        }
        // Not blocking, which on standard input would be seen by the shell, too.
        let tty: OwnedFd =
            OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/tty")?.into();
        let resized = signal(SignalKind::window_change())?;
        let ends = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        let before = tcgetattr(&tty)?;
        let mut taken = before.clone();
        // Keys come one by one and unseen, those for signals among them.
        taken.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        for (which, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(setting) = taken.control_chars.get_mut(which as usize) {
                *setting = value;
            }
        }
        let screen = Self { keys: readable(tty)?, before, output, resized, ends };
        tcsetattr(screen.keys.get_ref(), SetArg::TCSAFLUSH, &taken)?;
        output.text(ENTER)?;
        Ok(Some(screen))
    }

    /// Shows these lines, as many as there is room for.
    pub(crate) fn show(&self, text: &str) -> io::Result<()> {
        let rows = terminal_size::terminal_size_of(io::stdout()).map_or(24, |(_, height)| usize::from(height.0));
        self.output.text(&frame(text, rows.max(1)))
    }

    /// Waits until something happens at the terminal.
    pub(crate) async fn happened(&mut self) -> io::Result<Happened> {
        let Self { keys, resized, ends: [interrupted, terminated, hung_up], .. } = self;
        let second = pin!(tokio::time::sleep(TICK));
        tokio::select! {
            leaves = pressed_leave(keys) => leaves.map(|()| Happened::Leave),
            _ = interrupted.recv() => Ok(Happened::Leave),
            _ = terminated.recv() => Ok(Happened::Leave),
            _ = hung_up.recv() => Ok(Happened::Leave),
            _ = resized.recv() => Ok(Happened::Redraw),
            () = second => Ok(Happened::Redraw),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put right.
        let _ = self.output.text(LEAVE);
        let _ = tcsetattr(self.keys.get_ref(), SetArg::TCSAFLUSH, &self.before);
    }
}

#[allow(
    deprecated,
    reason = "the successor is unsafe for the sake of types that are no OwnedFd, which keeps its promise"
)]
fn readable(tty: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(tty, Interest::READABLE)
}

/// Waits for a key that means "enough": q, Ctrl-C, Ctrl-D, or a terminal that is gone.
async fn pressed_leave(keys: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut ready = keys.readable().await?;
        let mut pressed = [0; 64];
        let read = ready.try_io(|keys| Ok(nix::unistd::read(keys.get_ref(), &mut pressed)?));
        match read {
            Ok(Ok(length)) if length == 0 || pressed.iter().take(length).any(|key| b"qQ\x03\x04".contains(key)) => {
                return Ok(());
            }
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
        }
    }
}

/// The text drawn over what stood there before, without a moment of emptiness. What does not fit is counted.
fn frame(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() <= rows { lines.len() } else { rows - 1 };
    let mut frame = "\x1b[H".to_owned();
    let mut drawn: Vec<String> = lines.iter().take(shown).map(|line| format!("{line}\x1b[K")).collect();
    if shown < lines.len() {
        drawn.push(format!("and {} more\x1b[K", lines.len() - shown));
    }
    frame.push_str(&drawn.join("\n"));
    frame.push_str("\x1b[J");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_no_more_lines_than_the_terminal() {
        assert_eq!(frame("a\nb\n", 2), "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J");
        assert_eq!(frame("a\nb\nc\n", 2), "\x1b[Ha\x1b[K\nand 2 more\x1b[K\x1b[J");
        assert_eq!(frame("a\nb\n", 1), "\x1b[Hand 2 more\x1b[K\x1b[J");
    }
}
