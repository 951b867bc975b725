//! `authflow setup` on a stock Debian: what it shows, what it changes, how it is confirmed, and how it goes back.

use authflow_tests::{Authenticator, Machine, Person, wait};
use serde_json::Value;

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

/// What `authflow check` calls an error or a warning.
fn defects(machine: &Machine) -> Vec<String> {
    let found: Value = serde_json::from_str(&machine.run(["authflow", "check", "--json"]).stdout).expect("a list");
    let is_told = |finding: &&Value| finding["severity"] != "note";
    let id = |finding: &Value| finding["id"].as_str().expect("an id").to_owned();
    found.as_array().expect("a list").iter().filter(is_told).map(id).collect()
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
    machine.write("/etc/ssh/sshd_config.d/90-ports.conf", "Match LocalPort 2222\n    X11Forwarding no\n");
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
    assert_eq!(defects(&machine), [""; 0]);

    let drop_in = "/etc/ssh/sshd_config.d/10-authflow.conf";
    let _ = machine.run(["cp", "-p", drop_in, "/root/drop-in"]).success();

    // An sshd that were told to read a slip would end, and with it every way in.
    let _ = machine.shell("cp -p /etc/ssh/sshd_config /root/ && echo Slipp yes >> /etc/ssh/sshd_config").success();
    let set_up = files(&machine);
    for way_back in ["remove", "rollback"] {
        let refused = machine.run(["authflow", "setup", way_back, "--yes"]).failure(1);
        assert!(
            way_back != "remove" || files(&machine) == set_up,
            "a removal that cannot come to its end does not begin"
        );
        assert!(refused.contains("sshd goes on by its older configuration"), "{refused}");
        let _still_in = log_in(&machine, "bob", None);
    }
    let _ = machine.shell("cp -p /root/sshd_config /etc/ssh/").success();
    let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _ = machine.run(["rm", "/etc/authflow/authflow.toml.last-good"]).stdout;
    assert_eq!(files(&machine), stock, "to the byte");

    // As where somebody takes out by hand what setup put in, and forgets sshd's.
    let _ = machine.run(["cp", "-p", "/root/drop-in", drop_in]).success();
    assert_eq!(defects(&machine), ["sshd-drop-in-left"]);
    let _ = machine.run(["authflow", "setup", "remove", "sshd", "--yes"]).success();
    assert_eq!((files(&machine), defects(&machine)), (stock, Vec::new()));
    let _as_before = log_in(&machine, "alice", None);
}

/// As docs/setup.md says: auth up to our question, since nobody's secrets are there to be asked for.
#[test]
fn each_phase_of_the_new_stack_is_tried_before_it_goes_live() {
    let Some((machine, mut phone)) = machine() else { return };
    let phases = ["auth", "account", "session"];
    for phase in phases {
        let line = format!("1i {phase} optional pam_exec.so quiet seteuid /usr/bin/touch /run/tried-{phase}");
        let _ = machine.run(["sed", "-i", &line, "/etc/pam.d/sshd"]).success();
    }
    let tried = || phases.map(|phase| machine.path("/run").join(format!("tried-{phase}")).exists());
    let said = machine.run(SETUP);
    assert!(said.status.success() && !said.stderr.contains("not tried"), "{said:#?}");
    assert_eq!(tried(), [true; 3]);
    for event in ["event=refused", "FAILED SU"] {
        assert!(!machine.log().contains(event), "{}", machine.log());
    }
    let _alice = log_in(&machine, "alice", Some(&mut phone));
}

