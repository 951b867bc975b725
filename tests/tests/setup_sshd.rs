//! `authflow setup` where sshd is not one daemon that the boot starts: started by a socket, for each connection, or several at once.

mod stock;

use authflow_tests::{Authenticator, Machine, wait};
use stock::{SETUP, SETUP_LINE, Site, defects, files, log_in};

/// sshd has not run since the boot, so that even its folder in /run is not there.
#[test]
fn where_a_socket_starts_sshd_it_is_set_up_before_the_first_connection() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    let _ = machine.shell("systemctl disable --now ssh && systemctl enable --now ssh.socket").success();
    assert!(!machine.path("/run/sshd").exists());
    let found = machine.run(["authflow", "check"]);
    assert!(!found.stdout.contains("sshd"), "without a rule about it: {}", found.stdout);
    // At a cycle of units that wait for each other systemd drops one of them, which here would be the socket: no way in at all.
    let booted = machine.run(["systemd-analyze", "verify", "default.target"]);
    assert!(!booted.stderr.contains("cycle"), "{}", booted.stderr);
    let _ = machine.run(SETUP).success();
    let mut alice = log_in(&machine, "alice", Some(&mut phone));
    alice.type_line("sudo authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect("sshd for alice stays");
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    // The listener that the socket started is none of hers.
    assert_eq!(machine.run(["systemctl", "is-active", "ssh"]).stdout, "active\n");
    let mut bob = log_in(&machine, "bob", None);
    let _ = machine.run(["systemctl", "stop", "ssh"]).success();
    assert_eq!(bob.shell("echo still here"), "still here");
    assert_eq!(defects(&machine), [""; 0]);
    let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _as_before = log_in(&machine, "alice", None);
}

#[test]
fn an_sshd_that_is_started_for_each_connection_is_set_up_too() {
    let Some(machine) = Machine::booted().map(|plan| plan.user("alice").start()) else { return };
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n");
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, secret.as_bytes()).success();
    let _ = machine.shell("systemctl disable --now ssh.service && systemctl enable --now ssh.socket").success();
    assert!(!machine.path("/run/sshd").exists());
    let _ = machine.shell(SETUP_LINE).success();
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("assword: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line(&Authenticator::new(secret).code());
    alice.expect("$ ");
    alice.type_line("sudo authflow setup confirm");
    alice.expect("sshd for alice stays");
}

#[test]
fn another_sshd_that_goes_by_another_file_is_told() {
    let Some(site) = Site::new() else { return };
    let other = "sed 's@^Include.*@Port 2222@' /etc/ssh/sshd_config >/etc/ssh/other";
    let _ = site.machine.shell(other).success();
    let _other = site.machine.start(["/usr/sbin/sshd", "-D", "-f", "/etc/ssh/other"]);
    let answers = "exec 3<>/dev/tcp/127.0.0.1/2222 && head -c 4 <&3";
    wait::until_true("the other sshd", || site.machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
    let said = site.machine.shell(SETUP_LINE).failure(1);
    assert!(said.contains("started with `-f /etc/ssh/other`"), "{said}");
    assert_eq!(files(&site.machine), site.stock);
}

#[test]
fn every_sshd_that_goes_by_the_configuration_hears_of_a_change() {
    let Some(site) = Site::new() else { return };
    let machine = &site.machine;
    let _other = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1", "-p", "2222"]);
    let wait_for = |port: &str| {
        let answers = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 4 <&3");
        wait::until_true("an sshd", || machine.run(["timeout", "2", "bash", "-c", &answers]).stdout == "SSH-");
    };
    wait_for("2222");
    let _ = machine.shell(SETUP_LINE).success();
    for port in ["22", "2222"] {
        wait_for(port);
        let mut alice = machine.ssh("alice", &["-p", port]);
        alice.expect("assword: ");
        alice.type_line(machine.password());
        alice.expect("Verification code: ");
    }
    let _ = machine.run("authflow setup rollback --yes".split(' ')).success();
    for port in ["22", "2222"] {
        wait_for(port);
        let mut alice = machine.ssh("alice", &["-o", "PreferredAuthentications=password", "-p", port]);
        alice.expect("assword: ");
        alice.type_line(machine.password());
        alice.expect("$ ");
    }
}
