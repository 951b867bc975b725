//! The Debian packages, from what the build made and by the rules that `make deb` uses, and a machine that installs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Machine, Output, gate};

/// Where a machine finds them, a folder for each version.
const FOLDER: &str = "/root/packages";

/// Packages of one version.
#[derive(Clone, Debug)]
pub struct Packages {
    /// The files, as the host has them.
    pub files: Vec<PathBuf>,
}

impl Packages {
    /// The ones of the current build. `None` when end-to-end tests are left out.
    #[must_use]
    pub fn built() -> Option<Self> {
        if !gate::is_open() {
            return None;
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is inside the workspace");
        // Tests run side by side, and the packages are made once.
        let mut make = Command::new("flock");
        make.arg(workspace.join("Makefile")).args(["make", "--silent", "-C"]).arg(workspace).arg("deb-from-build");
        let make = make.env_remove("MAKEFLAGS").env_remove("MFLAGS").stdin(Stdio::null());
        let told = succeed(make);
        let files: Vec<_> = told.lines().filter(|line| line.ends_with(".deb")).map(PathBuf::from).collect();
        assert_eq!(files.len(), 2, "{told}");
        Some(Self { files })
    }

    /// The same with another version, in `folder`.
    #[must_use]
    pub fn numbered(&self, version: &str, folder: &Path) -> Self {
        let one = |file: &PathBuf| {
            let name = file.file_stem().and_then(|name| name.to_str()).expect("a name of a package");
            let unpacked = folder.join(name);
            succeed(Command::new("dpkg-deb").arg("--raw-extract").arg(file).arg(&unpacked));
            let control = unpacked.join("DEBIAN/control");
            let text = fs::read_to_string(&control).expect("it has a control file");
            let old = text.lines().find_map(|line| line.strip_prefix("Version: ")).expect("it has a version");
            // The module's package names the other's version, too.
            fs::write(&control, text.replace(old, version)).expect("it can be written");
            let new = folder.join(format!("{name}-{version}.deb"));
            succeed(Command::new("dpkg-deb").args(["-Zgzip", "-z1", "--build"]).arg(&unpacked).arg(&new));
            new
        };
        Self { files: self.files.iter().map(one).collect() }
    }
}

impl Machine {
    /// Puts packages where the machine finds them, and returns the paths there.
    #[must_use]
    pub fn take(&self, packages: &Packages) -> Vec<String> {
        fs::create_dir_all(self.path(FOLDER)).expect("a folder");
        let take = |file: &PathBuf| {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a file has a name");
            let place = format!("{FOLDER}/{name}");
            fs::copy(file, self.path(&place)).expect("it can be copied");
            place
        };
        packages.files.iter().map(take).collect()
    }

    /// Runs dpkg, with nobody there to answer questions.
    pub fn dpkg(&self, arguments: &[&str]) -> Output {
        self.run([&["env", "DEBIAN_FRONTEND=noninteractive", "dpkg"], arguments].concat())
    }

    /// Installs the packages.
    #[track_caller]
    pub fn install(&self, packages: &Packages) {
        let files = self.take(packages);
        let arguments: Vec<_> = ["--install"].into_iter().chain(files.iter().map(String::as_str)).collect();
        let _ = self.dpkg(&arguments).success();
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("dpkg and make run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
