//! A machine with a kernel of its own: its clock can be set, it sleeps, and it reboots. It runs inside another, whose people log in to it.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Machine, Output, Packages, Person, Program,
    bed::{made, made_by, script},
    wait,
};

/// What is emulated takes ten times as long.
const LONG_PATIENCE: Duration = Duration::from_secs(240);

/// A machine inside a machine. It is gone with its value.
#[derive(Debug)]
pub struct Emulated<'a> {
    host: &'a Machine,
    emulator: Program,
    /// How long it has slept.
    slept: Duration,
}

impl<'a> Emulated<'a> {
    /// Starts one in which `prepare` has run before it booted, with `packages` in `/root/packages`, and waits until both its sshds answer.
    #[track_caller]
    #[must_use]
    pub fn start(host: &'a Machine, packages: &Packages, prepare: &str) -> Self {
        let _ = host.take(packages);
        host.write("/root/prepare", prepare);
        // Its kernel and auditd are of that Debian, whichever the booted ones are.
        let rootfs = made(Command::new(script("rootfs.sh")).env("AUTHFLOW_SUITE", "bookworm"));
        let start =
            format!("exec {} {rootfs} {} > /root/told 2>&1", script("emulated.sh").display(), made_by("kernel.sh"));
        let mut emulated = Self { host, emulator: host.start(["sh", "-c", &start]), slept: Duration::ZERO };
        wait_long("the emulated machine", || {
            let told = host.read("/root/told");
            if !emulated.emulator.is_running() {
                panic!("no machine: {told}{}", host.read("/emulated/console"));
            }
            told.contains("ready")
        });
        emulated
    }

    /// Runs a line of shell there as root, past PAM.
    pub fn shell(&self, line: &str) -> Output {
        self.host.run(Self::argv(line))
    }

    fn argv(line: &str) -> Vec<&str> {
        let mut argv = vec!["ssh", "-F", "none", "-i", "/root/control", "-p", "2200", "-l", "root"];
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=30",
            // Each connection anew would cost a second.
            "ControlMaster=auto",
            "ControlPath=/run/control",
            "ControlPersist=yes",
        ] {
            argv.extend(["-o", option]);
        }
        argv.extend(["127.0.0.1", line]);
        argv
    }

    /// Somebody who logs in there over SSH, by PAM.
    #[must_use]
    pub fn ssh(&self, user: &str) -> Person {
        self.host.ssh(user, &["-p", "2222"])
    }

    /// Puts it to sleep as its own service manager does, and wakes it when it has slept for so long. It takes a moment, whatever it is.
    #[track_caller]
    pub fn sleep(&mut self, how_long: Duration) {
        let mut control = Control::new(self.host);
        // It may be told of the sleep before it or behind it.
        let mut told = self.host.start(Self::argv("systemctl suspend"));
        wait_long("the sleep", || control.ask("query-status")["status"] == "suspended");
        self.slept += how_long;
        self.host.write("/emulated/ahead", &format!("+{}", self.slept.as_secs()));
        let _ = control.ask("system_wakeup");
        assert!(told.end().success());
    }

    /// Reboots it as its own service manager does, and waits until it is up again.
    #[track_caller]
    pub fn reboot(&self) {
        let boot = || self.shell("cat /proc/sys/kernel/random/boot_id").stdout;
        let before = boot();
        // Its answer may be lost.
        drop(self.shell("systemctl reboot"));
        wait_long("the reboot", || {
            let now = boot();
            !now.is_empty() && now != before
        });
        let answers = "exec 3<>/dev/tcp/127.0.0.1/2222 && head -c 4 <&3";
        wait_long("its sshd", || self.host.run(["timeout", "5", "bash", "-c", answers]).stdout == "SSH-");
    }
}

/// The emulator's own controls (QMP).
struct Control(BufReader<UnixStream>);

impl Control {
    #[track_caller]
    fn new(host: &Machine) -> Self {
        let stream = UnixStream::connect(host.path("/emulated/qmp")).expect("qemu listens");
        let mut control = Self(BufReader::new(stream));
        let _ = control.ask("qmp_capabilities");
        control
    }

    /// What a command gives. What else is told meanwhile is passed over.
    #[track_caller]
    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.0.get_mut(), "{}", json!({ "execute": command })).expect("qemu listens");
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).expect("qemu answers"), 0, "qemu is gone");
            let mut told: Value = serde_json::from_str(&line).expect("a message");
            assert!(told.get("error").is_none(), "{command}: {told}");
            if let Some(answer) = told.get_mut("return") {
                return answer.take();
            }
        }
    }
}

#[track_caller]
fn wait_long(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = wait::Deadline::after(LONG_PATIENCE);
    while !is_true() {
        assert!(!deadline.left().is_zero(), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
