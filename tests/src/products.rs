//! What the build made, put where a package would put it: by the Makefile, as any admin would.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Installs module, daemon, command and configuration under `root`.
pub(crate) fn install(root: &Path) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is inside the workspace");
    let mut make = Command::new("make");
    make.arg("--silent").arg("-C").arg(workspace).arg("install").arg(format!("DESTDIR={}", root.display()));
    if let Some(folder) = std::env::var_os("AUTHFLOW_BUILD_DIR") {
        let mut target = std::ffi::OsString::from("TARGET_DIR=");
        target.push(folder);
        make.arg(target);
    }
    // A make around this one must not lend it its job slots.
    let made = make.env_remove("MAKEFLAGS").env_remove("MFLAGS").stdin(Stdio::null()).output().expect("make runs");
    assert!(
        made.status.success(),
        "nothing to test (`make build` first; `make test` does): {}",
        String::from_utf8_lossy(&made.stderr)
    );
}
