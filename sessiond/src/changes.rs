//! Hears of files that are written or moved into folders. Nothing is looked at for it: without a change it costs nothing.

use std::{io, mem::MaybeUninit, os::fd::OwnedFd, path::PathBuf};

use rustix::{
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use crate::readable::readable;

/// Room for what the kernel reports at once.
const BUFFER: usize = 4096;

/// Changes in folders, from when this was made on.
#[derive(Debug)]
pub(crate) struct Changes(AsyncFd<OwnedFd>);

/// A file's name, or `None` where the kernel could not keep all: any file may have changed.
pub(crate) type Change = Option<String>;

impl Changes {
    /// Begins to listen.
    ///
    /// # Errors
    /// A folder is not there, or the kernel has no room for another watch.
    pub(crate) fn watch(folders: &[PathBuf]) -> io::Result<Self> {
        let changes = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        for folder in folders {
            let written = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
            inotify::add_watch(&changes, folder, written)?;
        }
        readable(changes).map(Self)
    }

    /// Waits for the next ones.
    pub(crate) async fn next(&self) -> Vec<Change> {
        loop {
            let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
            let changes = self.drain();
            ready.clear_ready();
            if !changes.is_empty() {
                return changes;
            }
        }
    }

    fn drain(&self) -> Vec<Change> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.0.get_ref(), &mut buffer);
        let mut changes = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => changes.push(event.file_name().map(|name| name.to_string_lossy().into_owned())),
                Err(Errno::INTR) => {}
                Err(_nothing_more) => break,
            }
        }
        changes.sort_unstable();
        changes.dedup();
        changes
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_written_or_moved_there_is_heard_once_and_what_was_there_before_is_not() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("before"), "x").unwrap();
        let changes = Changes::watch(&[folder.path().to_owned()]).unwrap();
        fs::write(elsewhere.path().join("moved"), "x").unwrap();
        fs::write(folder.path().join("written"), "x").unwrap();
        fs::write(folder.path().join("written"), "y").unwrap();
        fs::rename(elsewhere.path().join("moved"), folder.path().join("moved")).unwrap();
        assert_eq!(changes.next().await, [Some("moved".to_owned()), Some("written".to_owned())]);
        fs::remove_file(folder.path().join("written")).unwrap();
        fs::write(folder.path().join("later"), "x").unwrap();
        assert_eq!(changes.next().await, [Some("later".to_owned())]);
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_watched() {
        assert!(Changes::watch(&["/nonexistent".into()]).is_err());
    }
}
