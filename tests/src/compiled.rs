//! Applications of our own, in C as applications are: their sources lie in `beds/`.

use std::{path::Path, process::Command};

use crate::Machine;

impl Machine {
    /// Compiles `beds/NAME.c` into the machine's `/usr/bin/NAME`.
    #[track_caller]
    pub fn compile(&self, name: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("beds").join(name).with_extension("c");
        let compiled = Command::new("gcc")
            .args(["-O1", "-Wall", "-Werror", "-o"])
            .arg(self.path("/usr/bin").join(name))
            .arg(source)
            .arg("-lpam")
            .status()
            .expect("gcc runs");
        assert!(compiled.success());
    }
}
