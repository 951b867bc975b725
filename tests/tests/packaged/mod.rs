//! A booted Debian on which the packages are put.
#![allow(dead_code, reason = "each test takes what it needs")]

use authflow_tests::{Machine, Packages};

pub const SYSTEM_PASSWORD: &str = "what the system knows";

pub const BOTH: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["publickey", "totp"], ["password", "totp"]]
"#;

pub const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nMaxStartups 100";

/// A booted machine without authflow, and users whose passwords are the system's.
pub fn machine(users: &[&str]) -> Option<Machine> {
    let plan = users.iter().fold(Machine::booted()?.without_authflow(), |plan, user| plan.user(user));
    let machine = plan.start();
    set_system_passwords(&machine, users);
    machine.restart_sshd(SSHD);
    Some(machine)
}

pub fn set_system_passwords(machine: &Machine, users: &[&str]) {
    let lines: String = users.iter().map(|user| format!("{user}:{SYSTEM_PASSWORD}\n")).collect();
    let _ = machine.feed(["chpasswd"], lines.as_bytes()).success();
}

pub fn enable_profile(machine: &Machine) {
    let enable =
        ["env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", "--enable", "authflow", "authflow-session"];
    let _ = machine.run(enable).success();
}

pub fn unpack(machine: &Machine, packages: &Packages) {
    let files = machine.take(packages);
    let arguments: Vec<_> = ["--unpack"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let _ = machine.dpkg(&arguments).success();
}
