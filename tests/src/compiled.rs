//! Applications of our own, in C as applications are: their sources lie in `beds/`.

use std::{path::Path, process::Command};

use crate::Machine;

impl Machine {
    /// Compiles `beds/NAME.c` into the machine's `/usr/bin/NAME`.
    #[track_caller]
    pub fn compile(&self, name: &str) {
        self.compile_to(&format!("/usr/bin/{name}"), name, &["-lpam"]);
    }

    /// Compiles `beds/nss_NAME.c` into a name service, and has the machine ask it for users whom its files do not know.
    #[track_caller]
    pub fn add_name_service(&self, name: &str) {
        self.compile_to(&format!("/usr/lib/libnss_{name}.so.2"), &format!("nss_{name}"), &["-shared", "-fPIC"]);
        self.write("/etc/nsswitch.conf", &format!("passwd: files {name}\ngroup: files\nshadow: files\n"));
    }

    /// Compiles `beds/NAME.c` into a library for `LD_PRELOAD`, and gives its path.
    #[track_caller]
    #[must_use]
    pub fn compile_to_preload(&self, name: &str) -> String {
        let path = format!("/usr/lib/{name}.so");
        self.compile_to(&path, name, &["-shared", "-fPIC", "-ldl"]);
        path
    }

    #[track_caller]
    fn compile_to(&self, path: &str, source: &str, how: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("beds").join(source).with_extension("c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-Wall", "-Werror", "-o"]).arg(self.path(path)).arg(source).args(how);
        assert!(gcc.status().expect("gcc runs").success());
    }
}