/// sshd has not run since the boot, so that even its folder in /run is not there.
#[test]
fn where_a_socket_starts_sshd_it_is_set_up_before_the_first_connection() {
    let Some((machine, mut phone)) = machine() else { return };
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
fn what_would_keep_somebody_out_does_not_go_live() {
    let Some((machine, _phone)) = machine() else { return };
    let stock = files(&machine);
    let module = machine.shell("ls /usr/lib/*/security/pam_authflow.so").success().trim().to_owned();
    let rule = "[[rule]]\nname = \"mine\"\nservice = [\"sshd\"]\nmethods = [[\"stack\"]]\n";
    let others = "Match User alice\n AuthenticationMethods password\n";
    for (spoil, mend, args, why) in [
        ("true", "true", "sshd --user bob --user alice", "bob would be kept out"),
        ("true", "true", "sshd --user nosuch", "no user"),
        ("true", "true", "sudo su --user root --user alice", "root would be kept out"),
        (
            "rm /etc/sudoers.d/alice; passwd -l root",
            "echo 'alice ALL=(ALL) ALL' >/etc/sudoers.d/alice; passwd -u root",
            "sshd --user alice",
            "can become root",
        ),
        (
            "mv /etc/pam.d/sshd /etc/own; ln -s /etc/own /etc/pam.d/sshd",
            "rm /etc/pam.d/sshd; mv /etc/own /etc/pam.d/sshd",
            "sshd --user alice",
            "symbolic link",
        ),
        ("chmod 666 /etc/pam.d/sshd", "chmod 644 /etc/pam.d/sshd", "sshd --user alice", "not writable by"),
        (
            &format!("echo '{rule}' >/etc/authflow/authflow.toml.d/10.toml"),
            "rm /etc/authflow/authflow.toml.d/10.toml",
            "sshd --user alice",
            "the rule \"mine\"",
        ),
        (
            &format!("echo '{others}' >/etc/ssh/sshd_config.d/00.conf"),
            "rm /etc/ssh/sshd_config.d/00.conf",
            "sshd --user alice",
            "authenticationmethods password",
        ),
        (
            "sed -i 's/^Include/#Include/' /etc/ssh/sshd_config",
            "sed -i 's/^#Include/Include/' /etc/ssh/sshd_config",
            "sshd --user alice",
            "does not read",
        ),
        (
            "systemctl mask --runtime --now authflow-sessiond",
            "systemctl unmask --runtime authflow-sessiond; systemctl start authflow-sessiond",
            "sshd --user alice",
            "cannot be reached",
        ),
        (
            &format!("mv {module} /root/module"),
            &format!("mv /root/module {module}"),
            "sshd --user alice",
            "refuses alice before authflow asks",
        ),
        (
            "cp -p /etc/pam.d/sshd /root/sshd; echo 'session required pam_nosuch.so' >>/etc/pam.d/sshd",
            "cp -p /root/sshd /etc/pam.d/sshd",
            "sshd --user alice",
            "opens no session",
        ),
        // systemd's trouble, and not the stack's.
        ("chmod -x /usr/bin/true", "chmod +x /usr/bin/true", "sshd --user alice", "ended with 203"),
        (
            "cp -p /etc/pam.d/sshd /root/sshd; sed -i '1i session sufficient pam_permit.so' /etc/pam.d/sshd",
            "cp -p /root/sshd /etc/pam.d/sshd",
            "sshd --user alice",
            "authflow check says: /etc/pam.d/sshd:1",
        ),
        // Ctrl-C while the stack is tried.
        (
            "cp -p /etc/pam.d/sshd /root/sshd; echo 'session optional pam_exec.so /usr/bin/pkill -INT -x authflow' >>/etc/pam.d/sshd",
            "cp -p /root/sshd /etc/pam.d/sshd",
            "sshd --user alice",
            "stopped as you asked",
        ),
        (
            "rm /usr/lib/systemd/system/authflow-setup-rollback.service; systemctl daemon-reload",
            "true",
            "sshd --user alice",
            "nothing would roll back",
        ),
    ] {
        let _ = machine.shell(spoil).success();
        let said = machine.shell(&format!("authflow setup {args} --yes"));
        let _ = machine.shell(mend).success();
        assert!(!said.status.success() && said.stderr.contains(why), "{args}: expected {why:?}: {said:#?}");
        assert_eq!(files(&machine), stock, "{why}");
        for left in ["pending", "tried"] {
            assert!(!machine.path("/var/lib/authflow/setup").join(left).exists(), "{why}: {left}");
        }
    }
    let _as_before = log_in(&machine, "alice", None);
}

#[test]
fn what_nobody_confirms_goes_back_by_itself() {
    let Some((machine, mut phone)) = machine() else { return };
    let stock = files(&machine);
    let is_over = || !machine.path("/var/lib/authflow/setup/pending").exists();
    // Killed at some moment after its first change: whichever it is, and whether it came to its end before.
    let setup = SETUP.join(" ");
    let kill = format!(
        "{setup} --rollback-after 30s & until grep -q 'authflow setup' /etc/pam.d/sshd; do :; done; kill -9 $!; wait"
    );
    let _ = machine.shell(&kill);
    assert_ne!(files(&machine), stock);
    wait::until_true("the timer", is_over);
    assert_eq!(files(&machine), stock);

    let _ = machine.run([SETUP, &["--rollback-after", "30s"]].concat()).success();
    assert_ne!(files(&machine), stock);
    // Nor is the daemon needed.
    machine.kill_daemon();
    let _alice = log_in(&machine, "alice", Some(&mut phone));
    wait::until_true("the timer", is_over);
    assert_eq!(files(&machine), stock);
    machine.logged(&["event=setup-rolled-back"]);
    let _as_before = log_in(&machine, "alice", None);

    // A boot that comes first. sshd starts after it, and is not waited for.
    let _ = machine.run(SETUP).success();
    let _ = machine.shell("systemctl stop authflow-setup-rollback.timer multi-user.target ssh").success();
    let _ = machine.shell("systemctl start multi-user.target").success();
    wait::until_true("the boot", is_over);
    assert_eq!(files(&machine), stock);
    let _at_last = log_in(&machine, "alice", None);

    // A roll-back that cannot be done holds up no boot, is told where people sit, and is tried again.
    let mut bob = log_in(&machine, "bob", None);
    let _ = machine.run(SETUP).success();
    // The bed has no console; whoever writes to it opens what there is.
    let _ = machine.shell("touch /dev/console").success();
    let _ = machine.shell("mount --bind /etc/pam.d /etc/pam.d && mount -o remount,bind,ro /etc/pam.d").success();
    let _ = machine.shell("systemctl stop authflow-setup-rollback.timer multi-user.target ssh").success();
    let _ = machine.shell("systemctl start multi-user.target").success();
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
    assert!(!is_over());
    bob.expect("could NOT be rolled back");
    machine.logged(&["event=setup-not-rolled-back", "Read-only file system"]);
    let console = machine.shell("cat /dev/console").success();
    assert!(console.contains("files as they were are under /var/lib/authflow/setup/2"), "{console}");
    let _ = log_in(&machine, "alice", None);
    // A second try comes, and is silent.
    let tries = ["systemctl", "show", "--property=NRestarts", "--value", "authflow-setup-rollback"];
    wait::until_true("a second try", || !["0\n", "1\n"].contains(&machine.run(tries).stdout.as_str()));
    assert_eq!(machine.log().matches("event=setup-not-rolled-back").count(), 1);
    let _ = machine.run(["umount", "/etc/pam.d"]).success();
    wait::until_true("the next try", is_over);
    assert_eq!(files(&machine), stock);
}

#[test]
fn what_was_edited_meanwhile_is_kept_and_the_way_in_comes_back() {
    let Some((machine, _phone)) = machine() else { return };
    let stock = files(&machine);
    let _ = machine.run(SETUP).success();
    let edited = machine.read("/etc/pam.d/sshd") + "session optional pam_echo.so mine\n";
    machine.write("/etc/pam.d/sshd", &edited);
    machine.write("/etc/ssh/sshd_config.d/10-authflow.conf", "KbdInteractiveAuthentication no\n");
    let said = machine.run(["authflow", "setup", "rollback"]);
    assert!(said.status.success() && said.stderr.contains("edited/etc/pam.d/sshd"), "{said:#?}");
    assert_eq!(
        files(&machine),
        stock.replace(
            "@include common-password\n/etc/pam.d/su ",
            "@include common-password\nsession optional pam_echo.so mine\n/etc/pam.d/su "
        )
    );
    let kept = machine.shell("cat /var/lib/authflow/setup/*/edited/etc/pam.d/sshd").success();
    assert_eq!(kept, edited);
    let _as_before = log_in(&machine, "alice", None);
}

#[test]
fn sudo_su_and_the_console_are_set_up_too() {
    let Some((machine, mut phone)) = machine() else { return };
    let stock = files(&machine);
    let _ = machine.run("authflow setup sudo login --user alice --yes".split(' ')).success();
    let mut alice = machine.person(["login", "alice"]);
    machine.give_answers(&mut alice, &phone.code());
    alice.expect("$ ");
    // The code is fresh; the password is asked as ever.
    alice.type_line("sudo authflow setup confirm");
    alice.expect("assword");
    alice.expect(": ");
    alice.type_line(machine.password());
    alice.expect("login, sudo for alice stays");

    let mut root = machine.enroll("root");
    let _ = machine.run("authflow setup su --user root --yes".split(' ')).success();
    // Root's own su is asked nothing, and shows nothing.
    let unasked = machine.run(["su", "root", "-c", "authflow setup confirm"]);
    assert!(unasked.failure(1).contains("asked for a code"));
    alice.type_line("su -c 'authflow setup confirm'");
    machine.give_answers(&mut alice, &root.code());
    alice.expect("su for root stays");

    root_at_the_console_has_a_last_way_in(&machine);

    assert_eq!(defects(&machine), ["sudo-ticket-hides"], "which is sudo's own");
    let status = machine.run(["authflow", "setup", "status"]).success();
    assert!(status.contains("--user root") && !status.contains("waits"), "{status}");
    let of = |service: &str| {
        status.lines().find(|row| row.starts_with(&format!("{service} "))).map(|row| row.split_whitespace().nth(1))
    };
    assert_eq!(["sshd", "su", "sudo"].map(of), [Some(Some("no")), Some(Some("yes")), Some(Some("yes"))], "{status}");
    let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _ = machine.run(["rm", "/etc/authflow/authflow.toml.last-good"]).stdout;
    assert_eq!(files(&machine), stock, "to the byte");
}

/// The stack that setup has written for `login`, with authflow's own files unusable: root alone gets in, at a real console alone, with
/// the system's password.
fn root_at_the_console_has_a_last_way_in(machine: &Machine) {
    let config = machine.read("/etc/authflow/authflow.toml");
    machine.write("/etc/authflow/authflow.toml", "[[rule");
    let _ = machine.run(["mv", "/etc/authflow/authflow.toml.last-good", "/root/last-good"]).success();
    let knock = |user: &str, items: &[&str], password: &str| {
        let argv = [&["pamtester"], items, &["login", user, "authenticate", "acct_mgmt", "open_session"]].concat();
        machine.person(argv).answer_all(&[("assword: ", password)]).success()
    };
    let console: &[&str] = &["-Itty=/dev/tty1"];
    assert!(knock("root", console, machine.password()), "{}", machine.log());
    machine.logged(&["event=breakglass", "service=login", "user=root"]);
    assert!(!knock("root", console, "a guess"));
    assert!(!knock("root", &["-Itty=/dev/tty1", "-Irhost=192.0.2.7"], machine.password()));
    assert!(!knock("root", &["-Itty=/dev/pts/0"], machine.password()));
    assert!(!knock("alice", console, machine.password()));
    machine.write("/etc/authflow/authflow.toml", &config);
    let _ = machine.run(["mv", "/root/last-good", "/etc/authflow/authflow.toml.last-good"]).success();
}

#[test]
fn everybody_enrols_and_root_keeps_the_key() {
    let Some((machine, mut phone)) = machine() else { return };
    let key =
        "ssh-keygen -q -t ed25519 -N '' -f /root/key && install -D -m 600 /root/key.pub /root/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    let _ = machine.run("authflow setup sshd --everybody --yes".split(' ')).success();
    let mut bob = machine.ssh("bob", &[]);
    bob.expect("assword: ");
    bob.type_line(machine.password());
    bob.expect("Verification code: ");
    bob.type_line("");
    bob.expect("Enter");
    bob.type_line("");
    bob.expect("$ ");
    // Without a code, so it shows nothing of whether one is taken.
    machine.write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n");
    bob.type_line("sudo authflow setup confirm");
    bob.expect("put enrolment off");
    let mut root = machine.ssh("root", &["-i", "/root/key"]);
    root.expect("# ");
    let mut alice = log_in(&machine, "alice", Some(&mut phone));
    alice.type_line("sudo authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect("sshd for everybody but root stays");
    assert_eq!(defects(&machine), [""; 0]);
}
