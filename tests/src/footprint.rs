//! An application of our own that logs a user in by PAM: what stock ones hide (what is kept, answers of any length) shows in it.

use std::{path::Path, process::Command};

use crate::Machine;

impl Machine {
    /// Compiles `beds/footprint.c` into the machine, as the command `footprint SERVICE USER PASSWORD LOGINS`.
    #[track_caller]
    pub fn compile_footprint(&self) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("beds/footprint.c");
        let compiled = Command::new("gcc")
            .args(["-O1", "-Wall", "-Werror", "-o"])
            .arg(self.path("/usr/bin/footprint"))
            .arg(source)
            .arg("-lpam")
            .status()
            .expect("gcc runs");
        assert!(compiled.success());
    }
}
