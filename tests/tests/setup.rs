//! `authflow setup` on a stock Debian: what it shows, what it changes, how it is confirmed, and how it goes back.

use authflow_tests::{Authenticator, Machine, Person, wait};

/// alice may use sudo, and has an authenticator; bob is there to go on as before.
fn machine() -> Option<(Machine, Authenticator)> {
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

const SETUP: &[&str] = &["authflow", "setup", "sshd", "--user", "alice", "--yes"];

/// Everything that setup may touch, as text.
fn files(machine: &Machine) -> String {
    let listed = "for f in /etc/pam.d/* /etc/ssh/sshd_config.d/* /etc/authflow/*.toml /etc/authflow/authflow.toml.d/*; do \
                  [ -f $f ] && stat -c '%n %a %U:%G' $f && cat $f; done";
    machine.shell(listed).stdout
}

/// Somebody who logs in by whatever is asked: the password alone, or a code as well.
fn log_in(machine: &Machine, user: &str, phone: Option<&mut Authenticator>) -> Person {
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

#[test]
fn a_stock_machine_is_protected_by_a_login_that_confirms() {
    let Some((machine, mut phone)) = machine() else { return };
    let stock = files(&machine);
    let shown = machine.run([SETUP, &["--dry-run"]].concat()).success();
    for line in ["--- a/etc/pam.d/sshd", "+++ b/etc/pam.d/sshd", "+Match User alice", "+name = \"setup-sshd\""] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(files(&machine), stock, "nothing was changed");

    let mut old = log_in(&machine, "alice", None);
    let said = machine.run(SETUP).success();
    assert!(said.contains("sudo authflow setup confirm"), "{said}");
    assert_eq!(machine.run(["systemctl", "is-active", "authflow-setup-rollback.timer"]).stdout, "active\n");
    assert!(machine.run(SETUP).failure(1).contains("waits"));

    // Not from a terminal that was open before, and not by somebody else's login.
    old.type_line("sudo authflow setup confirm");
    old.expect("password for alice: ");
    old.type_line(machine.password());
    old.expect("not confirmed");
    assert!(machine.run(["authflow", "setup", "confirm"]).failure(1).contains("not confirmed"));
    let _bob = log_in(&machine, "bob", None);
    let mut alice = log_in(&machine, "alice", Some(&mut phone));
    assert_eq!(machine.sessions().iter().filter(|session| session["rule"] == "setup-sshd").count(), 1);
    alice.type_line("sudo authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect("sshd for alice stays");
    assert!(!machine.path("/var/lib/authflow/setup/pending").exists());
    assert_ne!(machine.run(["systemctl", "is-active", "authflow-setup-rollback.timer"]).stdout, "active\n");
    assert!(machine.run(SETUP).success().contains("nothing to do"));

    let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _ = machine.run(["rm", "/etc/authflow/authflow.toml.last-good"]).stdout;
    assert_eq!(files(&machine), stock, "to the byte");
    let _as_before = log_in(&machine, "alice", None);
}
