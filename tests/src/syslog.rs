//! `/dev/log` of a machine without a syslog daemon: keeps every line for the test to read.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

/// What was logged. Ends with its value: the thread that reads wakes up at a message of our own.
#[derive(Debug)]
pub(crate) struct Syslog {
    lines: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
    path: PathBuf,
}

const END: &[u8] = b"the machine ends";

impl Syslog {
    pub(crate) fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("the machine's /dev/log");
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("everybody may log");
        let lines = Arc::<Mutex<String>>::default();
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            let mut message = [0; 64 * 1024];
            while let Ok(length) = socket.recv(&mut message) {
                if &message[..length] == END {
                    break;
                }
                let mut kept = kept.lock().expect("no panic while it is held");
                kept.push_str(String::from_utf8_lossy(&message[..length]).trim_end());
                kept.push('\n');
            }
        });
        Self { lines, reader: Some(reader), path: path.to_owned() }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.lock().expect("no panic while it is held").clone()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let told = UnixDatagram::unbound().and_then(|socket| socket.send_to(END, &self.path));
        // If it could not be told it is left to the end of the test process.
        if let (Ok(_), Some(reader)) = (told, self.reader.take()) {
            reader.join().ok();
        }
    }
}
