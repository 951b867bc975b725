//! The machine as a value: described, started, used. What is not described is Debian's.

use std::{
    cell::RefCell,
    ffi::{OsStr, OsString},
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Stdio,
};

use rustix::process::Signal;

use crate::{Authenticator, Output, Person, Program, bed::Bed, catalogue, gate, products, syslog::Syslog, wait};

/// The password of every user that [`Machine::enroll`] enrolls.
const PASSWORD: &str = "correct horse battery";
const SECRETS: [&str; 4] = [
    "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU",
    "MFZWIZTHNBVGW3DNMFZWIZTHNBVGW3DN",
    "ONSWG4TFOQQHI2DJONSWG4TFOQQHI2DJ",
];

/// A machine that is not there yet.
#[derive(Debug)]
#[must_use]
pub struct Plan {
    booted: bool,
    config: String,
    files: Vec<(String, String)>,
    users: Vec<String>,
    installed: bool,
    daemon: bool,
    sshd: Option<String>,
}

/// A machine that runs. It is gone with its value.
#[derive(Debug)]
pub struct Machine {
    // In the order in which they end: what runs inside before the bed.
    daemon: RefCell<Option<Program>>,
    sshd: RefCell<Option<Program>>,
    bus: RefCell<Option<Program>>,
    syslog: Option<Syslog>,
    enrolled: RefCell<usize>,
    bed: Bed,
}

impl Machine {
    /// A machine over this one, without systemd; up in a moment. `None` when end-to-end tests are left out.
    #[must_use]
    pub fn overlay() -> Option<Plan> {
        gate::is_open().then(|| Plan::new(false))
    }

    /// A booted Debian. `None` when end-to-end tests are left out.
    #[must_use]
    pub fn booted() -> Option<Plan> {
        gate::is_open().then(|| Plan::new(true))
    }

    /// Runs a command as root and waits for it.
    pub fn run<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Output {
        self.feed(argv, b"")
    }

