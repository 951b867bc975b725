//! A machine with a kernel of its own: its clock can be set, and it reboots. It runs inside another, whose people log in to it.

use std::{process::Command, time::Duration};

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
        let mut emulated = Self { host, emulator: host.start(["sh", "-c", &start]) };
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
        self.host.run(argv)
    }

    /// Somebody who logs in there over SSH, by PAM.
    #[must_use]
    pub fn ssh(&self, user: &str) -> Person {
        self.host.ssh(user, &["-p", "2222"])
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

#[track_caller]
fn wait_long(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = wait::Deadline::after(LONG_PATIENCE);
    while !is_true() {
        assert!(!deadline.left().is_zero(), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
