//! The image that a test works on, and running the command on it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// A folder that stands for the root of an image.
pub(crate) struct Image(TempDir);

/// What a command said, and its exit code.
pub(crate) struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub error: String,
    /// The exit code.
    pub code: i32,
}

impl Image {
    /// An image with nothing in it but the folder for the configuration.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir_all(folder.path().join("etc/authflow")).unwrap();
        std::fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        Self(folder)
    }

    /// The path of a file of the image.
    pub(crate) fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    /// Writes a file of the image.
    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
    }

    /// Runs `authflow --root IMAGE ARGUMENTS` with `input` on its standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = Command::new(env!("CARGO_BIN_EXE_authflow"))
            .arg("--root")
            .arg(self.0.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Said {
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }
}

impl Said {
    /// What it said as JSON; it must have succeeded.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.error);
        serde_json::from_str(&self.out).unwrap()
    }
}