    /// Runs a command as root with `input` on its stdin and waits for it.
    pub fn feed<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>, input: &[u8]) -> Output {
        let argv: Vec<_> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let command = argv.join(OsStr::new(" ")).to_string_lossy().into_owned();
        // A command that hangs fails its test, instead of holding up all of them.
        let limit = ["timeout", "--kill-after=5", "300"].map(OsString::from);
        let mut child = self
            .bed
            .command(limit.into_iter().chain(argv))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        // Whoever does not read it all has had enough.
        child.stdin.take().expect("piped").write_all(input).ok();
        let output = child.wait_with_output().expect("a command ends");
        Output {
            command,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a line of shell as root and waits for it.
    pub fn shell(&self, line: &str) -> Output {
        self.run(["sh", "-c", line])
    }

    /// Starts a command as root in the background.
    pub fn start<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Program {
        let mut command = self.bed.command(argv);
        Program::new(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nsenter runs"))
    }

    /// Sits down at a terminal on which this command runs.
    pub fn person<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Person {
        Person::new(&self.bed, argv)
    }

    /// Somebody who runs OpenSSH's client to log in here, with these options and perhaps a command besides. One attempt.
    pub fn ssh(&self, user: &str, more: &[&str]) -> Person {
        let mut argv = vec!["ssh", "-F", "none"];
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "NumberOfPasswordPrompts=1",
            "IdentitiesOnly=yes",
        ] {
            argv.extend(["-o", option]);
        }
        argv.extend(["-l", user, "127.0.0.1"]);
        argv.extend(more);
        self.person(argv)
    }

    /// The same from another address of its own, which the machine has from now on: those of loopback are one source.
    pub fn ssh_from(&self, address: &str, user: &str, more: &[&str]) -> Person {
        let _ = self.run(["ip", "address", "replace", address, "dev", "lo"]).success();
        self.ssh(user, &[&["-b", address], more].concat())
    }

    /// Gives a user the password, and nothing else.
    #[track_caller]
    pub fn give_password(&self, user: &str) {
        let _ = self.feed(["authflow", "passwd", "--user", user, "--stdin"], PASSWORD.as_bytes()).success();
    }

    /// Enrolls a user with a password and an authenticator app, by `authflow` itself.
    #[track_caller]
    pub fn enroll(&self, user: &str) -> Authenticator {
        let secret = SECRETS[self.enrolled.replace_with(|number| *number + 1) % SECRETS.len()];
        self.give_password(user);
        let add = ["authflow", "factor", "add", "totp", "--user", user, "--secret-stdin", "--no-confirm"];
        let _ = self.feed(add, secret.as_bytes()).success();
        Authenticator::new(secret)
    }

    /// The password that [`Machine::enroll`] gives.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Writes a file, mode 0644.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let place = self.path(path);
        fs::create_dir_all(place.parent().expect("a file is in a folder")).expect("folders can be made");
        fs::write(&place, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).expect("the mode can be set");
    }

    /// Reads a file. Empty if it is not there.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Where the host finds a file of the machine.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.bed.path(inside)
    }

    /// The machine's first process, as the host sees it.
    #[must_use]
    pub fn first_process(&self) -> u32 {
        self.bed.first()
    }

    /// What was logged since the machine started.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.syslog {
            Some(syslog) => syslog.text(),
            None => self.run(["journalctl", "--boot", "--no-pager", "--output=short"]).stdout,
        }
    }

    /// Waits until one line of the log holds all of these words, and returns it.
    #[track_caller]
    pub fn logged(&self, words: &[&str]) -> String {
        let holds = |line: &&str| words.iter().all(|word| line.contains(word));
        let deadline = wait::Deadline::after(wait::PATIENCE);
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(holds) {
                return line.to_owned();
            }
            assert!(!deadline.left().is_zero(), "no line of the log holds {words:?}:\n{log}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Starts the session daemon and waits until it is on the bus.
    #[track_caller]
    pub fn start_daemon(&self) {
        if self.syslog.is_none() {
            return drop(self.run(["systemctl", "start", "authflow-sessiond"]).success());
        }
        *self.daemon.borrow_mut() = Some(self.start(["/usr/libexec/authflow-sessiond"]));
        wait::until_true("the daemon's bus name", || self.owns_name("org.authflow.sessiond1"));
    }

    /// Kills the session daemon as `kill -9` does. Where there is systemd it starts it again.
    #[track_caller]
    pub fn kill_daemon(&self) {
        match self.daemon.take() {
            Some(daemon) => daemon.kill(),
            None => drop(self.run(["systemctl", "kill", "--signal=KILL", "authflow-sessiond"]).success()),
        }
    }

    /// The session daemon's number as the machine sees it.
    #[track_caller]
    #[must_use]
    pub fn daemon_pid(&self) -> u32 {
        self.daemon.borrow().as_ref().expect("a daemon that the test started").pid()
    }

    /// Sends the session daemon a signal.
    pub fn signal_daemon(&self, signal: Signal) {
        if let Some(daemon) = &*self.daemon.borrow() {
            daemon.signal(signal);
        }
    }

    /// Sends the bus a signal.
    pub fn signal_bus(&self, signal: Signal) {
        if let Some(bus) = &*self.bus.borrow() {
            bus.signal(signal);
        }
    }

    /// Starts the machine's bus.
    #[track_caller]
    pub fn start_bus(&self) {
        fs::remove_file(self.path("/run/dbus/system_bus_socket")).ok();
        *self.bus.borrow_mut() =
            Some(self.start(["dbus-daemon", "--system", "--nofork", "--nopidfile", "--syslog-only"]));
        wait::until_true("the bus", || self.owns_name("org.freedesktop.DBus"));
    }

    /// Takes the machine's bus away.
    pub fn stop_bus(&self) {
        if let Some(bus) = self.bus.take() {
            bus.kill();
        }
    }

    /// Starts sshd anew with these lines of configuration besides the usual ones.
    #[track_caller]
    pub fn restart_sshd(&self, lines: &str) {
        drop(self.sshd.take());
        let usual =
            "UsePAM yes\nListenAddress 127.0.0.1\nUseDNS no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n";
        self.write("/etc/ssh/sshd_config", &format!("{lines}\n{usual}"));
        if self.syslog.is_none() {
            let _ = self.run(["systemctl", "restart", "ssh"]).success();
        } else {
            let _ = self.run(["ssh-keygen", "-A"]).success();
            *self.sshd.borrow_mut() = Some(self.start(["/usr/sbin/sshd", "-D"]));
        }
        let answers = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3";
        wait::until_true("sshd", || self.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
    }

    fn owns_name(&self, name: &str) -> bool {
        let call =
            ["busctl", "--system", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner", "s"];
        self.run(call.into_iter().chain([name])).stdout.trim() == "b true"
    }
}

impl Drop for Machine {
    /// Whatever the test was about, what was logged is as the documents say.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let faults = catalogue::faults(&self.log());
            assert!(faults.is_empty(), "not as docs/events.md says: {faults:#?}");
        }
    }
}

impl Plan {
    fn new(booted: bool) -> Self {
        Self {
            booted,
            config: String::new(),
            files: Vec::new(),
            users: Vec::new(),
            installed: true,
            daemon: true,
            sshd: None,
        }
    }

    /// What `/etc/authflow/authflow.toml` says.
    pub fn config(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.config);
        self
    }

    /// A user with a home and bash, without any password.
    pub fn user(mut self, name: &str) -> Self {
        self.users.push(name.to_owned());
        self
    }

    /// A file, mode 0644.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// A PAM stack of the machine.
    pub fn pam(self, service: &str, stack: &str) -> Self {
        self.file(&format!("/etc/pam.d/{service}"), stack)
    }

    /// The shipped example as the stack of `service`.
    pub fn shipped_pam(self, service: &str) -> Self {
        let stack = match service {
            "sshd" => include_str!("../../conf/pam.d/sshd.example"),
            "login" => include_str!("../../conf/pam.d/login.example"),
            "passwd" => include_str!("../../conf/pam.d/passwd.example"),
            "su" => include_str!("../../conf/pam.d/su.example"),
            "sudo" => include_str!("../../conf/pam.d/sudo.example"),
            "vlock" => include_str!("../../conf/pam.d/vlock.example"),
            other => panic!("there is no example for {other}"),
        };
        self.pam(service, stack)
    }

    /// An sshd with the shipped stack, and these lines of `sshd_config`.
    pub fn sshd(mut self, lines: &str) -> Self {
        self.sshd = Some(lines.to_owned());
        self.shipped_pam("sshd")
    }

    /// Without anything of authflow's: the test installs the packages itself.
    pub fn without_authflow(mut self) -> Self {
        self.installed = false;
        self.daemon = false;
        self
    }

    /// No session daemon yet.
    pub fn without_daemon(mut self) -> Self {
        self.daemon = false;
        self
    }

    /// Starts it all.
    #[must_use]
    pub fn start(self) -> Machine {
        let bed = if self.booted { Bed::booted() } else { Bed::overlay() };
        let syslog = (!self.booted).then(|| Syslog::listen(&bed.path("/dev/log")));
        let machine = Machine {
            daemon: RefCell::default(),
            sshd: RefCell::default(),
            bus: RefCell::default(),
            syslog,
            enrolled: RefCell::default(),
            bed,
        };
        self.furnish(&machine);
        if self.booted {
            let _ = machine.run(["systemctl", "daemon-reload"]).success();
            let _ = machine.run(["systemctl", "reload", "dbus"]).success();
        } else {
            machine.start_bus();
        }
        if self.daemon {
            machine.start_daemon();
        }
        if let Some(lines) = &self.sshd {
            machine.restart_sshd(lines);
        }
        machine
    }

    fn furnish(&self, machine: &Machine) {
        if self.installed {
            products::install(&machine.path("/"));
            machine.write("/etc/authflow/authflow.toml", &self.config);
        }
        if self.installed && !self.booted {
            // The test says when the daemon runs; the bus would start it at the first call.
            let activation = "/usr/share/dbus-1/system-services/org.authflow.sessiond1.service";
            fs::remove_file(machine.path(activation)).expect("it was just installed");
        }
        for (path, text) in &self.files {
            machine.write(path, text);
        }
        for user in &self.users {
            let _ = machine.run(["useradd", "--create-home", "--shell", "/bin/bash", user]).success();
        }
    }
}
