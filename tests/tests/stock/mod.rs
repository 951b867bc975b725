//! Stock Debians that `authflow setup` is tried on: booted, or Debian's own sshd and stacks without systemd.
#![allow(dead_code, reason = "each test takes what it needs")]

use authflow_tests::{Authenticator, Machine, Person, Program, wait};
use serde_json::Value;

/// Sets sshd up for alice, and asks nothing.
pub const SETUP: &[&str] = &["authflow", "setup", "sshd", "--user", "alice", "--yes"];

/// The same for a shell.
pub const SETUP_LINE: &str = "authflow setup sshd --user alice --yes";

/// alice may use sudo, and has an authenticator; bob is there to go on as before.
pub fn booted() -> Option<(Machine, Authenticator)> {
    let machine = Machine::booted()?.user("alice").user("bob").start();
    let passwords = format!("alice:{0}\nbob:{0}\nroot:{0}\n", machine.password());
    let _ = machine.feed(["chpasswd"], passwords.as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, secret.as_bytes()).success();
    Some((machine, Authenticator::new(secret)))
}

/// Debian's own sshd and stacks, without systemd. alice may use sudo, and has a password and an authenticator.
pub struct Site {
    pub machine: Machine,
    _sshd: Program,
    pub stock: String,
}

impl Site {
    pub fn new() -> Option<Self> {
        let machine = Machine::overlay()?.user("alice").start();
        let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
        machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
        let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
        let _ = machine.feed(add, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").success();
        let _ = machine.run(["ssh-keygen", "-A"]).success();
        let sshd = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1"]);
        let answers = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3";
        wait::until_true("sshd", || machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
        let stock = files(&machine);
        Some(Self { machine, _sshd: sshd, stock })
    }

    /// What setup says, without a change, of the machine as `spoil` leaves it; then the machine is as it was.
    #[track_caller]
    pub fn planned(&self, spoil: &str, args: &str) -> (bool, String) {
        let folders = "/etc/ssh /etc/passwd /etc/shadow /etc/group";
        let _ = self.machine.shell(&format!("tar -C / -cpf /root/as-it-was {folders}")).success();
        let _ = self.machine.shell(spoil).success();
        let run = self.machine.shell(&format!("authflow setup {args} --dry-run"));
        let restore = "rm -rf /etc/ssh && tar -C / -xpf /root/as-it-was && rm /root/as-it-was";
        let _ = self.machine.shell(restore).success();
        assert_eq!(files(&self.machine), self.stock, "{args}");
        (run.status.success(), run.stdout + &run.stderr)
    }
}

/// Everything that setup may touch, as text.
pub fn files(machine: &Machine) -> String {
    let listed = "for f in /etc/pam.d/* /etc/ssh/sshd_config.d/* /etc/authflow/*.toml /etc/authflow/authflow.toml.d/*; do \
                  [ -f $f ] && stat -c '%n %a %U:%G' $f && cat $f; done; true";
    machine.shell(listed).success()
}

/// What `authflow check` calls an error or a warning.
pub fn defects(machine: &Machine) -> Vec<String> {
    let found: Value = serde_json::from_str(&machine.run(["authflow", "check", "--json"]).stdout).expect("a list");
    let is_told = |finding: &&Value| finding["severity"] != "note";
    let id = |finding: &Value| finding["id"].as_str().expect("an id").to_owned();
    found.as_array().expect("a list").iter().filter(is_told).map(id).collect()
}

/// Somebody who logs in by whatever is asked: the password alone, or a code as well.
pub fn log_in(machine: &Machine, user: &str, phone: Option<&mut Authenticator>) -> Person {
    let mut person = machine.ssh(user, &[]);
    person.expect("assword: ");
    person.type_line(machine.password());
    if let Some(phone) = phone {
        person.expect("Verification code: ");
        person.type_line(&phone.code());
    }
    person.expect("$ ");
    person
}
